//! Values that a person wrote into the tables by hand. A full fetch of everything repairs the mirror. A bad value in a
//! bookkeeping table either stops nothing, or is an error that names the table.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kombo_model::Endpoint;
use sync_core::jobs::SyncKind;
use sync_core::ports::{QuarantinePart, Store as _, StoreError, Tx};
use sync_core::rows::{ColumnKind, Model, StoredRow};

use crate::bench::{Bench, alpha, on_both_databases};

on_both_databases!(
    every_column_is_mended,
    every_column_of_copies_is_mended,
    odd_keys_are_removed,
    the_time_of_writing_is_mended,
    bad_books_stop_nothing,
);

const AT: &str = "2025-06-01T00:00:00.000Z";
/// More rows than a table has columns.
const ROWS: usize = 24;

fn furnish(bench: &mut Bench) {
    bench.said.page_size = 9;
    let fields = r#""custom_fields":{"a":1},"integration_fields":[],"remote_data":{"b":[1.50]}"#;
    let times = format!(r#""changed_at":"{AT}","remote_created_at":"{AT}""#);
    let numbers = || 0..ROWS;
    bench.lists(
        Endpoint::LmsUsers,
        numbers().map(|n| format!(r#"{{"id":"u{n:02}","remote_id":"r{n}","first_name":"Ada",{times},{fields}}}"#)),
    );
    bench.lists(
        Endpoint::LmsCourses,
        numbers().map(|n| {
            format!(
                r#"{{"id":"c{n:02}","provider_id":"p{n:02}",{times},{fields},
                    "provider":{{"id":"p{n:02}","remote_id":"rp","name":"Acme"}},
                    "revisions":[{{"id":"r{n:02}","course_id":"c{n:02}","title":"One",{times},{fields},
                        "skill_assignments":[{{"skill":{{"id":"s{n:02}","remote_id":"rs","name":"Welding"}}}}]}}]}}"#
            )
        }),
    );
    bench.lists(
        Endpoint::LmsSkills,
        numbers().map(|n| format!(r#"{{"id":"s{n:02}","remote_id":"rs","name":"Welding",{times},{fields}}}"#)),
    );
    bench.lists(
        Endpoint::LmsCourseProgressions,
        numbers().map(|n| {
            format!(
                r#"{{"id":"g{n:02}","user_id":"u{n:02}","course_revision_id":"r{n:02}","enrolled_at":"{AT}",
                    "status":"ENROLLED","changed_at":"{AT}","remote_data":{{"b":[1.50]}}}}"#
            )
        }),
    );
}

/// SQL expressions that a person may write into a column.
fn by_hand(bench: &Bench, kind: ColumnKind) -> Vec<&'static str> {
    let mut values = vec!["NULL"];
    values.extend(match (bench.is_sqlite(), kind) {
        (true, _) => &[
            "CAST(x'ff' AS TEXT)",
            "CAST(x'610062' AS TEXT)",
            "'at noon'",
            "''",
            "7",
            "1.5",
            "'{\"a\":'",
            "'2025-06-01T00:00:00Z'",
            "'9999-12-31T23:59:59.999Z'",
            "hex(zeroblob(300000))",
        ][..],
        (false, ColumnKind::Text | ColumnKind::Id) => &["''", "E'\\x01'", "repeat('x', 2000)"][..],
        (false, ColumnKind::Time) => &[
            "'infinity'",
            "'-infinity'",
            "'0044-03-15 00:00:00+00 BC'",
            "'294276-12-31 00:00:00+00'",
            "'2025-06-01T00:00:00.000001Z'",
        ][..],
        (false, ColumnKind::Date) => &["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'294276-12-31'"][..],
        (false, ColumnKind::Number) => &["'NaN'", "'infinity'", "'-infinity'", "1e308"][..],
        (false, ColumnKind::Integer) => &["-9223372036854775808"][..],
        (false, ColumnKind::Flag) => &["true", "false"][..],
        (false, ColumnKind::Document | ColumnKind::Opaque) => {
            &["'null'", "'7'", "'\"x\"'", "'[1e400]'", "'{\"a\":2}'"][..]
        }
    });
    values
}

/// The live rows of a model, without their `synced_at`.
async fn live(bench: &Bench, model: Model) -> Vec<StoredRow> {
    let rows = bench.rows(model).await.into_iter().filter(StoredRow::is_live);
    rows.map(|row| StoredRow { synced_at: kombo_model::Timestamp::MIN, ..row }).collect()
}

async fn all_live(bench: &Bench) -> Vec<Vec<StoredRow>> {
    let mut all = Vec::new();
    for model in Model::LMS {
        all.push(live(bench, model).await);
    }
    all
}

