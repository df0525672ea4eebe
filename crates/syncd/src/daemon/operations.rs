use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use super::gauges::Gauges;
use super::lifecycle::Readiness;
use super::page::{self, Page};

#[derive(Clone)]
struct OperationsState {
    readiness: Arc<Readiness>,
    metrics: PrometheusHandle,
    gauges: Arc<Gauges>,
}

/// `/healthz`, `/readyz`, `/metrics`, and the status page.
pub(super) fn routes(readiness: Arc<Readiness>, metrics: PrometheusHandle, page: Arc<Page>, gauges: Gauges) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .with_state(OperationsState { readiness, metrics, gauges: Arc::new(gauges) })
        .merge(page::routes(page))
}

async fn readyz(State(state): State<OperationsState>) -> Response {
    match state.readiness.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_page(State(state): State<OperationsState>) -> Response {
    let mut series = String::new();
    if let Some(store) = state.readiness.store() {
        series = state.gauges.update(store).await;
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], format!("{}{series}", state.metrics.render()))
        .into_response()
}
