//! The records of the read endpoints and the partial copies nested in them.

mod course;
mod progression;
mod skill;
mod user;

use serde::{Deserialize, Serialize};

use crate::FreeJson;
use crate::open_enum::open_enum;

pub use course::{Course, CourseRevision, ProviderCopy, SkillAssignment};
pub use progression::{CourseCopy, CourseProgression, CourseRevisionCopy, ProgressionStatus, UserCopy};
pub use skill::{Skill, SkillCopy};
pub use user::User;

/// Keys unknown to this version, with their values.
pub type Extra = serde_json::Map<String, serde_json::Value>;

open_enum! {
    /// Whether a user or a revision is in use.
    pub enum ActiveStatus {
        /// In use.
        Active = "ACTIVE",
        /// No longer in use.
        Inactive = "INACTIVE",
    }
}

/// One entry of `integration_fields`: a field of the connected tool that a customer mapped. Read them with
/// [`FreeJson::read`].
///
/// ```
/// use kombo_model::{IntegrationField, User};
///
/// let user: User = serde_json::from_str(
///     r#"{"id": "u", "integration_fields": [{"id": "f", "key": "shoeSize", "type": "CUSTOM", "value": 41.5}]}"#,
/// )?;
/// let fields: Vec<IntegrationField> = user.integration_fields.expect("it has some").read()?;
/// assert_eq!(fields[0].value.as_ref().map(|value| value.as_str()), Some("41.5"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationField {
    /// Kombo's id of the field.
    pub id: String,
    /// The field's name in the connected tool.
    #[serde(default)]
    pub key: Option<String>,
    /// The field's display name.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether the field is built into the tool or was added by a customer.
    #[serde(default, rename = "type")]
    pub kind: Option<IntegrationFieldKind>,
    /// The value, any JSON.
    #[serde(default)]
    pub value: Option<FreeJson>,
}

open_enum! {
    /// The origin of a field of the connected tool.
    pub enum IntegrationFieldKind {
        /// Built into the tool.
        Default = "DEFAULT",
        /// Added by a customer.
        Custom = "CUSTOM",
    }
}
