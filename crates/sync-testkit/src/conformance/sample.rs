//! Sample values, and shortcuts to run transactions.

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::horizon::Horizon;
use sync_core::jobs::{QueuedRequest, RequestCause, SyncKind, Target};
use sync_core::ports::{Scope, Store, Tx, TxResult};
use sync_core::pull::{Run, RunId};
use sync_core::pull::{RunCounts, RunOutcome, RunPhase};
use sync_core::rows::{ChangeCause, ChangeKind};
use sync_core::rows::{ColumnKind, Key, MirrorRow, Model, StoredRow, Value};

pub(super) fn alpha() -> IntegrationId {
    IntegrationId::from("sandbox:alpha")
}

pub(super) fn beta() -> IntegrationId {
    IntegrationId::from("sandbox:beta")
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap()
}

/// Returns a horizon: waits of at most an hour, and leases of a minute.
pub(super) fn horizon(now: Timestamp) -> Horizon {
    Horizon { now, longest_wait: Duration::from_secs(3_600), lease_ttl: Duration::from_secs(60) }
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Runs a writing transaction of the first integration, and expects success.
pub(super) async fn write<T: Send + 'static>(
    store: &impl Store,
    work: impl FnOnce(&mut dyn Tx) -> TxResult<T> + Send + 'static,
) -> T {
    store.transact(Scope::Integration(alpha()), work).await.expect("the transaction passes")
}

/// Runs a reading transaction, and expects success.
pub(super) async fn read<T: Send + 'static>(
    store: &impl Store,
    work: impl FnOnce(&mut dyn Tx) -> TxResult<T> + Send + 'static,
) -> T {
    store.read(work).await.expect("the transaction passes")
}

pub(super) fn key(id: &str) -> Key {
    Key::Id(id.to_owned())
}

pub(super) fn pair(first: &str, second: &str) -> Key {
    Key::Pair(first.to_owned(), second.to_owned())
}

/// A live row with a different value in each column.
pub(super) fn full_row(model: Model, key: Key) -> StoredRow {
    let name = serde_json::Value::String(key.to_string());
    let values = model.columns().iter().enumerate().map(|(place, column)| match (column.name, column.kind) {
        ("remote_deleted_at", _) => Value::Null,
        (_, ColumnKind::Text | ColumnKind::Id) => Value::Text(format!("{key} {}", column.name)),
        (_, ColumnKind::Date) => Value::Date(format!("19{:02}-02-28", 10 + place).parse().unwrap()),
        (_, ColumnKind::Number) => Value::Number(f64::from(u32::try_from(place).unwrap()) - 0.1),
        (_, ColumnKind::Integer) => Value::Integer(i64::MAX - i64::try_from(place).unwrap()),
        (_, ColumnKind::Flag) => Value::Flag(true),
        (_, ColumnKind::Time) => Value::Time(at(i64::try_from(place).unwrap())),
        (column, ColumnKind::Document | ColumnKind::Opaque) => {
            Value::Json(format!(r#"{{"{column}":[{place},true,null,"é"],"of":{name}}}"#))
        }
    });
    let values = values.collect();
    stored(model, key, values)
}

/// A live row with null in each column.
pub(super) fn null_row(model: Model, key: Key) -> StoredRow {
    stored(model, key, vec![Value::Null; model.columns().len()])
}

/// A live row with `value` in the column `name`, and null elsewhere.
pub(super) fn row_with(model: Model, key: Key, name: &str, value: &Value) -> StoredRow {
    let columns = model.columns().iter();
    let values = columns.map(|column| if column.name == name { value.clone() } else { Value::Null }).collect();
    stored(model, key, values)
}

fn stored(model: Model, key: Key, values: Vec<Value>) -> StoredRow {
    StoredRow { row: MirrorRow::new(model, key, values), removed_at: None, synced_at: at(100) }
}

/// The key of an example row.
pub(super) fn example_key(model: Model, name: &str) -> Key {
    Key::of(model, name.to_owned(), format!("{name}-second"))
}

pub(super) fn sorted(mut rows: Vec<StoredRow>) -> Vec<StoredRow> {
    rows.sort_by(|left, right| left.row.key.cmp(&right.row.key));
    rows
}

/// Writes rows, and checks that they come back.
pub(super) async fn check_rows(store: &impl Store, model: Model, rows: Vec<StoredRow>) {
    let keys: Vec<Key> = rows.iter().map(|row| row.row.key.clone()).collect();
    let expected = sorted(rows.clone());
    let found = write(store, move |tx| {
        tx.put_rows(model, &alpha(), &rows)?;
        tx.rows(model, &alpha(), &keys)
    })
    .await;
    check_same(model, &sorted(found), &expected);
    let keys: Vec<Key> = expected.iter().map(|row| row.row.key.clone()).collect();
    let found = read(store, move |tx| tx.rows(model, &alpha(), &keys)).await;
    check_same(model, &sorted(found), &expected);
}

/// Compares rows value by value, with their texts, because `Debug` of a value hides them.
pub(super) fn check_same(model: Model, found: &[StoredRow], expected: &[StoredRow]) {
    let keys = |rows: &[StoredRow]| rows.iter().map(|row| row.row.key.to_string()).collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected), "the rows of {model}");
    for (found, expected) in found.iter().zip(expected) {
        let values = found.row.values().iter().zip(expected.row.values());
        for ((found, expected), column) in values.zip(model.columns()) {
            assert!(
                found == expected,
                "{model}.{}: {:.300} instead of {:.300}",
                column.name,
                found.to_json().to_string(),
                expected.to_json().to_string()
            );
        }
        assert!(found == expected, "{model} {}: {found:?} instead of {expected:?}", found.row.key);
    }
}

pub(super) fn target(integration: IntegrationId, endpoint: Endpoint, kind: SyncKind) -> Target {
    Target { integration_id: integration, endpoint, kind }
}

pub(super) fn delta() -> Target {
    target(alpha(), Endpoint::LmsUsers, SyncKind::Delta)
}

pub(super) fn request(target: Target, requested_at: Timestamp) -> QueuedRequest {
    QueuedRequest {
        target,
        cause: RequestCause::Webhook,
        requested_at,
        not_before: requested_at,
        generation: 1,
        attempts: 0,
        approved_removals: None,
        lease: None,
    }
}

pub(super) fn run(target: Target) -> Run {
    Run {
        id: RunId(0),
        target,
        outcome: RunOutcome::Running,
        started_at: at(0),
        finished_at: None,
        updated_after: None,
        fetch_started_at: None,
        first_load: true,
        phase: RunPhase::Pages,
        page_cursor: None,
        batches: 0,
        counts: RunCounts::default(),
        error: None,
    }
}

pub(super) fn change(integration: IntegrationId, record: &str, at: Timestamp) -> Change {
    Change {
        seq: 0,
        integration_id: integration,
        model: Model::LmsUsers,
        record_id: record.to_owned(),
        kind: ChangeKind::Updated,
        cause: ChangeCause::Direct,
        fields: serde_json::json!(["first_name"]),
        run_id: RunId(1),
        at,
    }
}
