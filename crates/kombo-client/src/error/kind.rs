use kombo_model::ErrorCode;

use super::{Error, TransportFault};
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
    /// What the error means for the caller. Kombo's code decides; the HTTP status only where there is none.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Api { operation, status, error, .. } => match &error.code {
                Some(code) => of_code(code),
                None if *status == 404 && operation.names_a_record() => ErrorKind::InputInvalid,
                None => of_status(*status, true),
            },
            Self::Foreign { status, .. } => of_status(*status, false),
            Self::Redirect { .. } | Self::BodyTooLarge { .. } => ErrorKind::Unexpected,
            Self::Transport { .. } => ErrorKind::Transport,
            Self::Decode { .. } => ErrorKind::Decode,
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
    /// Kombo's own limits or of a gateway, or with any other status below 500 but 408. All else is unknown: a time-out,
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
                TransportFault::Dns | TransportFault::Connect | TransportFault::Tls => false,
                TransportFault::Timeout
                | TransportFault::Dropped
                | TransportFault::Incomplete
                | TransportFault::Other => true,
            },
            // The status was one of success.
            Self::Decode { .. } | Self::BodyTooLarge { .. } => true,
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
                | ErrorKind::IntegrationNotFound
                | ErrorKind::IntegrationUnavailable
                | ErrorKind::SetupPending
                | ErrorKind::ModelUnavailable
                | ErrorKind::ActionUnavailable
                | ErrorKind::InputInvalid
                | ErrorKind::ToolRefused
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
        ErrorCode::IntegrationActionNotAvailable | ErrorCode::IntegrationActionDisabled => ErrorKind::ActionUnavailable,
        ErrorCode::RemoteInputInvalid | ErrorCode::LmsCourseUpdateNotSupported => ErrorKind::ToolRefused,
        ErrorCode::PlatformUnknownError
        | ErrorCode::PlatformTaskTimedOut
        | ErrorCode::RemoteUnknownHttpError
        | ErrorCode::Other(_) => ErrorKind::Unexpected,
    }
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
    !matches!(status, 400..=407 | 409..=499)
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
