//! The mirror's own tables: statements follow from the list of columns of a model.

mod fingerprint;
pub(crate) mod held;

use diesel::{Connection as _, QueryResult, RunQueryDsl as _};
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{StoreError, TxResult};
use sync_core::rows::{ColumnKind, Key, Model, NewRow, Row, StoredRow, Value};

use crate::backend::postgres::pipeline;
use crate::backend::{Dialect, postgres};
use crate::both;
use crate::error::postgres::is_unique_violation;
use crate::error::{During as _, corrupt};
use crate::statement::{Bind, Cell, Cells, Statement, WriteRow};
use crate::sync::seen;

const LIVE: &str = "remote_deleted_at IS NULL AND removed_at IS NULL";

/// The columns to select, in the order in which [`stored_row`] reads them.
fn selection(model: Model) -> String {
    let columns: Vec<String> = columns(model).iter().map(|name| format!("t.{name}")).collect();
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
            (ColumnKind::Time, Some(cell)) => cell.into_exact_time().map_or(Value::Unreadable, Value::Time),
            (ColumnKind::Text, Some(cell)) => cell.into_text().map_or(Value::Unreadable, Value::Text),
            (ColumnKind::Document | ColumnKind::Opaque, Some(cell)) => {
                cell.into_text().map_or(Value::Unreadable, Value::Json)
            }
        });
    }
    // When a row was written or removed is no value of Kombo's: what cannot be read counts as long ago.
    let moment = |cell: Cell| cell.into_time().unwrap_or(Timestamp::MIN);
    let removed_at = next()?.map(moment);
    let synced_at = next()?.map_or(Timestamp::MIN, moment);
    Ok(StoredRow { row: Row::new(model, key, values), removed_at, synced_at })
}

/// For `json_each`.
fn json_array(texts: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

/// The rows with one of `keys`.
fn among<'a>(
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
            let statement = from_table(model, integration);
            if let [first, second] = model.key_columns() {
                statement
                    .sql(format!(" AND (t.{first}, t.{second}) IN (SELECT value ->> 0, value ->> 1 FROM json_each("))
                    .json(json_array(&keys))
                    .sql("))")
            } else {
                let ids: Vec<&str> = keys.iter().map(|[id, _]| *id).collect();
                statement.sql(" AND t.id IN (SELECT value FROM json_each(").json(json_array(&ids)).sql("))")
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
            by_index(by_key(model), "*", model, &[column], integration, &parents, " AND t.removed_at IS NULL")
        }
        Dialect::Sqlite => from_table(model, integration)
            .sql(format!(" AND t.{column} IN (SELECT value FROM json_each("))
            .json(json_array(parents))
            .sql(")) AND t.removed_at IS NULL"),
    }
}

/// How a statement begins that looks up whole rows by [`by_index`].
fn by_key<'a>(model: Model) -> Statement<'a> {
    Statement::new(format!("SELECT {} FROM (SELECT ", selection(model)))
}

/// A statement that looks up keys one after the other, however many they are. `begin` ends within the list of what belongs
/// to each key, `of` is what is read of a row, and `and` what is asked of it besides.
///
/// `OFFSET 0` keeps the planner from turning it into something else: without statistics it would read all rows of the
/// integration for each batch.
fn by_index<'a>(
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

