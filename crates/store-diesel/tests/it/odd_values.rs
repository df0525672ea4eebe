//! Values that no tool should send but some do. Each affects only itself, and none causes drift.

use kombo_model::Endpoint;
use serde_json::json;
use sync_core::ports::{QuarantinePart, Store as _};
use sync_core::rows::Model;
use sync_core::verify::What;

use crate::bench::{Bench, on_both_databases};

on_both_databases!(odd_ids, odd_numbers, odd_times, duplicates_in_one_page);

const AT: &str = "2025-06-01T00:00:00.000Z";

/// Runs two full fetches of users. Checks the numbers of stored and quarantined records, and that the second fetch
/// changes nothing.
async fn users(bench: &mut Bench, records: Vec<String>, stored: usize, put_aside: usize) {
    bench.endpoints = [Endpoint::LmsUsers].into();
    bench.said.page_size = 50;
    bench.lists(Endpoint::LmsUsers, records);
    for _ in 0..2 {
        let run = bench.full(Endpoint::LmsUsers).await;
        assert!(run.outcome.is_complete(), "{run:?}");
        let aside = bench.store.read(|tx| tx.quarantined(QuarantinePart::All, 1_000)).await;
        let aside = aside.unwrap_or_else(|error: sync_core::ports::StoreError| panic!("{error}"));
        assert_eq!(aside.len(), put_aside, "{:?}", aside.iter().map(|it| (&it.path, &it.reason)).collect::<Vec<_>>());
        assert_eq!(bench.live(Model::LmsUsers).await.len(), stored);
    }
    assert!(bench.changes().await.is_empty(), "{:?}", bench.changes().await);
    let mut differences = bench.verify().await;
    differences.retain(|difference| difference.what != What::Unreadable);
    assert!(differences.is_empty(), "{differences:?}");
}

async fn odd_ids(mut bench: Bench) {
    let ids =
        ["a\\u0001b", "\\u202eabc", "nul\\u0000id", "\\u001f", "\\u001b", " ", ",", "\\ud83d", "\u{1f600}", "'; --"];
    let mut records: Vec<String> =
        ids.iter().map(|id| format!(r#"{{"id":"{id}","first_name":"{id}","changed_at":"{AT}"}}"#)).collect();
    records.push(format!(r#"{{"id":"{}","changed_at":"{AT}"}}"#, "x".repeat(800)));
    records.push(format!(r#"{{"id":"{}","changed_at":"{AT}"}}"#, "x".repeat(6_000)));
    records.push(format!(r#"{{"id":"","changed_at":"{AT}"}}"#));
    records.push(format!(r#"{{"id":null,"changed_at":"{AT}"}}"#));
    users(&mut bench, records, ids.len() + 1, 3).await;
}

async fn odd_numbers(mut bench: Bench) {
    let digits = "7".repeat(10_000);
    let numbers = [
        "-0",
        "-0.0",
        "1E5",
        "1e5",
        "1e-400",
        "1e400",
        "1E+400",
        "1e400000",
        "-1e-999999",
        "123456789012345678901",
        "0.12345678901234567890",
        "1.10",
        "5e-324",
        "0e999999",
        &digits,
    ];
    let record = |(number, value): (usize, &&str)| {
        format!(
            r#"{{"id":"u{number:02}","remote_id":{value},"custom_fields":{{"n":{value},"list":[{value},"{value}"]}},
                "remote_data":{{"n":{value}}},"integration_fields":[{{"value":{value}}}],"changed_at":"{AT}"}}"#
        )
    };
    users(&mut bench, numbers.iter().enumerate().map(record).collect(), numbers.len(), 0).await;
    let long = bench.value(Model::LmsUsers, "u09", "custom_fields").await;
    assert_eq!(long["n"], "123456789012345678901");
    // A change of the last digit is detected in all columns that contain it.
    let changed = numbers.map(|number| match number {
        "123456789012345678901" => "123456789012345678902",
        "0.12345678901234567890" => "0.12345678901234567891",
        "1e400" => "1e401",
        number => number,
    });
    bench.lists(Endpoint::LmsUsers, changed.iter().enumerate().map(record));
    bench.full_of_all().await;
    let entries = bench.changes().await;
    let logged: Vec<&str> = entries.iter().map(|change| change.record_id.as_str()).collect();
    assert_eq!(logged, ["u05", "u09", "u10"]);
    for change in &entries {
        assert_eq!(change.fields, json!(["remote_id", "remote_data", "custom_fields", "integration_fields"]));
    }
    let long = bench.value(Model::LmsUsers, "u09", "custom_fields").await;
    assert_eq!(long["n"], "123456789012345678902");
}

async fn odd_times(mut bench: Bench) {
    // The first four are valid.
    let times = [
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "2025-01-01T00:00:00+23:59",
        "2025-01-01T00:00:00.123456789Z",
        "2025-01-01T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "2025-02-30T00:00:00Z",
        "noon",
        "",
        "0000-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ];
    let record = |(number, time): (usize, &&str)| {
        format!(r#"{{"id":"u{number:02}","first_name":"Ada","remote_created_at":"{time}","changed_at":"{AT}"}}"#)
    };
    bench.endpoints = [Endpoint::LmsUsers].into();
    bench.said.page_size = 50;
    bench.lists(Endpoint::LmsUsers, times.iter().enumerate().map(record));
    for _ in 0..2 {
        let run = bench.full(Endpoint::LmsUsers).await;
        assert!(run.outcome.is_complete(), "{run:?}");
    }
    // An invalid time affects only itself, and nothing drifts.
    assert_eq!(bench.live(Model::LmsUsers).await.len(), times.len());
    assert!(bench.changes().await.is_empty());
    for number in 0..times.len() {
        assert_eq!(bench.value(Model::LmsUsers, &format!("u{number:02}"), "first_name").await, "Ada");
    }
    assert_eq!(bench.value(Model::LmsUsers, "u03", "remote_created_at").await, "2025-01-01T00:00:00.123Z");
}

async fn duplicates_in_one_page(mut bench: Bench) {
    let user = |name: &str, at: &str| format!(r#"{{"id":"u","first_name":"{name}","changed_at":{at}}}"#);
    let (old, new, ahead) =
        (r#""2025-06-01T00:00:00.000Z""#, r#""2025-07-01T00:00:00.000Z""#, r#""9000-01-01T00:00:00.000Z""#);
    bench.endpoints = [Endpoint::LmsUsers].into();
    for page_size in [1, 9] {
        bench.said.page_size = page_size;
        for records in [
            vec![user("new", new), user("old", old)],
            vec![user("old", old), user("new", new)],
            vec![user("old", old), user("new", new), user("old", old)],
            vec![user("new", new), user("ahead", ahead), user("undated", "null"), user("old", old)],
        ] {
            bench.lists(Endpoint::LmsUsers, records.clone());
            bench.full_of_all().await;
            let logged = bench.changes().await.len();
            bench.full_of_all().await;
            assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "new", "{page_size} {records:?}");
            assert_eq!(bench.changes().await.len(), logged, "{page_size} {records:?}");
        }
    }
}
