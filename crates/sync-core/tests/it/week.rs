//! Simulates weeks of the schedule for a thousand integrations, with a clock that jumps from one due time to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::schedule::next_full;
use sync_core::jobs::{EndpointState, LeaseToken, RequestCause, SyncKind, Target, pause};
use sync_core::ports::{StoreError, Tx};
use sync_testkit::MemoryStore;
use sync_testkit::lms;

use crate::bench::Bench;
use crate::finish;

const INTEGRATIONS: usize = 1_000;
const MINUTE: i64 = 60_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Updates the schedule's state like the engine does after a full fetch.
fn fetch(tx: &mut dyn Tx, target: &Target, now: Timestamp) {
    let claim =
        Claim { owner: "test".to_owned(), token: LeaseToken("token".to_owned()), ttl: WEEK, longest_wait: WEEK };
    let lease = queue::lease_target(tx, target, &claim, now).unwrap().expect("nobody else works");
    let mut state = queue::state(tx, &target.integration_id, target.endpoint).unwrap();
    state.loaded_at.get_or_insert(now);
    state.last_full_at = Some(now);
    state.next_full_at = Some(next_full(&target.integration_id, target.endpoint, WEEK, now));
    tx.put_endpoint(&state).unwrap();
    queue::finish(tx, &lease, now).unwrap();
}

#[test]
fn every_full_fetch_comes_once_a_week_and_never_many_at_once() {
    let store = MemoryStore::new();
    let policy = SchedulePolicy {
        endpoints: BTreeSet::from([Endpoint::LmsCourses]),
        poll_every: None,
        full_every: WEEK,
        look_at_paused_every: Duration::from_secs(3_600),
    };
    let start: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
    let ids: BTreeSet<IntegrationId> =
        (0..INTEGRATIONS).map(|number| IntegrationId::from(format!("tool:{number:020}"))).collect();
    store.edit::<_, StoreError>(|tx| dispatch::register(tx, &lms(ids.iter().cloned()), start)).unwrap();

    // Runs the schedule minute by minute, for two weeks after the first load.
    let mut now = start;
    let end = start.saturating_add(WEEK * 2);
    let mut per_minute: BTreeMap<i64, usize> = BTreeMap::new();
    let mut fetched: BTreeMap<Target, Vec<Timestamp>> = BTreeMap::new();
    while now <= end {
        let next = store.edit::<_, StoreError>(|tx| {
            dispatch::schedule(tx, &policy, now)?;
            for request in tx.requests()? {
                let first = !fetched.contains_key(&request.target);
                assert_eq!(request.cause, if first { RequestCause::Load } else { RequestCause::Schedule });
                assert_eq!(request.target.kind, SyncKind::Full);
                fetch(tx, &request.target, now);
                fetched.entry(request.target).or_default().push(now);
                if now > start {
                    *per_minute.entry(now.unix_millis() / MINUTE).or_default() += 1;
                }
            }
            assert_eq!(dispatch::schedule(tx, &policy, now)?.requests, 0, "what was done is not due");
            Ok(tx.endpoints(None)?.into_iter().filter_map(|state| state.next_full_at).min())
        });
        // The daemon checks every few seconds. Here, one check at the first full minute after the due time suffices.
        let due = next.unwrap().unwrap().unix_millis();
        now = Timestamp::from_unix_millis((due + MINUTE - 1) / MINUTE * MINUTE).unwrap();
    }

    assert_eq!(fetched.len(), INTEGRATIONS);
    for (target, times) in &fetched {
        for week in 0..2_u32 {
            let (from, to) = (start.saturating_add(WEEK * week), start.saturating_add(WEEK * (week + 1)));
            let within = times.iter().filter(|time| **time > from && **time <= to).count();
            assert_eq!(within, 1, "{target} in week {week}: {times:?}");
        }
    }
    // 2,000 fetches over 20,160 minutes: one in ten minutes.
    let most = per_minute.values().max().unwrap();
    assert!(*most <= 4, "{most} full fetches fall into the same minute");
}

#[test]
fn the_endpoints_of_an_integration_have_places_of_their_own() {
    let start: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
    let mut per_minute: BTreeMap<i64, usize> = BTreeMap::new();
    for number in 0..INTEGRATIONS {
        let id = IntegrationId::from(format!("tool:{number:020}"));
        let due = Endpoint::LMS.map(|endpoint| next_full(&id, endpoint, WEEK, start).unix_millis() / MINUTE);
        assert_eq!(due.iter().collect::<BTreeSet<_>>().len(), due.len(), "{id} fetches two lists in the same minute");
        for minute in due {
            *per_minute.entry(minute).or_default() += 1;
        }
    }
    // 4,000 fetches over 10,080 minutes: two in five minutes.
    let most = per_minute.values().max().unwrap();
    assert!(*most <= 6, "{most} full fetches fall into the same minute");
}

/// The schedule reads only integrations with fetches that are due.
#[tokio::test]
async fn the_schedule_looks_only_at_what_is_due() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    let now = sync_core::ports::Clock::now(&bench.clock);
    let ids: Vec<IntegrationId> = (0..250).map(|number| IntegrationId::from(format!("sandbox:{number}"))).collect();
    let policy = SchedulePolicy {
        endpoints: [Endpoint::LmsUsers].into(),
        poll_every: Some(Duration::from_secs(6 * 3_600)),
        full_every: WEEK,
        look_at_paused_every: Duration::from_secs(3_600),
    };
    let schedule = |seconds: u64| {
        let now = now.saturating_add(Duration::from_secs(seconds));
        bench.store.edit(|tx| dispatch::schedule(tx, &policy, now)).unwrap().requests
    };
    let looks = |seconds: u64| {
        let now = now.saturating_add(Duration::from_secs(seconds));
        bench.store.look(|tx| tx.integrations_to_look_at(now, Timestamp::MAX, 999)).unwrap().len()
    };
    bench.store.edit(|tx| dispatch::register(tx, &lms(ids.iter().cloned()), now)).unwrap();
    assert_eq!((looks(0), schedule(0), looks(0), schedule(1)), (250, 250, 0, 0));
    // They are loaded an hour later, except one that still waits.
    bench
        .store
        .edit(|tx| {
            for id in ids.iter().skip(1) {
                tx.delete_request(&Target {
                    integration_id: id.clone(),
                    endpoint: Endpoint::LmsUsers,
                    kind: SyncKind::Full,
                })?;
                let loaded_at = Some(now.saturating_add(Duration::from_secs(3_599)));
                let next_full_at = Some(now.saturating_add(WEEK));
                let state = EndpointState::new(id.clone(), Endpoint::LmsUsers);
                tx.put_endpoint(&EndpointState { loaded_at, last_full_at: loaded_at, next_full_at, ..state })?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    assert_eq!((looks(3_600), schedule(3_600)), (250, 0), "whether they are loaded");
    assert_eq!(looks(2 * 3_600), 1, "only that one may be due by now");
    assert_eq!(schedule(8 * 3_600), 249, "polls");
    // A resumed integration is checked immediately.
    finish(pause::pause(&bench.store, &ids[7], now)).unwrap();
    assert_eq!(looks(8 * 3_600), 1);
}
