use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::StoreError;
use sync_core::rows::{ColumnKind, Key, MirrorRow, Model, StoredRow, Value};

use super::keys;
use crate::backend::Dialect;
use crate::error::corrupt;
use crate::statement::{Cell, Cells, Statement};

/// The columns to select, in the order that [`stored_row`] expects.
pub(super) fn selection(model: Model) -> String {
    let columns: Vec<String> = columns(model).iter().map(|name| format!("t.{name}")).collect();
    columns.join(", ")
}

pub(super) fn stored_row(model: Model, cells: Cells) -> Result<StoredRow, StoreError> {
    let bad = |what: &str| corrupt(model.as_str(), what);
    let mut cells = cells.0.into_iter();
    let mut next = || cells.next().ok_or_else(|| bad("a column is missing"));
    let mut key = Vec::with_capacity(2);
    for name in model.key_columns() {
        key.push(next()?.and_then(keys::id).ok_or_else(|| bad(name))?);
    }
    let mut key = key.into_iter();
    let key = Key::of(model, key.next().unwrap_or_default(), key.next().unwrap_or_default());
    let mut values = Vec::with_capacity(model.columns().len());
    for column in model.columns() {
        let cell = next()?;
        values.push(match (column.kind, cell) {
            (_, None) => Value::Null,
            (ColumnKind::Time, Some(cell)) => cell.into_exact_time().map_or(Value::Unreadable, Value::Time),
            (ColumnKind::Date, Some(cell)) => cell.into_date().map_or(Value::Unreadable, Value::Date),
            (ColumnKind::Number, Some(cell)) => cell.into_double().map_or(Value::Unreadable, Value::Number),
            (ColumnKind::Integer, Some(cell)) => cell.into_int().map_or(Value::Unreadable, Value::Integer),
            (ColumnKind::Flag, Some(cell)) => cell.into_flag().map_or(Value::Unreadable, Value::Flag),
            (ColumnKind::Text | ColumnKind::Id, Some(cell)) => cell.into_text().map_or(Value::Unreadable, Value::Text),
            (ColumnKind::Document | ColumnKind::Opaque, Some(cell)) => {
                cell.into_text().map_or(Value::Unreadable, Value::Json)
            }
        });
    }
    // The time when a row was written or removed is not Kombo's. A value that no fetch writes counts as long ago.
    let removed_at = next()?.map(|cell| cell.into_time().unwrap_or(Timestamp::MIN));
    let synced_at = next()?.and_then(Cell::into_exact_time).unwrap_or(Timestamp::MIN);
    Ok(StoredRow { row: MirrorRow::new(model, key, values), removed_at, synced_at })
}

/// A JSON array for `json_each`.
pub(super) fn json_array(texts: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

/// The rows with one of `keys`.
pub(super) fn among<'a>(
    model: Model,
    integration: &'a IntegrationId,
    keys: impl Iterator<Item = &'a Key>,
    dialect: Dialect,
) -> Statement<'a> {
    let mut keys: Vec<[&str; 2]> = keys.map(|key| [key.first(), key.second()]).collect();
    keys.sort_unstable();
    keys.dedup();
    match dialect {
        Dialect::Postgres => by_index(by_key(model), "*", model, model.key_columns(), integration, &keys, ""),
        Dialect::Sqlite => {
            let mut statement = from_table(model, integration);
            if let [first, second] = model.key_columns() {
                statement = statement
                    .sql(format!(" AND ((t.{first}, t.{second}) IN (SELECT value ->> 0, value ->> 1 FROM json_each("))
                    .json(json_array(&keys));
            } else {
                let ids: Vec<&str> = keys.iter().map(|[id, _]| *id).collect();
                statement = statement.sql(" AND (t.id IN (SELECT value FROM json_each(").json(json_array(&ids));
            }
            let odd: Vec<[String; 2]> = keys.iter().filter_map(|key| keys::hex(*key)).collect();
            if !odd.is_empty() {
                let [first, second] = keys::columns(model);
                let head =
                    format!(")) OR (hex({first}), hex({second})) IN (SELECT value ->> 0, value ->> 1 FROM json_each(");
                statement = statement.sql(head).json(json_array(&odd));
            }
            statement.sql(")))")
        }
    }
}

