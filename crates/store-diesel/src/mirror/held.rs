//! Holds rows against what PostgreSQL has. Of many rows only those come over that differ: most rows of a full fetch are
//! stored as they are.

use std::hash::{BuildHasher as _, RandomState};

use diesel::deserialize::QueryableByName;
use diesel::pg::PgValue;
use diesel::result::Error;
use diesel::row::{Field as _, Row as _};
use kombo_model::IntegrationId;
use sync_core::mirror::{Column, ColumnKind, Held, Model, Row, Value, same_json};
use sync_core::port::{StoreError, TxResult};

use super::fingerprint::fingerprint;
use super::{select_among, selection, stored_row};
use crate::backend::postgres::{Conn, pipeline};
use crate::error::statement_failed;
use crate::statement::{Cells, Statement};
use crate::types::{json_bytes, millis};

/// Keys of one look-up, of which two are on their way at a time.
const KEYS: usize = 500;
/// So few rows come over at once: asking twice would take longer.
const FEW: usize = 100;

pub(crate) fn pg_held(conn: &Conn, model: Model, integration: &IntegrationId, rows: &[&Row]) -> TxResult<Vec<Held>> {
    let mut held: Vec<Held> = Vec::with_capacity(rows.len());
    held.resize_with(rows.len(), || Held::Nothing);
    // What a partial copy leaves out may be anything.
    let are_whole = || rows.iter().all(|row| !row.values().iter().any(Value::is_absent));
    let places = if rows.len() > FEW && are_whole() {
        differing(conn, model, integration, rows, &mut held)?
    } else {
        (0..rows.len()).collect()
    };
    let rows: Vec<&Row> = places.iter().filter_map(|place| rows.get(*place).copied()).collect();
    let columns = format!("SELECT {}", selection(model));
    look_up(
        conn,
        model,
        integration,
        &rows,
        || Statement::new(&*columns),
        |place, row, found| {
            if let Some(held) = places.get(place).and_then(|place| held.get_mut(*place)) {
                *held = if is_same(model, row, found) {
                    Held::Same
                } else {
                    let cells = <Cells as QueryableByName<_>>::build(found).map_err(Error::DeserializationError)?;
                    Held::Row(stored_row(model, cells)?)
                };
            }
            Ok(())
        },
    )?;
    Ok(held)
}

/// Tells the rows that are stored as they are by their fingerprints, and returns the places of those that are stored and
/// differ.
fn differing(
    conn: &Conn,
    model: Model,
    integration: &IntegrationId,
    rows: &[&Row],
    held: &mut [Held],
) -> TxResult<Vec<usize>> {
    // Another one each time: two texts that happen to have the same fingerprint have different ones the next time.
    let seed = RandomState::new().hash_one(model.as_str());
    let [before, after] = summary(model);
    let select = || Statement::new(&*before).int(seed.cast_signed()).sql(&*after);
    let mut others = Vec::new();
    look_up(conn, model, integration, rows, select, |place, row, found| {
        match held.get_mut(place) {
            Some(held) if is_summed_up(model, row, seed, found) => *held = Held::Same,
            _ => others.push(place),
        }
        Ok(())
    })?;
    Ok(others)
}

/// Looks rows up by their keys, and hands over what `select` says of each that is found, with its place among `rows`.
fn look_up<'a>(
    conn: &Conn,
    model: Model,
    integration: &'a IntegrationId,
    rows: &'a [&'a Row],
    select: impl Fn() -> Statement<'a>,
    mut take: impl FnMut(usize, &Row, &pipeline::PgRow) -> Result<(), Interrupted>,
) -> TxResult<()> {
    let mut parts = rows.chunks(KEYS).enumerate().map(|(number, rows)| Part::new(model, rows, number * KEYS));
    let mut part = None;
    let lookups =
        rows.chunks(KEYS).map(|rows| select_among(select(), model, integration, rows.iter().map(|row| &row.key)));
    pipeline::load_all(conn, lookups, |found| -> Result<(), Interrupted> {
        match found {
            pipeline::Found::Statement => part = parts.next(),
            pipeline::Found::Row(found) => {
                if let Some((place, row)) = part.as_mut().and_then(|part| part.whose(found)) {
                    take(place, row, found)?;
                }
            }
        }
        Ok(())
    })
    .map_err(|error| error.during(model.as_str()))
}

