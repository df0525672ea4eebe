use kombo_model::ErrorCode;

use super::{Error, TransportFault};
use crate::retry::RetryClass;

/// What an [`Error`] means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key is wrong, revoked or not allowed from here: stop all that uses it, a person must act.
    KeyRejected,
    /// The integration is gone, or in the other region: stop it.
    IntegrationNotFound,
    /// The integration is off, or the connected tool refuses it: stop it until its state changes.
    IntegrationUnavailable,
    /// There is no data yet: wait for a webhook, look again rarely.
    SetupPending,
    /// This endpoint is off for this integration; its other endpoints are not.
    ModelUnavailable,
    /// The request is wrong: a fault of the caller, or a cursor that Kombo no longer knows.
    InputInvalid,
    /// Too many requests, still after the retries: wait for [`Error::retry_after`].
    RateLimited,
    /// Kombo or the connected tool is down for now.
    Unavailable,
    /// Kombo said something that this version cannot read.
    Decode,
    /// No complete answer came.
    Transport,
    /// The listing goes in circles: begin it anew.
    RepeatedCursor,
    /// Anything else.
    Unexpected,
}

impl Error {
    /// What the error means for the caller. Kombo's code decides; the HTTP status only where there is none.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Api { status, error, .. } => error.code.as_ref().map_or_else(|| of_status(*status, true), of_code),
            Self::Foreign { status, .. } => of_status(*status, false),
            Self::Redirect { .. } | Self::BodyTooLarge { .. } => ErrorKind::Unexpected,
            Self::Transport { .. } => ErrorKind::Transport,
            Self::Decode { .. } => ErrorKind::Decode,
            Self::RepeatedCursor { .. } => ErrorKind::RepeatedCursor,
            Self::InvalidRequest { .. } => ErrorKind::InputInvalid,
        }
    }

    /// Whether the same request may succeed a little later without anybody doing anything. The client has then
    /// already tried again for as long as its [`RetryPolicy`](crate::RetryPolicy) allows.
    pub fn is_retryable(&self) -> bool {
        self.retry_class() == RetryClass::Backoff
    }

    /// What the client itself does about the error.
    pub(crate) fn retry_class(&self) -> RetryClass {
        match self {
            Self::Api { .. } | Self::Foreign { .. } => match self.kind() {
                ErrorKind::RateLimited | ErrorKind::Unavailable => RetryClass::Backoff,
                ErrorKind::KeyRejected
                | ErrorKind::IntegrationNotFound
                | ErrorKind::IntegrationUnavailable
                | ErrorKind::SetupPending
                | ErrorKind::ModelUnavailable
                | ErrorKind::InputInvalid
                | ErrorKind::Decode
                | ErrorKind::Transport
                | ErrorKind::RepeatedCursor
                | ErrorKind::Unexpected => RetryClass::Never,
            },
            Self::Transport { fault, .. } => match fault {
                TransportFault::Dns
                | TransportFault::Connect
                | TransportFault::Timeout
                | TransportFault::Dropped
                | TransportFault::Incomplete => RetryClass::Backoff,
                // A certificate does not mend itself within minutes.
                TransportFault::Tls | TransportFault::Other => RetryClass::Never,
            },
            // A proxy's page in the place of an answer may be gone the next time.
            Self::Decode { .. } => RetryClass::Once,
            Self::Redirect { .. }
            | Self::BodyTooLarge { .. }
            | Self::RepeatedCursor { .. }
            | Self::InvalidRequest { .. } => RetryClass::Never,
        }
    }
}

fn of_code(code: &ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::PlatformRateLimitExceeded
        | ErrorCode::PlatformConcurrencyLimitExceeded
        | ErrorCode::RemoteRateLimitExceeded => ErrorKind::RateLimited,
        ErrorCode::PlatformIntegrationNotFound => ErrorKind::IntegrationNotFound,
        ErrorCode::PlatformInputInvalid => ErrorKind::InputInvalid,
        ErrorCode::PlatformIpNotWhitelisted | ErrorCode::PlatformAuthenticationInvalid => ErrorKind::KeyRejected,
        ErrorCode::RemoteServiceUnavailable => ErrorKind::Unavailable,
        ErrorCode::IntegrationSetupSyncPending
        | ErrorCode::IntegrationSetupIncomplete
        | ErrorCode::IntegrationQaFailed => ErrorKind::SetupPending,
        ErrorCode::IntegrationInactive
        | ErrorCode::IntegrationAuthenticationInvalid
        | ErrorCode::IntegrationPermissionMissing => ErrorKind::IntegrationUnavailable,
        ErrorCode::IntegrationModelNotAvailable | ErrorCode::IntegrationModelDisabled => ErrorKind::ModelUnavailable,
        ErrorCode::PlatformUnknownError | ErrorCode::PlatformTaskTimedOut | ErrorCode::Other(_) => {
            ErrorKind::Unexpected
        }
    }
}

/// `from_kombo`: whether the body was Kombo's. A 404 of something else says nothing of an integration.
fn of_status(status: u16, from_kombo: bool) -> ErrorKind {
    match status {
        400 | 413 | 414 | 422 | 431 => ErrorKind::InputInvalid,
        401 | 403 => ErrorKind::KeyRejected,
        404 if from_kombo => ErrorKind::IntegrationNotFound,
        409 if from_kombo => ErrorKind::SetupPending,
        429 => ErrorKind::RateLimited,
        500 | 502 | 503 | 504 => ErrorKind::Unavailable,
        // Gateways have statuses of their own, such as 520 to 527.
        501.. if !from_kombo => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}
