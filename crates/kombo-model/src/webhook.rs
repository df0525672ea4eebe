use serde::de::Error as _;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{
    EndUser, Extra, FreeJson, IntegrationCategory, IntegrationId, IntegrationState, ModelName, SetupStatus, Timestamp,
    WebhookEventId,
};

/// The body of a webhook: `{"id":…,"type":…,"data":{…}}`.
///
/// Verify the signature over the bytes as received before decoding them.
///
/// ```
/// use kombo_model::{ModelName, Webhook, WebhookEvent};
///
/// let webhook: Webhook = serde_json::from_str(
///     r#"{"id": "1", "type": "data-changed", "data": {
///         "integration_id": "sandbox:7C9M", "integration_tool": "sandbox", "integration_category": "LMS",
///         "changed_models": [{"name": "lms_courses"}]}}"#,
/// )?;
/// match webhook.event {
///     WebhookEvent::DataChanged(data) => assert_eq!(data.changed_models[0].name, ModelName::LmsCourses),
///     other => println!("{} is of no interest", other.kind()),
/// }
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Id of the event, the same for every delivery.
    pub id: WebhookEventId,
    /// The event.
    pub event: WebhookEvent,
}

/// The event that a webhook reports.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// Records of some models changed.
    DataChanged(DataChanged),
    /// Kombo finished a sync with the connected tool, whether or not anything changed.
    SyncFinished(SyncFinished),
    /// A customer connected a tool.
    IntegrationCreated(IntegrationCreated),
    /// An integration was deleted.
    IntegrationDeleted(IntegrationDeleted),
    /// An integration started or stopped working.
    IntegrationStateChanged(IntegrationStateChanged),
    /// A customer failed to connect a tool.
    ConnectionFlowFailed(ConnectionFlowFailed),
    /// A type unknown to this version.
    Other {
        /// The type as Kombo sent it.
        kind: String,
        /// Its data as Kombo sent it.
        data: FreeJson,
    },
}

impl WebhookEvent {
    /// Returns the value of `type`.
    pub fn kind(&self) -> &str {
        match self {
            Self::DataChanged(_) => "data-changed",
            Self::SyncFinished(_) => "sync-finished",
            Self::IntegrationCreated(_) => "integration-created",
            Self::IntegrationDeleted(_) => "integration-deleted",
            Self::IntegrationStateChanged(_) => "integration-state-changed",
            Self::ConnectionFlowFailed(_) => "connection-flow-failed",
            Self::Other { kind, .. } => kind,
        }
    }

    /// Returns the id of the integration, if the event names one.
    pub fn integration_id(&self) -> Option<&IntegrationId> {
        match self {
            Self::DataChanged(data) => Some(&data.integration_id),
            Self::SyncFinished(data) => Some(&data.integration_id),
            Self::IntegrationCreated(data) => Some(&data.id),
            Self::IntegrationDeleted(data) => Some(&data.id),
            Self::IntegrationStateChanged(data) => Some(&data.integration_id),
            Self::ConnectionFlowFailed(_) | Self::Other { .. } => None,
        }
    }

    /// Returns the category of the integration, if the event names one.
    pub fn category(&self) -> Option<&IntegrationCategory> {
        match self {
            Self::DataChanged(data) => Some(&data.integration_category),
            Self::SyncFinished(data) => Some(&data.integration_category),
            Self::IntegrationCreated(data) => Some(&data.category),
            Self::IntegrationDeleted(data) => Some(&data.category),
            Self::IntegrationStateChanged(data) => Some(&data.integration_category),
            Self::ConnectionFlowFailed(data) => Some(&data.integration_category),
            Self::Other { .. } => None,
        }
    }
}