/// The rows without `removed_at` that have one of `parents` in `column`.
pub(super) fn under<'a>(
    model: Model,
    column: &'static str,
    integration: &'a IntegrationId,
    parents: &'a [String],
    dialect: Dialect,
) -> Statement<'a> {
    match dialect {
        Dialect::Postgres => {
            let mut parents: Vec<[&str; 2]> = parents.iter().map(|parent| [parent.as_str(), ""]).collect();
            parents.sort_unstable();
            parents.dedup();
            by_index(by_key(model), "*", model, &[column], integration, &parents, " AND t.removed_at IS NULL")
        }
        Dialect::Sqlite => {
            let mut statement = from_table(model, integration)
                .sql(format!(" AND (t.{column} IN (SELECT value FROM json_each("))
                .json(json_array(parents));
            let odd = parents.iter().filter_map(|parent| keys::hex([parent, ""]));
            let odd: Vec<String> = odd.map(|[parent, _]| parent).collect();
            if !odd.is_empty() {
                let head = format!(")) OR hex(t.{column}) IN (SELECT value FROM json_each(");
                statement = statement.sql(head).json(json_array(&odd));
            }
            statement.sql("))) AND t.removed_at IS NULL")
        }
    }
}

/// The beginning of a statement that looks up whole rows by [`by_index`].
pub(super) fn by_key<'a>(model: Model) -> Statement<'a> {
    Statement::new(format!("SELECT {} FROM (SELECT ", selection(model)))
}

/// Builds a statement that looks up any number of keys one after the other. `begin` ends within the select list of the
/// keys' values, `of` is the list of columns to read from a row, and `and` adds conditions.
///
/// `OFFSET 0` keeps the planner from rewriting it: without statistics it would read all rows of the integration for
/// each batch.
pub(super) fn by_index<'a>(
    begin: Statement<'a>,
    of: &str,
    model: Model,
    columns: &[&'static str],
    integration: &'a IntegrationId,
    keys: &[[&'a str; 2]],
    and: &'static str,
) -> Statement<'a> {
    let names = ["first", "second"];
    let mut statement = begin;
    let mut wanted = String::new();
    for (place, (column, name)) in columns.iter().zip(names).enumerate() {
        statement = statement.sql(if place > 0 { ", unnest(" } else { "unnest(" });
        statement = statement.texts(keys.iter().map(|key| key.get(place).copied()).collect());
        statement = statement.sql(format!(") AS {name}"));
        wanted = format!("{wanted} AND t.{column} = k.{name}");
    }
    statement
        .sql(format!(") AS k CROSS JOIN LATERAL (SELECT {of} FROM {model} AS t WHERE t.integration_id = "))
        .text(integration.as_str())
        .sql(format!("{wanted}{and} OFFSET 0) AS t"))
}

pub(super) fn from_table(model: Model, integration: &IntegrationId) -> Statement<'_> {
    let head = format!("SELECT {} FROM {model} AS t WHERE t.integration_id = ", selection(model));
    Statement::new(head).text(integration.as_str())
}

/// All columns but `integration_id`, in the order of a table's key, values and bookkeeping.
pub(super) fn columns(model: Model) -> Vec<String> {
    let keys = model.key_columns().iter().map(|name| (*name).to_owned());
    keys.chain(values(model)).collect()
}

/// The columns that are not part of the key. They are quoted: `index` is a keyword of SQLite.
pub(super) fn values(model: Model) -> impl Iterator<Item = String> {
    let values = model.columns().iter().map(|column| format!("\"{}\"", column.name));
    values.chain(["removed_at", "synced_at"].map(str::to_owned))
}

/// The beginning of an upsert, up to the values.
pub(super) fn insert_into(model: Model) -> String {
    format!("INSERT INTO {model} AS t (integration_id, {}) ", columns(model).join(", "))
}

/// The end of an upsert, which replaces the whole row.
pub(super) fn or_replace(model: Model) -> String {
    let sets: Vec<String> = values(model).map(|name| format!("{name} = excluded.{name}")).collect();
    let keys = model.key_columns().join(", ");
    format!(" ON CONFLICT (integration_id, {keys}) DO UPDATE SET {}", sets.join(", "))
}
