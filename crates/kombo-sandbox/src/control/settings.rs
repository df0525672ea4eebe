//! Faults, clock, webhooks, limits.

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failed;
use crate::{Behaviour, Fault, Latency, RateLimit, Stamp, Webhook, WebhookConfig, shared::Shared};

/// `GET /control/faults`
pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "faults": shared.traffic().faults.waiting() }))
}

/// `POST /control/faults`
pub(super) async fn add_fault(State(shared): State<Arc<Shared>>, Json(fault): Json<Fault>) -> Json<Value> {
    shared.traffic().faults.add(fault);
    Json(json!({}))
}

/// `DELETE /control/faults`
pub(super) async fn clear_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.traffic().faults.clear();
    Json(json!({}))
}

/// Changes of the clock, applied in this order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetClock {
    /// Stops it at this time.
    set: Option<Stamp>,
    /// Restarts it with this offset from the machine's time, in milliseconds.
    skew_ms: Option<i64>,
    /// Moves it by this number of milliseconds.
    advance_ms: Option<i64>,
}

/// `POST /control/clock`
pub(super) async fn clock(State(shared): State<Arc<Shared>>, Json(asked): Json<SetClock>) -> Json<Value> {
    if let Some(now) = asked.set {
        shared.clock.set(now);
    }
    if let Some(skew) = asked.skew_ms {
        shared.clock.skew(TimeDelta::milliseconds(skew));
    }
    if let Some(delta) = asked.advance_ms {
        shared.clock.advance(TimeDelta::milliseconds(delta));
    }
    Json(json!({ "now": shared.clock.now(), "clock": shared.clock.mode() }))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SendWebhook {
    integration: String,
    /// If missing, `data-changed` about all unreported changes.
    webhook: Option<Webhook>,
}

/// `POST /control/webhook`
pub(super) async fn send_webhook(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<SendWebhook>,
) -> Result<Json<Value>, Failed> {
    let sent = match &asked.webhook {
        Some(webhook) => {
            shared.send(&asked.integration, webhook)?;
            true
        }
        None => shared.send_data_changed(&asked.integration)?,
    };
    Ok(Json(json!({ "sent": sent })))
}

/// `GET /control/webhook`
pub(super) async fn deliveries(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let on_the_way = *shared.on_the_way.borrow();
    Json(json!({ "on_the_way": on_the_way, "deliveries": shared.hooks().deliveries }))
}

/// `POST /control/webhook/config`
pub(super) async fn configure_webhooks(
    State(shared): State<Arc<Shared>>,
    Json(config): Json<WebhookConfig>,
) -> Json<Value> {
    shared.configure_hooks(config);
    Json(json!({}))
}

/// `POST /control/rate-limit`
pub(super) async fn rate_limit(State(shared): State<Arc<Shared>>, Json(limit): Json<RateLimit>) -> Json<Value> {
    shared.write().rate_limit = limit;
    Json(json!(limit))
}

/// `POST /control/latency`
pub(super) async fn latency(State(shared): State<Arc<Shared>>, Json(latency): Json<Latency>) -> Json<Value> {
    shared.write().latency = latency;
    Json(json!(latency))
}

/// `POST /control/behaviour`
pub(super) async fn behaviour(State(shared): State<Arc<Shared>>, Json(behaviour): Json<Behaviour>) -> Json<Value> {
    shared.pages().clear();
    shared.write().behaviour = behaviour.clone();
    Json(json!(behaviour))
}

/// `POST /control/expire-cursors`
pub(super) async fn expire_cursors(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.traffic().cursor_generation += 1;
    Json(json!({}))
}
