mod display;
mod kind;

use std::error::Error as StdError;
use std::time::Duration;

use kombo_model::{ApiError, Endpoint, ErrorCode};

use crate::{Operation, PageSize};

pub use kind::ErrorKind;

/// A failed request to Kombo. The text contains the endpoint and all that is known of the fault, but never the API key,
/// a cursor or a filter. It does not repeat the [source](StdError::source).
///
/// Branch on [`kind`](Self::kind), [`is_retryable`](Self::is_retryable) and [`retry_after`](Self::retry_after).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Kombo answered with an error.
    Api {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// Kombo's description of the error. Its texts are shortened for logs.
        error: Box<ApiError>,
        /// The wait that Kombo requests.
        retry_after: Option<Duration>,
        /// The attempts made.
        tried: Tried,
    },
    /// An HTTP error without Kombo's error body, sent by something between Kombo and the client.
    Foreign {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// The wait that the answer requests.
        retry_after: Option<Duration>,
        /// The attempts made.
        tried: Tried,
    },
    /// A redirect, which is not followed. Usually the base URL is wrong.
    Redirect {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The target host of the redirect.
        host: Option<Box<str>>,
        /// The attempts made.
        tried: Tried,
    },
    /// No complete answer arrived.
    Transport {
        /// The operation that failed.
        operation: Operation,
        /// Host and port of the server; those of the proxy for [`TransportFault::Proxy`].
        host: Box<str>,
        /// The kind of fault.
        fault: TransportFault,
        /// The time-out of one attempt, for [`TransportFault::Timeout`].
        timeout: Duration,
        /// The attempts made.
        tried: Tried,
        /// The underlying error, if any.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// A success status with a body that differs from Kombo's documentation.
    Decode {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// Path of the fault in the JSON, such as `data.next`; `.` for the body as a whole.
        path: Box<str>,
        /// The fault, without the value itself.
        reason: Box<str>,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// The attempts made.
        tried: Tried,
    },
    /// A success status with a body that is not JSON, such as a proxy's HTML page.
    NotJson {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The reason why it is not JSON, without its content.
        reason: Box<str>,
        /// The `Content-Type` of the answer.
        content_type: Option<Box<str>>,
        /// Whether the body is a page and only its records are not JSON.
        in_records: bool,
        /// The attempts made.
        tried: Tried,
    },
    /// The body is larger than the client accepts.
    BodyTooLarge {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The limit in bytes, after decompression.
        limit: usize,
        /// The attempts made.
        tried: Tried,
    },
    /// The page contains more records than the client accepts, even though it is within the limit in bytes.
    TooManyRecords {
        /// The operation that failed.
        operation: Operation,
        /// The HTTP status.
        status: u16,
        /// The largest number of records that the client accepts.
        limit: usize,
        /// The attempts made.
        tried: Tried,
    },
    /// A page names a cursor that this listing has already used, so it would never end.
    RepeatedCursor {
        /// The listed endpoint.
        endpoint: Endpoint,
        /// Number of pages read before.
        pages: u64,
    },
    /// The request is invalid. Nothing was sent.
    InvalidRequest {
        /// The requested operation.
        operation: Operation,
        /// The reason why it is invalid.
        reason: &'static str,
    },
}

/// The attempts of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// Number of attempts made.
    pub attempts: u32,
    /// See [`Error::page_size`].
    pub page_size: Option<PageSize>,
}

impl Tried {
    pub(crate) const ONCE: Self = Self { attempts: 1, page_size: None };
}

/// The reason why no complete answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFault {
    /// The host's name could not be resolved.
    Dns,
    /// No connection could be established.
    Connect,
    /// The proxy set in the environment was unreachable or refused to forward the request.
    Proxy,
    /// The server's certificate or TLS parameters were rejected.
    Tls,
    /// The attempt exceeded its time-out.
    Timeout,
    /// The connection broke before the answer began.
    Dropped,
    /// The answer was truncated, or its body was unexpectedly empty.
    Incomplete,
    /// The request could not be sent for another reason.
    Other,
}

impl Error {
    /// Returns the operation that failed.
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

    /// Returns the HTTP status, if there was an answer.
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

    /// Returns Kombo's description of the error, if Kombo answered.
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

    /// Returns Kombo's error code.
    pub fn code(&self) -> Option<&ErrorCode> {
        self.api_error().and_then(|error| error.code.as_ref())
    }

    /// Returns how long the answer asks to wait before the next request.
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

    /// Returns the number of attempts that the failed request took: 0 if nothing was sent, and 1 for a repeated cursor,
    /// because that answer was valid.
    pub fn attempts(&self) -> u32 {
        let repeated = u32::from(matches!(self, Self::RepeatedCursor { .. }));
        self.tried().map_or(repeated, |tried| tried.attempts)
    }

    /// Returns the page size of the last attempt, if the weight of the page may have caused the failure. The client has
    /// then already tried smaller pages as long as its [`RetryPolicy`](crate::RetryPolicy) allows.
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
