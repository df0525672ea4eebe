//! Compares rows with those in PostgreSQL. The texts of a row are transferred only if they differ: most rows of a full
//! fetch are unchanged.

use std::hash::{BuildHasher as _, RandomState};

use diesel::deserialize::QueryableByName;
use diesel::pg::PgValue;
use diesel::result::Error;
use diesel::row::{Field as _, Row as _};
use kombo_model::{IntegrationId, Timestamp};
use sync_core::ports::{StoreError, TxResult};
use sync_core::rows::{Column, ColumnKind, MirrorRow, Model, Stored, Value, same_json};

use super::fingerprint::fingerprint;
use super::select::{by_index, stored_row};
use crate::backend::postgres::connection::Conn;
use crate::backend::postgres::pipeline;
use crate::backend::postgres::row::PgRow;
use crate::error::statement_failed;
use crate::statement::{Cells, PG_DATE, PG_FLOAT8, PG_TIMESTAMPTZ, Statement, pg_date};
use crate::types::{exact_millis, json_bytes};

/// Keys in one look-up. Two look-ups are in transit at a time.
const KEYS: usize = 500;

pub(super) fn held(
    conn: &Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[&MirrorRow],
) -> TxResult<Vec<Stored>> {
    let mut held: Vec<Stored> = Vec::with_capacity(rows.len());
    held.resize_with(rows.len(), || Stored::Nothing);
    let rows = in_order(rows);
    let lookup = LookUp::new(model, integration);
    let lookups = rows.chunks(KEYS).map(|rows| lookup.among(rows));
    let mut parts = rows.chunks(KEYS).map(|rows| Part { model, rows, next: 0 });
    let mut part = None;
    pipeline::load_all(conn, lookups, |found| -> Result<(), Interrupted> {
        match found {
            pipeline::Found::Statement => part = parts.next(),
            pipeline::Found::Row(found) => {
                if let Some((place, row)) = part.as_mut().and_then(|part| part.index_of(found))
                    && let Some(held) = held.get_mut(place)
                {
                    *held = hold(model, row, found)?;
                }
            }
        }
        Ok(())
    })
    .map_err(|error| error.during(model.as_str()))?;
    Ok(held)
}

/// A row with its position in the input.
type Placed<'a> = (usize, &'a MirrorRow);

/// Sorts rows by key.
fn in_order<'a>(rows: &[&'a MirrorRow]) -> Vec<Placed<'a>> {
    let mut rows: Vec<Placed<'a>> = rows.iter().copied().enumerate().collect();
    rows.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
    rows
}

/// A look-up of rows by their keys and the fingerprints of their texts.
struct LookUp<'a> {
    model: Model,
    integration: &'a IntegrationId,
    /// Random for each look-up: texts with an accidentally equal fingerprint have different ones the next time.
    seed: u64,
    /// All columns, with texts as null unless the texts differ, and as the last column whether they do.
    select: String,
    /// Columns of the inner query: those of the table, and whether the texts differ.
    of: String,
}

impl<'a> LookUp<'a> {
    fn new(model: Model, integration: &'a IntegrationId) -> Self {
        let value = |column: &Column| {
            let name = column.name;
            if is_text(column) { format!("CASE WHEN t.differs THEN t.{name} END") } else { format!("t.{name}") }
        };
        let keys = model.key_columns().iter().map(|name| format!("t.{name}"));
        let select: Vec<String> = keys.chain(model.columns().iter().map(value)).collect();
        let texts = model.columns().iter().filter(|column| is_text(column));
        let texts: Vec<String> = texts.map(|column| format!("t.{}::text", column.name)).collect();
        let hash = format!("hash_array_extended(ARRAY[{}]::text[], k.seed)", texts.join(", "));
        Self {
            model,
            integration,
            seed: RandomState::new().hash_one(model.as_str()),
            select: format!(
                "SELECT {}, t.removed_at, t.synced_at, CASE WHEN t.differs THEN 1::bigint END FROM (SELECT ",
                select.join(", ")
            ),
            of: format!("*, {hash} IS DISTINCT FROM k.fingerprint AS differs"),
        }
    }

