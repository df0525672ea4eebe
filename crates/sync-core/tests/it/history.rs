//! Random histories: whatever happens at Kombo and to us, in whatever order, the mirror ends up right.

use std::sync::Arc;

use kombo_model::Endpoint;
use proptest::prelude::*;
use sync_core::mirror::{Model, Value};
use sync_core::port::{Clock, FailureClass, StoreError};
use sync_core::queue;
use sync_core::types::SyncKind;
use sync_testkit::history::{self, Asked, Daemon, Edit, History, Size};
use sync_testkit::{MemoryStore, Nesting};
use tokio_util::sync::CancellationToken;

use crate::bench::{ALL, Bench, id};
use crate::engine::futures_poll;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// At Kombo; `late` seconds before anybody can see it.
    Edit(Edit, u64),
    /// A webhook arrives for all that changed since the last one.
    Webhook,
    /// Whatever is due is worked on.
    Work,
    /// A full fetch, asked for by a person.
    Full(usize),
    /// A worker dies after some polls.
    Crash(usize, usize),
    /// A page fails.
    PageFault(u64),
    /// A statement fails.
    StatementFault(u64),
    /// Kombo forgets its page cursors.
    CursorsExpire,
    /// Time passes.
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<u64>(), 0..100_u64).prop_map(|(seed, late)| Step::Edit(Edit::random(seed, 5), late)),
        3 => Just(Step::Webhook),
        4 => Just(Step::Work),
        1 => (0..4_usize).prop_map(Step::Full),
        2 => (0..4_usize, 0..60_usize).prop_map(|(endpoint, polls)| Step::Crash(endpoint, polls)),
        1 => (1..6_u64).prop_map(Step::PageFault),
        1 => (1..60_u64).prop_map(Step::StatementFault),
        1 => Just(Step::CursorsExpire),
        3 => (1..600_u64).prop_map(Step::Wait),
    ]
}

async fn take(bench: &Bench, daemon: &Daemon<MemoryStore>, step: &Step) {
    match step {
        Step::Edit(edit, late) => {
            bench.kombo.edit_late(std::time::Duration::from_secs(*late), |lms| edit.apply(lms));
            bench.clock.advance(std::time::Duration::from_millis(7));
        }
        Step::Webhook => daemon.hear().await,
        Step::Work => drop(daemon.work(&CancellationToken::new()).await),
        Step::Full(endpoint) => bench.ask(ALL[*endpoint], SyncKind::Full),
        Step::Crash(endpoint, polls) => {
            let (claim, now) = (bench.claim(), bench.clock.now());
            let endpoint = ALL[*endpoint];
            let lease = bench
                .store
                .edit(|tx| queue::lease_next(tx, &claim, now, |request| request.target.endpoint == endpoint));
            let Some(lease) = lease.unwrap() else { return };
            let (engine, never) = (bench.engine(), CancellationToken::new());
            let mut work = std::pin::pin!(engine.work(&lease, &never));
            for _ in 0..*polls {
                if futures_poll(work.as_mut()).await.is_some() {
                    break;
                }
            }
        }
        Step::PageFault(n) => bench.kombo.fail_page(*n, FailureClass::Transient),
        Step::StatementFault(n) => {
            let lost = StoreError::Unavailable { message: "the connection is lost".to_owned(), source: None };
            bench.store.fail_statement(*n, lost);
        }
        Step::CursorsExpire => bench.kombo.expire_cursors(),
        Step::Wait(seconds) => bench.pass(*seconds),
    }
}

/// Lets all that was asked for come to its end.
async fn settle(bench: &Bench, daemon: &Daemon<MemoryStore>) {
    bench.store.fail_no_more();
    bench.kombo.fail_no_more();
    daemon.hear().await;
    for _ in 0..40 {
        bench.pass(5_000);
        daemon.work(&CancellationToken::new()).await;
        if daemon.requests().await.is_empty() {
            return;
        }
    }
    let requests = daemon.requests().await;
    let state: Vec<_> = ALL.iter().map(|endpoint| bench.state(*endpoint)).collect();
    panic!("work is left: {requests:#?} {state:#?}");
}

