//! The mirror's own tables. Their statements are derived from the list of columns of a model.

mod fingerprint;
mod held;
pub(crate) mod keys;
mod select;

use diesel::{Connection as _, QueryResult, RunQueryDsl as _};
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{BulkRows, MirrorRows, TxResult};
use sync_core::rows::{ColumnKind, Key, MirrorRow, Model, NewRow, Stored, StoredRow, Value};

use crate::backend::postgres::connection::Conn;
use crate::backend::postgres::pipeline;
use crate::both;
use crate::error::postgres::is_unique_violation;
use crate::error::{During as _, corrupt};
use crate::statement::{Bind, Cell, Cells, INSERT_CHANGE, Statement, WriteRow};
use crate::transaction::{PgTx, SqliteTx};

use select::{among, columns, from_table, insert_into, or_replace, stored_row, under, values};

const LIVE: &str = "remote_deleted_at IS NULL AND removed_at IS NULL";

both! {
    postgres {
        use super::pg_replace_rows as replace_rows;
    }

    sqlite {
        use super::sqlite_write_rows as replace_rows;
    }

    fn load(conn: &mut Conn, model: Model, statement: Statement<'_>) -> TxResult<Vec<StoredRow>> {
        let cells: Vec<Cells> = statement.load(conn).during(model.as_str())?;
        cells.into_iter().map(|cells| stored_row(model, cells)).collect()
    }

    impl MirrorRows for DbTx<'_> {
        fn rows(&mut self, model: Model,
            integration: &IntegrationId,
            keys: &[Key],
        ) -> TxResult<Vec<StoredRow>> {
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            load(self.indexed()?, model, among(model, integration, keys.iter(), DIALECT))
        }

        fn members(&mut self, model: Model,
            integration: &IntegrationId,
            parents: &[String],
        ) -> TxResult<Vec<StoredRow>> {
            let (Some(column), false) = (model.parent_column(), parents.is_empty()) else { return Ok(Vec::new()) };
            load(self.indexed()?, model, under(model, column, integration, parents, DIALECT))
        }

        fn rows_after(&mut self, model: Model,
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
            load(self.indexed()?, model, statement.sql(format!(" ORDER BY {keys} LIMIT ")).int(limit))
        }

        fn keys_after(
            &mut self,
            model: Model,
            integration: &IntegrationId,
            after: Option<&Key>,
            limit: usize,
        ) -> TxResult<Vec<Key>> {
            let columns: Vec<String> = model.key_columns().iter().map(|name| format!("t.{name}")).collect();
            let columns = columns.join(", ");
            let head = format!("SELECT {columns} FROM {model} AS t WHERE t.removed_at IS NULL AND t.integration_id = ");
            let mut statement = Statement::new(head).text(integration.as_str());
            let ids = after.map(|after| [after.first(), after.second()]);
            let odd = ids.filter(|_| DIALECT == Dialect::Sqlite).and_then(keys::hex);
            if let Some(ids) = ids {
                statement = statement.sql(format!(" AND ({columns}) > ("));
                let ids = odd.as_ref().map_or(ids, |hex| hex.each_ref().map(String::as_str));
                let (before, behind) = if odd.is_some() { ("CAST(unhex(", ") AS TEXT)") } else { ("", "") };
                for (place, id) in ids.into_iter().take(model.key_columns().len()).enumerate() {
                    let comma = if place > 0 { ", " } else { "" };
                    statement = statement.sql(format!("{comma}{before}")).text(id).sql(behind);
                }
                statement = statement.sql(")");
            }
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let statement = statement.sql(format!(" ORDER BY {columns} LIMIT ")).int(limit);
            let cells: Vec<Cells> = statement.load(self.indexed()?).during(model.as_str())?;
            let key = |cells: Cells| {
                let mut ids = cells.0.into_iter().map(|cell| cell.and_then(keys::id));
                Some(Key::of(model, ids.next()??, ids.next().flatten().unwrap_or_default()))
            };
            Ok(cells.into_iter().filter_map(key).collect())
        }

        fn stray_rows(&mut self, model: Model) -> TxResult<Vec<(IntegrationId, u64)>> {
            // Skips from one integration to the next by the index, and counts only rows of unregistered ones.
            let statement = Statement::new(format!(
                "WITH RECURSIVE known (id) AS (SELECT min(integration_id) FROM {model} UNION ALL \
                 SELECT (SELECT min(t.integration_id) FROM {model} AS t WHERE t.integration_id > known.id) \
                 FROM known WHERE known.id IS NOT NULL), \
                 counted (id, live) AS (SELECT known.id, (SELECT count(*) FROM {model} AS t \
                 WHERE t.integration_id = known.id AND t.removed_at IS NULL) FROM known WHERE known.id IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM sync_integrations AS i WHERE i.id = known.id)) \
                 SELECT id, live FROM counted WHERE live > 0 ORDER BY id"
            ));
            let cells: Vec<Cells> = statement.load(self.indexed()?).during(model.as_str())?;
            let stray = |cells: Cells| {
                let mut cells = cells.0.into_iter().flatten();
                let id = cells.next().and_then(keys::id)?;
                Some((IntegrationId::from(id), cells.next()?.into_int().and_then(|rows| u64::try_from(rows).ok())?))
            };
            Ok(cells.into_iter().filter_map(stray).collect())
        }

        fn live_rows(&mut self, model: Model, integration: &IntegrationId) -> TxResult<u64> {
            let head = format!("SELECT count(*) FROM {model} WHERE {LIVE} AND integration_id = ");
            let cells: Vec<Cells> = Statement::new(head).text(integration.as_str()).load(self.scanning()?).during(model.as_str())?;
            let count = cells.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
            count.and_then(Cell::into_int).and_then(|count| u64::try_from(count).ok()).ok_or_else(|| corrupt(model.as_str(), "count"))
        }

        fn put_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> TxResult<()> {
            replace_rows(self.indexed()?, model, integration, rows).during(model.as_str())
        }
    }
}