fn from_table(model: Model, integration: &IntegrationId) -> Statement<'_> {
    let head = format!("SELECT {} FROM {model} AS t WHERE t.integration_id = ", selection(model));
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
        load(conn, model, among(model, integration, keys.iter(), DIALECT))
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
        let mut statement = from_table(model, integration);
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

    /// What reads all rows of an integration reads them in the order in which they lie, not in that of an index, and
    /// has room for their ids.
    fn allow_whole_scans(conn: &mut Conn) -> TxResult<()> {
        match DIALECT {
            Dialect::Postgres => {
                let allow = Statement::new(
                    "SELECT set_config('enable_bitmapscan', 'on', true), set_config('work_mem', '64MB', true)",
                );
                allow.execute(conn).during("settings").map(drop)
            }
            Dialect::Sqlite => Ok(()),
        }
    }

    fn load(conn: &mut Conn, model: Model, statement: Statement<'_>) -> TxResult<Vec<StoredRow>> {
        let cells: Vec<Cells> = statement.load(conn).during(model.as_str())?;
        cells.into_iter().map(|cells| stored_row(model, cells)).collect()
    }

    pub(crate) fn live_rows(conn: &mut Conn, model: Model, integration: &IntegrationId) -> TxResult<u64> {
        allow_whole_scans(conn)?;
        let head = format!("SELECT count(*) FROM {model} WHERE {LIVE} AND integration_id = ");
        let cells: Vec<Cells> = Statement::new(head).text(integration.as_str()).load(conn).during(model.as_str())?;
        let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        count.and_then(Cell::into_int).and_then(|count| u64::try_from(count).ok()).ok_or_else(|| corrupt(model.as_str(), "count"))
    }

    /// Whether the keys of all rows, each once, add up to what the notes add up to. Nearly always they do, and two sums take a
    /// quarter of the time that a difference of sets takes. Sums of 64-bit hashes of different keys, which are new with
    /// each run, are equal once in 2^64 times.
    fn are_all_seen(conn: &mut Conn, model: Model, integration: &IntegrationId, run: i64) -> TxResult<bool> {
        let head = format!("SELECT CASE WHEN (SELECT (count(*), sum(hashtextextended({}, ", name(model, DIALECT));
        let statement = Statement::new(head)
            .int(run)
            .sql(format!("))) FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = "))
            .text(integration.as_str())
            .sql(") = (SELECT (count(*), sum(hashtextextended(seen.id COLLATE \"C\", ")
            .int(run)
            .sql("))) FROM sync_seen AS s, unnest(s.ids) AS seen (id) WHERE s.run_id = ")
            .int(run)
            .sql(" AND s.model = ")
            .text(model.as_str())
            .sql(") THEN 1::bigint ELSE 0::bigint END");
        let cells: Vec<Cells> = statement.load(conn).during("unseen rows")?;
        Ok(cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten()?.into_int()) == Some(1))
    }

    pub(crate) fn unseen(
        conn: &mut Conn,
        model: Model,
        integration: &IntegrationId,
        run: i64,
        after: Option<&Key>,
        limit: usize,
    ) -> TxResult<Vec<Key>> {
        allow_whole_scans(conn)?;
        if DIALECT == Dialect::Postgres && after.is_none() && are_all_seen(conn, model, integration, run)? {
            return Ok(Vec::new());
        }
        let name = name(model, DIALECT);
        let after = after.map(seen::note);
        let head = format!("SELECT {name} AS name FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = ");
        let mut statement = Statement::new(head).text(integration.as_str());
        if let Some(after) = &after {
            statement = statement.sql(format!(" AND {name} > ")).text(after);
        }
        statement = match DIALECT {
            // A difference of sets is hashed or sorted. An anti-join would be a nested loop over all ids as soon as
            // the planner takes the notes, of which it has no statistics, for few.
            Dialect::Postgres => statement
                .sql(" EXCEPT SELECT seen.id COLLATE \"C\" FROM sync_seen AS s, unnest(s.ids) AS seen (id) WHERE s.run_id = ")
                .int(run)
                .sql(" AND s.model = ")
                .text(model.as_str()),
            Dialect::Sqlite => statement
                .sql(format!(
                    " AND {name} NOT IN (SELECT seen.value FROM sync_seen AS s, json_each(s.ids) AS seen WHERE s.run_id = "
                ))
                .int(run)
                .sql(" AND s.model = ")
                .text(model.as_str())
                .sql(")"),
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let cells: Vec<Cells> = statement.sql(" ORDER BY name LIMIT ").int(limit).load(conn).during("unseen rows")?;
        let texts = cells.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text());
        Ok(texts.map(|text| seen::key(model, text)).collect())
    }
}

/// A row's key as [`seen::note`] writes it.
fn name(model: Model, dialect: Dialect) -> String {
    let character = match dialect {
        Dialect::Postgres => "chr",
        Dialect::Sqlite => "char",
    };
    match model.key_columns() {
        [first, second] => format!("(t.{first} || {character}(31) || t.{second})"),
        _ => "t.id".to_owned(),
    }
}

/// Rows of one statement, of which two are on their way at a time: memory of the client and of the server stays bounded.
const PG_ROWS: usize = 250;

/// A row on its way into a table.
pub(crate) trait Written {
    /// Whether something may be stored under its key. If not, there is no need to look for it once more.
    const REPLACES: bool;

    fn row(&self) -> &Row;

    fn removed_at(&self) -> Option<Timestamp>;

    fn synced_at(&self) -> Timestamp;
}

impl Written for NewRow<'_> {
    const REPLACES: bool = false;

    fn row(&self) -> &Row {
        self.row
    }

    fn removed_at(&self) -> Option<Timestamp> {
        None
    }

    fn synced_at(&self) -> Timestamp {
        self.synced_at
    }
}

impl Written for StoredRow {
    const REPLACES: bool = true;

    fn row(&self) -> &Row {
        &self.row
    }

