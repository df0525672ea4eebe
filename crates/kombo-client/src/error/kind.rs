use kombo_model::ErrorCode;

use super::{Error, TransportFault};
use crate::Operation;
use crate::operation::Repeatable;
use crate::retry::RetryClass;

/// The meaning of an [`Error`] for the caller.
///
/// ```
/// use kombo_client::{Error, ErrorKind};
///
/// fn remedy(error: &Error) -> &'static str {
///     match error.kind() {
///         ErrorKind::KeyRejected => "stop, and tell a person",
///         ErrorKind::IntegrationNotFound | ErrorKind::IntegrationUnavailable => "leave this integration alone",
///         ErrorKind::SetupPending => "wait for a webhook",
///         _ if error.is_retryable() => "try again later",
///         _ => "look into it",
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key is wrong, revoked or not allowed from this address. Stop everything that uses it; a person must act.
    KeyRejected,
    /// Rejected with status 401 or 403 and no code that gives the reason. Either the key or only this integration or
    /// endpoint is affected: [`Client::check_api_key`](crate::Client::check_api_key) tells which.
    AccessDenied,
    /// The integration does not exist, or is in the other region. Stop using it.
    IntegrationNotFound,
    /// The integration is disabled, or the connected tool rejects it. Stop until its state changes.
    IntegrationUnavailable,
    /// There is no data yet. Wait for a webhook and check rarely.
    SetupPending,
    /// This endpoint is disabled for the integration; others are not affected.
    ModelUnavailable,
    /// The action is disabled for this integration, or its tool does not support it.
    ActionUnavailable,
    /// The request is invalid: an error of the caller, an unknown object within the integration, or an expired cursor.
    InputInvalid,
    /// Kombo rejected the request with another status from 400 to 499 and no code known to this version. An expired cursor
    /// may also cause this.
    Refused,
    /// The connected tool refused the write.
    ToolRefused,
    /// Too many requests, even after retries. Wait for [`Error::retry_after`].
    RateLimited,
    /// Kombo or the connected tool is temporarily down.
    Unavailable,
    /// This version cannot read Kombo's answer.
    Decode,
    /// No complete answer arrived.
    Transport,
    /// The listing repeats itself. Start it again.
    RepeatedCursor,
    /// Anything else.
    Unexpected,
}

