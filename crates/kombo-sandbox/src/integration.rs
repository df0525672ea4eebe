//! One customer's connection and its data.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::Category;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Endpoint, Model, Stamp, Tables};

macro_rules! states {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
    };
}

states! {
    /// Status of the connection.
    IntegrationStatus {
        /// It works.
        #[default] Active,
        /// The tool rejects the credentials.
        Invalid,
        /// It was disabled.
        Inactive,
    }
}

states! {
    /// Progress of the set-up.
    SetupStatus {
        /// The customer has not finished.
        Incomplete,
        /// The first sync has not ended.
        FinalSyncPending,
        /// It is complete.
        #[default] Completed,
    }
}

states! {
    /// Result of Kombo's quality check.
    QaStatus {
        /// Not done yet.
        Pending,
        /// Failed.
        Failed,
        /// Passed.
        #[default] Passed,
    }
}

/// The customer that connected the integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUser {
    /// Name of the customer.
    pub organization_name: String,
    /// Email address of the person who connected it.
    pub creator_email: Option<String>,
    /// The customer's id in the account owner's system.
    pub origin_id: Option<String>,
}

/// An error instead of data, while an integration or an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error code; null is a code too.
    pub code: Option<String>,
    /// The message.
    #[serde(default)]
    pub message: String,
}

impl Refusal {
    /// Creates any refusal.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: Some(code.to_owned()), message: message.to_owned() }
    }

    /// 409 `INTEGRATION.SETUP_SYNC_PENDING`
    pub fn setup_sync_pending() -> Self {
        Self::new(409, "INTEGRATION.SETUP_SYNC_PENDING", "The first sync has not finished yet.")
    }

    /// 409 `INTEGRATION.SETUP_INCOMPLETE`
    pub fn setup_incomplete() -> Self {
        Self::new(409, "INTEGRATION.SETUP_INCOMPLETE", "The integration is not set up yet.")
    }

    /// 409 `INTEGRATION.QA_FAILED`
    pub fn qa_failed() -> Self {
        Self::new(409, "INTEGRATION.QA_FAILED", "The integration did not pass the quality check.")
    }

    /// 403 `INTEGRATION.INACTIVE`
    pub fn inactive() -> Self {
        Self::new(403, "INTEGRATION.INACTIVE", "The integration is not active.")
    }

    /// 403 `INTEGRATION.AUTHENTICATION_INVALID`
    pub fn authentication_invalid() -> Self {
        Self::new(403, "INTEGRATION.AUTHENTICATION_INVALID", "The tool refuses the integration's credentials.")
    }

    /// 403 `INTEGRATION.PERMISSION_MISSING`
    pub fn permission_missing() -> Self {
        Self::new(403, "INTEGRATION.PERMISSION_MISSING", "The integration lacks a permission in the tool.")
    }

    /// 403 `INTEGRATION.MODEL_DISABLED`
    pub fn model_disabled() -> Self {
        Self::new(403, "INTEGRATION.MODEL_DISABLED", "The model is turned off in the scope configuration.")
    }

    /// 403 `INTEGRATION.ACTION_DISABLED`
    pub fn action_disabled() -> Self {
        Self::new(403, "INTEGRATION.ACTION_DISABLED", "The action is turned off in the scope configuration.")
    }

    /// 400 `INTEGRATION.ACTION_NOT_AVAILABLE`
    pub fn action_not_available() -> Self {
        Self::new(400, "INTEGRATION.ACTION_NOT_AVAILABLE", "The action is not available for this tool.")
    }

    /// 400 `INTEGRATION.MODEL_NOT_AVAILABLE`
    pub fn model_not_available() -> Self {
        Self::new(400, "INTEGRATION.MODEL_NOT_AVAILABLE", "The model is not available for this tool.")
    }
}

