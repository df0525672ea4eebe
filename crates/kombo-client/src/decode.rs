//! Decodes the body of a successful response.

mod reason;
mod split;
mod whole;

use std::marker::PhantomData;

use kombo_model::{Endpoint, Fault, FreeJson, InPart, Warning, WriteEnvelope, mend_json};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::{RawValue, to_raw_value};

use crate::RejectedRecord;
use crate::query::Listed;
use split::Split;

/// The reason why a body could not be decoded as the requested data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undecodable {
    /// Only white space, or truncated JSON.
    Incomplete,
    /// Not JSON.
    NotJson { reason: String },
    /// A page with records that are not JSON and have unclear boundaries.
    Garbled { reason: String },
    /// JSON of a shape that Kombo does not document.
    Unexpected { path: String, reason: String },
    /// A page of more than [`MOST_RECORDS`].
    TooManyRecords { limit: usize },
}

/// The content of a list page.
#[derive(Debug)]
pub(crate) struct List<R> {
    pub(crate) records: Vec<R>,
    pub(crate) rejected: Vec<RejectedRecord>,
    /// As sent by Kombo, even if blank.
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    status: Success,
    data: T,
}

/// Accepts only the text `success`; anything else is an error at `status`.
struct Success;

impl<'de> Deserialize<'de> for Success {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let status = String::deserialize(deserializer)?;
        if status == "success" { Ok(Self) } else { Err(serde::de::Error::custom("not \"success\"")) }
    }
}

#[derive(Deserialize)]
struct Page<R> {
    // Required: a body without `next` is not Kombo's and must not count as the end of a list.
    #[serde(deserialize_with = "next")]
    next: Option<String>,
    results: Results<R>,
}

/// Longest cursor that fits into a URL, in bytes.
const LONGEST_CURSOR: usize = 16 * 1024;

/// Reads a cursor or null. A number is read as its text.
fn next<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    use serde::de::Error;
    let Some(json) = Option::<&RawValue>::deserialize(deserializer)? else { return Ok(None) };
    let next = match json.get().as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => json.get().to_owned(),
        Some(b'"') => serde_json::from_str(json.get()).map_err(|_| D::Error::custom("not a text that can be read"))?,
        _ => return Err(D::Error::custom("neither a text nor null")),
    };
    if next.len() > LONGEST_CURSOR {
        return Err(D::Error::custom(format_args!("a cursor of {} bytes, more than {LONGEST_CURSOR}", next.len())));
    }
    Ok(Some(next))
}

/// Largest number of records in a page. Kombo sends at most 250, but a server that ignores `page_size` may send more.
const MOST_RECORDS: usize = 10_000;

/// At most [`MOST_RECORDS`] records of a page. The rest are skipped unread to bound memory.
struct Results<R> {
    records: Vec<R>,
    too_many: bool,
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Results<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(whole::Elements::<R, PhantomData<R>>::new(PhantomData))
    }
}

impl<R> Results<R> {
    fn within_bounds(self) -> Result<Vec<R>, Undecodable> {
        if self.too_many { Err(Undecodable::TooManyRecords { limit: MOST_RECORDS }) } else { Ok(self.records) }
    }
}

/// Decodes the body of one object.
pub(crate) fn object<T: DeserializeOwned>(body: &str) -> Result<T, Undecodable> {
    envelope(body)
}

/// Decodes the answer to a write.
pub(crate) fn written<T: DeserializeOwned>(body: &str) -> Result<(T, Vec<Warning>), Undecodable> {
    // Unreadable warnings are dropped, because the write has succeeded.
    let warnings = serde_json::from_str::<WriteEnvelope<IgnoredAny>>(body).map(|it| it.warnings).unwrap_or_default();
    Ok((envelope(body)?, warnings))
}

/// The number of requested records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    One,
    Many,
}

