//! The mirror's own tables: statements follow from the list of columns of a model.

use diesel::{QueryResult, RunQueryDsl as _};
use kombo_model::{IntegrationId, Timestamp};
use sync_core::mirror::{ColumnKind, Key, Model, Row, StoredRow, Value};
use sync_core::port::{StoreError, TxResult};

use crate::backend::Dialect;
use crate::both;
use crate::error::{During as _, corrupt};
use crate::statement::{Cell, Cells, Statement};

const LIVE: &str = "remote_deleted_at IS NULL AND removed_at IS NULL";

/// The columns to select, in the order in which [`stored_row`] reads them.
fn selection(model: Model, dialect: Dialect) -> String {
    let mut columns: Vec<String> = model.key_columns().iter().map(|name| format!("t.{name}")).collect();
    for column in model.columns() {
        let is_json = matches!(column.kind, ColumnKind::Document | ColumnKind::Opaque);
        let cast = if is_json && dialect == Dialect::Postgres { "::text" } else { "" };
        columns.push(format!("t.{}{cast}", column.name));
    }
    columns.push("t.removed_at".to_owned());
    columns.push("t.synced_at".to_owned());
    columns.join(", ")
}

fn stored_row(model: Model, cells: Cells) -> Result<StoredRow, StoreError> {
    let bad = |what: &str| corrupt(model.as_str(), what);
    let mut cells = cells.0.into_iter();
    let mut next = || cells.next().ok_or_else(|| bad("a column is missing"));
    let mut key = Vec::with_capacity(2);
    for name in model.key_columns() {
        key.push(next()?.and_then(Cell::into_text).ok_or_else(|| bad(name))?);
    }
    let mut key = key.into_iter();
    let key = Key::of(model, key.next().unwrap_or_default(), key.next().unwrap_or_default());
    let mut values = Vec::with_capacity(model.columns().len());
    for column in model.columns() {
        let cell = next()?;
        values.push(match (column.kind, cell) {
            (_, None) => Value::Null,
            (ColumnKind::Time, Some(cell)) => Value::Time(time(cell).ok_or_else(|| bad(column.name))?),
            (ColumnKind::Text, Some(cell)) => Value::Text(cell.into_text().ok_or_else(|| bad(column.name))?),
            (ColumnKind::Document | ColumnKind::Opaque, Some(cell)) => {
                Value::Json(cell.into_text().ok_or_else(|| bad(column.name))?)
            }
        });
    }
    let removed_at = next()?.map(|cell| time(cell).ok_or_else(|| bad("removed_at"))).transpose()?;
    let synced_at = next()?.and_then(time).ok_or_else(|| bad("synced_at"))?;
    Ok(StoredRow { row: Row::new(model, key, values), removed_at, synced_at })
}

fn time(cell: Cell) -> Option<Timestamp> {
    match cell {
        Cell::Time(time) => Some(time),
        Cell::Text(text) => text.parse().ok(),
        Cell::Int(_) => None,
    }
}

/// The rows with one of `keys`.
fn among<'a>(model: Model, integration: &'a IntegrationId, keys: &'a [Key], dialect: Dialect) -> Statement<'a> {
    let mut keys: Vec<[&str; 2]> = keys.iter().map(|key| [key.first(), key.second()]).collect();
    keys.sort_unstable();
    keys.dedup();
    match dialect {
        Dialect::Postgres => by_index(model, model.key_columns(), integration, &keys).sql(" OFFSET 0) AS t"),
        Dialect::Sqlite => {
            let statement = from_table(model, integration, dialect);
            if let [first, second] = model.key_columns() {
                statement
                    .sql(format!(" AND (t.{first}, t.{second}) IN (SELECT value ->> 0, value ->> 1 FROM json_each("))
                    .json(serde_json::json!(keys).to_string())
                    .sql("))")
            } else {
                let ids: Vec<&str> = keys.iter().map(|[id, _]| *id).collect();
                statement
                    .sql(" AND t.id IN (SELECT value FROM json_each(")
                    .json(serde_json::json!(ids).to_string())
                    .sql("))")
            }
        }
    }
}

/// The rows without `removed_at` whose `column` is one of `parents`.
fn under<'a>(
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
            by_index(model, &[column], integration, &parents).sql(" AND t.removed_at IS NULL OFFSET 0) AS t")
        }
        Dialect::Sqlite => from_table(model, integration, dialect)
            .sql(format!(" AND t.{column} IN (SELECT value FROM json_each("))
            .json(serde_json::json!(parents).to_string())
            .sql(")) AND t.removed_at IS NULL"),
    }
}

