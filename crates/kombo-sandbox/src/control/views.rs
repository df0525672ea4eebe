//! Reads state, requests and ground truth.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failed;
use crate::{Model, shared::Shared, truth::truth};

/// `GET /control/state`
pub(super) async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.commit_due();
    let state = shared.read();
    let integrations: BTreeMap<_, _> = state
        .integrations
        .iter()
        .map(|(id, it)| {
            let about = json!({
                "status": it.status, "setup_status": it.setup_status, "qa_status": it.qa_status,
                "refusal": it.refusal, "endpoint_refusals": it.endpoint_refusals,
                "updates_courses": it.updates_courses, "unsupported_filters": it.unsupported_filters, "version": it.version, "counts": it.counts(),
            });
            (id.clone(), about)
        })
        .collect();
    let about = json!({
        "integrations": integrations,
        "behaviour": state.behaviour, "latency": state.latency, "rate_limit": state.rate_limit,
        "clock": { "now": shared.clock.now(), "clock": shared.clock.mode() },
        "uncommitted": state.uncommitted.len(),
    });
    drop(state);
    let traffic = shared.traffic();
    let Json(mut about) = Json(about);
    if let Some(about) = about.as_object_mut() {
        about.insert("requests".to_owned(), json!(traffic.log.counts));
        about.insert("faults".to_owned(), json!(traffic.faults.waiting()));
    }
    drop(traffic);
    Json(about)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    /// Only requests with a larger number.
    #[serde(default)]
    since: u64,
}

/// `GET /control/requests`
pub(super) async fn requests(State(shared): State<Arc<Shared>>, Query(Since { since }): Query<Since>) -> Json<Value> {
    let traffic = shared.traffic();
    let requests: Vec<_> = traffic.log.kept.iter().filter(|it| it.number > since).collect();
    Json(json!({ "counts": traffic.log.counts, "requests": requests }))
}

/// `DELETE /control/requests`
pub(super) async fn clear_requests(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.traffic().log.clear();
    Json(json!({}))
}

/// `GET /control/records/{integration}/{model}`: the ground truth, one row per line.
pub(super) async fn records(
    State(shared): State<Arc<Shared>>,
    Path((integration, model)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let Some(model) = Model::by_name(&model) else {
        let error = json!({ "error": format!("no model {model:?}") });
        return Ok((StatusCode::NOT_FOUND, Json(error)).into_response());
    };
    shared.commit_due();
    let rows = {
        let state = shared.read();
        let tables = &state.integration(&integration)?.tables;
        truth(tables, &state.behaviour, shared.clock.now(), model)
    };
    let mut lines = String::new();
    for row in rows {
        lines.push_str(&Value::Object(row).to_string());
        lines.push('\n');
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}
