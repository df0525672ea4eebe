mod display;
mod kind;

use std::error::Error as StdError;
use std::time::Duration;

use kombo_model::{ApiError, Endpoint, ErrorCode};

use crate::{Operation, PageSize};

pub use kind::ErrorKind;

/// Why Kombo could not be asked. The text names the endpoint and all that is known of the fault, and never holds the
/// API key, a cursor or a filter; the [source](StdError::source) is not repeated in it.
///
/// Branch on [`kind`](Self::kind), [`is_retryable`](Self::is_retryable) and [`retry_after`](Self::retry_after).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Kombo answered with an error.
    Api {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// What Kombo says of it. Its texts are cut to a length that a log can bear.
        error: Box<ApiError>,
        /// How long Kombo asked to wait.
        retry_after: Option<Duration>,
        /// What was tried.
        tried: Tried,
    },
    /// An HTTP error without Kombo's error body: something between here and Kombo answered.
    Foreign {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// How long the answer asked to wait.
        retry_after: Option<Duration>,
        /// What was tried.
        tried: Tried,
    },
    /// A redirect, which is not followed: the base URL is usually wrong.
    Redirect {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The host that the redirect leads to.
        host: Option<Box<str>>,
        /// What was tried.
        tried: Tried,
    },
    /// No complete answer came.
    Transport {
        /// What was asked.
        operation: Operation,
        /// Host and port that were asked; those of the proxy for [`TransportFault::Proxy`].
        host: Box<str>,
        /// What went wrong.
        fault: TransportFault,
        /// The time-out of one attempt, for [`TransportFault::Timeout`].
        timeout: Duration,
        /// What was tried.
        tried: Tried,
        /// The error below, where there is one.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// A status of success with a body that is not what Kombo documents.
    Decode {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// Where in the JSON the fault is, such as `data.next`; `.` for the body as a whole.
        path: Box<str>,
        /// What is wrong there, without the value itself.
        reason: Box<str>,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// What was tried.
        tried: Tried,
    },
    /// A status of success with a body that is no JSON, such as the page of a proxy.
    NotJson {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// Why it cannot be read as JSON, without its content.
        reason: Box<str>,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// Whether it is a page, and only its records are no JSON.
        in_records: bool,
        /// What was tried.
        tried: Tried,
    },
    /// The body is larger than the client accepts.
    BodyTooLarge {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The most that the client accepts, in bytes after decompression.
        limit: usize,
        /// What was tried.
        tried: Tried,
    },
    /// The page holds more records than the client accepts, whatever its size in bytes.
    TooManyRecords {
        /// What was asked.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The most that the client accepts.
        limit: usize,
        /// What was tried.
        tried: Tried,
    },
    /// A page names a cursor that this listing has already used: the listing would never end.
    RepeatedCursor {
        /// The endpoint.
        endpoint: Endpoint,
        /// How many pages were read before it.
        pages: u64,
    },
    /// The request cannot be written. Nothing was sent.
    InvalidRequest {
        /// What was to be asked.
        operation: Operation,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// What was tried before a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// How many attempts were made.
    pub attempts: u32,
    /// See [`Error::page_size`].
    pub page_size: Option<PageSize>,
}

impl Tried {
    pub(crate) const ONCE: Self = Self { attempts: 1, page_size: None };
}

/// Why no complete answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFault {
    /// The host's name could not be resolved.
    Dns,
    /// No connection could be made.
    Connect,
    /// The proxy that the environment names could not be reached, or refused to pass the request on.
    Proxy,
    /// The server's certificate or its way to speak TLS was refused.
    Tls,
    /// The attempt took longer than its time-out.
    Timeout,
    /// The connection broke before the answer began.
    Dropped,
    /// The answer broke off, or its body was empty where there must be one.
    Incomplete,
    /// The request could not be sent for another reason.
    Other,
}