/// The head of a statement that looks up keys one after the other, however many there are. `OFFSET 0` keeps the planner
/// from turning that into something else: without statistics it would read all rows of the integration for each batch.
fn by_index<'a>(
    model: Model,
    columns: &[&'static str],
    integration: &'a IntegrationId,
    keys: &[[&'a str; 2]],
) -> Statement<'a> {
    let names = ["first", "second"];
    let mut statement = Statement::new(format!("SELECT {} FROM unnest(", selection(model, Dialect::Postgres)));
    let mut wanted = String::new();
    for (place, (column, name)) in columns.iter().zip(names).enumerate() {
        if place > 0 {
            statement = statement.sql(", ");
        }
        statement = statement.texts(keys.iter().map(|key| key.get(place).copied()).collect());
        wanted = format!("{wanted} AND t.{column} = k.{name}");
    }
    let names = if columns.len() == 2 { "first, second" } else { "first" };
    statement
        .sql(format!(") AS k ({names}) CROSS JOIN LATERAL (SELECT * FROM {model} AS t WHERE t.integration_id = "))
        .text(integration.as_str())
        .sql(wanted)
}

fn from_table(model: Model, integration: &IntegrationId, dialect: Dialect) -> Statement<'_> {
    let head = format!("SELECT {} FROM {model} AS t WHERE t.integration_id = ", selection(model, dialect));
    Statement::new(head).text(integration.as_str())
}

/// All columns but `integration_id`, in the order of a table's key, values and bookkeeping.
fn columns(model: Model) -> Vec<&'static str> {
    let values = model.columns().iter().map(|column| column.name);
    model.key_columns().iter().copied().chain(values).chain(["removed_at", "synced_at"]).collect()
}

/// The head of an upsert, up to the values.
fn insert_into(model: Model) -> String {
    format!("INSERT INTO {model} AS t (integration_id, {}) ", columns(model).join(", "))
}

/// The tail of an upsert: the whole row is replaced.
fn or_replace(model: Model) -> String {
    let keys = model.key_columns();
    let sets: Vec<String> = columns(model)
        .into_iter()
        .filter(|name| !keys.contains(name))
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(" ON CONFLICT (integration_id, {}) DO UPDATE SET {}", keys.join(", "), sets.join(", "))
}

both! {
    pub(crate) fn rows(
        conn: &mut Conn,
        model: Model,
        integration: &IntegrationId,
        keys: &[Key],
    ) -> TxResult<Vec<StoredRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        load(conn, model, among(model, integration, keys, DIALECT))
    }

    pub(crate) fn members(
        conn: &mut Conn,
        model: Model,
        integration: &IntegrationId,
        parents: &[String],
    ) -> TxResult<Vec<StoredRow>> {
        let (Some(column), false) = (model.parent_column(), parents.is_empty()) else { return Ok(Vec::new()) };
        load(conn, model, under(model, column, integration, parents, DIALECT))
    }

    pub(crate) fn rows_after(
        conn: &mut Conn,
        model: Model,
        integration: &IntegrationId,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<StoredRow>> {
        let keys: Vec<String> = model.key_columns().iter().map(|name| format!("t.{name}")).collect();
        let keys = keys.join(", ");
        let mut statement = from_table(model, integration, DIALECT);
        if let Some(after) = after {
            statement = statement.sql(format!(" AND ({keys}) > (")).text(after.first());
            if let Key::Pair(_, second) = after {
                statement = statement.sql(", ").text(second);
            }
            statement = statement.sql(")");
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        load(conn, model, statement.sql(format!(" ORDER BY {keys} LIMIT ")).int(limit))
    }

    fn load(conn: &mut Conn, model: Model, statement: Statement<'_>) -> TxResult<Vec<StoredRow>> {
        let cells: Vec<Cells> = statement.load(conn).during(model.as_str())?;
        cells.into_iter().map(|cells| stored_row(model, cells)).collect()
    }

    pub(crate) fn live_rows(conn: &mut Conn, model: Model, integration: &IntegrationId) -> TxResult<u64> {
        let head = format!("SELECT count(*) FROM {model} WHERE {LIVE} AND integration_id = ");
        let cells: Vec<Cells> = Statement::new(head).text(integration.as_str()).load(conn).during(model.as_str())?;
        let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        count.and_then(Cell::into_int).and_then(|count| u64::try_from(count).ok()).ok_or_else(|| corrupt(model.as_str(), "count"))
    }

    pub(crate) fn unseen(
        conn: &mut Conn,
        model: Model,
        integration: &IntegrationId,
        run: i64,
        after: Option<&str>,
        limit: usize,
    ) -> TxResult<Vec<String>> {
        let head = format!("SELECT t.id FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = ");
        let mut statement = Statement::new(head).text(integration.as_str());
        if let Some(after) = after {
            statement = statement.sql(" AND t.id > ").text(after);
        }
        statement = match DIALECT {
            // A difference of sets is hashed or sorted. An anti-join would be a nested loop over all ids as soon as
            // the planner takes the notes, of which it has no statistics, for few.
            Dialect::Postgres => statement
                .sql(" EXCEPT SELECT seen.id COLLATE \"C\" FROM sync_seen AS s, unnest(s.ids) AS seen (id) WHERE s.run_id = ")
                .int(run),
            Dialect::Sqlite => statement
                .sql(" AND t.id NOT IN (SELECT seen.value FROM sync_seen AS s, json_each(s.ids) AS seen WHERE s.run_id = ")
                .int(run)
                .sql(")"),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let cells: Vec<Cells> = statement.sql(" ORDER BY id LIMIT ").int(limit).load(conn).during("unseen rows")?;
        Ok(cells.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect())
    }
}

/// Rows of one statement: memory of the client and of the server stays bounded.
const PG_ROWS: usize = 5_000;

/// What may be stored under the keys of rows that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing. An upsert would look for each of them once more.
    Nothing,
    /// Earlier rows.
    Rows,
}

impl Stored {
    /// The tail of the statement.
    fn tail(self, model: Model) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Rows => or_replace(model),
        }
    }
}

