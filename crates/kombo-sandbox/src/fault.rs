//! Faults that tests inject.

mod spoil;

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use spoil::{Spoilt, answer_instead, spoil};

use crate::Endpoint;

/// The kind of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Kombo's error envelope.
    Error {
        /// The HTTP status.
        status: u16,
        /// The code; null is a code too.
        #[serde(default)]
        code: Option<String>,
        /// The value of `Retry-After`.
        #[serde(default)]
        retry_after: Option<String>,
    },
    /// An answer that is not Kombo's: a gateway's HTML page or a proxy's text.
    Foreign {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The connection is closed without a response.
    DropConnection,
    /// Half the body arrives; then the connection closes before `Content-Length` is reached.
    TruncatedBody,
    /// A complete response with truncated JSON.
    CutJson,
    /// The body arrives in pieces with a pause before each.
    SlowBody {
        /// Bytes per piece.
        chunk: usize,
        /// Milliseconds before each piece.
        pause_ms: u64,
    },
    /// Half the body arrives, then a pause, then the rest.
    HangingBody {
        /// The pause in milliseconds.
        pause_ms: u64,
    },
    /// A pause, then the correct answer.
    Delay {
        /// The pause in milliseconds.
        pause_ms: u64,
    },
    /// 200 with the JSON of another service.
    ForeignJson,
    /// 200 without a body.
    EmptyBody,
    /// `next` is the cursor of the same page.
    RepeatedCursor,
    /// `next` is a new cursor each time that leads to the same page.
    EndlessPages {
        /// Whether the pages have no records.
        #[serde(default)]
        empty: bool,
    },
    /// The correct answer, followed by blanks.
    Padded {
        /// Number of blanks.
        bytes: usize,
    },
    /// The records of the page repeat until there are this many.
    ManyRecords {
        /// Number of records.
        records: usize,
    },
    /// The body as gzip members, under this `Content-Encoding`.
    Encoded {
        /// The value of the header, such as `x-gzip`. The bytes are always gzip.
        coding: String,
        /// Number of members.
        #[serde(default = "one")]
        members: usize,
    },
    /// One field of one record has another type.
    MalformedRecord {
        /// Index of the record on the page, from 0.
        #[serde(default)]
        index: usize,
        /// Name of the field; a missing one is added.
        field: String,
        /// The new value.
        value: Value,
    },
    /// One field of one record contains a text that is not JSON, such as `NaN`.
    NoJson {
        /// Index of the record on the page, from 0.
        #[serde(default)]
        index: usize,
        /// Name of the field; a missing one is added.
        field: String,
        /// The text.
        text: String,
    },
    /// The first record of the page is repeated at its end.
    DuplicateRecord,
    /// A field is removed from the records.
    MissingField {
        /// Name of the field.
        field: String,
    },
}

impl FaultKind {
    /// Returns 429 with Kombo's code, and `Retry-After` if given.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        Self::Error {
            status: 429,
            code: Some("PLATFORM.RATE_LIMIT_EXCEEDED".to_owned()),
            retry_after: retry_after.map(str::to_owned),
        }
    }

    /// Returns an error with a code.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Error { status, code: Some(code.to_owned()), retry_after: None }
    }

    /// Returns an error without a code.
    pub const fn error_without_code(status: u16) -> Self {
        Self::Error { status, code: None, retry_after: None }
    }

    /// Returns 502 with an HTML page.
    pub fn bad_gateway_html() -> Self {
        Self::Foreign {
            status: 502,
            content_type: "text/html".to_owned(),
            body: "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>".to_owned(),
        }
    }

    /// Returns 503 in plain text.
    pub fn unavailable_text() -> Self {
        Self::Foreign {
            status: 503,
            content_type: "text/plain".to_owned(),
            body: "upstream connect error or disconnect/reset before headers".to_owned(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be null")]
const fn once() -> Option<u32> {
    Some(1)
}

const fn always() -> f64 {
    1.0
}

const fn one() -> usize {
    1
}

/// The requests that a fault may affect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Struck {
    /// All requests.
    #[default]
    Any,
    /// Requests with a larger `page_size`.
    PageLargerThan(usize),
    /// Requests with more `ids`.
    MoreIdsThan(usize),
    /// Requests with a cursor.
    WithCursor,
}

impl Struck {
    fn matches(self, query: &[(String, String)]) -> bool {
        let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match self {
            Self::Any => true,
            Self::PageLargerThan(most) => {
                value("page_size").is_some_and(|it| it.parse::<usize>().is_ok_and(|it| it > most))
            }
            Self::MoreIdsThan(most) => value("ids").is_some_and(|it| it.split(',').count() > most),
            Self::WithCursor => value("cursor").is_some(),
        }
    }
}

/// An injected fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of fault.
    pub fault: FaultKind,
    /// Affects only this endpoint.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Affects only this integration.
    #[serde(default)]
    pub integration: Option<String>,
    /// Affects only these requests.
    #[serde(default)]
    pub only: Struck,
    /// Number of matching requests that pass first.
    #[serde(default)]
    pub after: u32,
    /// Number of times it occurs; null for no limit.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Probability for each matching request, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
}

impl Fault {
    /// Affects the next request, once.
    pub const fn once(fault: FaultKind) -> Self {
        Self { fault, endpoint: None, integration: None, only: Struck::Any, after: 0, times: Some(1), probability: 1.0 }
    }

    /// Affects every request.
    pub fn always(fault: FaultKind) -> Self {
        Self { times: None, ..Self::once(fault) }
    }

    /// Limits the fault to this endpoint.
    #[must_use]
    pub const fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Limits the fault to this integration.
    #[must_use]
    pub fn of(mut self, integration: &str) -> Self {
        self.integration = Some(integration.to_owned());
        self
    }

    /// Limits the fault to these requests.
    #[must_use]
    pub const fn only(mut self, only: Struck) -> Self {
        self.only = only;
        self
    }

    /// Lets this number of matching requests pass first.
    #[must_use]
    pub const fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Limits how many times the fault occurs.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Sets the probability for each matching request.
    #[must_use]
    pub const fn with_probability(mut self, probability: f64) -> Self {
        self.probability = probability;
        self
    }

    fn matches(&self, endpoint: Endpoint, integration: Option<&str>, query: &[(String, String)]) -> bool {
        self.only.matches(query)
            && self.endpoint.is_none_or(|it| it == endpoint)
            && self.integration.as_deref().is_none_or(|it| Some(it) == integration)
    }
}

/// The injected faults, in order.
#[derive(Debug, Default)]
pub(crate) struct FaultQueue {
    waiting: Vec<Fault>,
}

impl FaultQueue {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// Returns the fault that affects this request: the first that matches and has let enough requests pass. Later ones
    /// do not count the request.
    pub(crate) fn strike(
        &mut self,
        endpoint: Endpoint,
        integration: Option<&str>,
        query: &[(String, String)],
        rng: &mut StdRng,
    ) -> Option<FaultKind> {
        let mut struck = None;
        for fault in self.waiting.iter_mut().filter(|it| it.matches(endpoint, integration, query)) {
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            if !rng.random_bool(fault.probability.clamp(0.0, 1.0)) {
                continue;
            }
            fault.times = fault.times.map(|it| it.saturating_sub(1));
            struck = Some(fault.fault.clone());
            break;
        }
        self.waiting.retain(|it| it.times != Some(0));
        struck
    }
}
