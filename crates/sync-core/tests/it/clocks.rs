//! Tests of clocks that were temporarily wrong: the times that they stored lose their effect.

use std::time::Duration;

use kombo_model::{Endpoint, Timestamp};
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::queue;
use sync_core::jobs::{LeasedTx, RequestCause, SyncKind};
use sync_core::ports::{Clock as _, StoreError};
use sync_core::rows::Model;
use sync_testkit::lms;

use crate::bench::{Bench, id, target};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Loads everything, then sets our clock ahead of Kombo's.
async fn ahead(endpoints: &[Endpoint], by: Duration) -> Bench {
    let bench = Bench::new(endpoints);
    bench.furnish();
    bench.pass(7_200);
    bench.load().await;
    bench.pass(600);
    bench.clock.advance(by);
    bench.kombo.configure(|settings| settings.skew_millis = -millis(by));
    bench
}

/// Corrects our clock.
fn set_right(bench: &Bench, by: Duration) {
    bench.clock.set(bench.clock.now().saturating_sub(by));
    bench.kombo.configure(|settings| settings.skew_millis = 0);
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}

#[tokio::test]
async fn a_delta_whose_answers_have_no_date_passes_no_change() {
    for by in [Duration::from_secs(180), HOUR, DAY * 40] {
        let bench = ahead(&[Endpoint::LmsUsers], by).await;
        let before = bench.watermark(Endpoint::LmsUsers);
        bench.kombo.configure(|settings| settings.dated = false);
        bench.delta(Endpoint::LmsUsers).await;
        assert_eq!(bench.watermark(Endpoint::LmsUsers), before, "nothing confirms our clock");

        set_right(&bench, by);
        bench.kombo.edit(|lms| lms.rename_user("u1", "Ada"));
        // By now, a watermark that is an hour ahead would no longer be detectable.
        bench.pass(3 * 3_600);
        bench.kombo.configure(|settings| settings.dated = true);
        bench.delta(Endpoint::LmsUsers).await;
        bench.assert_mirrors();
        assert!(bench.watermark(Endpoint::LmsUsers) > before, "a Date confirms it");
    }
}

#[tokio::test]
async fn a_fetch_that_goes_on_does_not_begin_later() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.pass(7_200);
    bench.kombo.configure(|settings| settings.dated = false);
    bench.kombo.fail_page(2, sync_core::ports::FailureClass::Transient);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    bench.kombo.fail_no_more();
    bench.kombo.configure(|settings| settings.dated = true);
    bench.kombo.edit(|lms| lms.rename_user("u0", "Ada"));
    bench.pass(3_600);
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert!(run.outcome.is_complete(), "{run:?}");
    assert_eq!(bench.watermark(Endpoint::LmsUsers), None, "nobody knows when it began");
    bench.delta(Endpoint::LmsUsers).await;
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_watermark_that_lies_ahead_is_set_back() {
    for kind in [SyncKind::Delta, SyncKind::Full] {
        for by in [HOUR, DAY * 40] {
            let bench = ahead(&[Endpoint::LmsUsers], Duration::ZERO).await;
            let mut state = bench.state(Endpoint::LmsUsers);
            state.watermark = Some(bench.clock.now().saturating_add(by));
            bench.store.edit::<_, StoreError>(|tx| tx.put_endpoint(&state)).unwrap();
            bench.kombo.edit(|lms| lms.rename_user("u1", "Ada"));
            bench.pass(60);
            bench.fetch(Endpoint::LmsUsers, kind).await;
            bench.assert_mirrors();
            assert!(bench.watermark(Endpoint::LmsUsers).unwrap() < bench.clock.now(), "{kind}");
            bench.kombo.edit(|lms| lms.rename_user("u2", "Grace"));
            bench.pass(60);
            bench.delta(Endpoint::LmsUsers).await;
            bench.assert_mirrors();
        }
    }
}

fn schedule(bench: &Bench, poll_every: Option<Duration>) -> Vec<SyncKind> {
    let policy = SchedulePolicy {
        endpoints: bench.endpoints(),
        poll_every,
        full_every: bench.policy.full_every,
        look_at_paused_every: HOUR,
    };
    let now = bench.clock.now();
    let transaction = |tx: &mut dyn sync_core::ports::Tx| {
        dispatch::register(tx, &lms([id()]), now)?;
        dispatch::schedule(tx, &policy, now)?;
        Ok::<_, StoreError>(tx.requests()?.into_iter().map(|request| request.target.kind).collect())
    };
    bench.store.edit(transaction).unwrap()
}

#[tokio::test]
async fn a_full_fetch_that_is_due_further_ahead_than_its_period_is_due() {
    let bench = ahead(&[Endpoint::LmsUsers], DAY * 40).await;
    bench.full(Endpoint::LmsUsers).await;
    set_right(&bench, DAY * 40);
    assert_eq!(schedule(&bench, None), [SyncKind::Full]);
    bench.drain().await;
    assert!(bench.state(Endpoint::LmsUsers).next_full_at.unwrap() < bench.clock.now().saturating_add(DAY * 8));
    assert!(schedule(&bench, None).is_empty(), "once");
}

