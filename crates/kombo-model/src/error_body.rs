use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;

/// The body of an error response: `{"status":"error","error":{…}}`.
///
/// ```
/// use kombo_model::{ErrorBody, ErrorCode};
///
/// let body: ErrorBody =
///     serde_json::from_str(r#"{"status": "error", "error": {"code": "NEW.CODE", "message": "Something new."}}"#)?;
/// match body.error.code {
///     Some(ErrorCode::PlatformRateLimitExceeded) => println!("wait"),
///     Some(ErrorCode::Other(code)) => assert_eq!(code, "NEW.CODE"),
///     _ => println!("{}", body.error.message),
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// `error`
    pub status: String,
    /// The error.
    pub error: ApiError,
}

/// Kombo's description of an error. Branch on [`code`](Self::code), never on the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// The kind of error; null if Kombo gives none.
    #[serde(default)]
    pub code: Option<ErrorCode>,
    /// A short heading.
    #[serde(default)]
    pub title: Option<String>,
    /// An explanation for a person.
    pub message: String,
    /// URL of the request in Kombo's dashboard.
    #[serde(default)]
    pub log_url: Option<String>,
}

open_enum! {
    /// The kind of an error. An open set: for unlisted codes, the HTTP status decides.
    pub enum ErrorCode {
        /// Too many requests with this key.
        PlatformRateLimitExceeded = "PLATFORM.RATE_LIMIT_EXCEEDED",
        /// Too many concurrent actions.
        PlatformConcurrencyLimitExceeded = "PLATFORM.CONCURRENCY_LIMIT_EXCEEDED",
        /// The integration does not exist, or not in this region.
        PlatformIntegrationNotFound = "PLATFORM.INTEGRATION_NOT_FOUND",
        /// The request is malformed.
        PlatformInputInvalid = "PLATFORM.INPUT_INVALID",
        /// An error that Kombo cannot identify.
        PlatformUnknownError = "PLATFORM.UNKNOWN_ERROR",
        /// The key is not allowed from this IP address.
        PlatformIpNotWhitelisted = "PLATFORM.IP_NOT_WHITELISTED",
        /// The key is wrong or revoked.
        PlatformAuthenticationInvalid = "PLATFORM.AUTHENTICATION_INVALID",
        /// A background task took too long.
        PlatformTaskTimedOut = "PLATFORM.TASK_TIMED_OUT",
        /// The connected tool limits requests.
        RemoteRateLimitExceeded = "REMOTE.RATE_LIMIT_EXCEEDED",
        /// The connected tool is down.
        RemoteServiceUnavailable = "REMOTE.SERVICE_UNAVAILABLE",
        /// The connected tool refuses the write.
        RemoteInputInvalid = "REMOTE.INPUT_INVALID",
        /// The connected tool answered with an error that Kombo does not understand.
        RemoteUnknownHttpError = "REMOTE.UNKNOWN_HTTP_ERROR",
        /// The first sync has not ended yet.
        IntegrationSetupSyncPending = "INTEGRATION.SETUP_SYNC_PENDING",
        /// The customer has not finished connecting the tool.
        IntegrationSetupIncomplete = "INTEGRATION.SETUP_INCOMPLETE",
        /// Kombo's checks of the integration failed.
        IntegrationQaFailed = "INTEGRATION.QA_FAILED",
        /// The integration is switched off.
        IntegrationInactive = "INTEGRATION.INACTIVE",
        /// The connected tool no longer accepts the credentials.
        IntegrationAuthenticationInvalid = "INTEGRATION.AUTHENTICATION_INVALID",
        /// The connected tool denies the data.
        IntegrationPermissionMissing = "INTEGRATION.PERMISSION_MISSING",
        /// The connected tool does not offer the model.
        IntegrationModelNotAvailable = "INTEGRATION.MODEL_NOT_AVAILABLE",
        /// The model is disabled in the scope configuration.
        IntegrationModelDisabled = "INTEGRATION.MODEL_DISABLED",
        /// The connected tool does not offer the action.
        IntegrationActionNotAvailable = "INTEGRATION.ACTION_NOT_AVAILABLE",
        /// The action is disabled in the scope configuration.
        IntegrationActionDisabled = "INTEGRATION.ACTION_DISABLED",
        /// The connected tool can create courses, but cannot change them.
        LmsCourseUpdateNotSupported = "LMS.COURSE_UPDATE_NOT_SUPPORTED",
    }
}
