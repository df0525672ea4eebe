use serde::{Deserialize, Serialize};

use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{Extra, IntegrationId, Maybe, Timestamp};

/// The answer of `GET /check-api-key`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ApiKeyInfo {
    /// Id of the key's environment.
    pub environment_id: String,
    /// Id of the account that the environment belongs to.
    #[serde(default)]
    pub customer_id: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The answer of `GET /integrations/{id}`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    /// Id of the integration.
    pub id: IntegrationId,
    /// The connected tool.
    pub tool: Tool,
    /// The category of the tool.
    pub category: IntegrationCategory,
    /// Whether it works.
    pub status: IntegrationState,
    /// Progress of its set-up.
    #[serde(default)]
    pub setup_status: Option<SetupStatus>,
    /// The customer that the integration belongs to.
    #[serde(default)]
    pub end_user: Option<EndUser>,
    /// The scope configuration, which defines what may be read and written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config: Option<ScopeConfig>,
    /// When its data stopped being kept up to date, if it has.
    #[serde(default)]
    pub data_expired_at: Option<Timestamp>,
    /// When it was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Whether Kombo's connector for the tool is in beta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<bool>,
    /// The models and whether they can be read.
    #[serde(default)]
    pub read_models: Vec<ReadModel>,
    /// The actions and whether they can be used.
    #[serde(default)]
    pub write_actions: Vec<WriteAction>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A connected tool.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Kombo's name of the tool, such as `successfactors`.
    pub id: String,
    /// Its display name.
    #[serde(default)]
    pub label: Option<String>,
    /// The name given by the account's owner.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub internal_label: Maybe<String>,
    /// URL of a picture with the tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// URL of a small picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The customer that the integration belongs to.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct EndUser {
    /// The customer's name.
    pub organization_name: String,
    /// Email address of the person who connected the tool.
    #[serde(default)]
    pub creator_email: Option<String>,
    /// The customer's id in the account owner's system.
    #[serde(default)]
    pub origin_id: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The scope configuration of an integration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ScopeConfig {
    /// Its id at Kombo.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A model, and whether it can be read.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadModel {
    /// The model's name.
    pub id: String,
    /// Its display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether its records can be fetched.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool supports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage_status: Option<CoverageStatus>,
    /// Its setting in the scope configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out_by_customer: Option<bool>,
    /// Its fields.
    #[serde(default)]
    pub fields: Vec<CoveredField>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// An action, and whether it can be used.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteAction {
    /// The action's name.
    pub id: String,
    /// Its display name.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether it can be used.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool supports it.
    #[serde(default)]
    pub coverage_status: Option<CoverageStatus>,
    /// Its setting in the scope configuration.
    #[serde(default)]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has disabled it.
    #[serde(default)]
    pub opted_out_by_customer: Option<bool>,
    /// The fields that can be written.
    #[serde(default)]
    pub fields: Vec<CoveredField>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A field of a [`ReadModel`] or a [`WriteAction`], and whether it is available.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CoveredField {
    /// The field's name.
    pub id: String,
    /// Whether it is read or written.
    #[serde(default)]
    pub is_available: Option<bool>,
    /// Whether Kombo's connector for the tool supports it.
    #[serde(default)]
    pub coverage_status: Option<CoverageStatus>,
    /// Its setting in the scope configuration; missing for fields of actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_config_setting: Option<ScopeSetting>,
    /// Whether the customer has disabled it; missing for fields of actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opted_out_by_customer: Option<bool>,
    /// Keys unknown to this version.
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
    /// The category of the connected tool.
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
        /// The connected tool rejects it, usually because of its credentials.
        Invalid = "INVALID",
        /// It was disabled.
        Inactive = "INACTIVE",
    }
}

open_enum! {
    /// The progress of an integration's set-up.
    pub enum SetupStatus {
        /// The customer has not finished it.
        Incomplete = "INCOMPLETE",
        /// The first sync is running.
        FinalSyncPending = "FINAL_SYNC_PENDING",
        /// Data is available.
        Completed = "COMPLETED",
    }
}

open_enum! {
    /// Whether Kombo's connector for a tool supports something.
    pub enum CoverageStatus {
        /// The connector supports it.
        Supported = "SUPPORTED",
        /// The tool does not offer it.
        Unsupported = "UNSUPPORTED",
        /// The tool offers it, but Kombo has not implemented it.
        NotImplemented = "NOT_IMPLEMENTED",
        /// Kombo does not know.
        Unknown = "UNKNOWN",
    }
}

open_enum! {
    /// The setting of a model, an action or a field in the scope configuration.
    pub enum ScopeSetting {
        /// On.
        Enabled = "ENABLED",
        /// Off.
        Disabled = "DISABLED",
        /// The customer decides.
        Optional = "OPTIONAL",
    }
}
