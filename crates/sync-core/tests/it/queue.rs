use std::collections::BTreeSet;
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{
    Eligible, EndpointState, EndpointStatus, Lease, LeaseToken, LeasedTx, QueuedRequest, RequestCause, SyncKind,
    Target, dispatch, pause,
};
use sync_core::ports::{FailureClass, Lock, LockMode, Tx};
use sync_core::pull::RunOutcome;
use sync_testkit::lms;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, id, target};
use crate::finish;

const TTL: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap()
}

fn claim(token: &str) -> Claim {
    Claim {
        owner: format!("worker of {token}"),
        token: LeaseToken(token.to_owned()),
        ttl: TTL,
        longest_wait: LONGEST_WAIT,
    }
}

fn users() -> Eligible {
    Eligible::all([Endpoint::LmsUsers].into())
}

/// Returns a bench with loaded users.
async fn loaded() -> Bench {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.load().await;
    bench.clock.set(at(0));
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), at(0))).unwrap();
    bench
}

/// Operations on the requests of one endpoint, at times in seconds.
trait Queue {
    fn request(&self, kind: SyncKind, cause: RequestCause, not_before: i64, now: i64) -> QueuedRequest;
    fn take(&self, kind: SyncKind, token: &str, now: i64) -> Option<Lease>;
    fn waiting(&self, kind: SyncKind) -> Option<QueuedRequest>;
}

impl Queue for Bench {
    fn request(&self, kind: SyncKind, cause: RequestCause, not_before: i64, now: i64) -> QueuedRequest {
        let target = target(Endpoint::LmsUsers, kind);
        self.store.edit(|tx| queue::request(tx, target, cause, at(not_before), at(now))).unwrap()
    }

    fn take(&self, kind: SyncKind, token: &str, now: i64) -> Option<Lease> {
        let target = target(Endpoint::LmsUsers, kind);
        self.store.edit(|tx| queue::lease_target(tx, &target, &claim(token), at(now))).unwrap()
    }

    fn waiting(&self, kind: SyncKind) -> Option<QueuedRequest> {
        self.store.look(|tx| tx.request(&target(Endpoint::LmsUsers, kind), LockMode::Wait).map(Lock::locked)).unwrap()
    }
}

#[tokio::test]
async fn requests_that_wait_lead_to_one_fetch() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    let request = bench.request(SyncKind::Delta, RequestCause::Poll, 5, 5);
    assert_eq!((request.requested_at, request.not_before, request.cause), (at(0), at(0), RequestCause::Webhook));
    bench.pass(10);
    assert_eq!(bench.drain().await.len(), 1);
}

#[tokio::test]
async fn a_request_during_a_fetch_leads_to_one_more_after_it() {
    let bench = loaded().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Delta).unwrap();
    // The fetch must have begun: a request before its first page is part of it.
    let (engine, stop) = (bench.engine(), CancellationToken::new());
    let mut work = std::pin::pin!(engine.work(&lease, &stop));
    let begun = bench.kombo.pages();
    while bench.kombo.pages() == begun {
        assert!(crate::engine::futures_poll(work.as_mut()).await.is_none());
    }
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    assert!(work.await.unwrap().run.outcome.is_complete());
    let request = bench.waiting(SyncKind::Delta).expect("one more is due");
    assert_eq!((request.lease, request.attempts), (None, 0));
    assert_eq!(bench.drain().await.len(), 1);
}

