use std::sync::Arc;

use kombo_model::Endpoint;
use sync_core::jobs::{SyncKind, Target};
use sync_core::ports::Store;
use sync_core::pull::{PageCursor, Run, RunCounts, RunId, RunOutcome, RunPhase};

use super::sample::{alpha, at, beta, delta, read, run, target, time, write};

/// New runs get rising numbers. A number in the given run is ignored.
pub async fn runs_get_rising_numbers<S: Store>(store: Arc<S>) {
    let first = write(&store, |tx| tx.insert_run(&Run { id: RunId(77), ..run(delta()) })).await;
    let (second, third) = write(&store, |tx| {
        Ok((tx.insert_run(&run(delta()))?, tx.insert_run(&run(target(beta(), Endpoint::LmsCourses, SyncKind::Full)))?))
    })
    .await;
    assert!(first < second && second < third && first > RunId(0), "{first} {second} {third}");
    let found = read(&store, move |tx| tx.run(second)).await;
    assert_eq!(found, Some(Run { id: second, ..run(delta()) }));
    assert_eq!(read(&store, |tx| tx.run(RunId(1_000_000))).await, None);
}

/// A run keeps every field, with every outcome and phase, and is replaced whole.
pub async fn runs_are_written_whole<S: Store>(store: Arc<S>) {
    let id = write(&store, |tx| tx.insert_run(&run(delta()))).await;
    let big = u64::try_from(i64::MAX).unwrap();
    let whole = Run {
        id,
        target: delta(),
        outcome: RunOutcome::Failed,
        started_at: time("2026-01-02T03:04:05.678Z"),
        finished_at: Some(at(2)),
        updated_after: Some(at(3)),
        fetch_started_at: Some(at(4)),
        first_load: false,
        phase: RunPhase::Sweep,
        page_cursor: Some(PageCursor("opaque 'é' ==".repeat(200))),
        batches: 5_000_000_000,
        counts: RunCounts {
            unlisted: 11,
            withheld: 12,
            pages: 1,
            records: big,
            created: 3,
            updated: 4,
            deleted: 5,
            restored: 6,
            unchanged: 7,
            indirect: 8,
            stale: 9,
            quarantined: 10,
        },
        error: Some("Kombo said \"no\"".to_owned()),
    };
    for outcome in RunOutcome::ALL {
        for phase in RunPhase::ALL {
            let written = Run { outcome: *outcome, phase: *phase, ..whole.clone() };
            let expected = written.clone();
            write(&store, move |tx| tx.put_run(&written)).await;
            assert_eq!(read(&store, move |tx| tx.run(id)).await, Some(expected));
        }
    }
    let bare = Run { id, ..run(delta()) };
    let written = bare.clone();
    write(&store, move |tx| tx.put_run(&written)).await;
    assert_eq!(read(&store, move |tx| tx.run(id)).await, Some(bare));
}

/// The latest run is the one that was inserted last, whatever its start time.
pub async fn the_latest_run_is_of_its_target<S: Store>(store: Arc<S>) {
    let full = Target { kind: SyncKind::Full, ..delta() };
    let (first, second) = (delta(), full.clone());
    let (latest, of_full) = write(&store, move |tx| {
        tx.insert_run(&Run { started_at: at(9), ..run(first.clone()) })?;
        let latest = tx.insert_run(&Run { started_at: at(1), ..run(first) })?;
        let of_full = tx.insert_run(&run(second))?;
        tx.insert_run(&run(target(alpha(), Endpoint::LmsCourses, SyncKind::Delta)))?;
        tx.insert_run(&run(target(beta(), Endpoint::LmsUsers, SyncKind::Delta)))?;
        Ok((latest, of_full))
    })
    .await;
    let found = read(&store, move |tx| Ok((tx.latest_run(&delta())?, tx.latest_run(&full)?))).await;
    assert_eq!((found.0.map(|run| run.id), found.1.map(|run| run.id)), (Some(latest), Some(of_full)));
    let never = target(beta(), Endpoint::LmsSkills, SyncKind::Full);
    assert_eq!(read(&store, move |tx| tx.latest_run(&never)).await, None);
}

/// The latest runs of all integrations or of one, up to the limit.
pub async fn recent_runs_come_latest_first<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let mut ids = Vec::new();
        for number in 0..6 {
            let integration = if number % 2 == 0 { alpha() } else { beta() };
            ids.push(tx.insert_run(&run(target(integration, Endpoint::LmsUsers, SyncKind::Delta)))?);
        }
        let numbers = |runs: Vec<Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(numbers(tx.runs(None, None, 4)?), [ids[5], ids[4], ids[3], ids[2]]);
        assert_eq!(numbers(tx.runs(Some(&alpha()), None, 2)?), [ids[4], ids[2]]);
        assert_eq!(numbers(tx.runs(Some(&beta()), None, 9)?), [ids[5], ids[3], ids[1]]);
        Ok(())
    })
    .await;
}

/// Runs below a number, of all integrations or of one, latest first, up to the limit.
pub async fn runs_page_back_by_their_numbers<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let mut ids = Vec::new();
        for number in 0..6 {
            let integration = if number % 2 == 0 { alpha() } else { beta() };
            ids.push(tx.insert_run(&run(target(integration, Endpoint::LmsUsers, SyncKind::Delta)))?);
        }
        let numbers = |runs: Vec<Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(numbers(tx.runs(None, Some(ids[4]), 2)?), [ids[3], ids[2]]);
        assert_eq!(numbers(tx.runs(Some(&alpha()), Some(ids[4]), 9)?), [ids[2], ids[0]]);
        assert!(tx.runs(None, Some(ids[0]), 9)?.is_empty());
        Ok(())
    })
    .await;
}

/// Runs that ended before a time are removed, except the latest of each target and those that have not ended.
pub async fn trimmed_runs_leave_the_rest<S: Store>(store: Arc<S>) {
    write(&store, |tx| {
        let mut ids = Vec::new();
        for (kind, ended) in [
            (SyncKind::Delta, Some(1)),
            (SyncKind::Delta, None),
            (SyncKind::Full, Some(1)),
            (SyncKind::Delta, Some(3)),
            (SyncKind::Delta, Some(2)),
        ] {
            let run = Run { finished_at: ended.map(at), ..run(target(alpha(), Endpoint::LmsUsers, kind)) };
            ids.push(tx.insert_run(&run)?);
        }
        assert_eq!(tx.trim_runs(at(3))?, 1);
        let left: Vec<_> = tx.runs(None, None, 9)?.into_iter().map(|run| run.id).collect();
        assert_eq!(left, [ids[4], ids[3], ids[2], ids[1]]);
        assert_eq!(tx.trim_runs(at(3))?, 0);
        Ok(())
    })
    .await;
}
