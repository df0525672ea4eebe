use serde::{Deserialize, Deserializer, Serialize};

use crate::Extra;
use crate::redacted::redacted_debug;

/// The body of a list response: `{"status":"success","data":{"next":…,"results":[…]}}`.
///
/// ```
/// use kombo_model::{ListEnvelope, Skill};
///
/// let page: ListEnvelope<Skill> =
///     serde_json::from_str(r#"{"status": "success", "data": {"next": null, "results": [{"id": "s"}]}}"#)?;
/// assert_eq!(page.data.results.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEnvelope<T> {
    /// `success`
    pub status: String,
    /// The page.
    pub data: ListData<T>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListData<T> {
    /// The opaque cursor of the next page. Only null or blank ends the list: a page may be empty without being the
    /// last.
    pub next: Option<String>,
    /// The records of this page; may be empty.
    pub results: Vec<T>,
}

/// The body of a response with one object: `{"status":"success","data":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEnvelope<T> {
    /// `success`
    pub status: String,
    /// The object.
    pub data: T,
}

/// The body of a response to a write: `{"status":"success","data":{…},"warnings":[…]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteEnvelope<T> {
    /// `success`
    pub status: String,
    /// The written object.
    pub data: T,
    /// Kombo's warnings about the write; empty if the key is missing or null.
    #[serde(default, deserialize_with = "null_as_default")]
    pub warnings: Vec<Warning>,
}

/// Kombo's warning about a write that succeeded. It is meant for a person, so log it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The text. It may quote what was sent.
    #[serde(default, deserialize_with = "null_as_default")]
    pub message: String,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! { Warning {} }

/// A write that succeeded must not look like a failed one because its warnings are missing.
fn null_as_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