/// The live rows without times: how often pages were asked for moves the clock. Providers aside: one that no course
/// shows any more is there if it was ever seen.
fn live(bench: &Bench) -> Vec<String> {
    let mut rows = Vec::new();
    for model in Model::ALL.into_iter().filter(|model| *model != Model::LmsCourseProviders) {
        for row in bench.store.table(model, &id()).iter().filter(|row| row.is_live()) {
            let texts: Vec<Option<&str>> = row.row.values().iter().map(Value::text).collect();
            rows.push(format!("{model} {} {texts:?}", row.row.key));
        }
    }
    rows
}

async fn live_through(steps: &[Step], nesting: Nesting, skew_millis: i64) -> Bench {
    let bench = Bench::new(&ALL);
    bench.kombo.configure(|settings| {
        settings.nesting = nesting;
        settings.skew_millis = skew_millis;
        settings.page_size = 2;
    });
    bench.furnish();
    bench.load().await;
    let daemon = bench.daemon();
    let mut watermarks = ALL.map(|endpoint| bench.watermark(endpoint));
    for step in steps {
        take(&bench, &daemon, step).await;
        for (before, endpoint) in watermarks.iter_mut().zip(ALL) {
            let after = bench.watermark(endpoint);
            assert!(after >= *before, "the watermark of {endpoint} went back");
            *before = after;
        }
    }
    settle(&bench, &daemon).await;
    bench
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(cases(60))]

    /// Webhooks and their planned fetches are enough, under both readings of `updated_after`, whatever dies meanwhile.
    #[test]
    fn planned_fetches_keep_the_mirror_right(
        steps in proptest::collection::vec(step(), 1..60),
        skew in -600_000..600_000_i64,
    ) {
        let ends = [Nesting::Guide, Nesting::Reference].map(|nesting| {
            block_on(async {
                let bench = live_through(&steps, nesting, skew).await;
                bench.assert_mirrors();
                // What a full fetch would still find is nothing.
                let seq = bench.last_change();
                for endpoint in ALL {
                    bench.full(endpoint).await;
                }
                assert_eq!(bench.log_since(seq), [""; 0], "{nesting:?}");
                live(&bench)
            })
        });
        prop_assert_eq!(&ends[0], &ends[1]);
    }
}

/// The same end and the same log under both readings.
#[tokio::test]
async fn readings_agree() {
    let (asked, mut sum) = (Asked::or(20), Size::default());
    for seed in asked.seeds {
        let store = Arc::new(MemoryStore::new());
        sum.add(history::check(&store, &History::random(seed, asked.steps)).await);
    }
    assert!(sum.compared > 0, "{sum:?}");
}

#[tokio::test]
async fn a_hundred_deltas_lose_nothing_however_wrong_the_clocks_are() {
    for skew_millis in [-600_000, -61_000, -999, 0, 1, 61_000, 600_000] {
        let bench = Bench::new(&[Endpoint::Users]);
        bench.kombo.configure(|settings| settings.skew_millis = skew_millis);
        bench.furnish();
        bench.load().await;
        for round in 0..100_u64 {
            // Some changes become visible only a while after their date, some while the pages are read.
            let late = std::time::Duration::from_secs(round % 110);
            bench.kombo.edit_late(late, |lms| lms.rename_user("u1", &format!("round {round}")));
            bench.kombo.before_page(1, move |lms| lms.rename_user("u2", &format!("round {round}")));
            bench.pass(round * 7 % 200);
            let watermark = bench.watermark(Endpoint::Users);
            bench.delta(Endpoint::Users).await;
            assert!(bench.watermark(Endpoint::Users) >= watermark);
            let name = bench.text(Model::LmsUsers, "u1", "first_name");
            assert_eq!(name, Some(format!("round {round}")), "{skew_millis} ms of skew");
        }
        bench.delta(Endpoint::Users).await;
        bench.assert_mirrors();
    }
}
