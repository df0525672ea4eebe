//! Edits of rows by hand.

use std::time::Duration;

use sync_core::ports::StoreError;
use sync_core::rows::{ColumnKind, Key, MirrorRow, Model, StoredRow, Value};

use crate::tally::Fault;
use crate::world::{Tenant, World};

/// Edits a row of an integration by hand, or inserts one.
pub(crate) fn edit(world: &World, tenant: &Tenant) {
    let Some(model) = world.dice().choice(Model::LMS) else { return };
    let rows = world.store.table(model, &tenant.id);
    let stored = world.dice().choice(rows);
    let Some(stored) = stored.filter(|_| world.dice().u8(0..3) > 0) else { return insert(world, tenant, model) };
    let mut edited = stored;
    let kind = world.dice().u8(0..5);
    match kind {
        0 => {
            world.count(Fault::HandRemoved);
            edited.removed_at = if edited.removed_at.is_some() { None } else { Some(world.true_now()) };
        }
        1 => {
            world.count(Fault::HandSynced);
            edited.synced_at = any_time(world);
        }
        _ => {
            world.count(Fault::HandValue);
            let place = world.dice().usize(0..model.columns().len());
            let value = any_value(world, model, place);
            if let Some(old) = edited.row.values_mut().get_mut(place) {
                *old = value;
            }
        }
    }
    put(world, tenant, model, &edited);
}

/// Inserts a row that no fetch would write: with an unknown parent, or with an id that cannot be sent.
fn insert(world: &World, tenant: &Tenant, model: Model) {
    world.count(Fault::HandInserted);
    let id = |ids: [&str; 4]| world.dice().choice(ids).unwrap_or_default().to_owned();
    let key = Key::of(model, id(["hand,made", " ", "r1", "unknown"]), id(["by hand", "s1", "s,2", "s3"]));
    if world.store.table(model, &tenant.id).iter().any(|stored| stored.row.key == key) {
        return;
    }
    let values = (0..model.columns().len()).map(|place| match model.columns().get(place) {
        // Makes the row seem not deleted.
        Some(column) if column.name == "remote_deleted_at" => Value::Null,
        Some(_) | None => any_value(world, model, place),
    });
    let row = MirrorRow::new(model, key, values.collect());
    let synced_at = if world.dice().bool() { world.true_now() } else { any_time(world) };
    put(world, tenant, model, &StoredRow { row, removed_at: None, synced_at });
}

fn put(world: &World, tenant: &Tenant, model: Model, stored: &StoredRow) {
    world.log(format_args!("a person writes {model} {} of {}: {stored:?}", stored.row.key, tenant.id));
    let put = world.store.edit(|tx| tx.put_rows(model, &tenant.id, std::slice::from_ref(stored)));
    world.checks().note_hand(&tenant.id, model, stored);
    if let Err(error) = put {
        let error: StoreError = error;
        world.fail(error.to_string());
    }
}

/// Returns a value that a person might write into a column.
fn any_value(world: &World, model: Model, place: usize) -> Value {
    let Some(column) = model.columns().get(place) else { return Value::Null };
    let text = world.dice().choice(["by hand", "c1", "r1", "u1", "hand,made", ""]).unwrap_or_default().to_owned();
    let kind = world.dice().u8(0..4);
    match (column.kind, kind) {
        (_, 0) => Value::Null,
        (ColumnKind::Text | ColumnKind::Id, _) => Value::Text(text),
        (ColumnKind::Date, _) => Value::Date("1999-12-31".parse().unwrap_or_else(|_| unreachable!())),
        (ColumnKind::Number, _) => Value::Number(-0.5),
        (ColumnKind::Integer, _) => Value::Integer(-1),
        (ColumnKind::Flag, _) => Value::Flag(true),
        (ColumnKind::Time | ColumnKind::Document | ColumnKind::Opaque, 1) => Value::Unreadable,
        (ColumnKind::Time, _) => Value::Time(any_time(world)),
        (ColumnKind::Document | ColumnKind::Opaque, _) => Value::Json(format!(r#"{{"by":"{text}"}}"#)),
    }
}

/// Returns a time up to 40 days ago or ahead.
fn any_time(world: &World) -> kombo_model::Timestamp {
    let off = world.between(Duration::from_secs(1), Duration::from_secs(40 * 86_400));
    let (now, ahead) = (world.true_now(), world.dice().bool());
    if ahead { now.saturating_add(off) } else { now.saturating_sub(off) }
}