impl Error {
    /// Returns the meaning of the error for the caller. Kombo's code decides, or the HTTP status if the code is
    /// missing, generic or unknown to this version.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Api { operation, status, error, .. } => {
                let lasting = error.code.as_ref().and_then(of_code);
                lasting.unwrap_or_else(|| of_status(*operation, *status, Answerer::Kombo))
            }
            Self::Foreign { operation, status, .. } => of_status(*operation, *status, Answerer::Other),
            Self::Redirect { .. } | Self::BodyTooLarge { .. } | Self::TooManyRecords { .. } => ErrorKind::Unexpected,
            Self::Transport { .. } => ErrorKind::Transport,
            Self::Decode { .. } | Self::NotJson { .. } => ErrorKind::Decode,
            Self::RepeatedCursor { .. } => ErrorKind::RepeatedCursor,
            Self::InvalidRequest { .. } => ErrorKind::InputInvalid,
        }
    }

    /// Whether the same request may succeed a little later without intervention. The client has then already retried as
    /// long as its [`RetryPolicy`](crate::RetryPolicy) allows. Never true of a write with an [unknown
    /// outcome](Self::outcome_unknown).
    pub fn is_retryable(&self) -> bool {
        self.retry_class() == RetryClass::Backoff
    }

    /// Whether this is a failed write to the connected tool that may still have been carried out. Check before you send
    /// it again. Always false for other operations, which are safe to repeat.
    ///
    /// A write certainly was not carried out if no connection was established, or if it was rejected: with a 429 from
    /// Kombo's own limits or from a gateway, or with any other status below 500 except 408 and 499. Everything else is
    /// unknown: a time-out, a broken connection, a status of 500 or above, an error of the connected tool, an
    /// uninformative body.
    pub fn outcome_unknown(&self) -> bool {
        if self.operation().repeatable() == Repeatable::Always {
            return false;
        }
        match self {
            Self::Api { status, error, .. } => match &error.code {
                Some(code) => may_be_carried_out(code, *status),
                None => by_status(*status),
            },
            Self::Foreign { status, .. } => by_status(*status),
            Self::Transport { fault, .. } => match fault {
                TransportFault::Dns | TransportFault::Proxy | TransportFault::Connect | TransportFault::Tls => false,
                TransportFault::Timeout
                | TransportFault::Dropped
                | TransportFault::Incomplete
                | TransportFault::Other => true,
            },
            // The status was a success.
            Self::Decode { .. } | Self::NotJson { .. } | Self::BodyTooLarge { .. } | Self::TooManyRecords { .. } => {
                true
            }
            Self::Redirect { .. } | Self::RepeatedCursor { .. } | Self::InvalidRequest { .. } => false,
        }
    }

    /// Returns how the client retries after the error.
    pub(crate) fn retry_class(&self) -> RetryClass {
        if self.outcome_unknown() {
            return RetryClass::Never;
        }
        match self {
            Self::Api { .. } | Self::Foreign { .. } => match self.kind() {
                ErrorKind::RateLimited | ErrorKind::Unavailable => RetryClass::Backoff,
                ErrorKind::KeyRejected
                | ErrorKind::AccessDenied
                | ErrorKind::IntegrationNotFound
                | ErrorKind::IntegrationUnavailable
                | ErrorKind::SetupPending
                | ErrorKind::ModelUnavailable
                | ErrorKind::ActionUnavailable
                | ErrorKind::InputInvalid
                | ErrorKind::Refused
                | ErrorKind::ToolRefused
                | ErrorKind::Decode
                | ErrorKind::Transport
                | ErrorKind::RepeatedCursor
                | ErrorKind::Unexpected => RetryClass::Never,
            },
            Self::Transport { fault, .. } => match fault {
                TransportFault::Dns
                | TransportFault::Proxy
                | TransportFault::Connect
                | TransportFault::Timeout
                | TransportFault::Dropped
                | TransportFault::Incomplete => RetryClass::Backoff,
                // A bad certificate does not become valid within minutes.
                TransportFault::Tls | TransportFault::Other => RetryClass::Never,
            },
            // A maintenance page stays for at least some seconds.
            Self::NotJson { .. } => RetryClass::Few(5),
            Self::Decode { .. } => RetryClass::Few(1),
            Self::Redirect { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyRecords { .. }
            | Self::RepeatedCursor { .. }
            | Self::InvalidRequest { .. } => RetryClass::Never,
        }
    }
}

/// Maps Kombo's codes to kinds; `None` for codes that do not show whether the problem lasts, so that the status
/// decides.
fn of_code(code: &ErrorCode) -> Option<ErrorKind> {
    Some(match code {
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
        ErrorCode::IntegrationActionNotAvailable | ErrorCode::IntegrationActionDisabled => ErrorKind::ActionUnavailable,
        ErrorCode::RemoteInputInvalid | ErrorCode::LmsCourseUpdateNotSupported => ErrorKind::ToolRefused,
        ErrorCode::PlatformUnknownError
        | ErrorCode::PlatformTaskTimedOut
        | ErrorCode::RemoteUnknownHttpError
        | ErrorCode::Other(_) => return None,
    })
}

/// The sender of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answerer {
    /// The body is Kombo's.
    Kombo,
    /// Anything between Kombo and the client.
    Other,
}