    fn among<'b>(&'b self, rows: &[Placed<'b>]) -> Statement<'b> {
        let fingerprints = rows.iter().map(|(_, row)| self.fingerprint(row).map(u64::cast_signed)).collect();
        let keys: Vec<[&str; 2]> = rows.iter().map(|(_, row)| [row.key.first(), row.key.second()]).collect();
        let begin = Statement::new(&*self.select).int(self.seed.cast_signed()).sql(" AS seed, unnest(");
        let begin = begin.ints(fingerprints).sql(") AS fingerprint, ");
        by_index(begin, &self.of, self.model, self.model.key_columns(), self.integration, &keys, "")
    }

    /// Returns `None` for a partial copy, because a missing value matches any stored one.
    fn fingerprint(&self, row: &MirrorRow) -> Option<u64> {
        let said = row.values().iter().zip(self.model.columns());
        let texts = said.filter(|(_, column)| is_text(column)).map(|(said, _)| said.text().map(str::as_bytes));
        let is_whole = !row.values().iter().any(Value::is_absent);
        is_whole.then(|| fingerprint(texts, self.seed))
    }
}

/// JSON that PostgreSQL stores verbatim counts as text. JSON that PostgreSQL rewrites does not.
fn is_text(column: &Column) -> bool {
    match column.kind {
        ColumnKind::Text | ColumnKind::Id | ColumnKind::Opaque => true,
        ColumnKind::Time
        | ColumnKind::Date
        | ColumnKind::Number
        | ColumnKind::Integer
        | ColumnKind::Flag
        | ColumnKind::Document => false,
    }
}

/// The rows of one look-up, in the order of their keys.
struct Part<'a> {
    model: Model,
    rows: &'a [Placed<'a>],
    /// Index of the row that is most likely next. Found rows usually come in the order of keys, but that is not
    /// guaranteed.
    next: usize,
}

impl<'a> Part<'a> {
    /// Returns the row with the key that was found.
    fn index_of(&mut self, found: &PgRow) -> Option<Placed<'a>> {
        let (first, second) = (found.get(0)?, found.get(1)?);
        let (first, second) = (first.value()?, second.value());
        let second = match self.model.key_columns().len() {
            2 => second.as_ref()?.as_bytes(),
            _ => &[],
        };
        let found = (first.as_bytes(), second);
        let key = |(_, row): &Placed<'a>| (row.key.first().as_bytes(), row.key.second().as_bytes());
        let ahead = self.rows.get(self.next..)?;
        let at = match ahead.iter().position(|row| key(row) >= found).map(|step| self.next + step) {
            Some(at) if self.rows.get(at).is_some_and(|row| key(row) == found) => at,
            _ => self.rows.binary_search_by(|row| key(row).cmp(&found)).ok()?,
        };
        self.next = at + 1;
        self.rows.get(at).copied()
    }
}

/// Compares a row with the stored one of the same key.
fn hold(model: Model, row: &MirrorRow, found: &PgRow) -> Result<Stored, Interrupted> {
    let (first, columns) = (model.key_columns().len(), model.columns());
    let [removed_at, synced_at, differs] = [0, 1, 2].map(|behind| first + columns.len() + behind);
    let texts_differ = !is_null(found, differs);
    let is_same = |(place, (said, column)): (usize, (&Value, &Column))| {
        is_text(column) && !texts_differ || says(found, first + place, said)
    };
    if is_null(found, removed_at) && row.values().iter().zip(columns).enumerate().all(is_same) {
        return Ok(Stored::Same(written_at(found, synced_at)));
    }
    let cells = <Cells as QueryableByName<_>>::build(found).map_err(Error::DeserializationError)?;
    let mut stored = stored_row(model, cells)?;
    if !texts_differ {
        let values = stored.row.values_mut().iter_mut().zip(row.values());
        for ((stored, said), _) in values.zip(columns).filter(|(_, column)| is_text(column)) {
            stored.clone_from(said);
        }
    }
    Ok(Stored::Row(stored))
}

