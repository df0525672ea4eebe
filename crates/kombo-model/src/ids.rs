use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::in_part::Reader;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Returns the id as Kombo writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the id's text without a copy.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl crate::in_part::Part for $name {
            fn read(json: &RawValue, reader: &mut Reader) -> Option<Self> {
                reader.text_or_number(json).map(Self)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// An integration: one customer's connection to one tool, such as `sandbox:7C9M5sXAQx2cNMpVHLojrFpL`.
    IntegrationId;
    /// A user. Unique among the users of one integration, not among other models.
    UserId;
    /// A course. Unique among the courses of one integration, not among other models.
    CourseId;
    /// A revision of a course. Unique among the revisions of one integration, not among other models.
    CourseRevisionId;
    /// A provider of courses. Unique among the providers of one integration, not among other models.
    CourseProviderId;
    /// A skill. Unique among the skills of one integration, not among other models.
    SkillId;
    /// A user's progress in a revision. Unique among the progressions of one integration, not among other models.
    CourseProgressionId;
    /// A task that Kombo works on in the background. Unique within an integration.
    TaskId;
    /// A webhook event. A repeated delivery has the same id.
    WebhookEventId;
}
