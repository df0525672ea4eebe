use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, ModelName, Timestamp, Webhook, WebhookEvent};
use proptest::prelude::*;
use serde_json::json;
use sync_core::jobs::dispatch;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, QueuedRequest, RequestCause, SyncKind, Target};
use sync_core::ports::{Clock as _, Lock, LockMode, StoreError, Tx};
use sync_core::rows::Model;
use sync_core::webhooks::planner::{self, PlanMode, PlanPolicy};
use sync_core::webhooks::{self, Received, WebhookPolicy, integration_of, plan_pending, read};
use sync_testkit::lms;
use sync_testkit::{ManualClock, MemoryStore};

use crate::bench::{Bench, USUAL, id, target};
use crate::finish;

const INTERVAL: Duration = Duration::from_secs(3_600);

fn hear(bench: &Bench, event: &str, model: &str) -> Received {
    hear_with(&policy(), bench, event, model)
}

fn hear_with(policy: &WebhookPolicy, bench: &Bench, event: &str, model: &str) -> Received {
    let json = serde_json::json!({ "id": event, "type": "data-changed", "data": {
        "integration_id": id(), "integration_tool": "sandbox", "integration_category": "LMS",
        "changed_models": [{ "name": model }] } });
    let webhook: Webhook = serde_json::from_value(json).unwrap();
    let now = bench.clock.now();
    finish(webhooks::receive(&bench.store, &webhook, policy, now)).unwrap()
}

async fn loaded() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench
}

#[tokio::test]
async fn a_blind_full_fetch_is_put_off_by_one_interval_however_many_webhooks_come() {
    let bench = loaded().await;
    let courses = target(Endpoint::LmsCourses, SyncKind::Full);
    assert_eq!(hear(&bench, "first", "lms_skills"), Received::Stored(vec![courses.clone()]));
    assert_eq!(hear(&bench, "first", "lms_skills"), Received::Repeated);
    let lease = bench.lease(Endpoint::LmsCourses, SyncKind::Full).unwrap();
    assert_eq!(lease.request.target, courses);
    for number in 0..8 {
        hear(&bench, &format!("while it runs {number}"), "lms_skills");
    }
    let state = bench.store.look(|tx| tx.endpoint(&id(), Endpoint::LmsCourses)).unwrap().unwrap();
    let next = state.last_blind_full_at.unwrap();
    assert!(next <= bench.clock.now().saturating_add(INTERVAL), "{next}");
}

/// A person may start a waiting fetch early while webhooks keep arriving. No fetch waits longer because of that.
#[tokio::test]
async fn a_blind_full_fetch_that_went_ahead_puts_off_no_other() {
    let bench = loaded().await;
    let courses = target(Endpoint::LmsCourses, SyncKind::Full);
    for round in 0..4 {
        hear(&bench, &round.to_string(), "lms_skills");
        let waiting = bench.store.look(|tx| tx.request(&courses, LockMode::Wait).map(Lock::locked)).unwrap().unwrap();
        let latest = bench.clock.now().saturating_add(INTERVAL);
        assert!(waiting.not_before <= latest, "round {round}: {} > {latest}", waiting.not_before);
        bench.drain().await;
        bench.full(Endpoint::LmsCourses).await;
        assert_eq!(bench.store.look(|tx| tx.request(&courses, LockMode::Wait).map(Lock::locked)).unwrap(), None);
        bench.clock.advance(Duration::from_secs(60));
    }
}

/// According to the API reference, a delta of progressions does not show that a user, a revision or a course was
/// renamed.
#[tokio::test]
async fn renames_arrive_where_only_progressions_are_fetched() {
    let bench = Bench::new(&[Endpoint::LmsCourseProgressions]);
    bench.furnish();
    bench.load().await;
    bench.kombo.edit(|lms| {
        lms.rename_user("u1", "Grace");
        lms.update_revision("r1", |revision| revision.title = Some("Renamed".to_owned()));
    });
    bench.pass(3_600);
    let plan = bench.policy.plan.clone();
    let policy = WebhookPolicy { plan, accept_unknown: true, look_at_paused_every: INTERVAL };
    for model in ["lms_users", "lms_course_revisions"] {
        hear_with(&policy, &bench, model, model);
    }
    bench.drain().await;
    assert_eq!(bench.text(Model::LmsUsers, "u1", "first_name").as_deref(), Some("Grace"));
    assert_eq!(bench.text(Model::LmsCourseRevisions, "r1", "title").as_deref(), Some("Renamed"));
    bench.assert_mirrors();
}