/// The rows whose keys one statement looks up.
struct Part<'a> {
    model: Model,
    rows: &'a [&'a Row],
    /// The place of the first of them.
    first: usize,
    /// The places of the rows within this part, in the order of their keys.
    order: Vec<usize>,
    /// The place in `order` that is most likely next: what is found comes in the order of keys, but for no promise.
    next: usize,
}

impl<'a> Part<'a> {
    fn new(model: Model, rows: &'a [&'a Row], first: usize) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|one, other| rows.get(*one).map(|row| &row.key).cmp(&rows.get(*other).map(|row| &row.key)));
        Self { model, rows, first, order, next: 0 }
    }

    /// Which row was found, and its place.
    fn whose(&mut self, found: &pipeline::PgRow) -> Option<(usize, &'a Row)> {
        let place = self.place(found)?;
        Some((self.first + place, self.rows.get(place).copied()?))
    }

    /// Whose row it is, within this part.
    fn place(&mut self, found: &pipeline::PgRow) -> Option<usize> {
        let (first, second) = (found.get(0)?, found.get(1)?);
        let (first, second) = (first.value()?, second.value());
        let second = match self.model.key_columns().len() {
            2 => second.as_ref()?.as_bytes(),
            _ => &[],
        };
        let found = (first.as_bytes(), second);
        let of =
            |place: usize| self.rows.get(place).map(|row| (row.key.first().as_bytes(), row.key.second().as_bytes()));
        let expected = self.order.iter().enumerate().skip(self.next);
        let mut ahead = expected.skip_while(|(_, place)| of(**place).is_some_and(|key| key < found));
        match ahead.next() {
            Some((next, place)) if of(*place) == Some(found) => {
                self.next = next + 1;
                Some(*place)
            }
            _ => {
                let at = self.order.binary_search_by(|place| of(*place).cmp(&Some(found))).ok()?;
                self.order.get(at).copied()
            }
        }
    }
}

/// Whether a stored row is not removed and holds all that is said.
fn is_same(model: Model, row: &Row, found: &pipeline::PgRow) -> bool {
    let first = model.key_columns().len();
    is_null(found, first + row.values().len())
        && row.values().iter().enumerate().all(|(place, said)| says(found, first + place, said))
}

/// What [`is_summed_up`] reads, before and after the seed of the fingerprint: the keys, the fingerprint of all texts,
/// `removed_at`, and the other columns as they are.
///
/// JSON that PostgreSQL keeps to the letter is a text. What it rewrites is not.
fn summary(model: Model) -> [String; 2] {
    let (texts, others): (Vec<_>, Vec<_>) = model.columns().iter().partition(|column| is_text(column.kind));
    let texts: Vec<String> = texts.into_iter().map(|column: &Column| format!("t.{}::text", column.name)).collect();
    let keys: Vec<String> = model.key_columns().iter().map(|name| format!("t.{name}")).collect();
    let others = others.into_iter().map(|column| column.name);
    let others: Vec<String> = ["removed_at"].into_iter().chain(others).map(|name| format!("t.{name}")).collect();
    let before = format!("SELECT {}, hash_array_extended(ARRAY[{}]::text[], ", keys.join(", "), texts.join(", "));
    [before, format!("), {}", others.join(", "))]
}

fn is_text(kind: ColumnKind) -> bool {
    match kind {
        ColumnKind::Text | ColumnKind::Opaque => true,
        ColumnKind::Time | ColumnKind::Document => false,
    }
}

/// Whether a stored row is not removed and, by its [`summary`], holds all that is said.
fn is_summed_up(model: Model, row: &Row, seed: u64, found: &pipeline::PgRow) -> bool {
    let first = model.key_columns().len();
    let said = || row.values().iter().zip(model.columns());
    let stored = found.get(first).and_then(|field| field.value()?.as_bytes().try_into().ok()).map(u64::from_be_bytes);
    let texts = said().filter(|(_, column)| is_text(column.kind)).map(|(said, _)| said.text().map(str::as_bytes));
    let others = said().filter(|(_, column)| !is_text(column.kind)).map(|(said, _)| said);
    is_null(found, first + 1)
        && (first + 2..).zip(others).all(|(place, said)| says(found, place, said))
        && stored == Some(fingerprint(texts, seed))
}

fn is_null(found: &pipeline::PgRow, place: usize) -> bool {
    found.get(place).is_some_and(|field| field.value().is_none())
}