/// One integration. Tests may change every field.
#[derive(Clone, Debug)]
pub struct Integration {
    /// `<tool>:<id>`
    pub id: String,
    /// Status of the connection. It does not refuse requests: see `refusal`.
    pub status: IntegrationStatus,
    /// The category of the connected tool.
    pub category: Category,
    /// Progress of the set-up.
    pub setup_status: SetupStatus,
    /// Result of the quality check.
    pub qa_status: QaStatus,
    /// The customer that connected it.
    pub end_user: EndUser,
    /// When it was connected.
    pub created_at: Stamp,
    /// When its data stopped being kept up to date.
    pub data_expired_at: Option<Stamp>,
    /// Refuses all reads and writes.
    pub refusal: Option<Refusal>,
    /// Refuses requests to single endpoints.
    pub endpoint_refusals: BTreeMap<Endpoint, Refusal>,
    /// Whether the connected tool can change existing courses.
    pub updates_courses: bool,
    /// Query parameters for fields that the connected tool does not supply, such as `work_emails`.
    pub unsupported_filters: BTreeSet<String>,
    /// The rows.
    pub tables: Tables,
    /// Counter of changes made through the sandbox. Increment it after editing rows by hand.
    pub version: u64,
}

impl Integration {
    /// Creates an active integration with `tables`.
    pub fn new(id: &str, organisation: &str, category: Category, created_at: Stamp, tables: Tables) -> Self {
        Self {
            id: id.to_owned(),
            status: IntegrationStatus::default(),
            category,
            setup_status: SetupStatus::default(),
            qa_status: QaStatus::default(),
            end_user: EndUser {
                organization_name: organisation.to_owned(),
                creator_email: Some("admin@example.com".to_owned()),
                origin_id: None,
            },
            created_at,
            data_expired_at: None,
            refusal: None,
            endpoint_refusals: BTreeMap::new(),
            updates_courses: true,
            unsupported_filters: BTreeSet::new(),
            tables,
            version: 0,
        }
    }

    /// Returns the part of the id before the colon.
    pub fn tool(&self) -> &str {
        self.id.split_once(':').map_or(self.id.as_str(), |(tool, _)| tool)
    }

    /// Returns the refusal of requests to `endpoint`, if any.
    pub(crate) fn refuses(&self, endpoint: Endpoint) -> Option<&Refusal> {
        self.refusal.as_ref().or_else(|| self.endpoint_refusals.get(&endpoint))
    }

    /// Returns the number of rows of each model, including deleted ones.
    pub fn counts(&self) -> BTreeMap<Model, usize> {
        let tables = &self.tables;
        if self.category != Category::Lms {
            return self.category.models().map(|model| (Model::of(model), tables.records.count(model))).collect();
        }
        BTreeMap::from([
            (Model::Users, tables.users.len()),
            (Model::Courses, tables.courses.len()),
            (Model::CourseRevisions, tables.revisions.len()),
            (Model::CourseProviders, tables.providers.len()),
            (Model::Skills, tables.skills.len()),
            (Model::RevisionsSkills, tables.revisions.values().map(|it| it.skills.len()).sum()),
            (Model::CourseProgressions, tables.progressions.len()),
        ])
    }

    /// Renders `data` of `GET /integrations/{id}`.
    pub(crate) fn render(&self) -> Value {
        let readable = |endpoint| self.refusal.is_none() && !self.endpoint_refusals.contains_key(&endpoint);
        let models = self.category.endpoints().map(|endpoint| (endpoint.lists(), Endpoint::of(endpoint)));
        let read_models: Vec<Value> = models
            .map(|(model, endpoint)| {
                let label = model.as_str();
                json!({
                    "id": Model::of(model), "label": label, "is_available": readable(endpoint), "coverage_status": "SUPPORTED",
                    "scope_config_setting": if readable(endpoint) { "ENABLED" } else { "DISABLED" },
                    "opted_out_by_customer": false,
                    "fields": [{
                        "id": "remote_id", "is_available": true, "coverage_status": "SUPPORTED",
                        "scope_config_setting": "ENABLED", "opted_out_by_customer": false,
                    }],
                })
            })
            .collect();
        let tool = self.tool();
        json!({
            "id": self.id,
            "tool": {
                "id": tool, "label": tool, "internal_label": null,
                "logo_url": format!("https://assets.example.com/{tool}/logo.svg"),
                "icon_url": format!("https://assets.example.com/{tool}/icon.svg"),
            },
            "category": self.category.as_str().to_uppercase(),
            "status": self.status,
            "setup_status": self.setup_status,
            "end_user": self.end_user,
            "scope_config": { "id": "B1hu5NGyhdjSq5X3hxEz4bAN", "name": "Everything" },
            "data_expired_at": self.data_expired_at,
            "created_at": self.created_at,
            "beta": false,
            "read_models": read_models,
            "write_actions": [],
        })
    }
}
