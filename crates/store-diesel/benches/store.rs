//! Measures how fast a store takes the records of a full fetch: all new, all unchanged, and one in ten changed.
//!
//! `cargo xtask bench --only store` runs it next to the database's own import. It prints one JSON object.
#![allow(clippy::print_stdout, reason = "prints what it measured")]

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::{DieselStore, StoreUrl};
use sync_core::SyncError;
use sync_core::jobs::{SyncKind, Target};
use sync_core::ports::{Record, Scope, Store as _};
use sync_core::pull::{Run, RunCounts, RunId, RunOutcome, RunPhase};
use sync_core::rows::apply::{Applying, Unlisted, apply};
use sync_core::rows::compare::Reading;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{Batch, Model, decompose};
use sync_testkit::with_lease;

/// The number of records that the engine commits at a time when writing is slower than fetching.
const BATCH: usize = 5_000;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [url, records] = arguments.as_slice() else {
        println!("usage: store URL RECORDS (the database should be empty)");
        return Ok(());
    };
    let (url, records): (StoreUrl, usize) = (url.parse()?, records.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = DieselStore::open(&url).await?;
        store.migrate().await?;
        let new = pass(&store, records, 1, |_| false).await?;
        let unchanged = pass(&store, records, 2, |_| false).await?;
        let changed = pass(&store, records, 3, |number| number % 10 == 0).await?;
        let seconds = |time: Duration| time.as_secs_f64();
        println!(
            "{}",
            serde_json::json!({ "new": seconds(new), "unchanged": seconds(unchanged), "changed": seconds(changed) })
        );
        Ok(())
    })
}

/// Applies all records, batch by batch, and returns the store's time.
async fn pass(
    store: &DieselStore,
    records: usize,
    minute: i64,
    is_changed: fn(usize) -> bool,
) -> Result<Duration, Box<dyn Error>> {
    let (now, run) = (moment(minute)?, run(minute)?);
    let integration = run.target.integration_id.clone();
    let mut took = Duration::ZERO;
    let mut counts = RunCounts::default();
    for start in (0..records).step_by(BATCH) {
        let mut batch = Batch::default();
        for number in start..records.min(start + BATCH) {
            let record = record(number, is_changed(number))?;
            decompose(record, now, &mut batch).map_err(|it| it.reason)?;
        }
        let run = run.clone();
        let began = Instant::now();
        let work = move |tx: &mut dyn sync_core::ports::Tx| {
            let reading = Reading {
                kind: SyncKind::Full,
                tombstones: Tombstones::Mirror,
                known_until: None,
                announced: false,
                now,
                settles: true,
                latest: Timestamp::MAX,
            };
            // As in a first load, new rows are not logged, but changed ones are.
            let quiet = if run.first_load { BTreeSet::from([Model::LmsCourseProgressions]) } else { BTreeSet::new() };
            let applying = Applying { run: &run, reading, quiet, change_values: false, unlisted: Unlisted::Leave, now };
            with_lease(tx, &run.target, now, |tx| Ok(apply(tx, &batch, &applying)?))
        };
        counts.add(&store.transact::<_, SyncError, _>(Scope::Integration(integration.clone()), work).await?);
        took += began.elapsed();
    }
    let expected = (0..records).filter(|number| is_changed(*number)).count();
    let written = usize::try_from(counts.created + counts.updated)?;
    let expected = if minute == 1 { records } else { expected };
    if written != expected {
        return Err(format!("{written} rows were written in the place of {expected}").into());
    }
    Ok(took)
}

fn moment(minute: i64) -> Result<Timestamp, String> {
    Timestamp::from_unix_millis(1_750_000_000_000 + minute * 60_000).ok_or_else(|| "no such time".to_owned())
}

fn run(minute: i64) -> Result<Run, String> {
    let now = moment(minute)?;
    let target = Target {
        integration_id: IntegrationId::from("bench:one"),
        endpoint: Endpoint::LmsCourseProgressions,
        kind: SyncKind::Full,
    };
    Ok(Run {
        id: RunId(minute),
        target,
        outcome: RunOutcome::Running,
        started_at: now,
        finished_at: None,
        updated_after: None,
        fetch_started_at: Some(now),
        first_load: minute == 1,
        phase: RunPhase::Pages,
        page_cursor: None,
        batches: 0,
        counts: RunCounts::default(),
        error: None,
    })
}

/// A progression of some 700 bytes, with keys in no order that would favour an index.
fn record(number: usize, changed: bool) -> Result<Record, serde_json::Error> {
    let id = scattered(number, 1);
    let status = if changed { "COMPLETED" } else { "IN_PROGRESS" };
    let (user, revision) = (scattered(number % 20_011, 2), scattered(number % 997, 3));
    let filler: String = (0..16).map(|part| scattered(number, part + 4)).collect::<Vec<_>>().join(" ");
    let json = serde_json::json!({
        "id": id,
        "remote_id": format!("progress-{number}"),
        "user_id": user,
        "course_revision_id": revision,
        "status": status,
        "enrolled_at": "2024-10-07T01:48:46.548Z",
        "completed_at": if changed { Some("2025-06-11T10:00:00.000Z") } else { None },
        "changed_at": if changed { "2025-06-11T10:00:00.000Z" } else { "2024-10-07T01:48:46.548Z" },
        "remote_deleted_at": null,
        "remote_data": { "/enrolments": { "number": number, "note": filler, "passed": true } },
    });
    Record::read(Endpoint::LmsCourseProgressions, &json.to_string())
}

/// Returns twenty-four letters that are derived from a number but look random.
fn scattered(number: usize, salt: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = u64::try_from(number).unwrap_or(0).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (salt << 56);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let place = usize::try_from((mixed ^ (mixed >> 31)) % 62).unwrap_or(0);
        LETTERS.get(place).copied().map_or('0', char::from)
    };
    (0..24).map(|_| next()).collect()
}
