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
/// Verify the signature over the bytes as received before reading them as this type.
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
    /// The same for every delivery of one event.
    pub id: WebhookEventId,
    /// What happened.
    pub event: WebhookEvent,
}

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// Records of some models changed.
    DataChanged(DataChanged),
    /// Kombo ended a sync with the connected tool, whether or not anything changed.
    SyncFinished(SyncFinished),
    /// A customer connected a tool.
    IntegrationCreated(IntegrationCreated),
    /// An integration was removed.
    IntegrationDeleted(IntegrationDeleted),
    /// An integration began or ceased to work.
    IntegrationStateChanged(IntegrationStateChanged),
    /// A customer failed to connect a tool.
    ConnectionFlowFailed(ConnectionFlowFailed),
    /// A type that this version does not know.
    Other {
        /// The type as Kombo sent it.
        kind: String,
        /// Its data as Kombo sent it.
        data: FreeJson,
    },
}

impl WebhookEvent {
    /// The value of `type`.
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

    /// The integration that the event is about, where it names one.
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

    /// The category of the integration, where the event names one.
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

/// Data of `data-changed`: which models changed since the last such webhook. No record ids, no time.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DataChanged {
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// What kind of system the tool is.
    pub integration_category: IntegrationCategory,
    /// The models with changes.
    pub changed_models: Vec<ChangedModel>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// One entry of [`DataChanged::changed_models`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangedModel {
    /// Which model.
    pub name: ModelName,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `sync-finished`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncFinished {
    /// Kombo's id of its sync.
    pub sync_id: String,
    /// How it ended.
    pub sync_state: SyncState,
    /// When Kombo began. Never use it as a watermark: records may become visible with an older `changed_at`.
    pub sync_started_at: Timestamp,
    /// When Kombo ended.
    #[serde(default)]
    pub sync_ended_at: Option<Timestamp>,
    /// How long it took, in seconds.
    #[serde(default)]
    pub sync_duration_seconds: Option<u64>,
    /// Whose data.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// What kind of system the tool is.
    pub integration_category: IntegrationCategory,
    /// Whose integration it is.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// A page of Kombo's dashboard that shows the sync.
    #[serde(default)]
    pub log_url: Option<String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-created`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationCreated {
    /// The new integration.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: String,
    /// What kind of system the tool is.
    pub category: IntegrationCategory,
    /// Whose integration it is.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-deleted`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationDeleted {
    /// The removed integration.
    pub id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub tool: String,
    /// What kind of system the tool is.
    pub category: IntegrationCategory,
    /// Whose integration it was.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// When it was removed.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `integration-state-changed`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationStateChanged {
    /// Which integration.
    pub integration_id: IntegrationId,
    /// Kombo's name of the connected tool.
    pub integration_tool: String,
    /// What kind of system the tool is.
    pub integration_category: IntegrationCategory,
    /// Whose integration it is.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// What Kombo's checks say.
    #[serde(default)]
    pub qa_status: Option<QaStatus>,
    /// How far its set-up is; Kombo may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_status: Option<SetupStatus>,
    /// Whether it works.
    pub state: IntegrationState,
    /// When the state changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Data of `connection-flow-failed`. For information only.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectionFlowFailed {
    /// Kombo's name of the tool.
    pub integration_tool: String,
    /// What kind of system the tool is.
    pub integration_category: IntegrationCategory,
    /// Who tried.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// A page of Kombo's dashboard that shows the attempt.
    #[serde(default)]
    pub log_url: Option<String>,
    /// Keys that this version does not know.
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
    /// How a sync of Kombo ended.
    pub enum SyncState {
        /// Everything was read.
        Succeeded = "SUCCEEDED",
        /// Something was not read.
        PartiallyFailed = "PARTIALLY_FAILED",
        /// Nothing was read.
        Failed = "FAILED",
        /// The connected tool refused the credentials.
        AuthenticationFailed = "AUTHENTICATION_FAILED",
    }
}

open_enum! {
    /// What Kombo's checks say of an integration.
    pub enum QaStatus {
        /// Not checked yet.
        Pending = "PENDING",
        /// Something is wrong.
        Failed = "FAILED",
        /// All is well.
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
