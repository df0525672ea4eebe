use serde::{Deserialize, Serialize};

/// The body of a list response: `{"status":"success","data":{"next":…,"results":[…]}}`.
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
    /// The opaque cursor of the next page. Only null or blank ends the list: a page may be empty and not be the last.
    pub next: Option<String>,
    /// The records of this page, possibly none.
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
