//! The bodies of webhooks, with exactly the keys of the contract.

use chrono::TimeDelta;
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};

use super::Webhook;
use crate::{Id, Integration, Model, Stamp};

/// Returns the body of `webhook` about `integration`, sent at `now`.
pub(crate) fn payload(webhook: &Webhook, integration: &Integration, now: Stamp, rng: &mut StdRng) -> Value {
    let (id, tool, end_user) = (&integration.id, integration.tool(), &integration.end_user);
    let now = now.to_millis_precision();
    let category = integration.category.as_str().to_uppercase();
    let data = match webhook {
        Webhook::DataChanged { changed_models } => {
            let named = |model: &Model| json!({ "name": model });
            json!({
                "integration_id": id, "integration_tool": tool, "integration_category": category,
                "changed_models": changed_models.iter().map(named).collect::<Vec<_>>(),
            })
        }
        Webhook::SyncFinished { sync_state } => {
            let seconds: u32 = rng.random_range(1..1800);
            json!({
                "sync_id": Id::random(rng), "sync_state": sync_state,
                "sync_started_at": now.plus(TimeDelta::seconds(-i64::from(seconds))), "sync_ended_at": now,
                "sync_duration_seconds": seconds,
                "integration_id": id, "integration_tool": tool, "integration_category": category,
                "end_user": end_user,
                "log_url": format!("https://app.example.com/logs?interactionId={}", Id::random(rng)),
            })
        }
        Webhook::IntegrationCreated => json!({ "id": id, "tool": tool, "category": category, "end_user": end_user }),
        Webhook::IntegrationDeleted => {
            json!({ "id": id, "tool": tool, "category": category, "end_user": end_user, "deleted_at": now })
        }
        Webhook::IntegrationStateChanged => json!({
            "integration_tool": tool, "integration_id": id, "integration_category": category, "end_user": end_user,
            "qa_status": integration.qa_status, "setup_status": integration.setup_status,
            "state": integration.status, "updated_at": now,
        }),
        Webhook::ConnectionFlowFailed => json!({
            "integration_tool": tool, "integration_category": category, "end_user": end_user,
            "log_url": format!("https://app.example.com/logs?flowId={}", Id::random(rng)),
        }),
    };
    json!({ "id": Id::random(rng), "type": webhook.type_name(), "data": data })
}
