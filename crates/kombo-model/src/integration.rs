use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{Extra, IntegrationId, Maybe, Timestamp};

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
    /// The scope configuration, which says what may be read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config: Option<ScopeConfig>,
    /// Since when its data is no longer kept up to date, if so.
    #[serde(default)]
    pub data_expired_at: Option<Timestamp>,
    /// When it was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Whether Kombo's connector for the tool is in its trial phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<bool>,
    /// What may be read.
    #[serde(default)]
    pub read_models: Vec<ReadModel>,
    /// What may be written.
    #[serde(default)]
    pub write_actions: Vec<WriteAction>,
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
    /// The name that the account's owner gave it.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub internal_label: Maybe<String>,
    /// A picture with its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// A small picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
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

/// The scope configuration of an integration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ScopeConfig {
    /// Kombo's id of it.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether a model may be read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadModel {
    /// The model's name.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether its records can be fetched.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool can do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_status: Option<CoverageStatus>,
    /// What the scope configuration says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has turned it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out_by_customer: Option<bool>,
    /// Its fields.
    #[serde(default)]
    pub fields: Vec<CoveredField>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether something may be written.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteAction {
    /// The action's name.
    pub id: String,
    /// Its name for people.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether it can be done.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool can do it.
    #[serde(default)]
    pub coverage_status: Option<CoverageStatus>,
    /// What the scope configuration says of it.
    #[serde(default)]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has turned it off.
    #[serde(default)]
    pub opted_out_by_customer: Option<bool>,
    /// The fields that can be written.
    #[serde(default)]
    pub fields: Vec<CoveredField>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// Whether a field of a [`ReadModel`] or a [`WriteAction`] is there.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CoveredField {
    /// The field's name.
    pub id: String,
    /// Whether it is read or written.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool can do it.
    #[serde(default)]
    pub coverage_status: Option<CoverageStatus>,
    /// What the scope configuration says of it; not said of the fields of actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has turned it off; not said of the fields of actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out_by_customer: Option<bool>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    ApiKeyInfo { environment_id, customer_id }
    Integration { id, tool, category, status, setup_status, end_user, data_expired_at, read_models, write_actions }
    ScopeConfig { id }
    WriteAction { id, is_available }
    CoveredField { id, is_available }
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

open_enum! {
    /// Whether Kombo's connector for a tool can do something.
    pub enum CoverageStatus {
        /// It can.
        Supported = "SUPPORTED",
        /// The tool does not offer it.
        Unsupported = "UNSUPPORTED",
        /// The tool offers it, and Kombo has not built it.
        NotImplemented = "NOT_IMPLEMENTED",
        /// Kombo does not know.
        Unknown = "UNKNOWN",
    }
}

open_enum! {
    /// What the scope configuration says of a model, an action or a field.
    pub enum ScopeSetting {
        /// On.
        Enabled = "ENABLED",
        /// Off.
        Disabled = "DISABLED",
        /// The customer decides.
        Optional = "OPTIONAL",
    }
}
