//! Random histories end with the same rows on SQLite, on PostgreSQL and in memory, and replaying each change log gives
//! these rows.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kombo_model::{Endpoint, IntegrationId};
use store_diesel::SqliteStore;
use sync_core::jobs::{RequestCause, SyncKind};
use sync_core::ports::{FailureClass, Store};
use sync_core::pull::SyncPolicy;
use sync_core::rows::Model;
use sync_testkit::history::{Daemon, Edit, Fields, Kind, Ledger};
use sync_testkit::{FakeKombo, ManualClock, MemoryStore, Nesting};
use tokio_util::sync::CancellationToken;

const SEEDS: u64 = 3;
const FURNITURE: usize = 400;
const STEPS: usize = 150;
const RECORDS: u8 = 6;
const KINDS: [Kind; 5] = [Kind::User, Kind::Course, Kind::Revision, Kind::Skill, Kind::Progression];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_stores_live_through_the_same_histories() {
    let mut lines = 0;
    for seed in 0..SEEDS {
        let expected = live(MemoryStore::new(), seed).await;
        lines += expected.len();

        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("mirror.db")).await.unwrap();
        sqlite.migrate().await.unwrap();
        same(seed, "SQLite", &expected, &live(sqlite, seed).await);

        let (postgres, _database) = crate::postgres::fresh().await;
        same(seed, "PostgreSQL", &expected, &live(postgres, seed).await);
    }
    assert!(lines > 60, "{lines} lines say too little");
}

fn same(seed: u64, name: &str, expected: &[String], found: &[String]) {
    let first = expected.iter().zip(found).position(|(expected, found)| expected != found);
    let at = first.unwrap_or(expected.len().min(found.len()));
    assert!(
        expected.len() == found.len() && first.is_none(),
        "seed {seed}: in memory {:?}, {name} has {:?}",
        expected.get(at),
        found.get(at)
    );
}

/// Returns every row at the end; of removed rows only the key.
async fn live<St: Store>(store: St, seed: u64) -> Vec<String> {
    let mut rng = Rng::with_seed(seed);
    let clock = ManualClock::default();
    let kombo = FakeKombo::new(clock.clone());
    kombo.configure(|settings| {
        settings.nesting = if rng.bool() { Nesting::Guide } else { Nesting::Reference };
        settings.page_size = rng.usize(1..4);
        settings.skew_millis = rng.i64(-60_000..60_000);
        // The clock must not depend on how many pages are read ahead while a store works.
        settings.latency = Duration::ZERO;
    });
    let mut policy = SyncPolicy::new(Endpoint::LMS.into());
    policy.batch_records = 1;
    policy.change_values = true;
    let id = IntegrationId::from("sandbox:a");
    let daemon = Daemon::new(Arc::new(store), kombo.clone(), clock.clone(), policy, id);

    for _ in 0..FURNITURE {
        let edit = Edit::random(rng.u64(..), RECORDS);
        kombo.edit(|lms| edit.apply(lms));
    }
    full(&daemon, &clock).await;
    let mut ledger = Ledger::of(&daemon.tables().await);
    let loaded = daemon.log(0).await.last().map_or(0, |change| change.seq);
    for _ in 0..STEPS {
        match rng.u8(0..20) {
            0..9 => {
                let (edit, late) = (Edit::random(rng.u64(..), RECORDS), Duration::from_secs(rng.u64(0..100)));
                kombo.edit_late(late, |lms| edit.apply(lms));
            }
            9..11 => {
                let purge = Edit::Purge(rng.choice(KINDS).unwrap(), rng.u8(0..RECORDS));
                kombo.edit_silently(|lms| purge.apply(lms));
            }
            11 => kombo.expire_cursors(),
            12 => kombo.fail_page(rng.u64(1..6), FailureClass::Transient),
            13..15 => {
                let endpoint = rng.choice(Endpoint::LMS).unwrap();
                daemon.ask(endpoint, SyncKind::Full, RequestCause::Schedule).await;
            }
            _ => {
                daemon.hear().await;
                work(&daemon).await;
            }
        }
        clock.advance(Duration::from_secs(rng.u64(0..300)));
    }

    kombo.fail_no_more();
    full(&daemon, &clock).await;
    let tables = daemon.tables().await;
    let truth = kombo.truth(&Endpoint::LMS.into());
    let wrong = [truth.lacking(&tables), truth.surplus(&tables)].concat();
    assert!(wrong.is_empty(), "seed {seed}: after a full fetch of everything: {wrong:#?}");
    let log = daemon.log(loaded).await;
    assert!(!log.is_empty(), "seed {seed}: nothing was logged");
    for change in &log {
        ledger.replay(change).unwrap();
    }
    let rows = Ledger::of(&tables);
    assert_eq!(ledger.differences(&rows), [""; 0], "seed {seed}: the log leads to the rows");
    let rows = Model::LMS
        .into_iter()
        .flat_map(|model| rows.rows(model).map(move |(key, fields)| line(model, key, fields)).collect::<Vec<_>>());
    rows.collect()
}

/// The content of a removed record depends on which pages were written before a fetch failed, so it is left out.
fn line(model: Model, key: &str, fields: &Fields) -> String {
    let live = !fields.contains_key("removed_at");
    format!("{model} {key}: {:?}", live.then_some(fields))
}

/// Runs full fetches of everything until nothing is due.
async fn full<St: Store>(daemon: &Daemon<St>, clock: &ManualClock) {
    for endpoint in Endpoint::LMS {
        daemon.ask(endpoint, SyncKind::Full, RequestCause::Command).await;
    }
    for _ in 0..10 {
        clock.advance(Duration::from_secs(3_600));
        work(daemon).await;
    }
    assert!(daemon.requests().await.is_empty(), "work is left");
}

async fn work<St: Store>(daemon: &Daemon<St>) {
    let broken = daemon.work(&CancellationToken::new()).await;
    assert!(broken.is_empty(), "{broken:#?}");
}
