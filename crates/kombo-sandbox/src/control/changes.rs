//! Changes data and integrations.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Failed;
use crate::{
    Endpoint, GeneratorConfig, IntegrationStatus, Mutation, QaStatus, Refusal, SandboxError, SetupStatus,
    shared::Shared,
};

/// Either `count` random mutations starting at `seed`, or the given mutations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutate {
    integration: String,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    mutations: Vec<Mutation>,
}

/// `POST /control/mutate`
pub(super) async fn mutate(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Mutate>,
) -> Result<Json<Value>, Failed> {
    let mut applied = Vec::new();
    for mutation in asked.mutations {
        applied.push(shared.mutate(&asked.integration, mutation)?);
    }
    for number in 0..asked.count {
        let seed = asked.seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        applied.extend(shared.mutate_random(&asked.integration, seed)?);
    }
    Ok(Json(json!({ "applied": applied })))
}

/// A new integration, or new states for an existing one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Describe {
    id: String,
    /// Only for a new integration.
    #[serde(default)]
    generate: Option<GeneratorConfig>,
    #[serde(default)]
    status: Option<IntegrationStatus>,
    #[serde(default)]
    setup_status: Option<SetupStatus>,
    #[serde(default)]
    qa_status: Option<QaStatus>,
    #[serde(default)]
    refusal: Option<Refusal>,
    /// Clears all refusals before those in this request are set.
    #[serde(default)]
    clear_refusals: bool,
    #[serde(default)]
    endpoint_refusals: Option<BTreeMap<Endpoint, Refusal>>,
    #[serde(default)]
    updates_courses: Option<bool>,
    unsupported_filters: Option<BTreeSet<String>>,
}

/// `POST /control/integrations`
pub(super) async fn integrations(
    State(shared): State<Arc<Shared>>,
    Json(asked): Json<Describe>,
) -> Result<Json<Value>, Failed> {
    if let Some(config) = &asked.generate {
        shared.add_integration(&asked.id, config)?;
    }
    let mut state = shared.write();
    let integration = state.integration_mut(&asked.id)?;
    integration.status = asked.status.unwrap_or(integration.status);
    integration.setup_status = asked.setup_status.unwrap_or(integration.setup_status);
    integration.qa_status = asked.qa_status.unwrap_or(integration.qa_status);
    if asked.clear_refusals {
        integration.refusal = None;
        integration.endpoint_refusals.clear();
    }
    if asked.refusal.is_some() {
        integration.refusal = asked.refusal;
    }
    if let Some(refusals) = asked.endpoint_refusals {
        integration.endpoint_refusals = refusals;
    }
    integration.updates_courses = asked.updates_courses.unwrap_or(integration.updates_courses);
    if let Some(filters) = asked.unsupported_filters {
        integration.unsupported_filters = filters;
    }
    integration.version += 1;
    Ok(Json(json!({ "id": asked.id, "counts": integration.counts() })))
}

/// `DELETE /control/integrations/{integration}`
pub(super) async fn remove_integration(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failed> {
    let removed = shared.write().integrations.remove(&id);
    removed.map(|_| Json(json!({}))).ok_or_else(|| SandboxError::NoIntegration(id).into())
}