impl BulkRows for PgTx<'_> {
    fn held(&mut self, model: Model, integration: &IntegrationId, rows: &[&MirrorRow]) -> TxResult<Vec<Stored>> {
        held::held(self.indexed()?, model, integration, rows)
    }

    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        pg_write_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }

    fn insert_if_new(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<bool> {
        insert_if_new(self.indexed()?, model, integration, rows).during(model.as_str())
    }
}

impl BulkRows for SqliteTx<'_> {
    fn insert_rows(&mut self, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> TxResult<()> {
        sqlite_write_rows(self.indexed()?, model, integration, rows).during(model.as_str())
    }
}

/// Rows for each statement. Two statements are in transit at a time, which bounds the memory of client and server.
const PG_ROWS: usize = 250;

/// A row that can be written to a table.
trait Written {
    /// Whether a row may exist under its key. If not, it is not looked up again.
    const REPLACES: bool;

    fn row(&self) -> &MirrorRow;

    fn removed_at(&self) -> Option<Timestamp>;

    fn synced_at(&self) -> Timestamp;
}

impl Written for NewRow<'_> {
    const REPLACES: bool = false;

    fn row(&self) -> &MirrorRow {
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

    fn row(&self) -> &MirrorRow {
        &self.row
    }

    fn removed_at(&self) -> Option<Timestamp> {
        self.removed_at
    }

    fn synced_at(&self) -> Timestamp {
        self.synced_at
    }
}

/// The end of the statement that writes such rows.
fn tail<W: Written>(model: Model) -> String {
    if W::REPLACES { or_replace(model) } else { String::new() }
}

/// Writes whole rows, with one array for each column.
fn pg_write_rows<W: Written>(conn: &Conn, model: Model, integration: &IntegrationId, rows: &[W]) -> QueryResult<()> {
    let (head, tail) = (format!("{}SELECT ", insert_into(model)), tail::<W>(model));
    let statements = rows.chunks(PG_ROWS).map(|rows| {
        let statement = Statement::new(&*head).text(integration.as_str()).sql(", ");
        unnested(statement, model, rows).sql(&*tail)
    });
    pipeline::execute_all(conn, statements, |_| {})
}

/// Writes whole rows that mostly exist: an update takes half the time of an insert that finds them.
fn pg_replace_rows(conn: &Conn, model: Model, integration: &IntegrationId, rows: &[StoredRow]) -> QueryResult<()> {
    let statements = rows.chunks(PG_ROWS).map(|rows| replacement("UPDATE", model, integration, rows));
    let mut chunks = rows.chunks(PG_ROWS);
    let mut incomplete = Vec::new();
    pipeline::execute_all(conn, statements, |updated| {
        incomplete.extend(chunks.next().filter(|rows| rows.len() != updated));
    })?;
    incomplete.into_iter().try_for_each(|rows| pg_write_rows(conn, model, integration, rows))
}

/// Updates rows that are found one by one by their keys. The integration is a joined value: otherwise the planner reads
/// all rows of an integration that has few according to its statistics.
fn replacement<'a>(update: &str, model: Model, integration: &'a IntegrationId, rows: &'a [StoredRow]) -> Statement<'a> {
    let keys = model.key_columns();
    let values: Vec<String> = values(model).map(|name| format!("{name} = k.{name}")).collect();
    let keys: Vec<String> = keys.iter().map(|name| format!("t.{name} = k.{name}")).collect();
    let head = format!("{update} {model} AS t SET {} FROM (SELECT ", values.join(", "));
    let statement = Statement::new(head).text(integration.as_str()).sql(" AS integration_id, ");
    let tail = format!(") AS k WHERE t.integration_id = k.integration_id AND {}", keys.join(" AND "));
    unnested(statement, model, rows).sql(tail)
}

