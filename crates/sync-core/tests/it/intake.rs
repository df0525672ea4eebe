use std::collections::BTreeSet;
use std::time::Duration;

use kombo_model::{Endpoint, Webhook};
use sync_core::intake::{self, Intake, IntakePolicy};
use sync_core::planner::{PlanMode, PlanPolicy};
use sync_core::port::Clock as _;
use sync_core::types::SyncKind;

use crate::bench::{Bench, id, target};

const INTERVAL: Duration = Duration::from_secs(3_600);

fn hear(bench: &Bench, event: &str, model: &str) -> Intake {
    let json = serde_json::json!({ "id": event, "type": "data-changed", "data": {
        "integration_id": id(), "integration_tool": "sandbox", "integration_category": "LMS",
        "changed_models": [{ "name": model }] } });
    let webhook: Webhook = serde_json::from_value(json).unwrap();
    let endpoints = BTreeSet::from([Endpoint::Users, Endpoint::Courses, Endpoint::CourseProgressions]);
    let plan = PlanPolicy { endpoints, mode: PlanMode::Planned, blind_full_min_interval: INTERVAL };
    let policy = IntakePolicy { plan, accept_unknown: true, look_at_paused_every: INTERVAL };
    let now = bench.clock.now();
    bench.store.edit(|tx| intake::receive(tx, &webhook, &policy, now)).unwrap()
}

#[tokio::test]
async fn a_blind_full_fetch_is_put_off_by_one_interval_however_many_webhooks_come() {
    let bench = Bench::new(&[Endpoint::Users, Endpoint::Courses, Endpoint::CourseProgressions]);
    bench.furnish();
    bench.load().await;
    let courses = target(Endpoint::Courses, SyncKind::Full);
    assert_eq!(hear(&bench, "first", "lms_skills"), Intake::Stored(vec![courses.clone()]));
    assert_eq!(hear(&bench, "first", "lms_skills"), Intake::Repeated);
    let lease = bench.lease(Endpoint::Courses, SyncKind::Full).unwrap();
    assert_eq!(lease.request.target, courses);
    for number in 0..8 {
        hear(&bench, &format!("while it runs {number}"), "lms_skills");
    }
    let state = bench.store.look(|tx| tx.endpoint(&id(), Endpoint::Courses)).unwrap().unwrap();
    let next = state.last_blind_full_at.unwrap();
    assert!(next <= bench.clock.now().saturating_add(INTERVAL), "{next}");
}