fn is_null(found: &PgRow, place: usize) -> bool {
    found.get(place).is_some_and(|field| field.value().is_none())
}

/// Whether a stored column equals the value `said`. An absent value equals anything that a fetch may have written.
fn says(found: &PgRow, place: usize, said: &Value) -> bool {
    let Some(field) = found.get(place) else { return false };
    match (said, field.value()) {
        (Value::Absent, Some(stored)) => match stored.get_oid().get() {
            PG_TIMESTAMPTZ => moment(&stored).is_some(),
            PG_DATE => pg_date(&stored).is_some(),
            PG_FLOAT8 => double(&stored).is_some_and(f64::is_finite),
            _ => true,
        },
        (Value::Absent | Value::Null, None) => true,
        (Value::Text(said), Some(stored)) => stored.as_bytes() == said.as_bytes(),
        (Value::Json(said), Some(stored)) => json_bytes(&stored)
            .ok()
            .and_then(|stored| std::str::from_utf8(stored).ok())
            .is_some_and(|it| same_json(it, said)),
        (Value::Time(said), Some(stored)) => moment(&stored) == Some(said.unix_millis()),
        (Value::Date(said), Some(stored)) => pg_date(&stored) == Some(*said),
        (Value::Number(said), Some(stored)) => double(&stored) == Some(*said),
        (Value::Integer(said), Some(stored)) => stored.as_bytes() == said.to_be_bytes(),
        (Value::Flag(said), Some(stored)) => stored.as_bytes() == [u8::from(*said)],
        (Value::Unreadable, _) | (Value::Null, Some(_)) | (_, None) => false,
    }
}

fn double(stored: &PgValue<'_>) -> Option<f64> {
    stored.as_bytes().try_into().map(f64::from_be_bytes).ok()
}

/// Milliseconds since 1970 of a time that a fetch may have written.
fn moment(stored: &PgValue<'_>) -> Option<i64> {
    exact_millis(stored.as_bytes().try_into().map(i64::from_be_bytes).ok()?)
}

/// The time when a row was written, or the minimum if no fetch can have written that value.
fn written_at(found: &PgRow, place: usize) -> Timestamp {
    let millis = found.get(place).and_then(|field| field.value().as_ref().and_then(moment));
    millis.and_then(Timestamp::from_unix_millis).unwrap_or(Timestamp::MIN)
}

/// Result that ends a look-up.
enum Interrupted {
    Database(Error),
    Store(StoreError),
}

impl Interrupted {
    fn during(self, what: &str) -> StoreError {
        match self {
            Self::Database(error) => statement_failed(what, error),
            Self::Store(error) => error,
        }
    }
}

impl From<Error> for Interrupted {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use diesel::QueryResult;
    use kombo_model::Date;
    use sync_core::rows::{Key, StoredRow};
    use sync_testkit::postgres::test_database;

    use super::*;
    use crate::backend::postgres::PostgresStore;
    use crate::mirror::pg_replace_rows;

    const ROWS: usize = 3 * KEYS;

