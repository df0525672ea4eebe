use std::time::Duration;

use kombo_model::{Endpoint, Webhook};
use serde_json::{Value, json};
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::pause::{self, PauseOutcome};
use sync_core::jobs::queue;
use sync_core::jobs::{Eligible, IntegrationStatus, Lease, LeasedTx, SyncKind};
use sync_core::ports::Clock as _;
use sync_core::webhooks::{self, Received, WebhookPolicy};
use sync_testkit::lms;

use crate::bench::{Bench, id, target};
use crate::finish;

const HOUR: Duration = Duration::from_secs(3_600);

fn hear(bench: &Bench, event: &str, kind: &str, data: &Value) -> Received {
    let mut data = data.clone();
    for (key, value) in [("integration_id", json!(id())), ("integration_tool", json!("sandbox"))] {
        data[key] = value;
    }
    data["integration_category"] = json!("LMS");
    let webhook: Webhook = serde_json::from_value(json!({ "id": event, "type": kind, "data": data })).unwrap();
    let policy = WebhookPolicy { plan: bench.policy.plan.clone(), accept_unknown: true, look_at_paused_every: HOUR };
    let now = bench.clock.now();
    finish(webhooks::receive(&bench.store, &webhook, &policy, now)).unwrap()
}

fn status(bench: &Bench) -> IntegrationStatus {
    bench.store.look(|tx| tx.integration(&id())).unwrap().unwrap().status
}

fn next(bench: &Bench) -> Option<Lease> {
    let (claim, eligible, now) = (bench.claim(), Eligible::all([Endpoint::LmsUsers].into()), bench.clock.now());
    bench.store.edit(|tx| queue::lease_next(tx, &claim, &eligible, now)).unwrap()
}

fn pause(bench: &Bench) -> PauseOutcome {
    let now = bench.clock.now();
    finish(pause::pause(&bench.store, &id(), now)).unwrap()
}

fn resume(bench: &Bench) -> PauseOutcome {
    let now = bench.clock.now();
    finish(pause::resume(&bench.store, &id(), &[Endpoint::LmsUsers].into(), now)).unwrap()
}

async fn loaded() -> Bench {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    bench.load().await;
    bench
}

#[tokio::test]
async fn what_a_person_paused_stays_so_whatever_is_heard_of_it() {
    let bench = loaded().await;
    assert_eq!(
        (resume(&bench), pause(&bench), pause(&bench)),
        (PauseOutcome::Already, PauseOutcome::Done, PauseOutcome::Already)
    );

    let changed = json!({ "changed_models": [{ "name": "lms_users" }] });
    assert_eq!(
        hear(&bench, "1", "data-changed", &changed),
        Received::Stored(vec![target(Endpoint::LmsUsers, SyncKind::Delta)]),
        "it waits, and is not forgotten"
    );
    for (event, state) in [("2", "INVALID"), ("3", "ACTIVE")] {
        hear(&bench, event, "integration-state-changed", &json!({ "qualified_integration_id": id(), "state": state }));
    }
    bench.pass(40 * 86_400);
    let policy = SchedulePolicy {
        endpoints: [Endpoint::LmsUsers].into(),
        poll_every: Some(HOUR),
        full_every: HOUR * 24 * 7,
        look_at_paused_every: HOUR,
    };
    let now = bench.clock.now();
    assert_eq!(bench.store.edit(|tx| dispatch::schedule(tx, &policy, now)).unwrap().requests, 0);
    assert_eq!((status(&bench), next(&bench)), (IntegrationStatus::Held, None));

    // A person may still request a fetch, and its result does not change the pause.
    assert!(bench.attempt(Endpoint::LmsUsers, SyncKind::Delta).await.unwrap().outcome.is_complete());
    assert_eq!(status(&bench), IntegrationStatus::Held);

    assert_eq!(resume(&bench), PauseOutcome::Done);
    assert_eq!(status(&bench), IntegrationStatus::Active);
    assert_eq!(next(&bench).unwrap().request.target, target(Endpoint::LmsUsers, SyncKind::Delta));
}

#[tokio::test]
async fn who_works_on_what_is_paused_loses_the_lease() {
    let bench = loaded().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    pause(&bench);
    let now = bench.clock.now();
    let held = bench.store.edit(|tx| LeasedTx::assert_lease(tx, &lease, now, HOUR).map(drop));
    assert!(held.is_err(), "{held:?}");
    resume(&bench);
    let kinds: Vec<_> = std::iter::from_fn(|| {
        let lease = next(&bench)?;
        let now = bench.clock.now();
        bench.store.edit(|tx| queue::finish(tx, &lease, now)).unwrap();
        Some(lease.request.target.kind)
    })
    .collect();
    assert_eq!(kinds, [SyncKind::Delta, SyncKind::Full], "what was under way goes on");
}

#[tokio::test]
async fn what_is_deleted_or_unknown_is_neither_paused_nor_resumed() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    assert_eq!((pause(&bench), resume(&bench)), (PauseOutcome::Unknown, PauseOutcome::Unknown));
    let bench = loaded().await;
    pause(&bench);
    hear(&bench, "1", "integration-deleted", &json!({ "id": id(), "tool": "sandbox", "category": "LMS" }));
    assert_eq!(status(&bench), IntegrationStatus::Deleted, "there is nothing left to resume");
    assert_eq!((pause(&bench), resume(&bench)), (PauseOutcome::Unknown, PauseOutcome::Unknown));
}