impl Error {
    /// What was asked.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Api { operation, .. }
            | Self::Foreign { operation, .. }
            | Self::Redirect { operation, .. }
            | Self::Transport { operation, .. }
            | Self::Decode { operation, .. }
            | Self::NotJson { operation, .. }
            | Self::BodyTooLarge { operation, .. }
            | Self::TooManyRecords { operation, .. }
            | Self::InvalidRequest { operation, .. } => *operation,
            Self::RepeatedCursor { endpoint, .. } => Operation::List(*endpoint),
        }
    }

    /// The HTTP status, if there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. }
            | Self::Foreign { status, .. }
            | Self::Redirect { status, .. }
            | Self::Decode { status, .. }
            | Self::NotJson { status, .. }
            | Self::BodyTooLarge { status, .. }
            | Self::TooManyRecords { status, .. } => Some(*status),
            Self::Transport { .. } | Self::RepeatedCursor { .. } | Self::InvalidRequest { .. } => None,
        }
    }

    /// What Kombo says of the error, if it was Kombo that answered.
    pub fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Api { error, .. } => Some(error),
            Self::Foreign { .. }
            | Self::Redirect { .. }
            | Self::Transport { .. }
            | Self::Decode { .. }
            | Self::NotJson { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyRecords { .. }
            | Self::RepeatedCursor { .. }
            | Self::InvalidRequest { .. } => None,
        }
    }

    /// Kombo's error code.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.api_error().and_then(|error| error.code.as_ref())
    }

    /// How long the answer asked to wait before the next request.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Api { retry_after, .. } | Self::Foreign { retry_after, .. } => *retry_after,
            Self::Redirect { .. }
            | Self::Transport { .. }
            | Self::Decode { .. }
            | Self::NotJson { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyRecords { .. }
            | Self::RepeatedCursor { .. }
            | Self::InvalidRequest { .. } => None,
        }
    }

    /// How many attempts the failed request took: none if nothing was sent, and one for a repeated cursor, since that
    /// answer was a good one.
    pub fn attempts(&self) -> u32 {
        let repeated = u32::from(matches!(self, Self::RepeatedCursor { .. }));
        self.tried().map_or(repeated, |tried| tried.attempts)
    }

    /// How many records the last page that was requested had at most, if the failure may come from the weight of the
    /// page. The client has then already tried smaller pages for as long as its [`RetryPolicy`](crate::RetryPolicy)
    /// allows.
    pub fn page_size(&self) -> Option<PageSize> {
        self.tried().and_then(|tried| tried.page_size)
    }

    fn tried(&self) -> Option<&Tried> {
        match self {
            Self::Api { tried, .. }
            | Self::Foreign { tried, .. }
            | Self::Redirect { tried, .. }
            | Self::Transport { tried, .. }
            | Self::Decode { tried, .. }
            | Self::NotJson { tried, .. }
            | Self::BodyTooLarge { tried, .. }
            | Self::TooManyRecords { tried, .. } => Some(tried),
            Self::RepeatedCursor { .. } | Self::InvalidRequest { .. } => None,
        }
    }

    pub(crate) fn with_attempts(mut self, attempts: u32) -> Self {
        if let Some(tried) = self.tried_mut() {
            tried.attempts = attempts;
        }
        self
    }

    pub(crate) fn with_page_size(mut self, page_size: PageSize) -> Self {
        if let Some(tried) = self.tried_mut() {
            tried.page_size = Some(page_size);
        }
        self
    }

    fn tried_mut(&mut self) -> Option<&mut Tried> {
        match self {
            Self::Api { tried, .. }
            | Self::Foreign { tried, .. }
            | Self::Redirect { tried, .. }
            | Self::Transport { tried, .. }
            | Self::Decode { tried, .. }
            | Self::NotJson { tried, .. }
            | Self::BodyTooLarge { tried, .. }
            | Self::TooManyRecords { tried, .. } => Some(tried),
            Self::RepeatedCursor { .. } | Self::InvalidRequest { .. } => None,
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Transport { source: Some(source), .. } => Some(&**source),
            Self::Api { .. }
            | Self::Foreign { .. }
            | Self::Redirect { .. }
            | Self::Transport { source: None, .. }
            | Self::Decode { .. }
            | Self::NotJson { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyRecords { .. }
            | Self::RepeatedCursor { .. }
            | Self::InvalidRequest { .. } => None,
        }
    }
}