/// Selects all columns of rows but `integration_id`, without a FROM clause.
///
/// Arrays are unnested side by side in the select list. As functions in a FROM clause, each would first be materialized
/// as a table.
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
            ColumnKind::Date => statement.dates(values.map(|value| value.and_then(Value::date)).collect()),
            ColumnKind::Number => statement.doubles(values.map(|value| value.and_then(Value::number)).collect()),
            ColumnKind::Integer => statement.ints(values.map(|value| value.and_then(Value::integer)).collect()),
            ColumnKind::Flag => statement.flags(values.map(|value| value.and_then(Value::flag)).collect()),
            ColumnKind::Text | ColumnKind::Id => statement.texts(texts()),
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

/// Inserts rows unless one of them exists. The primary key detects that, without a look-up.
fn insert_if_new(conn: &mut Conn, model: Model, integration: &IntegrationId, rows: &[NewRow<'_>]) -> QueryResult<bool> {
    // A savepoint within the surrounding transaction.
    match conn.transaction(|conn| pg_write_rows(conn, model, integration, rows)) {
        Ok(()) => Ok(true),
        Err(error) if is_unique_violation(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes whole rows, one statement for each: SQLite runs a cached statement faster than a long one.
fn sqlite_write_rows<W: Written>(
    conn: &mut diesel::SqliteConnection,
    model: Model,
    integration: &IntegrationId,
    rows: &[W],
) -> QueryResult<()> {
    const { assert!(Model::ALL.len() * 2 <= INSERT_CHANGE, "each statement needs a number") };
    let number = model.place() * 2 + usize::from(W::REPLACES);
    let (head, tail) = (format!("{}VALUES (", insert_into(model)), format!("){}", tail::<W>(model)));
    for written in rows {
        let row = written.row();
        if W::REPLACES
            && let Some(odd) = keys::hex([row.key.first(), row.key.second()])
        {
            keys::rename(conn, model, integration, &row.key, &odd)?;
        }
        let (integration, key) = (Bind::Text(Some(integration.as_str())), Bind::Text(Some(row.key.first())));
        let second = match &row.key {
            Key::Pair(_, second) => Some(Bind::Text(Some(second))),
            Key::Id(_) => None,
        };
        let values = row.values().iter().zip(model.columns()).map(|(value, column)| match column.kind {
            ColumnKind::Time => Bind::time(value.time()),
            ColumnKind::Date => Bind::Date(value.date().map(|date| date.to_string())),
            ColumnKind::Number => Bind::Double(value.number()),
            ColumnKind::Integer => Bind::Int(value.integer()),
            ColumnKind::Flag => Bind::Int(value.flag().map(i64::from)),
            ColumnKind::Text | ColumnKind::Id | ColumnKind::Document | ColumnKind::Opaque => Bind::Text(value.text()),
        });
        let binds = [integration, key].into_iter().chain(second).chain(values);
        let binds = binds.chain([Bind::time(written.removed_at()), Bind::time(Some(written.synced_at()))]).collect();
        WriteRow { head: &head, tail: &tail, binds }.execute(conn, number)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection as _;
    use sync_testkit::postgres::test_database;

    use super::*;
    use crate::backend::postgres::PostgresStore;

    /// Rows are found by their keys, even if the statistics do not contain the integration.
    #[tokio::test]
    async fn rows_are_replaced_key_by_key_whatever_the_statistics_say() {
        let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
        let store = PostgresStore::connect(&database.url().parse().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let plans = move |conn: &mut Conn| {
            let fill = |integration: &str, rows: usize| {
                format!(
                    "INSERT INTO lms_course_progressions (integration_id, id, synced_at) \
                     SELECT '{integration}', 'id ' || n, now() FROM generate_series(1, {rows}) AS n;"
                )
            };
            let unknown = IntegrationId::from("unknown");
            let row = |number: usize| StoredRow {
                row: MirrorRow::new(Model::LmsCourseProgressions, Key::Id(format!("id {number}")), Vec::new()),
                removed_at: None,
                synced_at: Timestamp::MIN,
            };
            let rows: Vec<StoredRow> = (1..=PG_ROWS).map(row).collect();
            let plan = |conn: &mut Conn| {
                conn.transaction(|conn| {
                    PgTx::new(conn).indexed().unwrap();
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