    fn value(column: &Column, number: usize) -> Value {
        match column.kind {
            _ if number.is_multiple_of(7) => Value::Null,
            ColumnKind::Date => Value::Date(Date::from_unix_days(i32::try_from(number).unwrap()).unwrap()),
            ColumnKind::Number => Value::Number(f64::from(u32::try_from(number).unwrap()) / 8.0),
            ColumnKind::Integer => Value::Integer(i64::try_from(number).unwrap()),
            ColumnKind::Flag => Value::Flag(number.is_multiple_of(2)),
            ColumnKind::Text | ColumnKind::Id => Value::Text(format!("{} – {number}", column.name)),
            ColumnKind::Time => {
                Value::Time(Timestamp::MIN.saturating_add(Duration::from_millis(1) * u32::try_from(number).unwrap()))
            }
            ColumnKind::Document | ColumnKind::Opaque => Value::Json(format!(r#"{{"b":1e2,"a":[{number}]}}"#)),
        }
    }

    fn row(model: Model, number: usize) -> StoredRow {
        let key = Key::of(model, format!("key {number:05}"), format!("other {number}"));
        let values = model.columns().iter().map(|column| value(column, number)).collect();
        StoredRow { row: MirrorRow::new(model, key, values), removed_at: None, synced_at: Timestamp::MIN }
    }

    /// Returns the positions of the rows that differ from the stored ones, and the number of rows with transferred
    /// texts.
    fn differing(conn: &Conn, model: Model, said: &[StoredRow], stored: &[StoredRow]) -> (Vec<usize>, usize) {
        let integration = IntegrationId::from("sandbox:a");
        let rows: Vec<&MirrorRow> = said.iter().map(|said| &said.row).collect();
        let held = held(conn, model, &integration, &rows).unwrap();
        let mut differing = Vec::new();
        for (place, (held, stored)) in held.iter().zip(stored).enumerate() {
            match held {
                Stored::Same(synced_at) => assert_eq!(*synced_at, stored.synced_at, "{model}: {place}"),
                Stored::Row(row) => {
                    assert_eq!(row, stored, "{model}: {place}");
                    differing.push(place);
                }
                Stored::Nothing => panic!("{model}: {place} is stored"),
            }
        }
        let lookup = LookUp::new(model, &integration);
        let mut came = 0;
        pipeline::load_all(conn, [lookup.among(&in_order(&rows))].into_iter(), |found| {
            if let pipeline::Found::Row(found) = found {
                came += usize::from(!is_null(found, model.key_columns().len() + model.columns().len() + 2));
            }
            QueryResult::Ok(())
        })
        .unwrap();
        (differing, came)
    }

    /// A row is returned if any column differs, and its texts are transferred only if one of them differs.
    #[tokio::test]
    async fn texts_come_over_only_if_they_differ() {
        let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
        let store = PostgresStore::connect(&database.url().parse().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        let integration = IntegrationId::from("sandbox:a");
        let check = move |conn: &mut Conn| {
            // These two have columns of the kinds that LMS does not have.
            for model in Model::LMS.into_iter().chain([Model::HrisAbsences, Model::AtsJoinJobsScreeningQuestions]) {
                let mut stored: Vec<StoredRow> = (0..ROWS).map(|number| row(model, number)).collect();
                stored[800].removed_at = Some(Timestamp::MIN);
                pg_replace_rows(conn, model, &integration, &stored).unwrap();
                assert_eq!(differing(conn, model, &stored, &stored), (vec![800], 0), "{model}");
                for (place, column) in model.columns().iter().enumerate() {
                    let mut said = stored.clone();
                    // A value that was null, one that becomes null, and one that changes, far from each other.
                    for (number, value) in [(7, value(column, 1)), (601, Value::Null), (1_402, value(column, 1))] {
                        said[number].row.values_mut()[place] = value;
                    }
                    let came = if is_text(column) { 3 } else { 0 };
                    let differing = differing(conn, model, &said, &stored);
                    assert_eq!(differing, (vec![7, 601, 800, 1_402], came), "{model}.{}", column.name);
                }
                // A partial copy has no value for a text.
                let mut said = stored.clone();
                for (said, absent) in said.iter_mut().zip([true, false].iter().cycle()) {
                    if let Some(place) = model.columns().iter().position(is_text).filter(|_| *absent) {
                        said.row.values_mut()[place] = Value::Absent;
                    }
                }
                assert_eq!(differing(conn, model, &said, &stored).0, [800], "{model}");
            }
        };
        store.on_connection(check).await.unwrap();
    }
}
