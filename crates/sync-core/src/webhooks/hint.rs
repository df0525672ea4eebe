use kombo_model::{
    Category, IntegrationCategory, IntegrationId, IntegrationState, ModelName, Timestamp, Webhook, WebhookEvent,
};
use serde::{Deserialize, Serialize};

use super::read::UNREADABLE;
use crate::rows::Model;

pub(super) const FOREIGN: &str = "ignored: of a category that is not mirrored";

/// A stored webhook that is not planned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingWebhook {
    /// Kombo's id of the event.
    pub id: String,
    /// The integration that it concerns.
    pub integration_id: IntegrationId,
    /// When the webhook was received.
    pub received_at: Timestamp,
    /// What planning needs of it.
    pub hint: Hint,
}

/// What planning needs of a webhook. It contains nothing about the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// Name of the connected tool; empty if unknown.
    #[serde(default)]
    pub tool: String,
    /// Category of the integration.
    pub category: IntegrationCategory,
    /// What the webhook announces.
    pub announced: Announced,
}

/// What a webhook announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Announced {
    /// Records of these models changed.
    Data(Vec<ModelName>),
    /// The integration was created.
    Created,
    /// The integration was deleted, with Kombo's time.
    Deleted(Option<Timestamp>),
    /// The state of the integration changed, with Kombo's time.
    State(IntegrationState, Option<Timestamp>),
}

impl Hint {
    /// Returns the hint of a webhook with its integration; `None` if the webhook needs no planning, whatever is stored.
    pub fn of(webhook: &Webhook) -> Option<(IntegrationId, Self)> {
        let (id, tool, announced) = match &webhook.event {
            WebhookEvent::DataChanged(data) => {
                let models = data.changed_models.iter().map(|model| model.name.clone()).collect();
                (&data.integration_id, &data.integration_tool, Announced::Data(models))
            }
            WebhookEvent::IntegrationCreated(data) => (&data.id, &data.tool, Announced::Created),
            WebhookEvent::IntegrationDeleted(data) => (&data.id, &data.tool, Announced::Deleted(data.deleted_at)),
            WebhookEvent::IntegrationStateChanged(data) => {
                let announced = Announced::State(data.state.clone(), data.updated_at);
                (&data.integration_id, &data.integration_tool, announced)
            }
            WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_) | WebhookEvent::Other { .. } | _ => {
                return None;
            }
        };
        let category = webhook.event.category()?;
        let is_of_use = !id.as_str().trim().is_empty() && !is_foreign(category);
        is_of_use.then(|| (id.clone(), Self { tool: tool.clone(), category: category.clone(), announced }))
    }

    /// Returns the hint as JSON, for stores.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a stored hint. One that cannot be read, because it was edited or another version wrote it, means that
    /// anything may have changed.
    pub fn from_json(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| Self {
            tool: String::new(),
            category: IntegrationCategory::from(String::new()),
            announced: Announced::Data(vec![ModelName::from(UNREADABLE.to_owned())]),
        })
    }

    /// Returns the models that the webhook names.
    pub fn models(&self) -> &[ModelName] {
        if let Announced::Data(models) = &self.announced { models } else { &[] }
    }
}

/// Returns the result of a webhook that needs no planning, for people.
pub(super) fn why_recorded(event: &WebhookEvent) -> &'static str {
    if event.category().is_some_and(is_foreign) {
        FOREIGN
    } else if matches!(event, WebhookEvent::SyncFinished(_) | WebhookEvent::ConnectionFlowFailed(_)) {
        "recorded"
    } else if event.integration_id().is_some_and(|id| id.as_str().trim().is_empty()) {
        "ignored: it names no integration"
    } else {
        "recorded: of a type that this version does not know"
    }
}

/// Whether a category is known and not mirrored.
fn is_foreign(category: &IntegrationCategory) -> bool {
    match category {
        IntegrationCategory::Assessment => true,
        IntegrationCategory::Lms
        | IntegrationCategory::Hris
        | IntegrationCategory::Ats
        | IntegrationCategory::Other(_) => false,
    }
}

/// Returns the mirrored category that a webhook names, or else that of the models that it names.
pub(super) fn category_of(hint: &Hint) -> Option<Category> {
    let named = hint.category.as_str().parse().ok();
    named.or_else(|| match &hint.announced {
        Announced::Data(models) => {
            models.iter().flat_map(|name| Model::meant_by(name.as_str())).map(Model::category).next()
        }
        Announced::Created | Announced::Deleted(_) | Announced::State(..) => None,
    })
}