pub(crate) fn policy() -> WebhookPolicy {
    let endpoints = BTreeSet::from([Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions]);
    let plan = PlanPolicy { endpoints, mode: PlanMode::Planned, blind_full_min_interval: INTERVAL };
    WebhookPolicy { plan, accept_unknown: true, look_at_paused_every: INTERVAL }
}

/// Returns a webhook of any kind about one of two integrations. Several may have the same id.
fn any_webhook() -> impl Strategy<Value = Webhook> {
    const MODELS: [&str; 7] = [
        "lms_users",
        "lms_courses",
        "lms_skills",
        "lms_course_providers",
        "lms_course_progressions",
        "lms_of_tomorrow",
        "hris_employees",
    ];
    let models = prop::sample::subsequence(MODELS.to_vec(), 0..=3);
    let kinds = prop_oneof![
        12 => models.prop_map(|models| ("data-changed", json!({ "changed_models": models.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() }))),
        1 => Just(("integration-created", json!({}))),
        1 => Just(("integration-deleted", json!({ "deleted_at": "2026-01-01T00:00:00Z" }))),
        1 => Just(("integration-state-changed", json!({ "state": "INVALID" }))),
        1 => Just(("integration-state-changed", json!({ "state": "ACTIVE" }))),
        1 => Just(("sync-finished", json!({ "sync_id": "1", "sync_state": "SUCCEEDED" }))),
        1 => Just(("of-tomorrow", json!({}))),
    ];
    let (ids, integrations) = (0..40_u8, prop::sample::select(vec!["sandbox:a", "sandbox:b"]));
    (kinds, ids, integrations, any::<bool>()).prop_map(|((kind, mut data), id, integration, tool)| {
        let tool = if tool { "sandbox" } else { "another" };
        for (key, value) in
            [("id", integration), ("integration_id", integration), ("tool", tool), ("integration_tool", tool)]
        {
            data[key] = json!(value);
        }
        for key in ["integration_category", "category"] {
            data[key] = json!("LMS");
        }
        read(json!({ "id": id.to_string(), "type": kind, "data": data }).to_string().as_bytes())
    })
}

/// Prepares a store: loaded endpoints, and fetches that a worker has leased.
fn furnish(store: &MemoryStore, loaded: &BTreeSet<Endpoint>, leased: &BTreeSet<Endpoint>, now: Timestamp) {
    let edit = |tx: &mut dyn Tx| {
        dispatch::register(tx, &lms([id()]), now)?;
        for endpoint in loaded {
            let mut state = queue::state(tx, &id(), *endpoint)?;
            state.loaded_at = Some(now);
            tx.put_endpoint(&state)?;
        }
        for endpoint in leased {
            let wanted = queue::request(tx, target(*endpoint, SyncKind::Delta), RequestCause::Poll, now, now)?;
            let token = LeaseToken(endpoint.to_string());
            let claim =
                Claim { owner: "somebody".to_owned(), token, ttl: Duration::from_secs(30), longest_wait: INTERVAL };
            queue::lease_target(tx, &wanted.target, &claim, now)?;
        }
        Ok::<_, StoreError>(())
    };
    store.edit(edit).unwrap();
}

/// Whether one more fetch will follow the current one.
fn again(request: &QueuedRequest) -> bool {
    request.lease.as_ref().is_some_and(|held| held.generation != request.generation)
}

/// Whether one of `by` requests the same fetch, no later, or a full fetch if no webhook needs the delta alone. Repeated
/// webhooks need nothing.
fn is_covered(request: &QueuedRequest, by: &[QueuedRequest], webhooks: &[Arc<Webhook>]) -> bool {
    let everything = Target { kind: SyncKind::Full, ..request.target.clone() };
    let mut ids = BTreeSet::new();
    let needs_delta = webhooks.iter().filter(|webhook| ids.insert(webhook.id.clone())).any(|webhook| {
        let WebhookEvent::DataChanged(data) = &webhook.event else { return false };
        let names: Vec<ModelName> = data.changed_models.iter().map(|model| model.name.clone()).collect();
        let fetches = planner::plan(&names, &policy().plan, None, request.requested_at).fetches;
        data.integration_id == everything.integration_id
            && fetches.iter().any(|fetch| fetch.endpoint == everything.endpoint && fetch.kind == SyncKind::Delta)
    });
    by.iter().any(|other| {
        (request.target == other.target || !needs_delta && other.target == everything)
            && other.not_before <= request.not_before
            // A fetch that has not begun covers all requests.
            && (other.lease.is_none() || again(other) || !again(request))
    })
}