/// Changes that are requested between two attempts may be on pages that the fetch has passed.
#[tokio::test]
async fn a_request_between_two_attempts_leads_to_one_more_fetch() {
    let bench = loaded().await;
    bench.pass(7_200);
    bench.kombo.edit(|lms| (0..8).for_each(|user| lms.rename_user(&format!("u{user}"), "Grace")));
    bench.kombo.fail_page(2, FailureClass::Transient);
    assert_eq!(bench.delta(Endpoint::LmsUsers).await.outcome, RunOutcome::Failed);
    bench.kombo.edit(|lms| lms.rename_user("u0", "Hedy"));
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    bench.pass(60);
    let runs = bench.drain().await;
    assert_eq!(runs.len(), 2);
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_person_is_not_kept_waiting() {
    let bench = loaded().await;
    bench.kombo.refuse(Endpoint::LmsUsers, FailureClass::KeyRejected);
    bench.delta(Endpoint::LmsUsers).await;
    assert!(bench.waiting(SyncKind::Delta).unwrap().not_before > at(3_000));
    let request = bench.request(SyncKind::Delta, RequestCause::Command, 2, 2);
    assert_eq!((request.not_before, request.attempts), (at(2), 0));
}

/// Kombo has set the wait. Otherwise a busy integration would send a request for every webhook.
#[tokio::test]
async fn a_webhook_does_not_cut_a_wait_short() {
    let bench = loaded().await;
    bench.kombo.refuse(Endpoint::LmsUsers, FailureClass::Transient);
    bench.delta(Endpoint::LmsUsers).await;
    let waiting = bench.waiting(SyncKind::Delta).unwrap();
    let request = bench.request(SyncKind::Delta, RequestCause::Webhook, 1, 1);
    assert_eq!((request.not_before, request.attempts), (waiting.not_before, 1));
    assert_eq!(request.generation, waiting.generation + 1, "it is heard all the same");
}

#[tokio::test]
async fn a_webhook_says_that_something_changed() {
    for (class, waits) in
        [(FailureClass::SetupPending, 900), (FailureClass::ModelUnavailable, 3_600), (FailureClass::Unintelligible, 10)]
    {
        let bench = loaded().await;
        bench.kombo.refuse(Endpoint::LmsUsers, class);
        bench.delta(Endpoint::LmsUsers).await;
        assert!(bench.waiting(SyncKind::Delta).unwrap().not_before >= at(waits));
        let poll = bench.request(SyncKind::Delta, RequestCause::Poll, 1, 1);
        assert!(poll.not_before >= at(waits));
        let request = bench.request(SyncKind::Delta, RequestCause::Webhook, 1, 1);
        assert_eq!((request.not_before, request.attempts), (at(1), 0));
    }
}

/// Until the first load has ended, only full fetches can be requested. After it, a delta suffices.
#[tokio::test]
async fn a_request_during_a_first_load_leads_to_a_delta_after_it() {
    let bench = Bench::new(&[Endpoint::LmsUsers, Endpoint::LmsCourses]);
    bench.furnish();
    for (endpoint, kind) in [(Endpoint::LmsUsers, SyncKind::Delta), (Endpoint::LmsCourses, SyncKind::Full)] {
        bench.ask(endpoint, SyncKind::Delta);
        let lease = bench.lease(endpoint, SyncKind::Full).unwrap();
        let (engine, stop) = (bench.engine(), CancellationToken::new());
        let mut work = std::pin::pin!(engine.work(&lease, &stop));
        let begun = bench.kombo.pages();
        while bench.kombo.pages() == begun {
            assert!(crate::engine::futures_poll(work.as_mut()).await.is_none());
        }
        bench.ask(endpoint, SyncKind::Delta);
        assert!(work.await.unwrap().run.first_load);
        let waiting = bench.store.look(|tx| tx.requests()).unwrap();
        let waiting: Vec<_> = waiting.into_iter().map(|request| request.target).collect();
        assert_eq!(waiting, [target(endpoint, kind)], "what a delta may not show needs a full fetch");
        bench.drain().await;
    }
    bench.assert_mirrors();
}

#[tokio::test]
async fn one_endpoint_is_worked_on_by_one_lease() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    bench.request(SyncKind::Full, RequestCause::Schedule, 0, 0);
    let full = bench.take(SyncKind::Full, "a", 0).unwrap();
    assert_eq!(bench.take(SyncKind::Full, "b", 1), None);
    assert_eq!(bench.take(SyncKind::Delta, "b", 1), None, "its sibling is held");
    let next = |now| bench.store.edit(|tx| queue::lease_next(tx, &claim("c"), &users(), at(now))).unwrap();
    assert_eq!(next(29), None);
    let delta = next(30).expect("the lease expired");
    assert_eq!(delta.request.target.kind, SyncKind::Delta);
    // No other worker took the full fetch, but its former worker must not continue in parallel with the delta.
    let hold = |lease: &Lease| bench.store.edit(|tx| LeasedTx::assert_lease(tx, lease, at(31), TTL).map(drop));
    assert!(matches!(hold(&full), Err(SyncError::LeaseLost(_))));
    assert!(hold(&delta).is_ok());
}

#[tokio::test]
async fn a_lease_is_lost_with_its_token() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    let first = bench.take(SyncKind::Delta, "a", 0).unwrap();
    let second = bench.take(SyncKind::Delta, "b", 30).unwrap();
    let lost = |result: Result<(), SyncError>| assert!(matches!(result, Err(SyncError::LeaseLost(_))), "{result:?}");
    lost(bench.store.edit(|tx| LeasedTx::assert_lease(tx, &first, at(31), TTL).map(drop)));
    lost(bench.store.edit(|tx| queue::finish(tx, &first, at(31)).map(drop)));
    lost(bench.store.edit(|tx| queue::release(tx, &first, at(31), true, at(31)).map(drop)));
    assert_eq!(bench.waiting(SyncKind::Delta), Some(second.request.clone()));
    bench.store.edit(|tx| queue::finish(tx, &second, at(31))).unwrap();
    assert_eq!(bench.waiting(SyncKind::Delta), None);
    lost(bench.store.edit(|tx| LeasedTx::assert_lease(tx, &second, at(32), TTL).map(drop)));
}

