//! The control endpoint: everything a test can do in-process, over HTTP and without a key.

mod changes;
mod settings;
mod views;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use crate::{SandboxError, shared::Shared};

/// An error, rendered as `{"error": …}`.
#[derive(Debug)]
struct Failed(SandboxError);

impl From<SandboxError> for Failed {
    fn from(error: SandboxError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0 {
            SandboxError::NoIntegration(_) | SandboxError::NoRecord { .. } => StatusCode::NOT_FOUND,
            SandboxError::IntegrationExists(_) | SandboxError::RecordExists { .. } => StatusCode::CONFLICT,
            SandboxError::BadId(_)
            | SandboxError::BadField { .. }
            | SandboxError::Impossible { .. }
            | SandboxError::Bind { .. } => StatusCode::BAD_REQUEST,
        };
        (status, Json(json!({ "error": self.0.to_string() }))).into_response()
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/control/state", get(views::state))
        .route("/control/requests", get(views::requests).delete(views::clear_requests))
        .route("/control/records/{integration}/{model}", get(views::records))
        .route("/control/mutate", post(changes::mutate))
        .route("/control/integrations", post(changes::integrations))
        .route("/control/integrations/{integration}", axum::routing::delete(changes::remove_integration))
        .route("/control/faults", get(settings::faults).post(settings::add_fault).delete(settings::clear_faults))
        .route("/control/clock", post(settings::clock))
        .route("/control/webhook", get(settings::deliveries).post(settings::send_webhook))
        .route("/control/webhook/config", post(settings::configure_webhooks))
        .route("/control/rate-limit", post(settings::rate_limit))
        .route("/control/latency", post(settings::latency))
        .route("/control/behaviour", post(settings::behaviour))
        .route("/control/expire-cursors", post(settings::expire_cursors))
        .with_state(shared)
}