/// The meaning of a status when no code decides. The first matching row counts: first and last status, answerer (`None`
/// matches both), kind.
const BY_STATUS: &[(u16, u16, Option<Answerer>, ErrorKind)] = &[
    // Some gateways wrap an error in a success status.
    (200, 299, None, ErrorKind::Unavailable),
    (300, 399, None, ErrorKind::Unexpected),
    (400, 400, None, ErrorKind::InputInvalid),
    (401, 401, None, ErrorKind::AccessDenied),
    (403, 403, None, ErrorKind::AccessDenied),
    // Request Timeout, Too Early, and nginx's status for a client that was too slow.
    (408, 408, None, ErrorKind::Unavailable),
    (425, 425, None, ErrorKind::Unavailable),
    (499, 499, None, ErrorKind::Unavailable),
    // Body, URI or headers too long.
    (413, 414, None, ErrorKind::InputInvalid),
    (422, 422, None, ErrorKind::InputInvalid),
    (431, 431, None, ErrorKind::InputInvalid),
    (429, 429, None, ErrorKind::RateLimited),
    (400, 499, Some(Answerer::Kombo), ErrorKind::Refused),
    (400, 499, Some(Answerer::Other), ErrorKind::Unexpected),
    // CDNs have their own statuses, such as 520 to 530.
    (500, 999, None, ErrorKind::Unavailable),
];

fn of_status(operation: Operation, status: u16, answerer: Answerer) -> ErrorKind {
    match (operation, status) {
        // This operation checks only the key.
        (Operation::CheckApiKey, 401 | 403) => return ErrorKind::KeyRejected,
        // The operations with a 404 that refers to the integration. Another 404 refers to something else.
        (Operation::Integration | Operation::DeleteIntegration | Operation::ForceSync, 404)
            if answerer == Answerer::Kombo =>
        {
            return ErrorKind::IntegrationNotFound;
        }
        (operation, 404) if answerer == Answerer::Kombo && operation.names_a_record() => {
            return ErrorKind::InputInvalid;
        }
        _ => {}
    }
    let fits = |(first, last, who, _): &&(u16, u16, Option<Answerer>, ErrorKind)| {
        (*first..=*last).contains(&status) && who.is_none_or(|who| who == answerer)
    };
    BY_STATUS.iter().find(fits).map_or(ErrorKind::Unexpected, |(.., kind)| *kind)
}

/// Whether a write answered with this code may have been carried out.
fn may_be_carried_out(code: &ErrorCode, status: u16) -> bool {
    match code {
        // Sent before anything is done, with any status.
        ErrorCode::PlatformRateLimitExceeded
        | ErrorCode::PlatformConcurrencyLimitExceeded
        | ErrorCode::PlatformIntegrationNotFound
        | ErrorCode::PlatformInputInvalid
        | ErrorCode::PlatformIpNotWhitelisted
        | ErrorCode::PlatformAuthenticationInvalid
        | ErrorCode::IntegrationSetupSyncPending
        | ErrorCode::IntegrationSetupIncomplete
        | ErrorCode::IntegrationQaFailed
        | ErrorCode::IntegrationInactive
        | ErrorCode::IntegrationModelNotAvailable
        | ErrorCode::IntegrationModelDisabled
        | ErrorCode::IntegrationActionNotAvailable
        | ErrorCode::IntegrationActionDisabled
        | ErrorCode::LmsCourseUpdateNotSupported => false,
        // An action may send several requests to the tool. Perhaps only the last one failed.
        ErrorCode::RemoteRateLimitExceeded
        | ErrorCode::RemoteServiceUnavailable
        | ErrorCode::RemoteUnknownHttpError
        | ErrorCode::PlatformUnknownError
        | ErrorCode::PlatformTaskTimedOut => true,
        // The tool refused it. Codes added later are judged by their status.
        ErrorCode::RemoteInputInvalid
        | ErrorCode::IntegrationAuthenticationInvalid
        | ErrorCode::IntegrationPermissionMissing
        | ErrorCode::Other(_) => by_status(status),
    }
}

/// Whether a write answered with this status may have been carried out.
fn by_status(status: u16) -> bool {
    // 499 means that the client closed the connection, not that nothing was done.
    !matches!(status, 400..=407 | 409..=498)
}
