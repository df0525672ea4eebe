//! Measures how fast a page of 250 records is decoded.
#![allow(missing_docs, reason = "criterion's macros make functions without any")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kombo_model::{CourseProgression, User};

fn progression(number: usize) -> serde_json::Value {
    serde_json::json!({
        "id": format!("progression{number:013}"),
        "remote_id": format!("progress-{number}"),
        "user_id": format!("user{number:020}"),
        "course_revision_id": "revision0000000000000001",
        "status": "COMPLETED",
        "enrolled_at": "2024-10-07T01:48:46.548Z",
        "completed_at": "2025-06-11T10:00:00.000Z",
        "changed_at": "2025-06-11T10:00:00.000Z",
        "remote_deleted_at": null,
        "remote_data": { "/enrolments": { "number": number, "note": "x".repeat(300), "passed": true } },
        "user": { "id": format!("user{number:020}"), "remote_id": "u", "first_name": "Ada", "last_name": "Lovelace",
                  "work_email": "ada@example.com" },
        "course_revision": { "id": "revision0000000000000001", "remote_id": "r", "title": "Safety at work",
                             "course": { "id": "course000000000000000001", "remote_id": "c" } },
    })
}

fn user(number: usize) -> serde_json::Value {
    serde_json::json!({
        "id": format!("user{number:020}"), "remote_id": format!("u{number}"), "first_name": "Ada",
        "last_name": "Lovelace", "work_email": "ada@example.com", "status": "ACTIVE",
        "remote_created_at": "2024-10-07T01:48:46.548Z", "changed_at": "2025-06-11T10:00:00.000Z",
        "remote_deleted_at": null, "remote_data": null, "custom_fields": { "cost_centre": "CC-7" },
        "integration_fields": [],
    })
}

fn decode(criterion: &mut Criterion) {
    let page = |record: fn(usize) -> serde_json::Value| (0..250).map(record).collect::<serde_json::Value>().to_string();
    let mut group = criterion.benchmark_group("decode a page");
    let progressions = page(progression);
    group.throughput(Throughput::Bytes(progressions.len().try_into().unwrap_or(0)));
    group.bench_function("progressions", |bench| {
        bench.iter(|| serde_json::from_str::<Vec<CourseProgression>>(black_box(&progressions)));
    });
    let users = page(user);
    group.throughput(Throughput::Bytes(users.len().try_into().unwrap_or(0)));
    group.bench_function("users", |bench| bench.iter(|| serde_json::from_str::<Vec<User>>(black_box(&users))));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