/// Decodes a list. If that fails as a whole, it decodes record by record, and bad records field by field, so that a
/// fault does not affect other records.
pub(crate) fn list<R: Listed>(endpoint: Endpoint, body: &str, asked: Asked) -> Result<List<R>, Undecodable> {
    if let Ok(Page { next, results }) = whole::page(endpoint, body) {
        return Ok(List { records: results.within_bounds()?, rejected: Vec::new(), next });
    }
    let mended = mend_json(body);
    if let Ok(Envelope { status: Success, data: Page { next, results } }) = serde_json::from_str(&mended) {
        let results: Vec<&RawValue> = results.within_bounds()?;
        return one_by_one(endpoint, next, results.into_iter().map(RawValue::get));
    }
    let error = match envelope::<Page<&RawValue>>(body) {
        Err(error) => error,
        // Only a mended list differs from the one that failed.
        Ok(Page { next, results }) => {
            return one_by_one(endpoint, next, results.within_bounds()?.into_iter().map(RawValue::get));
        }
    };
    let reason = match &error {
        Undecodable::NotJson { reason } => reason.clone(),
        Undecodable::Incomplete => "a text in it does not end".to_owned(),
        Undecodable::Unexpected { .. } | Undecodable::Garbled { .. } | Undecodable::TooManyRecords { .. } => {
            return Err(error);
        }
    };
    let next = |around: &str| match serde_json::from_str(around) {
        Ok(Envelope { status: Success, data: Page::<IgnoredAny> { next, .. } }) => Some(next),
        Err(_) => None,
    };
    match split::split(&mended) {
        Split::Records(_, records) if records.len() > MOST_RECORDS => {
            Err(Undecodable::TooManyRecords { limit: MOST_RECORDS })
        }
        Split::Records(around, records) => match next(&around) {
            Some(next) => one_by_one(endpoint, next, records.into_iter()),
            None => Err(error),
        },
        Split::Unclear => match split::whole(body).and_then(|(around, records)| Some((next(&around)?, records))) {
            Some((next, record)) if asked == Asked::One => one_by_one(endpoint, next, std::iter::once(record)),
            Some(_) => Err(Undecodable::Garbled { reason }),
            None => Err(error),
        },
        Split::NoPage => Err(error),
    }
}

fn one_by_one<'a, R: Listed>(
    endpoint: Endpoint,
    next: Option<String>,
    records: impl ExactSizeIterator<Item = &'a str>,
) -> Result<List<R>, Undecodable> {
    let mut list = List { records: Vec::with_capacity(records.len()), rejected: Vec::new(), next };
    for (index, text) in records.enumerate() {
        if let Ok(record) = whole::record(endpoint, text) {
            list.records.push(record);
            continue;
        }
        let (record, fault) = match R::read_in_part(endpoint, text) {
            Ok(InPart { record, faults }) => (Some(record), Fault::join(faults)),
            Err(fault) => (None, Some(fault)),
        };
        if let Some(Fault { path, reason }) = fault {
            let (id, json) = match serde_json::from_str::<&RawValue>(text) {
                Ok(json) => (record.as_ref().map(|record| R::id(record).to_owned()), json.to_owned()),
                // The text of the record, which is not JSON, as a JSON string.
                Err(_) => (split::id(text), to_raw_value(text).map_err(|_| Undecodable::Incomplete)?),
            };
            list.rejected.push(RejectedRecord { index, id, path, reason, json: FreeJson::from(json) });
        }
        list.records.extend(record);
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
    // If only the end of the connection marks the end of the body, the transport does not notice that it is truncated.
    let as_json = serde_json::from_str::<IgnoredAny>(body).err();
    if first.is_eof() || as_json.as_ref().is_some_and(serde_json::Error::is_eof) {
        return Err(Undecodable::Incomplete);
    }
    if let Some(error) = as_json {
        return Err(Undecodable::NotJson { reason: reason::without_data(&error) });
    }
    let (path, reason) = locate::<Envelope<T>>(body, &first);
    Err(Undecodable::Unexpected { path, reason })
}

/// Returns where and why `text` is not a `T`. Tracking the path is slow, so this runs only after decoding failed.
fn locate<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> (String, String) {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(located) => {
            // Empty if the fault is at an empty key.
            let path = Some(located.path().to_string()).filter(|path| !path.is_empty());
            (path.unwrap_or_else(|| ".".to_owned()), reason::without_data(located.inner()))
        }
        // The fault follows the value, as in `{} x`.
        Ok(_) => (".".to_owned(), reason::without_data(error)),
    }
}

#[cfg(test)]
mod tests;