async fn mends(mut bench: Bench, models: &[Model]) {
    furnish(&mut bench);
    bench.full_of_all().await;
    let before = all_live(&bench).await;
    let most = models.iter().flat_map(|model| model.columns()).map(|column| by_hand(&bench, column.kind).len());
    for round in 0..most.max().unwrap() {
        let mut edits = String::new();
        let mut edited = BTreeSet::new();
        for model in models {
            let key = model.key_columns()[0];
            let names = model.columns().iter().map(|column| (column.name, column.kind));
            let rest = [("removed_at", ColumnKind::Time), ("synced_at", ColumnKind::Time)];
            for (place, (name, kind)) in names.chain(rest).enumerate() {
                let Some(value) = by_hand(&bench, kind).get(round).copied() else { continue };
                if name == "synced_at" && value == "NULL" {
                    continue;
                }
                let row = &before[Model::LMS.iter().position(|it| it == model).unwrap()][place];
                let id = row.row.key.first();
                writeln!(edits, "UPDATE {model} SET {name} = {value} WHERE {key} = '{id}';").unwrap();
                edited.insert((*model, name));
            }
        }
        bench.sql(&edits).await;
        let differences = bench.verify().await;
        assert!(!differences.is_empty(), "round {round}");
        bench.full_of_all().await;
        for (before, after) in before.iter().zip(&all_live(&bench).await) {
            assert_eq!(before, after, "round {round}: {edits}");
        }
        let differences = bench.verify().await;
        assert!(differences.is_empty(), "round {round}: {differences:?}");
    }
    bench.assert_settled().await;
}

async fn every_column_is_mended(bench: Bench) {
    mends(bench, &Model::LMS).await;
}

/// Edits every column of a skill that only courses show.
async fn every_column_of_copies_is_mended(mut bench: Bench) {
    bench.endpoints.remove(&Endpoint::LmsSkills);
    mends(bench, &[Model::LmsSkills]).await;
}

async fn odd_keys_are_removed(mut bench: Bench) {
    furnish(&mut bench);
    bench.full_of_all().await;
    let before = all_live(&bench).await;
    let keys: &[&str] = if bench.is_sqlite() {
        &[
            "CAST(x'ff' AS TEXT)",
            "CAST(x'61ff1b1f' AS TEXT)",
            "CAST(x'610062' AS TEXT)",
            "char(27, 31)",
            "''",
            "hex(zeroblob(3000))",
        ]
    } else {
        &["E'\\x1b\\x1f'", "''", "repeat('x', 1500)", "' '", "U&'\\202E'"]
    };
    for (round, key) in keys.iter().enumerate() {
        let mut edits = String::new();
        for model in Model::LMS {
            for column in model.key_columns() {
                let id =
                    before[Model::LMS.iter().position(|it| *it == model).unwrap()][round].row.key.first().to_owned();
                let first = model.key_columns()[0];
                writeln!(edits, "UPDATE {model} SET {column} = {key} WHERE {first} = '{id}';").unwrap();
            }
        }
        bench.sql(&edits).await;
        assert!(!bench.verify().await.is_empty(), "{key}");
        bench.full_of_all().await;
        for (before, after) in before.iter().zip(&all_live(&bench).await) {
            assert_eq!(before, after, "{key}");
        }
        let differences = bench.verify().await;
        assert!(differences.is_empty(), "{key}: {differences:?}");
    }
    bench.assert_settled().await;
}

async fn the_time_of_writing_is_mended(mut bench: Bench) {
    furnish(&mut bench);
    bench.full_of_all().await;
    let mut times = vec!["'2199-01-01T00:00:00.000Z'"];
    times.extend(if bench.is_sqlite() {
        ["'noon'", "'2025-06-01T00:00:00.000001Z'"]
    } else {
        ["'infinity'", "'2025-06-01T00:00:00.000001Z'"]
    });
    for time in times {
        for model in Model::LMS {
            bench.sql(&format!("UPDATE {model} SET synced_at = {time}")).await;
        }
        let columns: BTreeSet<_> =
            bench.verify().await.iter().map(|difference| (difference.model, difference.field)).collect();
        assert_eq!(columns, Model::LMS.map(|model| (model, Some("synced_at"))).into(), "{time}");
        let logged = bench.changes().await.len();
        bench.full_of_all().await;
        assert_eq!(bench.changes().await.len(), logged, "nothing that matters changed");
        assert_eq!(bench.verify().await, [], "{time}");
    }
    bench.assert_settled().await;
}

/// The bookkeeping tables, with their columns of text, times or JSON, and their numeric columns.
const BOOKS: [(&str, &[&str], &[&str]); 9] = [
    (
        "sync_integrations",
        &["id", "tool", "status", "status_since", "reason", "registered_at", "state_updated_at"],
        &[],
    ),
    (
        "sync_watermarks",
        &[
            "integration_id",
            "endpoint",
            "watermark",
            "loaded_at",
            "last_delta_at",
            "last_full_at",
            "next_full_at",
            "last_blind_full_at",
            "status",
            "status_since",
            "reason",
        ],
        &["pending_removals"],
    ),
    (
        "sync_requests",
        &[
            "integration_id",
            "endpoint",
            "kind",
            "cause",
            "requested_at",
            "not_before",
            "lease_token",
            "lease_owner",
            "lease_expires_at",
        ],
        &["generation", "attempts", "approved_removals", "lease_generation"],
    ),
    (
        "sync_runs",
        &[
            "integration_id",
            "endpoint",
            "kind",
            "outcome",
            "started_at",
            "finished_at",
            "updated_after",
            "fetch_started_at",
            "phase",
            "page_cursor",
            "error",
        ],
        &["batches", "pages", "records", "created", "stale", "withheld"],
    ),
    ("sync_pacing", &["next_at", "budget_until"], &["budget_limit", "budget_left"]),
    ("sync_webhook_events", &["id", "kind", "integration_id", "received_at", "models", "result"], &[]),
    (
        "sync_quarantine",
        &["integration_id", "endpoint", "record_id", "json", "path", "reason", "observed_at"],
        &["run_id"],
    ),
    ("sync_changes", &["integration_id", "model", "record_id", "kind", "cause", "fields", "at"], &["run_id"]),
    (
        "sync_deliveries",
        &[
            "integration_id",
            "delivered_at",
            "not_before",
            "parcel_id",
            "parcel_first_tried_at",
            "parcel_error",
            "lease_token",
            "lease_owner",
            "lease_expires_at",
        ],
        &["delivered_seq", "parcel_first_seq", "parcel_attempts"],
    ),
];

