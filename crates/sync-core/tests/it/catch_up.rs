//! Tests of catching up after missed webhooks.

use std::collections::BTreeSet;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId};
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::{EndpointState, QueuedRequest, RequestCause, SyncKind, pause, queue};
use sync_core::ports::{Clock as _, FailureClass, StoreError};
use sync_testkit::lms;

use crate::bench::{Bench, id};

const HOUR: Duration = Duration::from_secs(3_600);

async fn loaded() -> Bench {
    let bench = Bench::new(&[Endpoint::LmsUsers, Endpoint::LmsCourses]);
    bench.furnish();
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    bench.load().await;
    bench
}

fn catch_up(bench: &Bench, integrations: Option<&BTreeSet<IntegrationId>>) -> usize {
    let (endpoints, now) = (bench.endpoints(), bench.clock.now());
    bench.store.edit(|tx| dispatch::catch_up(tx, &endpoints, integrations, now)).unwrap()
}

fn requests(bench: &Bench) -> Vec<QueuedRequest> {
    bench.store.look(|tx| tx.requests()).unwrap()
}

#[tokio::test]
async fn changes_and_deletions_without_a_webhook_arrive() {
    let bench = loaded().await;
    bench.kombo.edit(|lms| lms.rename_user("u1", "Ada"));
    bench.pass(600);
    assert_eq!(catch_up(&bench, None), 2);
    assert!(requests(&bench).iter().all(|request| request.target.kind == SyncKind::Delta));
    bench.pass(1);
    assert_eq!(bench.drain().await.len(), 2);
    bench.assert_mirrors();
}

#[tokio::test]
async fn only_what_is_loaded_and_active_and_named_is_fetched() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    assert_eq!(catch_up(&bench, None), 0, "its load is requested by the schedule");

    let bench = loaded().await;
    assert_eq!(catch_up(&bench, Some(&[IntegrationId::from("sandbox:other")].into())), 0);
    assert_eq!(catch_up(&bench, Some(&[id()].into())), 2);
    bench.pass(1);
    bench.drain().await;
    let now = bench.clock.now();
    pause::pause(&bench.store, &id(), now).await.unwrap();
    assert_eq!(catch_up(&bench, None), 0, "a person paused it");
}

#[tokio::test]
async fn repeating_it_changes_nothing_and_a_failure_goes_on_waiting() {
    let bench = loaded().await;
    bench.kombo.refuse(Endpoint::LmsUsers, FailureClass::Transient);
    bench.delta(Endpoint::LmsUsers).await;
    let failed = requests(&bench);
    assert_eq!(catch_up(&bench, None), 2);
    let once = requests(&bench);
    assert_eq!(
        once.iter().find(|request| request.target == failed[0].target).unwrap().not_before,
        failed[0].not_before
    );
    assert_eq!(catch_up(&bench, None), 2);
    let due = |requests: &[QueuedRequest]| -> Vec<_> {
        requests.iter().map(|request| (request.target.clone(), request.not_before, request.attempts)).collect()
    };
    assert_eq!(due(&requests(&bench)), due(&once));
}

#[tokio::test]
async fn a_fleet_catches_up_step_by_step_and_a_webhook_need_not_wait() {
    let bench = loaded().await;
    let (now, endpoints) = (bench.clock.now(), bench.endpoints());
    let ids: BTreeSet<_> = (0..100).map(|number| IntegrationId::from(format!("sandbox:{number}"))).collect();
    bench
        .store
        .edit(|tx| {
            dispatch::register(tx, &lms(ids.iter().cloned()), now)?;
            for id in &ids {
                tx.put_endpoint(&EndpointState {
                    loaded_at: Some(now),
                    ..EndpointState::new(id.clone(), Endpoint::LmsUsers)
                })?;
            }
            dispatch::catch_up(tx, &endpoints, Some(&ids), now)?;
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let times: BTreeSet<_> = requests(&bench).iter().map(|request| request.not_before).collect();
    assert_eq!(times.len(), 100, "none is due together with another");
    assert!(times.last().unwrap().since(now) < Duration::from_secs(10));

    let last = requests(&bench).into_iter().max_by_key(|request| request.not_before).unwrap();
    let told = bench.store.edit(|tx| queue::request(tx, last.target.clone(), RequestCause::Webhook, now, now)).unwrap();
    assert_eq!(told.not_before, now);
}

#[test]
fn endpoints_that_were_loaded_together_are_not_polled_together() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    let (now, endpoints) = (bench.clock.now(), bench.endpoints());
    let ids: BTreeSet<_> = (0..100).map(|number| IntegrationId::from(format!("sandbox:{number}"))).collect();
    bench
        .store
        .edit(|tx| {
            dispatch::register(tx, &lms(ids.iter().cloned()), now)?;
            for id in &ids {
                let state = EndpointState::new(id.clone(), Endpoint::LmsUsers);
                let (loaded_at, last_full_at) = (Some(now), Some(now));
                let next_full_at = Some(now.saturating_add(HOUR * 24));
                tx.put_endpoint(&EndpointState { loaded_at, last_full_at, next_full_at, ..state })?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let policy =
        SchedulePolicy { endpoints, poll_every: Some(HOUR * 8), full_every: HOUR * 24 * 7, look_at_paused_every: HOUR };
    let due_at = |time: Duration| {
        bench.store.edit(|tx| dispatch::schedule(tx, &policy, now.saturating_add(time))).unwrap().requests
    };
    assert_eq!(due_at(HOUR * 7), 0, "none is an eighth early");
    let in_between = due_at(HOUR * 15 / 2);
    assert!((20..80).contains(&in_between), "{in_between} of 100 in half the time");
    assert_eq!(due_at(HOUR * 8), 100 - in_between, "none is late");
}