    fn removed_at(&self) -> Option<Timestamp> {
        self.removed_at
    }

    fn synced_at(&self) -> Timestamp {
        self.synced_at
    }
}

/// The tail of the statement that writes such rows.
fn tail<W: Written>(model: Model) -> String {
    if W::REPLACES { or_replace(model) } else { String::new() }
}

/// Writes whole rows, an array for each column.
pub(crate) fn pg_write_rows<W: Written>(
    conn: &postgres::Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[W],
) -> QueryResult<()> {
    let (head, tail) = (format!("{}SELECT ", insert_into(model)), tail::<W>(model));
    let statements = rows.chunks(PG_ROWS).map(|rows| {
        let statement = Statement::new(&*head).text(integration.as_str()).sql(", ");
        unnested(statement, model, rows).sql(&*tail)
    });
    pipeline::execute_all(conn, statements, |_| {})
}

/// Writes whole rows, most of which are stored: an update takes half the time of an insert that finds them.
pub(crate) fn pg_replace_rows(
    conn: &postgres::Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[StoredRow],
) -> QueryResult<()> {
    let statements = rows.chunks(PG_ROWS).map(|rows| replacement("UPDATE", model, integration, rows));
    let mut chunks = rows.chunks(PG_ROWS);
    let mut incomplete = Vec::new();
    pipeline::execute_all(conn, statements, |updated| {
        incomplete.extend(chunks.next().filter(|rows| rows.len() != updated));
    })?;
    incomplete.into_iter().try_for_each(|rows| pg_write_rows(conn, model, integration, rows))
}

/// Updates rows, found by their keys one after the other. That the integration comes out of what is joined keeps the planner
/// from reading all its rows instead, if by its statistics they are few.
fn replacement<'a>(update: &str, model: Model, integration: &'a IntegrationId, rows: &'a [StoredRow]) -> Statement<'a> {
    let keys = model.key_columns();
    let values = columns(model).into_iter().filter(|name| !keys.contains(name));
    let values: Vec<String> = values.map(|name| format!("{name} = k.{name}")).collect();
    let keys: Vec<String> = keys.iter().map(|name| format!("t.{name} = k.{name}")).collect();
    let head = format!("{update} {model} AS t SET {} FROM (SELECT ", values.join(", "));
    let statement = Statement::new(head).text(integration.as_str()).sql(" AS integration_id, ");
    let tail = format!(") AS k WHERE t.integration_id = k.integration_id AND {}", keys.join(" AND "));
    unnested(statement, model, rows).sql(tail)
}

/// All columns of rows but `integration_id`, to select from nothing.
///
/// Arrays are unnested side by side in the list of what is selected: as functions to select from, each of them would be
/// written out into a table of its own first.
fn unnested<'a, W: Written>(statement: Statement<'a>, model: Model, rows: &'a [W]) -> Statement<'a> {
    let key = |place: fn(&Key) -> &str| rows.iter().map(|row| Some(place(&row.row().key))).collect();
    let mut names = columns(model).into_iter();
    let mut next = move || format!(") AS {}, unnest(", names.next().unwrap_or_default());
    let mut statement = statement.sql("unnest(").texts(key(Key::first));
    if model.key_columns().len() == 2 {
        statement = statement.sql(next()).texts(key(Key::second));
    }
    for (position, column) in model.columns().iter().enumerate() {
        let values = rows.iter().map(|row| row.row().values().get(position));
        let texts = || values.clone().map(|value| value.and_then(Value::text)).collect();
        statement = statement.sql(next());
        statement = match column.kind {
            ColumnKind::Time => statement.times(values.map(|value| value.and_then(Value::time)).collect()),
            ColumnKind::Text => statement.texts(texts()),
            ColumnKind::Document => statement.documents(texts()),
            ColumnKind::Opaque => statement.opaques(texts()),
        };
    }
    statement
        .sql(next())
        .times(rows.iter().map(Written::removed_at).collect())
        .sql(next())
        .times(rows.iter().map(|row| Some(row.synced_at())).collect())
        .sql(") AS synced_at")
}

