//! Benchmarks of decomposing and comparing records, and of planning fetches.
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kombo_model::{Endpoint, ModelName, Timestamp};
use sync_core::jobs::SyncKind;
use sync_core::ports::Record;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::compare::{Reading, compare};
use sync_core::rows::{Batch, Incoming, MirrorRow, Model, Provenance, StoredRow, Value, decompose};
use sync_core::webhooks::planner::{PlanMode, PlanPolicy, plan};

const FULL: Reading = Reading {
    kind: SyncKind::Full,
    tombstones: Tombstones::Mirror,
    known_until: None,
    announced: false,
    now: Timestamp::MAX,
    settles: true,
    latest: Timestamp::MAX,
};

fn texts() -> Vec<String> {
    let text = |number: usize| {
        let json = serde_json::json!({
            "id": format!("progression{number:013}"), "remote_id": format!("progress-{number}"),
            "user_id": format!("user{number:020}"), "course_revision_id": "revision0000000000000001",
            "status": "COMPLETED", "enrolled_at": "2024-10-07T01:48:46.548Z",
            "completed_at": "2025-06-11T10:00:00.000Z", "changed_at": "2025-06-11T10:00:00.000Z",
            "remote_data": { "/enrolments": { "number": number, "note": "x".repeat(300) } },
            "user": { "id": format!("user{number:020}"), "first_name": "Ada", "last_name": "Lovelace" },
        });
        json.to_string()
    };
    (0..250).map(text).collect()
}

fn read(texts: &[String]) -> Vec<Record> {
    texts.iter().filter_map(|json| Record::read(Endpoint::LmsCourseProgressions, json).ok()).collect()
}

fn records() -> Vec<Record> {
    read(&texts())
}

fn rows() -> Vec<Incoming> {
    let mut batch = Batch::default();
    for record in records() {
        drop(decompose(record, Timestamp::MIN, &mut batch));
    }
    batch.rows.retain(|row| row.provenance == Provenance::Listed);
    batch.rows
}

fn stored(incoming: &Incoming, change: impl Fn(&mut MirrorRow)) -> StoredRow {
    let mut row = incoming.row.clone();
    for value in row.values_mut() {
        if value.is_absent() {
            *value = Value::Null;
        }
    }
    change(&mut row);
    StoredRow { row, removed_at: None, synced_at: Timestamp::MIN }
}

fn decide(criterion: &mut Criterion) {
    let rows = rows();
    let same: Vec<StoredRow> = rows.iter().map(|incoming| stored(incoming, |_| {})).collect();
    let other = |row: &mut MirrorRow| {
        if let Some(value) = row.values_mut().first_mut() {
            *value = Value::Null;
        }
    };
    let changed: Vec<StoredRow> = rows.iter().map(|incoming| stored(incoming, other)).collect();

    let mut group = criterion.benchmark_group("a page of 250 progressions");
    group.throughput(Throughput::Elements(250));
    let (records, at) = (records(), Timestamp::MIN);
    let texts = texts();
    group.bench_function("from JSON into rows", |bench| {
        bench.iter(|| {
            let mut batch = Batch::default();
            for record in read(black_box(&texts)) {
                drop(decompose(record, at, &mut batch));
            }
            batch
        });
    });
    group.bench_function("into rows", |bench| {
        let into_rows = |records: Vec<Record>| {
            let mut batch = Batch::default();
            for record in records {
                drop(decompose(record, at, &mut batch));
            }
            batch
        };
        bench.iter_batched(|| records.clone(), into_rows, BatchSize::SmallInput);
    });
    let all = |stored: &[StoredRow]| {
        for (incoming, stored) in rows.iter().zip(stored) {
            black_box(compare(black_box(incoming), Some(stored), FULL));
        }
    };
    group.bench_function("compared, unchanged", |bench| bench.iter(|| all(&same)));
    group.bench_function("compared, changed", |bench| bench.iter(|| all(&changed)));
    group.finish();

    let policy = PlanPolicy {
        endpoints: Endpoint::LMS.into_iter().collect(),
        mode: PlanMode::Planned,
        blind_full_min_interval: Duration::from_secs(3_600),
    };
    let models: Vec<ModelName> = Model::LMS.into_iter().map(ModelName::from).collect();
    criterion.bench_function("plan all models", |bench| {
        bench.iter(|| plan(black_box(&models), &policy, None, Timestamp::MAX));
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