/// Data of `data-changed`: the models that changed since the last such webhook. It has no record ids and no time.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DataChanged {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// The category of the tool.
    pub integration_category: IntegrationCategory,
    /// The models with changes.
    pub changed_models: Vec<ChangedModel>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One entry of [`DataChanged::changed_models`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedModel {
    /// Name of the model.
    pub name: ModelName,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `sync-finished`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncFinished {
    /// Kombo's id of the sync.
    pub sync_id: String,
    /// Outcome of the sync.
    pub sync_state: SyncState,
    /// When the sync started. Never use it as a watermark: records may become visible with an older `changed_at`.
    pub sync_started_at: Timestamp,
    /// When the sync ended.
    #[serde(default)]
    pub sync_ended_at: Option<Timestamp>,
    /// Duration in seconds.
    #[serde(default)]
    pub sync_duration_seconds: Option<u64>,
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// The category of the tool.
    pub integration_category: IntegrationCategory,
    /// The customer that the integration belongs to.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// URL of the sync in Kombo's dashboard.
    #[serde(default)]
    pub log_url: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-created`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationCreated {
    /// Id of the new integration.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: String,
    /// The category of the tool.
    pub category: IntegrationCategory,
    /// The customer that the integration belongs to.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-deleted`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationDeleted {
    /// Id of the deleted integration.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: String,
    /// The category of the tool.
    pub category: IntegrationCategory,
    /// The customer that the integration belonged to.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-state-changed`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationStateChanged {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// The category of the tool.
    pub integration_category: IntegrationCategory,
    /// The customer that the integration belongs to.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// Result of Kombo's checks.
    #[serde(default)]
    pub qa_status: Option<QaStatus>,
    /// Progress of its set-up; Kombo may omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_status: Option<SetupStatus>,
    /// State of the integration.
    pub state: IntegrationState,
    /// When the state changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `connection-flow-failed`. For information only.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionFlowFailed {
    /// Kombo's name of the tool.
    pub integration_tool: String,
    /// The category of the tool.
    pub integration_category: IntegrationCategory,
    /// The customer that tried to connect.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// URL of the attempt in Kombo's dashboard.
    #[serde(default)]
    pub log_url: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    DataChanged { integration_id, integration_tool, integration_category, changed_models }
    ChangedModel { name }
    SyncFinished {
        sync_id, sync_state, sync_started_at, sync_ended_at, sync_duration_seconds,
        integration_id, integration_tool, integration_category, end_user, log_url,
    }
    IntegrationCreated { id, tool, category, end_user }
    IntegrationDeleted { id, tool, category, end_user, deleted_at }
    IntegrationStateChanged {
        integration_id, integration_tool, integration_category, end_user, qa_status, setup_status, state, updated_at,
    }
    ConnectionFlowFailed { integration_tool, integration_category, end_user, log_url }
}

open_enum! {
    /// The outcome of Kombo's sync with the tool.
    pub enum SyncState {
        /// Everything was read.
        Succeeded = "SUCCEEDED",
        /// A part was not read.
        PartiallyFailed = "PARTIALLY_FAILED",
        /// Nothing was read.
        Failed = "FAILED",
        /// The connected tool rejected the credentials.
        AuthenticationFailed = "AUTHENTICATION_FAILED",
    }
}

open_enum! {
    /// The result of Kombo's checks of an integration.
    pub enum QaStatus {
        /// Not checked yet.
        Pending = "PENDING",
        /// A check failed.
        Failed = "FAILED",
        /// All checks passed.
        Passed = "PASSED",
    }
}

#[derive(Deserialize)]
struct WireWebhook {
    id: WebhookEventId,
    #[serde(rename = "type")]
    kind: String,
    data: FreeJson,
}

impl<'de> Deserialize<'de> for Webhook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn read<T: for<'a> Deserialize<'a>, E: serde::de::Error>(wire: &WireWebhook) -> Result<T, E> {
            wire.data.read().map_err(|error| E::custom(format_args!("data of {}: {error}", wire.kind)))
        }
        let wire = WireWebhook::deserialize(deserializer)?;
        if wire.id.as_str().is_empty() {
            return Err(D::Error::custom("id is empty"));
        }
        let event = match wire.kind.as_str() {
            "data-changed" => WebhookEvent::DataChanged(read(&wire)?),
            "sync-finished" => WebhookEvent::SyncFinished(read(&wire)?),
            "integration-created" => WebhookEvent::IntegrationCreated(read(&wire)?),
            "integration-deleted" => WebhookEvent::IntegrationDeleted(read(&wire)?),
            "integration-state-changed" => WebhookEvent::IntegrationStateChanged(read(&wire)?),
            "connection-flow-failed" => WebhookEvent::ConnectionFlowFailed(read(&wire)?),
            _ => return Ok(Self { id: wire.id, event: WebhookEvent::Other { kind: wire.kind, data: wire.data } }),
        };
        Ok(Self { id: wire.id, event })
    }
}

impl Serialize for Webhook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("Webhook", 3)?;
        body.serialize_field("id", &self.id)?;
        body.serialize_field("type", self.event.kind())?;
        match &self.event {
            WebhookEvent::DataChanged(data) => body.serialize_field("data", data)?,
            WebhookEvent::SyncFinished(data) => body.serialize_field("data", data)?,
            WebhookEvent::IntegrationCreated(data) => body.serialize_field("data", data)?,
            WebhookEvent::IntegrationDeleted(data) => body.serialize_field("data", data)?,
            WebhookEvent::IntegrationStateChanged(data) => body.serialize_field("data", data)?,
            WebhookEvent::ConnectionFlowFailed(data) => body.serialize_field("data", data)?,
            WebhookEvent::Other { data, .. } => body.serialize_field("data", data)?,
        }
        body.end()
    }
}
