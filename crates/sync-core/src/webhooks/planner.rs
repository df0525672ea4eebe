//! Plans the endpoints to call for changed models, with the reasons. A plain function of its arguments.

use std::collections::BTreeSet;
use std::time::Duration;

use kombo_model::{Category, Endpoint, ModelName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::jobs::request::SyncKind;
use crate::rows::Model;

/// Settings for the planning of fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanPolicy {
    /// The enabled endpoints.
    pub endpoints: BTreeSet<Endpoint>,
    /// The planning mode.
    pub mode: PlanMode,
    /// Minimum interval between full fetches for models that a delta may not show.
    pub blind_full_min_interval: Duration,
}

impl PlanPolicy {
    /// Returns the policy for an integration of a category. Nothing is planned while the category is not known.
    pub(crate) fn of(&self, category: Option<Category>) -> Self {
        let endpoints = self.endpoints.iter().copied().filter(|endpoint| Some(endpoint.category()) == category);
        Self { endpoints: endpoints.collect(), ..self.clone() }
    }

    /// Returns the enabled endpoints from which a model is fetched: its owner or, if that is disabled, the endpoints
    /// that embed it.
    fn sources(&self, model: Model) -> Vec<Endpoint> {
        let owner = model.owner();
        if self.endpoints.contains(&owner) {
            return vec![owner];
        }
        model.embedded_by().iter().copied().filter(|endpoint| self.endpoints.contains(endpoint)).collect()
    }

    /// Whether a model is fetched from an endpoint with deltas that may miss a change to it.
    pub(crate) fn is_blind(&self, model: Model, endpoint: Endpoint) -> bool {
        model.blind_in_delta(endpoint) && self.sources(model).contains(&endpoint)
    }
}

/// The planning mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanMode {
    /// Call the endpoints that show the changed models.
    #[default]
    Planned,
    /// Call every enabled endpoint on any change.
    Simple,
}

/// The endpoints to call, with the reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPlan {
    /// The fetches.
    pub fetches: Vec<PlannedFetch>,
    /// Enabled endpoints that need no call.
    pub spared: Vec<Spared>,
    /// Named models that belong to a category without enabled endpoints.
    pub ignored: Vec<ModelName>,
}

/// One fetch of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFetch {
    /// The endpoint to call.
    pub endpoint: Endpoint,
    /// Kind of the fetch.
    pub kind: SyncKind,
    /// The changed models that require the fetch.
    pub because: Vec<ModelName>,
    /// Earliest start of the fetch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

/// An enabled endpoint that needs no call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spared {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The reason why it is not called.
    pub why: String,
}

/// Plans the fetches for a set of changed models.
///
/// A model is fetched from the enabled endpoint that owns it; if there is none, from the enabled ones that embed it. An
/// unknown model calls all enabled endpoints of its category, because new models must not be missed.
/// Models that a delta may not show require a full fetch, at the earliest `blind_full_min_interval` after
/// `last_blind_full`: those that deltas of courses may miss, and those that only copies in progressions show because
/// their own endpoint is disabled.
///
/// ```
/// use std::time::Duration;
///
/// use kombo_model::{Endpoint, ModelName};
/// use sync_core::webhooks::planner::{PlanMode, PlanPolicy, plan};
/// use sync_core::jobs::SyncKind;
///
/// let policy = PlanPolicy {
///     endpoints: [Endpoint::LmsCourseProgressions].into(),
///     mode: PlanMode::Planned,
///     blind_full_min_interval: Duration::from_secs(3_600),
/// };
/// let changed = [ModelName::LmsCourses, ModelName::LmsCourseProgressions];
/// let plan = plan(&changed, &policy, None, "2026-01-01T00:00:00Z".parse()?);
/// // Progressions contain the relevant parts of courses, so one call is enough. It is a full fetch, because a delta
/// // may miss progressions in which only the course changed.
/// assert_eq!(plan.fetches.len(), 1);
/// assert_eq!((plan.fetches[0].kind, &*plan.fetches[0].because), (SyncKind::Full, &changed[..]));
/// # Ok::<(), kombo_model::ParseTimestampError>(())
/// ```
pub fn plan(
    changed: &[ModelName],
    policy: &PlanPolicy,
    last_blind_full: Option<Timestamp>,
    now: Timestamp,
) -> SyncPlan {
    let blind_full_from =
        last_blind_full.map(|last| last.saturating_add(policy.blind_full_min_interval)).filter(|from| *from > now);
    let mut plan = SyncPlan::default();
    let categories: BTreeSet<Category> = policy.endpoints.iter().map(|endpoint| endpoint.category()).collect();
    let mut meant = Vec::new();
    for name in changed {
        let is_meant = categories.iter().any(|category| name.may_be_of(*category));
        let list = if is_meant { &mut meant } else { &mut plan.ignored };
        if !list.contains(name) {
            list.push(name.clone());
        }
    }
    for endpoint in &policy.endpoints {
        let reasons = Reasons::of(*endpoint, &meant, policy);
        reasons.add_to(&mut plan, *endpoint, &meant, policy, blind_full_from);
    }
    plan
}