#[tokio::test]
async fn a_lease_is_extended_and_never_shortened() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    let lease = bench.take(SyncKind::Delta, "a", 0).unwrap();
    let until = |now, ttl| {
        let leased = |tx: &mut dyn Tx| Ok(LeasedTx::assert_lease(tx, &lease, at(now), ttl)?.leased().clone());
        let request = bench.store.edit::<_, SyncError>(leased).unwrap();
        request.lease.unwrap().expires_at
    };
    assert_eq!(until(10, TTL), at(40));
    assert_eq!(until(20, Duration::ZERO), at(40));
    assert_eq!(until(5, TTL), at(40), "the clock was set back");
}

#[tokio::test]
async fn the_leases_of_the_dead_are_released() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    let lease = bench.take(SyncKind::Delta, "a", 0).unwrap();
    let released = bench.store.edit(|tx| queue::release_abandoned(tx, |owner| owner == "somebody else")).unwrap();
    assert!(released.is_empty());
    let released = bench.store.edit(|tx| queue::release_abandoned(tx, |owner| owner == "worker of a")).unwrap();
    assert_eq!(released, std::slice::from_ref(&lease.request.target));
    let again = bench.take(SyncKind::Delta, "b", 1).expect("nobody holds it");
    assert_eq!(again.request.attempts, 0, "a death is no failure");
}

#[tokio::test]
async fn released_work_waits_for_its_time() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    let lease = bench.take(SyncKind::Delta, "a", 0).unwrap();
    bench.store.edit(|tx| queue::release(tx, &lease, at(60), true, at(1))).unwrap();
    let next = |now| bench.store.edit(|tx| queue::lease_next(tx, &claim("b"), &users(), at(now))).unwrap();
    assert_eq!(next(59), None);
    assert_eq!(next(60).unwrap().request.attempts, 1);
}

/// Requests a fetch of a registered integration, due at time zero.
fn request_of(bench: &Bench, id: &str, endpoint: Endpoint, kind: SyncKind) -> Target {
    let target = Target { integration_id: IntegrationId::from(id), endpoint, kind };
    let (id, new) = (target.integration_id.clone(), target.clone());
    bench
        .store
        .edit(|tx| {
            dispatch::register(tx, &lms([id]), at(0))?;
            let state = EndpointState { loaded_at: Some(at(0)), ..queue::state(tx, &new.integration_id, endpoint)? };
            tx.put_endpoint(&state)?;
            queue::request(tx, new, RequestCause::Schedule, at(0), at(0))
        })
        .unwrap();
    target
}

fn lease_next(bench: &Bench, token: &str, eligible: &Eligible, now: i64) -> Option<Target> {
    let lease = bench.store.edit(|tx| queue::lease_next(tx, &claim(token), eligible, at(now)));
    lease.unwrap().map(|lease| lease.request.target)
}

#[tokio::test]
async fn work_of_integrations_that_are_not_worked_on_is_put_off_and_hides_nothing() {
    let bench = loaded().await;
    let paused: Vec<Target> = (0..300)
        .map(|number| {
            let target = request_of(&bench, &format!("paused:{number}"), Endpoint::LmsUsers, SyncKind::Delta);
            finish(pause::pause(&bench.store, &target.integration_id, at(0))).unwrap();
            target
        })
        .collect();
    let unknown = Target { integration_id: IntegrationId::from("unknown"), ..paused[0].clone() };
    put(&bench, &QueuedRequest { target: unknown, ..stored(&bench, &paused[0]) });
    bench.request(SyncKind::Full, RequestCause::Schedule, 1, 1);
    let ours = target(Endpoint::LmsUsers, SyncKind::Full);
    assert_eq!(lease_next(&bench, "a", &users(), 1), Some(ours));
    assert_eq!(lease_next(&bench, "b", &users(), 2), None);
    let due = |now| {
        let horizon = claim("").horizon(at(now));
        let requests = bench.store.look(|tx| tx.requests()).unwrap();
        requests.into_iter().filter(|request| request.lease.is_none() && horizon.is_due(request.not_before)).count()
    };
    assert_eq!((due(3_601), due(3_602)), (0, 301), "they are looked at again after an hour");
    // A person may resume an integration at any time.
    let resumed = &paused[7];
    finish(pause::resume(&bench.store, &resumed.integration_id, &BTreeSet::new(), at(3))).unwrap();
    assert_eq!(lease_next(&bench, "c", &users(), 3).as_ref(), Some(resumed));
}

