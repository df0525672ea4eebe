//! From the body of a successful response to its data.

mod reason;

use kombo_model::{FreeJson, Warning, WriteEnvelope};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::RejectedRecord;

/// Why a body is not the data that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// Nothing but white space, or JSON that breaks off.
    Incomplete,
    /// Something else than Kombo documents.
    Unexpected { path: String, reason: String },
}

/// The content of a list page.
#[derive(Debug)]
pub(crate) struct List<R> {
    pub(crate) records: Vec<R>,
    pub(crate) rejected: Vec<RejectedRecord>,
    /// As Kombo sent it, blank or not.
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: Success,
    data: T,
}

/// The text `success`; anything else is an error at `status`.
struct Success;

impl<'de> Deserialize<'de> for Success {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = String::deserialize(deserializer)?;
        if status == "success" { Ok(Self) } else { Err(serde::de::Error::custom("not \"success\"")) }
    }
}

#[derive(Deserialize)]
struct Page<R> {
    // Not optional: a body without `next` is not Kombo's, and must not pass for the end of a list.
    #[serde(deserialize_with = "Option::deserialize")]
    next: Option<String>,
    results: Vec<R>,
}

/// Reads the body of one object.
pub(crate) fn object<T: DeserializeOwned>(body: &str) -> Result<T, Undecodable> {
    envelope(body)
}

/// Reads the body of a write.
pub(crate) fn written<T: DeserializeOwned>(body: &str) -> Result<(T, Vec<Warning>), Undecodable> {
    // Remarks that cannot be read are given up: the write has succeeded.
    let warnings = serde_json::from_str::<WriteEnvelope<IgnoredAny>>(body).map(|it| it.warnings).unwrap_or_default();
    Ok((envelope(body)?, warnings))
}

/// Reads the body of a list. One that cannot be read at once, as most can, is read record by record: one that is wrong does
/// not fail the others.
pub(crate) fn list<R: DeserializeOwned>(body: &str) -> Result<List<R>, Undecodable> {
    if let Ok(Envelope { status: Success, data: Page { next, results } }) = serde_json::from_str(body) {
        return Ok(List { records: results, rejected: Vec::new(), next });
    }
    let raw: Page<&RawValue> = envelope(body)?;
    let mut list = List { records: Vec::with_capacity(raw.results.len()), rejected: Vec::new(), next: raw.next };
    for (index, json) in raw.results.into_iter().enumerate() {
        match serde_json::from_str(json.get()) {
            Ok(record) => list.records.push(record),
            Err(error) => list.rejected.push(reject::<R>(index, json, &error)),
        }
    }
    Ok(list)
}

fn envelope<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Undecodable> {
    if body.trim().is_empty() {
        return Err(Undecodable::Incomplete);
    }
    let first = match serde_json::from_str(body) {
        Ok(Envelope { status: Success, data }) => return Ok(data),
        Err(error) => error,
    };
    // A body can break off without the transport noticing, where only the closed connection marks its end.
    if first.is_eof() || serde_json::from_str::<IgnoredAny>(body).is_err_and(|error| error.is_eof()) {
        return Err(Undecodable::Incomplete);
    }
    let (path, reason) = locate::<Envelope<T>>(body, &first);
    Err(Undecodable::Unexpected { path, reason })
}

fn reject<R: DeserializeOwned>(index: usize, json: &RawValue, error: &serde_json::Error) -> RejectedRecord {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    let (path, reason) = locate::<R>(json.get(), error);
    let id = serde_json::from_str::<Id>(json.get()).ok().map(|record| record.id);
    RejectedRecord { index, id, path, reason, json: FreeJson::from(json.to_owned()) }
}

/// Where and why `text` is not a `T`. The path costs time, so it is looked for only once something is known to be wrong.
fn locate<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> (String, String) {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(located) => {
            // Empty where the fault lies at a key that is an empty text.
            let path = Some(located.path().to_string()).filter(|path| !path.is_empty());
            (path.unwrap_or_else(|| ".".to_owned()), reason::without_data(located.inner()))
        }
        // The fault lies behind the value, as in `{} x`.
        Ok(_) => (".".to_owned(), reason::without_data(error)),
    }
}

#[cfg(test)]
mod tests;
