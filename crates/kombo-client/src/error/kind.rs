use kombo_model::ErrorCode;

use super::{Error, TransportFault};
use crate::Operation;
use crate::operation::Repeatable;
use crate::retry::RetryClass;

/// What an [`Error`] means for the caller.
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
    /// The key is wrong, revoked or not allowed from here: stop all that uses it, a person must act.
    KeyRejected,
    /// Refused with the status 401 or 403 and without a code that names the reason. It may be the key, or only this
    /// integration or endpoint: [`Client::check_api_key`](crate::Client::check_api_key) tells which.
    AccessDenied,
    /// The integration is gone, or in the other region: stop it.
    IntegrationNotFound,
    /// The integration is off, or the connected tool refuses it: stop it until its state changes.
    IntegrationUnavailable,
    /// There is no data yet: wait for a webhook, look again rarely.
    SetupPending,
    /// This endpoint is off for this integration; its other endpoints are not.
    ModelUnavailable,
    /// The action is off for this integration, or its tool cannot do it.
    ActionUnavailable,
    /// The request is wrong: a fault of the caller, something within the integration that Kombo does not know, or a
    /// cursor that it no longer knows.
    InputInvalid,
    /// Kombo refuses the request with another status from 400 to 499 and no code that this version knows. A cursor
    /// that Kombo no longer accepts may show like this.
    Refused,
    /// The connected tool refuses what it was to write.
    ToolRefused,
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
    /// What the error means for the caller. Kombo's code decides; the HTTP status where there is none, or one that
    /// says no more than that something went wrong, or one that this version does not know.
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

    /// Whether the same request may succeed a little later without anybody doing anything. The client has then
    /// already tried again for as long as its [`RetryPolicy`](crate::RetryPolicy) allows. Never true of a write whose
    /// [outcome is unknown](Self::outcome_unknown).
    pub fn is_retryable(&self) -> bool {
        self.retry_class() == RetryClass::Backoff
    }

    /// Whether this is a write to the connected tool that may have been carried out although it failed here: look
    /// before you send it again. Always false of other operations, which can be repeated without harm.
    ///
    /// A write certainly was not carried out if no connection could be made, or if it was refused: with a 429 of
    /// Kombo's own limits or of a gateway, or with any other status below 500 but 408 and 499. All else is unknown: a time-out,
    /// a connection that broke, a status of 500 and above, an error of the connected tool's, a body that says nothing.
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
            // The status was one of success.
            Self::Decode { .. } | Self::NotJson { .. } | Self::BodyTooLarge { .. } | Self::TooManyRecords { .. } => {
                true
            }
            Self::Redirect { .. } | Self::RepeatedCursor { .. } | Self::InvalidRequest { .. } => false,
        }
    }

    /// What the client itself does about the error.
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
                // A certificate does not mend itself within minutes.
                TransportFault::Tls | TransportFault::Other => RetryClass::Never,
            },
            // A maintenance page lasts some seconds at least.
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

/// What Kombo's codes mean; `None` for those that do not say whether it lasts, whose status decides.
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

/// Who sent an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answerer {
    /// The body is Kombo's.
    Kombo,
    /// Anything between here and Kombo.
    Other,
}

/// What a status means where no code decides: the first row that fits, by the first and the last status, who sent it,
/// and the kind. `None` fits both.
const BY_STATUS: &[(u16, u16, Option<Answerer>, ErrorKind)] = &[
    // Some gateways wrap an error into a status of success.
    (200, 299, None, ErrorKind::Unavailable),
    (300, 399, None, ErrorKind::Unexpected),
    (400, 400, None, ErrorKind::InputInvalid),
    (401, 401, None, ErrorKind::AccessDenied),
    (403, 403, None, ErrorKind::AccessDenied),
    // Request Timeout, Too Early, and what nginx says if the client was too slow.
    (408, 408, None, ErrorKind::Unavailable),
    (425, 425, None, ErrorKind::Unavailable),
    (499, 499, None, ErrorKind::Unavailable),
    // Too long a body, address or head.
    (413, 414, None, ErrorKind::InputInvalid),
    (422, 422, None, ErrorKind::InputInvalid),
    (431, 431, None, ErrorKind::InputInvalid),
    (429, 429, None, ErrorKind::RateLimited),
    (400, 499, Some(Answerer::Kombo), ErrorKind::Refused),
    (400, 499, Some(Answerer::Other), ErrorKind::Unexpected),
    // Content delivery networks have statuses of their own, such as 520 to 530.
    (500, 999, None, ErrorKind::Unavailable),
];

fn of_status(operation: Operation, status: u16, answerer: Answerer) -> ErrorKind {
    match (operation, status) {
        // This operation asks about nothing but the key.
        (Operation::CheckApiKey, 401 | 403) => return ErrorKind::KeyRejected,
        // What a 404 did not find. One of something else says nothing of an integration.
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

/// Whether a write that came back with this code may have been carried out.
fn may_be_carried_out(code: &ErrorCode, status: u16) -> bool {
    match code {
        // Said before anything is done, whatever the status.
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
        // An action can take several requests to the tool, of which the last one failed.
        ErrorCode::RemoteRateLimitExceeded
        | ErrorCode::RemoteServiceUnavailable
        | ErrorCode::RemoteUnknownHttpError
        | ErrorCode::PlatformUnknownError
        | ErrorCode::PlatformTaskTimedOut => true,
        // The tool refused it; codes added later count by their status.
        ErrorCode::RemoteInputInvalid
        | ErrorCode::IntegrationAuthenticationInvalid
        | ErrorCode::IntegrationPermissionMissing
        | ErrorCode::Other(_) => by_status(status),
    }
}

/// Whether a write that came back with this status may have been carried out.
fn by_status(status: u16) -> bool {
    // 499 says that the client went away, not that nothing was done.
    !matches!(status, 400..=407 | 409..=498)
}