/// The changed models that require a call of an endpoint.
#[derive(Default)]
struct Reasons {
    /// Models with changes that a delta shows.
    visible: Vec<ModelName>,
    /// Models with changes that a delta may miss.
    blind: Vec<ModelName>,
}

impl Reasons {
    fn of(endpoint: Endpoint, changed: &[ModelName], policy: &PlanPolicy) -> Self {
        let mut reasons = Self::default();
        for name in changed.iter().filter(|name| name.may_be_of(endpoint.category())) {
            let models: Vec<Model> = Model::meant_by(name.as_str()).collect();
            let calls = match policy.mode {
                PlanMode::Simple => true,
                PlanMode::Planned => {
                    models.is_empty() || models.iter().any(|model| policy.sources(*model).contains(&endpoint))
                }
            };
            if models.iter().any(|model| policy.is_blind(*model, endpoint)) {
                reasons.blind.push(name.clone());
            } else if calls {
                reasons.visible.push(name.clone());
            }
        }
        reasons
    }

    fn add_to(
        mut self,
        plan: &mut SyncPlan,
        endpoint: Endpoint,
        changed: &[ModelName],
        policy: &PlanPolicy,
        not_before: Option<Timestamp>,
    ) {
        if self.visible.is_empty() && self.blind.is_empty() {
            plan.spared.push(Spared { endpoint, why: why_spared(endpoint, changed, policy) });
        } else if self.blind.is_empty() {
            plan.fetches.push(fetch(endpoint, SyncKind::Delta, self.visible, None));
        } else if not_before.is_none() {
            self.visible.append(&mut self.blind);
            self.visible.sort_by_key(|name| changed.iter().position(|changed| changed == name));
            plan.fetches.push(fetch(endpoint, SyncKind::Full, self.visible, None));
        } else {
            // The full fetch has to wait, so a delta fetches the visible changes first.
            let mut now = self.visible;
            now.extend(self.blind.iter().cloned());
            plan.fetches.push(fetch(endpoint, SyncKind::Delta, now, None));
            plan.fetches.push(fetch(endpoint, SyncKind::Full, self.blind, not_before));
        }
    }
}

fn fetch(endpoint: Endpoint, kind: SyncKind, because: Vec<ModelName>, not_before: Option<Timestamp>) -> PlannedFetch {
    let kind = if endpoint.info().has_updated_after { kind } else { SyncKind::Full };
    PlannedFetch { endpoint, kind, because, not_before }
}

fn why_spared(endpoint: Endpoint, changed: &[ModelName], policy: &PlanPolicy) -> String {
    let fetched_elsewhere: Vec<String> = changed
        .iter()
        .flat_map(|name| Model::meant_by(name.as_str()))
        .filter(|model| model.embedded_by().contains(&endpoint))
        .flat_map(|model| policy.sources(model).into_iter().map(move |source| format!("{model} comes from {source}")))
        .collect();
    if fetched_elsewhere.is_empty() {
        "shows none of the changed models".to_owned()
    } else {
        fetched_elsewhere.join(", ")
    }
}
