use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::in_part::holds_no_json;

/// JSON without a fixed shape (`remote_data`, `custom_fields`, `integration_fields`), kept as the text that Kombo sent.
///
/// The text is checked to be JSON but never turned into a tree, so it may be large and deep. Equality compares texts:
/// `{"a":1}` and `{ "a": 1 }` are not equal. `Debug` shows only the size, because the text is a customer's data.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use kombo_model::User;
///
/// let user: User = serde_json::from_str(r#"{"id": "u", "custom_fields": {"size": "XL"}}"#)?;
/// let fields = user.custom_fields.expect("it has some");
/// assert_eq!(fields.as_str(), r#"{"size": "XL"}"#);
/// let by_name: BTreeMap<String, String> = fields.read()?;
/// assert_eq!(by_name["size"], "XL");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct FreeJson(Box<RawValue>);

impl FreeJson {
    /// Wraps `text`, if it is JSON.
    pub fn new(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// Returns the JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Returns the JSON text without a copy.
    pub fn into_string(self) -> String {
        let text: Box<str> = self.0.into();
        text.into_string()
    }

    /// Decodes the text as `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FreeJson {
    /// Fails if the text contains something that was not JSON before [`mend_json`](crate::mend_json).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        if holds_no_json(json.get()) { Err(D::Error::custom("no JSON")) } else { Ok(Self(json)) }
    }
}

impl From<Box<RawValue>> for FreeJson {
    fn from(json: Box<RawValue>) -> Self {
        Self(json)
    }
}

impl PartialEq for FreeJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for FreeJson {}

impl fmt::Debug for FreeJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FreeJson({} bytes)", self.as_str().len())
    }
}
