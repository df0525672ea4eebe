use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{Extra, IntegrationId, Timestamp};

/// What `GET /check-api-key` says of the key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKeyInfo {
    /// The environment that the key opens.
    pub environment_id: String,
    /// The account that the environment belongs to.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What `GET /integrations/{id}` says of an integration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    /// Its id.
    pub id: IntegrationId,
    /// The connected tool.
    pub tool: Tool,
    /// What kind of system the tool is.
    pub category: IntegrationCategory,
    /// Whether it works.
    pub status: IntegrationState,
    /// How far its set-up is.
    #[serde(default)]
    pub setup_status: Option<SetupStatus>,
    /// Whose integration it is.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// Since when its data is no longer kept up to date, if so.
    #[serde(default)]
    pub data_expired_at: Option<Timestamp>,
    /// What may be read.
    #[serde(default)]
    pub read_models: Vec<ReadModel>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A connected tool.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Kombo's name for it, such as `successfactors`.
    pub id: String,
    /// Its name for people.
    #[serde(default)]
    pub label: Option<String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The customer whose integration it is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct EndUser {
    /// The customer's name.
    pub organization_name: String,
    /// Who connected the tool.
    #[serde(default)]
    pub creator_email: Option<String>,
    /// The customer's id in the system of the account's owner.
    #[serde(default)]
    pub origin_id: Option<String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether a model may be read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadModel {
    /// The model's name.
    pub id: String,
    /// Whether its records can be fetched.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    ApiKeyInfo { environment_id, customer_id }
    Integration { id, tool, category, status, setup_status, end_user, data_expired_at, read_models }
    Tool { id, label }
    EndUser { origin_id }
    ReadModel { id, is_available }
}

open_enum! {
    /// What kind of system the connected tool is.
    pub enum IntegrationCategory {
        /// Learning management.
        Lms = "LMS",
        /// Human resources.
        Hris = "HRIS",
        /// Recruiting.
        Ats = "ATS",
        /// Assessments.
        Assessment = "ASSESSMENT",
    }
}

open_enum! {
    /// Whether an integration works.
    pub enum IntegrationState {
        /// It works.
        Active = "ACTIVE",
        /// The connected tool refuses it, usually because of its credentials.
        Invalid = "INVALID",
        /// It was switched off.
        Inactive = "INACTIVE",
    }
}

open_enum! {
    /// How far the set-up of an integration is.
    pub enum SetupStatus {
        /// Somebody must finish it.
        Incomplete = "INCOMPLETE",
        /// The first sync runs.
        FinalSyncPending = "FINAL_SYNC_PENDING",
        /// Data is there.
        Completed = "COMPLETED",
    }
}