proptest! {
    /// However webhooks are divided into transactions, the result is the same: no additional, missing or later fetches
    /// compared with storing them one by one.
    #[test]
    fn together_is_as_good_as_one_by_one(
        webhooks in prop::collection::vec(any_webhook(), 1..24),
        parts in prop::collection::vec(1..6_usize, 24),
        loaded in prop::collection::btree_set(prop::sample::select(USUAL.to_vec()), 0..=3),
        leased in prop::collection::btree_set(prop::sample::select(USUAL.to_vec()), 0..=2),
    ) {
        let (alone, together) = (MemoryStore::new(), MemoryStore::new());
        let (policy, now) = (policy(), ManualClock::default().now());
        furnish(&alone, &loaded, &leased, now);
        furnish(&together, &loaded, &leased, now);
        let one_by_one: Vec<Received> = webhooks
            .iter()
            .map(|webhook| finish(webhooks::receive(&alone, webhook, &policy, now)).unwrap())
            .collect();
        let webhooks: Vec<Arc<Webhook>> = webhooks.into_iter().map(Arc::new).collect();
        let (mut rest, mut all) = (webhooks.as_slice(), Vec::new());
        for part in parts {
            let (some, others) = rest.split_at(part.min(rest.len()));
            let (some, at_once) = (some.to_vec(), part);
            all.extend(finish(webhooks::append(&together, || some, now)).unwrap());
            for (integration, _) in together.look(|tx| tx.integrations_with_pending_webhooks(9)).unwrap() {
                while !finish(plan_pending(&together, integration.clone(), at_once, Arc::new(policy.clone()), now))
                    .unwrap()
                    .is_empty()
                {}
            }
            rest = others;
        }
        let is_new: Vec<bool> = one_by_one.iter().map(|intake| *intake != Received::Repeated).collect();
        prop_assert_eq!(all, is_new);
        prop_assert_eq!(alone.webhooks(), together.webhooks());
        let state = |store: &MemoryStore| {
            store.look(|tx| Ok::<_, StoreError>((tx.integrations()?, tx.endpoints(None)?, tx.requests()?))).unwrap()
        };
        let ((integrations, endpoints, requests), (others, other_endpoints, other_requests)) =
            (state(&alone), state(&together));
        prop_assert_eq!(integrations, others);
        prop_assert_eq!(endpoints, other_endpoints);
        for request in &requests {
            prop_assert!(is_covered(request, &other_requests, &webhooks), "{request:?} {other_requests:?}");
        }
        for request in &other_requests {
            let same = requests.iter().find(|other| other.target == request.target);
            prop_assert!(same.is_some_and(|same| again(same) || !again(request)), "{request:?} {requests:?}");
        }
    }
}

#[test]
fn only_what_may_change_something_is_planned() {
    let webhook = |kind: &str, category: &str, integration: &str| {
        let mut data = json!({ "id": integration, "integration_id": integration, "tool": "sandbox",
            "integration_tool": "sandbox", "integration_category": category, "category": category, "state": "ACTIVE" });
        if kind == "data-changed" {
            data["changed_models"] = json!([]);
        }
        read(json!({ "id": "1", "type": kind, "data": data }).to_string().as_bytes())
    };
    for kind in ["data-changed", "integration-created", "integration-deleted", "integration-state-changed"] {
        assert_eq!(integration_of(&webhook(kind, "LMS", "sandbox:a")), Some(id()), "{kind}");
        assert_eq!(integration_of(&webhook(kind, "ASSESSMENT", "sandbox:a")), None, "{kind}");
        assert_eq!(integration_of(&webhook(kind, "LMS", " ")), None, "{kind}");
    }
    assert_eq!(integration_of(&webhook("of-tomorrow", "LMS", "sandbox:a")), None);
}