fn read_all(tx: &mut dyn Tx) -> Result<(), StoreError> {
    tx.integrations()?;
    tx.endpoints(None)?;
    tx.endpoints(Some(&alpha()))?;
    tx.requests()?;
    tx.runs(None, None, 99)?;
    tx.deliveries()?;
    tx.undelivered()?;
    tx.dead_letters(None)?;
    tx.quarantined(QuarantinePart::All, 99)?;
    tx.changes(None, 0, 99).map(drop)
}

async fn bad_books_stop_nothing(mut bench: Bench) {
    bench.endpoints = [Endpoint::LmsUsers].into();
    let user = |name: &str, at: &str| format!(r#"{{"id":"u","first_name":"{name}","changed_at":"{at}"}}"#);
    let now = "'2026-01-01T00:00:00.000Z'";
    let mut name = 0;
    for (table, texts, numbers) in BOOKS {
        let mut edits = Vec::new();
        for column in texts {
            if bench.is_sqlite() {
                edits.extend(["CAST(x'ff' AS TEXT)", "'by hand'", "''"].map(|value| (column, value)));
            }
        }
        if !bench.is_sqlite() {
            let times = texts.iter().filter(|name| {
                name.ends_with("_at")
                    || ["at", "watermark", "not_before", "status_since", "updated_after", "budget_until"].contains(name)
            });
            for column in times {
                edits.extend(
                    ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'294276-01-01'"].map(|value| (column, value)),
                );
            }
            let words = texts
                .iter()
                .filter(|name| ["status", "kind", "cause", "outcome", "phase", "model", "endpoint"].contains(name));
            edits.extend(words.map(|column| (column, "'by hand'")));
            let json = texts.iter().filter(|name| ["fields", "models"].contains(name));
            edits.extend(json.map(|column| (column, "'7'")));
        }
        edits.extend(numbers.iter().flat_map(|column| ["-1", "2147483647"].map(|value| (column, value))));
        for (column, value) in edits {
            name += 1;
            bench.sql(&format!(
                "DELETE FROM sync_integrations; DELETE FROM sync_deliveries; DELETE FROM sync_quarantine; DELETE FROM sync_changes;
                 DELETE FROM sync_requests; DELETE FROM sync_runs; DELETE FROM sync_watermarks; DELETE FROM sync_webhook_events;
                 INSERT INTO sync_integrations (id, status, status_since, registered_at) VALUES ('sandbox:a', 'active', {now}, {now});
                 INSERT INTO sync_deliveries (integration_id, delivered_seq, not_before) VALUES ('sandbox:a', 0, {now});
                 INSERT INTO sync_webhook_events (id, kind, received_at, models, result) VALUES ('e', 'k', {now}, '[]', 'r');
                 INSERT INTO sync_quarantine VALUES ('sandbox:a', 'lms/users', 'q', '{{}}', '', '', {now}, 1);
                 INSERT INTO sync_requests (integration_id, endpoint, kind, cause, requested_at, not_before, generation, attempts)
                 VALUES ('sandbox:a', 'lms/courses', 'full', 'poll', {now}, {now}, 1, 0)"
            ))
            .await;
            bench.lists(Endpoint::LmsUsers, [user("Ada", AT)]);
            bench.full_of_all().await;
            bench.lists(Endpoint::LmsUsers, [user(&format!("{name}"), "2025-07-01T00:00:00.000Z")]);
            bench.fetch(Endpoint::LmsUsers, SyncKind::Full).await;
            bench.sql(&format!("UPDATE {table} SET {column} = {value}")).await;
            let what = format!("{table}.{column} = {value}");
            if let Err(error) = bench.store.read(read_all).await {
                let error: StoreError = error;
                let is_entry = matches!(&error, StoreError::Corrupt { table: "sync_changes", message } if message.contains("entry "));
                assert!(is_entry, "{what}: {error}");
            }
            bench.full_of_all().await;
            bench.lists(Endpoint::LmsUsers, [user(&format!("{name} again"), "2025-08-01T00:00:00.000Z")]);
            bench.full_of_all().await;
            assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, format!("{name} again"), "{what}");
        }
    }
}
