//! Faults to order.

mod spoil;

use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use spoil::{Spoilt, answer_instead, spoil};

use crate::Endpoint;

/// What goes wrong.
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
    /// An answer that is not Kombo's: a gateway's page or a proxy's text.
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
    /// Half the body comes, then the connection is closed before `Content-Length` is reached.
    TruncatedBody,
    /// A whole response whose JSON is cut in the middle.
    CutJson,
    /// The body comes in pieces with a pause before each.
    SlowBody {
        /// Bytes a piece.
        chunk: usize,
        /// Milliseconds before each piece.
        pause_ms: u64,
    },
    /// Half the body comes, then nothing for so long, then the rest.
    HangingBody {
        /// Milliseconds of silence.
        pause_ms: u64,
    },
    /// Nothing comes for so long, then the right answer.
    Delay {
        /// Milliseconds of silence.
        pause_ms: u64,
    },
    /// 200 with JSON of another service.
    ForeignJson,
    /// 200 without a body.
    EmptyBody,
    /// `next` is the cursor that this very page was asked for with.
    RepeatedCursor,
    /// `next` is another cursor each time, under which this very page is found again.
    EndlessPages {
        /// Whether the pages hold no records.
        #[serde(default)]
        empty: bool,
    },
    /// The right answer, and so many blanks behind it.
    Padded {
        /// How many.
        bytes: usize,
    },
    /// The records of the page come again and again, until there are so many.
    ManyRecords {
        /// How many.
        records: usize,
    },
    /// The body as some members of gzip, under this `Content-Encoding`.
    Encoded {
        /// The value of the header, such as `x-gzip`. The bytes are gzip, whatever it says.
        coding: String,
        /// How many members.
        #[serde(default = "one")]
        members: usize,
    },
    /// One field of one record has another type.
    MalformedRecord {
        /// Which record of the page, from 0.
        #[serde(default)]
        index: usize,
        /// Which field; an absent one is added.
        field: String,
        /// What it becomes.
        value: Value,
    },
    /// One field of one record has a text in place of its value that is no JSON, such as `NaN`.
    NoJson {
        /// Which record of the page, from 0.
        #[serde(default)]
        index: usize,
        /// Which field; an absent one is added.
        field: String,
        /// What stands there.
        text: String,
    },
    /// The first record of the page comes again at its end.
    DuplicateRecord,
    /// The records lose a field.
    MissingField {
        /// Which field.
        field: String,
    },
}

impl FaultKind {
    /// 429 with Kombo's code, and `Retry-After` if told so.
    pub fn rate_limited(retry_after: Option<&str>) -> Self {
        Self::Error {
            status: 429,
            code: Some("PLATFORM.RATE_LIMIT_EXCEEDED".to_owned()),
            retry_after: retry_after.map(str::to_owned),
        }
    }

    /// An error with a code.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Error { status, code: Some(code.to_owned()), retry_after: None }
    }

    /// An error without a code.
    pub const fn error_without_code(status: u16) -> Self {
        Self::Error { status, code: None, retry_after: None }
    }

    /// 502 with a page of HTML.
    pub fn bad_gateway_html() -> Self {
        Self::Foreign {
            status: 502,
            content_type: "text/html".to_owned(),
            body: "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>".to_owned(),
        }
    }

    /// 503 in plain text.
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

/// Which requests a fault may strike, by what they ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Struck {
    /// All of them.
    #[default]
    Any,
    /// Those that ask for more records a page.
    PageLargerThan(usize),
    /// Those that name more `ids`.
    MoreIdsThan(usize),
    /// Those with a cursor.
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

/// A fault waiting for its requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub fault: FaultKind,
    /// Only at this endpoint.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Only for this integration.
    #[serde(default)]
    pub integration: Option<String>,
    /// Only requests that ask for this.
    #[serde(default)]
    pub only: Struck,
    /// Lets so many matching requests pass first.
    #[serde(default)]
    pub after: u32,
    /// Strikes so many times; null strikes for ever.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// How likely it strikes each time, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
}

impl Fault {
    /// Strikes the next request, once.
    pub const fn once(fault: FaultKind) -> Self {
        Self { fault, endpoint: None, integration: None, only: Struck::Any, after: 0, times: Some(1), probability: 1.0 }
    }

    /// Strikes every request.
    pub fn always(fault: FaultKind) -> Self {
        Self { times: None, ..Self::once(fault) }
    }

    /// Only at this endpoint.
    #[must_use]
    pub const fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Only for this integration.
    #[must_use]
    pub fn of(mut self, integration: &str) -> Self {
        self.integration = Some(integration.to_owned());
        self
    }

    /// Only requests that ask for this.
    #[must_use]
    pub const fn only(mut self, only: Struck) -> Self {
        self.only = only;
        self
    }

    /// Lets `requests` matching requests pass first.
    #[must_use]
    pub const fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Strikes `times` times.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes with this probability.
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

/// The faults that wait, in the order in which they were ordered.
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

    /// The fault that strikes this request: the first that matches and has let enough requests pass. Those behind it
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