#[tokio::test]
async fn a_poll_does_not_wait_for_a_delta_that_lies_ahead() {
    for by in [HOUR, DAY * 40] {
        let bench = ahead(&[Endpoint::LmsUsers], by).await;
        bench.delta(Endpoint::LmsUsers).await;
        set_right(&bench, by);
        bench.pass(600);
        assert_eq!(schedule(&bench, Some(Duration::from_secs(600))), [SyncKind::Delta]);
    }
}

#[tokio::test]
async fn what_failed_under_a_wrong_clock_is_tried_again() {
    let bench = ahead(&[Endpoint::LmsUsers], DAY * 40).await;
    bench.kombo.refuse(Endpoint::LmsUsers, sync_core::ports::FailureClass::Unintelligible);
    bench.delta(Endpoint::LmsUsers).await;
    bench.kombo.allow(Endpoint::LmsUsers);
    set_right(&bench, DAY * 40);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Ada"));
    bench.pass(10);
    assert_eq!(bench.drain().await.len(), 1);
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_long_retry_after_ends_within_the_longest_wait() {
    let bench = ahead(&[Endpoint::LmsUsers], Duration::ZERO).await;
    let wait = bench.policy.backoff.wait(
        sync_core::ports::FailureClass::Transient,
        0,
        Some(DAY * 40),
        &target(Endpoint::LmsUsers, SyncKind::Delta),
    );
    assert!(wait <= bench.policy.longest_wait() && wait >= HOUR, "{wait:?}");
}

#[tokio::test]
async fn a_lease_taken_by_a_clock_that_was_ahead_expires_as_any_other() {
    for by in [HOUR, DAY * 40] {
        let bench = ahead(&[Endpoint::LmsUsers], by).await;
        bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
        let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Delta).unwrap();
        set_right(&bench, by);
        let (now, ttl) = (bench.clock.now(), bench.policy.lease_ttl);
        // The owner is alive, so its next transaction gives the lease its usual duration.
        bench.store.edit(|tx| LeasedTx::assert_lease(tx, &lease, now, ttl).map(drop)).unwrap();
        assert!(bench.lease(Endpoint::LmsUsers, SyncKind::Delta).is_none(), "it is held");
        bench.clock.advance(ttl);
        assert!(bench.lease(Endpoint::LmsUsers, SyncKind::Delta).is_some(), "its owner is gone");
    }
}

#[tokio::test]
async fn rows_that_a_clock_dated_ahead_keep_nothing_out() {
    for by in [HOUR, DAY * 40] {
        let bench = ahead(&[Endpoint::LmsUsers, Endpoint::LmsCourses], by).await;
        bench.kombo.edit_silently(|lms| (0..8).for_each(|user| lms.rename_user(&format!("u{user}"), "Mary")));
        bench.kombo.edit_silently(|lms| lms.rename_provider("p1", "Ajax"));
        bench.full(Endpoint::LmsUsers).await;
        bench.full(Endpoint::LmsCourses).await;
        assert!(bench.row(Model::LmsUsers, "u1").synced_at >= bench.clock.now().saturating_sub(HOUR));

        set_right(&bench, by);
        bench.pass(60);
        bench.kombo.edit_silently(|lms| (1..8).for_each(|user| lms.rename_user(&format!("u{user}"), "Grace")));
        bench.kombo.edit_silently(|lms| lms.rename_provider("p1", "Apex"));
        bench.kombo.edit_silently(|lms| lms.purge(Model::LmsUsers, "u0"));
        bench.full(Endpoint::LmsUsers).await;
        bench.full(Endpoint::LmsCourses).await;
        bench.assert_mirrors();
        assert!(bench.row(Model::LmsUsers, "u1").synced_at <= bench.clock.now());
    }
}

#[tokio::test]
async fn a_full_fetch_for_what_deltas_do_not_show_does_not_wait_for_one_that_lies_ahead() {
    let bench = ahead(&[Endpoint::LmsCourses], DAY * 40).await;
    let wanted = target(Endpoint::LmsCourses, SyncKind::Full);
    let later = bench.clock.now().saturating_add(HOUR);
    let now = bench.clock.now();
    bench.store.edit(|tx| queue::request(tx, wanted, RequestCause::Webhook, later, now)).unwrap();
    set_right(&bench, DAY * 40);
    assert_eq!(bench.drain().await.len(), 1, "nothing waits for 40 days");
}

#[test]
fn the_end_of_time_is_no_time_to_wait_for() {
    let now = Timestamp::from_unix_millis(0).unwrap();
    assert!(!sync_core::horizon::is_ahead(Timestamp::MAX, now, DAY));
    assert!(sync_core::horizon::happened(Some(Timestamp::MAX), now).is_none());
}