/// Whether a column that was found holds what is said of it.
fn says(found: &pipeline::PgRow, place: usize, said: &Value) -> bool {
    let Some(field) = found.get(place) else { return false };
    match (said, field.value()) {
        (Value::Absent, _) | (Value::Null, None) => true,
        (Value::Text(said), Some(stored)) => stored.as_bytes() == said.as_bytes(),
        (Value::Json(said), Some(stored)) => json_bytes(&stored)
            .ok()
            .and_then(|stored| std::str::from_utf8(stored).ok())
            .is_some_and(|it| same_json(it, said)),
        (Value::Time(said), Some(stored)) => is_moment(&stored, said.unix_millis()),
        (Value::Null, Some(_)) | (Value::Text(_) | Value::Json(_) | Value::Time(_), None) => false,
    }
}

fn is_moment(stored: &PgValue<'_>, said: i64) -> bool {
    let micros = stored.as_bytes().try_into().map(i64::from_be_bytes);
    micros.is_ok_and(|micros| millis(micros) == said)
}

/// What ends a look-up.
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

    use kombo_model::Timestamp;
    use sync_core::mirror::{Key, StoredRow};
    use sync_testkit::postgres::test_database;
    use url::Url;

    use super::*;
    use crate::backend::postgres::{PostgresStore, look_up_by_index};
    use crate::mirror::pg_replace_rows;

    const ROWS: usize = 3 * KEYS;

    fn value(column: &Column, number: usize) -> Value {
        match column.kind {
            _ if number.is_multiple_of(7) => Value::Null,
            ColumnKind::Text => Value::Text(format!("{} – {number}", column.name)),
            ColumnKind::Time => {
                Value::Time(Timestamp::MIN.saturating_add(Duration::from_millis(1) * u32::try_from(number).unwrap()))
            }
            ColumnKind::Document | ColumnKind::Opaque => Value::Json(format!(r#"{{"b":1e2,"a":[{number}]}}"#)),
        }
    }

    fn row(model: Model, number: usize) -> StoredRow {
        let key = Key::of(model, format!("key {number:05}"), format!("other {number}"));
        let values = model.columns().iter().map(|column| value(column, number)).collect();
        StoredRow { row: Row::new(model, key, values), removed_at: None, synced_at: Timestamp::MIN }
    }

    /// Whatever column differs, exactly those rows come over in which it does.
    #[tokio::test]
    async fn only_what_differs_comes_over() {
        let database = tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap();
        let store = PostgresStore::connect(&Url::parse(database.url()).unwrap(), "test").await.unwrap();
        store.migrate().await.unwrap();
        let integration = IntegrationId::from("sandbox:a");
        let check = move |conn: &mut Conn| {
            look_up_by_index(conn).unwrap();
            for model in Model::ALL {
                let stored: Vec<StoredRow> = (0..ROWS).map(|number| row(model, number)).collect();
                pg_replace_rows(conn, model, &integration, &stored).unwrap();
                let differing = |rows: &[StoredRow]| {
                    let mut held: Vec<Held> = rows.iter().map(|_| Held::Nothing).collect();
                    let rows: Vec<&Row> = rows.iter().map(|stored| &stored.row).collect();
                    let differing = differing(conn, model, &integration, &rows, &mut held).unwrap();
                    let same = held.iter().filter(|held| **held == Held::Same).count();
                    assert_eq!(same + differing.len(), ROWS, "{model}");
                    differing
                };
                assert_eq!(differing(&stored), [0; 0], "{model}");
                let removed = StoredRow { removed_at: Some(Timestamp::MIN), ..stored[800].clone() };
                pg_replace_rows(conn, model, &integration, &[removed]).unwrap();
                assert_eq!(differing(&stored), [800], "{model} came back");
                pg_replace_rows(conn, model, &integration, &stored[800..801]).unwrap();
                for (place, column) in model.columns().iter().enumerate() {
                    let mut said = stored.clone();
                    // One that was null, one that is null now, and one that is something else, far from each other.
                    for (number, value) in [(7, value(column, 1)), (601, Value::Null), (1_403, value(column, 1))] {
                        said[number].row.values_mut()[place] = value;
                    }
                    assert_eq!(differing(&said), [7, 601, 1_403], "{model}.{}", column.name);
                }
            }
        };
        store.on_connection(check).await.unwrap();
    }
}