/// Writes whole rows, an array for each column.
pub(crate) fn pg_write_rows(
    conn: &mut crate::backend::postgres::Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[StoredRow],
    stored: Stored,
) -> QueryResult<()> {
    let keys = model.key_columns().iter().map(|name| format!("u.{name}"));
    let values = model.columns().iter().map(|column| match column.kind {
        ColumnKind::Text | ColumnKind::Time => format!("u.{}", column.name),
        ColumnKind::Document => format!("u.{}::jsonb", column.name),
        ColumnKind::Opaque => format!("u.{}::json", column.name),
    });
    let selected: Vec<String> =
        keys.chain(values).chain(["u.removed_at".to_owned(), "u.synced_at".to_owned()]).collect();
    let names = columns(model).join(", ");
    for rows in rows.chunks(PG_ROWS) {
        let mut statement = Statement::new(insert_into(model))
            .sql("SELECT ")
            .text(integration.as_str())
            .sql(format!(", {} FROM unnest(", selected.join(", ")))
            .texts(rows.iter().map(|row| Some(row.row.key.first())).collect());
        if model.key_columns().len() == 2 {
            statement = statement.sql(", ").texts(rows.iter().map(|row| Some(row.row.key.second())).collect());
        }
        for (position, column) in model.columns().iter().enumerate() {
            let values = rows.iter().map(|row| row.row.values().get(position));
            statement = statement.sql(", ");
            statement = match column.kind {
                ColumnKind::Time => statement.times(values.map(|value| value.and_then(Value::time)).collect()),
                ColumnKind::Text | ColumnKind::Document | ColumnKind::Opaque => {
                    statement.texts(values.map(|value| value.and_then(Value::text)).collect())
                }
            };
        }
        statement
            .sql(", ")
            .times(rows.iter().map(|row| row.removed_at).collect())
            .sql(", ")
            .times(rows.iter().map(|row| Some(row.synced_at)).collect())
            .sql(format!(") AS u ({names})"))
            .sql(stored.tail(model))
            .execute(conn)?;
    }
    Ok(())
}

/// Writes whole rows, one statement for each: SQLite runs a cached statement faster than a long one.
pub(crate) fn sqlite_write_rows(
    conn: &mut diesel::SqliteConnection,
    model: Model,
    integration: &IntegrationId,
    rows: &[StoredRow],
    stored: Stored,
) -> QueryResult<()> {
    let (head, tail) = (format!("{}VALUES (", insert_into(model)), format!("){}", stored.tail(model)));
    for row in rows {
        let mut statement = Statement::new(&*head).text(integration.as_str()).sql(", ").text(row.row.key.first());
        if let Key::Pair(_, second) = &row.row.key {
            statement = statement.sql(", ").text(second);
        }
        for (value, column) in row.row.values().iter().zip(model.columns()) {
            statement = statement.sql(", ");
            statement = match column.kind {
                ColumnKind::Time => statement.time(value.time()),
                ColumnKind::Text | ColumnKind::Document | ColumnKind::Opaque => statement.maybe_text(value.text()),
            };
        }
        let statement = statement.sql(", ").time(row.removed_at).sql(", ").time(Some(row.synced_at));
        statement.sql(&*tail).execute(conn)?;
    }
    Ok(())
}