fn stored(bench: &Bench, target: &Target) -> QueuedRequest {
    bench.store.look(|tx| tx.request(target, LockMode::Wait)).unwrap().locked().unwrap()
}

fn put(bench: &Bench, request: &QueuedRequest) {
    bench.store.edit(|tx| tx.put_request(request)).unwrap();
}

#[tokio::test]
async fn an_integration_at_its_share_waits_only_for_others() {
    let bench = loaded().await;
    bench.request(SyncKind::Delta, RequestCause::Webhook, 0, 0);
    bench.request(SyncKind::Full, RequestCause::Schedule, 0, 0);
    let mut eligible = users();
    eligible.at_share.insert((SyncKind::Delta, id()));
    assert_eq!(
        lease_next(&bench, "a", &eligible, 1),
        Some(target(Endpoint::LmsUsers, SyncKind::Delta)),
        "it is the only one"
    );
    bench.store.edit(|tx| queue::release_abandoned(tx, |_| true)).unwrap();
    let other = request_of(&bench, "sandbox:b", Endpoint::LmsUsers, SyncKind::Delta);
    assert_eq!(lease_next(&bench, "b", &eligible, 1), Some(other));
    let full = target(Endpoint::LmsUsers, SyncKind::Full);
    assert_eq!(lease_next(&bench, "c", &eligible, 1), Some(full), "its share of deltas says nothing of full fetches");
}

#[tokio::test]
async fn what_is_not_eligible_is_passed_over() {
    let bench = loaded().await;
    for (number, kind) in (0..200).flat_map(|number| SyncKind::ALL.iter().map(move |kind| (number, *kind))) {
        request_of(&bench, &format!("sandbox:{number}"), Endpoint::LmsCourses, kind);
    }
    let full = request_of(&bench, "sandbox:0", Endpoint::LmsUsers, SyncKind::Full);
    let delta = request_of(&bench, "sandbox:1", Endpoint::LmsUsers, SyncKind::Delta);
    let failed = request_of(&bench, "sandbox:2", Endpoint::LmsUsers, SyncKind::Delta);
    put(&bench, &QueuedRequest { attempts: 1, ..stored(&bench, &failed) });
    let of = |kinds: &[SyncKind], retries| Eligible { kinds: kinds.to_vec(), retries, ..users() };
    let (deltas, all, full_first) =
        ([SyncKind::Delta], [SyncKind::Delta, SyncKind::Full], [SyncKind::Full, SyncKind::Delta]);
    assert_eq!(lease_next(&bench, "a", &of(&full_first, false), 1), Some(full), "it is preferred");
    assert_eq!(lease_next(&bench, "b", &of(&all, false), 1), Some(delta));
    assert_eq!(lease_next(&bench, "c", &of(&all, false), 1), None);
    assert_eq!(lease_next(&bench, "d", &of(&deltas, true), 1), Some(failed));
}

/// Only the owner of the lease says that its fetch waits, and no other status is hidden.
#[tokio::test]
async fn a_fetch_that_waits_shows_it_until_it_ends() {
    let bench = loaded().await;
    let note = |owner: &str, now: i64| {
        let reason = format!("noted at {now}");
        let edit = |tx: &mut dyn Tx| queue::note_wait(tx, owner, (&id(), Endpoint::LmsUsers), reason, at(now));
        bench.store.edit(edit).unwrap();
        let state = bench.state(Endpoint::LmsUsers);
        (state.status, state.reason)
    };
    assert_eq!(note("worker of a", 1), (EndpointStatus::Ok, None), "nobody fetches it");
    bench.request(SyncKind::Delta, RequestCause::Webhook, 2, 2);
    let lease = bench.take(SyncKind::Delta, "a", 2).unwrap();
    assert_eq!(note("another worker", 3), (EndpointStatus::Ok, None));
    let noted = |now: i64| (EndpointStatus::Retrying, Some(format!("noted at {now}")));
    assert_eq!(note("worker of a", 4), noted(4));
    assert_eq!(note("worker of a", 5), noted(5));
    bench.engine().work(&lease, &CancellationToken::new()).await.unwrap();
    assert_eq!(bench.state(Endpoint::LmsUsers).status, EndpointStatus::Ok);

    let stopped = EndpointState { status: EndpointStatus::MassRemoval, ..bench.state(Endpoint::LmsUsers) };
    bench.store.edit(|tx| tx.put_endpoint(&stopped)).unwrap();
    bench.request(SyncKind::Full, RequestCause::Schedule, 6, 6);
    bench.take(SyncKind::Full, "b", 6).unwrap();
    assert_eq!(note("worker of b", 7), (EndpointStatus::MassRemoval, None));
}
