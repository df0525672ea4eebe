//! The log of requests, for tests.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::{Endpoint, Stamp};

/// One request to the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedRequest {
    /// Its number, from 1 on.
    pub number: u64,
    /// When it arrived, by the sandbox's clock.
    pub at: Stamp,
    /// The requested endpoint.
    pub endpoint: Endpoint,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// The body, as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The integration in its header.
    pub integration: Option<String>,
    /// The status of the answer; `None` if the connection was dropped.
    pub status: Option<u16>,
}

impl LoggedRequest {
    /// Returns the value of a query parameter.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

/// The latest requests, and the total number.
#[derive(Debug)]
pub(crate) struct RequestLog {
    keep: usize,
    pub(crate) kept: VecDeque<LoggedRequest>,
    pub(crate) counts: BTreeMap<Endpoint, u64>,
}

impl RequestLog {
    pub(crate) fn new(keep: usize) -> Self {
        Self { keep, kept: VecDeque::new(), counts: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, request: LoggedRequest) {
        *self.counts.entry(request.endpoint).or_default() += 1;
        self.kept.push_back(request);
        while self.kept.len() > self.keep {
            self.kept.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
        self.counts.clear();
    }
}
