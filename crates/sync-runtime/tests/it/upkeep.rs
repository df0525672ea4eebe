use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::jobs::SyncKind;
use sync_core::jobs::dispatch::{self, SchedulePolicy};
use sync_core::ports::Clock;
use sync_runtime::RuntimePolicy;
use sync_testkit::bench::{Bench, USUAL, id};
use sync_testkit::lms;

use crate::host::{NoReceiver, Running, TestHost};

const DAY: Duration = Duration::from_secs(86_400);

fn policy(bench: &Bench) -> RuntimePolicy {
    let schedule = SchedulePolicy {
        endpoints: bench.endpoints().into_iter().collect(),
        poll_every: None,
        full_every: DAY * 7,
        look_at_paused_every: DAY,
    };
    RuntimePolicy { schedule, keep_for: DAY, ..RuntimePolicy::new("runtime".to_owned(), 2) }
}

fn bench() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    let now = bench.clock.now();
    bench.store.edit(|tx| dispatch::register(tx, &lms([id()]), now)).unwrap();
    bench
}

async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn due_fetches_are_requested_and_worked_on() {
    let bench = bench();
    let running =
        Running::with(bench.engine(), TestHost::default(), policy(&bench), None::<std::sync::Arc<NoReceiver>>);
    seconds(60).await;
    bench.assert_mirrors();
    running.end().await;
}

/// The log has new entries. Retention deletes them a day later, but not by a clock that is wrong.
#[tokio::test(start_paused = true)]
async fn old_entries_go_by_a_time_that_is_certain_only() {
    let bench = bench();
    bench.load().await;
    bench.pass(60);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    assert!(bench.attempt(Endpoint::LmsUsers, SyncKind::Delta).await.unwrap().outcome.is_complete());
    let entries = || bench.store.look(|tx| tx.changes(None, 0, 100)).unwrap().len();
    assert_eq!(entries(), 1);
    let changed_at = bench.clock.now();
    bench.clock.advance(DAY * 40);

    let none = None::<std::sync::Arc<NoReceiver>>;
    for (certain, left) in [(None, 1), (Some(changed_at), 1), (Some(changed_at.saturating_add(DAY * 2)), 0)] {
        let host = certain.map_or_else(TestHost::default, TestHost::at);
        let running = Running::with(bench.engine(), host, policy(&bench), none.clone());
        seconds(7_200).await;
        running.end().await;
        assert_eq!(entries(), left, "{certain:?}");
    }
}