/// Inserts rows unless one of them is stored, which the primary key finds out: nothing is looked up.
pub(crate) fn pg_insert_if_new(
    conn: &mut postgres::Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[NewRow<'_>],
) -> QueryResult<bool> {
    // Within the unit's transaction, so this is a savepoint.
    match conn.transaction(|conn| pg_write_rows(conn, model, integration, rows)) {
        Ok(()) => Ok(true),
        Err(error) if is_unique_violation(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes whole rows, one statement for each: SQLite runs a cached statement faster than a long one.
pub(crate) fn sqlite_write_rows<W: Written>(
    conn: &mut diesel::SqliteConnection,
    model: Model,
    integration: &IntegrationId,
    rows: &[W],
) -> QueryResult<()> {
    let write = match model {
        Model::LmsUsers => write_each::<0, W>,
        Model::LmsCourses => write_each::<1, W>,
        Model::LmsCourseRevisions => write_each::<2, W>,
        Model::LmsCourseProviders => write_each::<3, W>,
        Model::LmsSkills => write_each::<4, W>,
        Model::LmsJoinRevisionsSkills => write_each::<5, W>,
        Model::LmsCourseProgressions => write_each::<6, W>,
    };
    write(conn, model, integration, rows)
}

fn write_each<const TABLE: u8, W: Written>(
    conn: &mut diesel::SqliteConnection,
    model: Model,
    integration: &IntegrationId,
    rows: &[W],
) -> QueryResult<()> {
    let (head, tail) = (format!("{}VALUES (", insert_into(model)), format!("){}", tail::<W>(model)));
    for written in rows {
        let row = written.row();
        let (integration, key) = (Bind::Text(Some(integration.as_str())), Bind::Text(Some(row.key.first())));
        let second = match &row.key {
            Key::Pair(_, second) => Some(Bind::Text(Some(second))),
            Key::Id(_) => None,
        };
        let values = row.values().iter().zip(model.columns()).map(|(value, column)| match column.kind {
            ColumnKind::Time => Bind::time(value.time()),
            ColumnKind::Text | ColumnKind::Document | ColumnKind::Opaque => Bind::Text(value.text()),
        });
        let binds = [integration, key].into_iter().chain(second).chain(values);
        let binds = binds.chain([Bind::time(written.removed_at()), Bind::time(Some(written.synced_at()))]).collect();
        if W::REPLACES {
            WriteRow::<TABLE, true> { head: &head, tail: &tail, binds }.execute(conn)?;
        } else {
            WriteRow::<TABLE, false> { head: &head, tail: &tail, binds }.execute(conn)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection as _;
    use sync_testkit::postgres::test_database;

    use super::*;
    use crate::backend::postgres::{PostgresStore, look_up_by_index};

    /// Rows are found by their keys, even where the statistics do not know the integration.
    #[tokio::test]
    async fn rows_are_replaced_key_by_key_whatever_the_statistics_say() {
        let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
        let store = PostgresStore::connect(&database.url().parse().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let plans = move |conn: &mut postgres::Conn| {
            let fill = |integration: &str, rows: usize| {
                format!(
                    "INSERT INTO lms_course_progressions (integration_id, id, synced_at) \
                     SELECT '{integration}', 'id ' || n, now() FROM generate_series(1, {rows}) AS n;"
                )
            };
            let unknown = IntegrationId::from("unknown");
            let row = |number: usize| StoredRow {
                row: Row::new(Model::LmsCourseProgressions, Key::Id(format!("id {number}")), Vec::new()),
                removed_at: None,
                synced_at: Timestamp::MIN,
            };
            let rows: Vec<StoredRow> = (1..=PG_ROWS).map(row).collect();
            let plan = |conn: &mut postgres::Conn| {
                conn.transaction(|conn| {
                    look_up_by_index(conn).unwrap();
                    let explained = replacement("EXPLAIN UPDATE", Model::LmsCourseProgressions, &unknown, &rows);
                    let lines: Vec<Cells> = explained.load(conn)?;
                    let text = |cells: Cells| cells.0.into_iter().next().flatten().and_then(Cell::into_text);
                    QueryResult::Ok(lines.into_iter().filter_map(text).collect::<Vec<_>>().join("\n"))
                })
            };
            let mut plans = vec![("empty", plan(conn).unwrap())];
            conn.batch_execute(&fill("unknown", 2_000)).unwrap();
            plans.push(("never looked at", plan(conn).unwrap()));
            conn.batch_execute("TRUNCATE lms_course_progressions").unwrap();
            conn.batch_execute(&fill("known", 20_000)).unwrap();
            conn.batch_execute("ANALYZE lms_course_progressions").unwrap();
            conn.batch_execute(&fill("unknown", 1_900)).unwrap();
            plans.push(("looked at before", plan(conn).unwrap()));
            plans
        };
        for (table, plan) in store.on_connection(plans).await.unwrap() {
            let is_by_key = |line: &str| line.trim().starts_with("Index Cond:") && line.contains("(id = ");
            assert!(plan.lines().any(is_by_key), "{table}:\n{plan}");
        }
    }
}
