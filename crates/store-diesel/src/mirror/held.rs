//! Holds rows against what PostgreSQL has, on the bytes as they come: a row that is stored as it is costs no memory, and
//! most rows of a full fetch are.

use diesel::deserialize::QueryableByName;
use diesel::pg::PgValue;
use diesel::result::Error;
use diesel::row::{Field as _, Row as _};
use kombo_model::IntegrationId;
use sync_core::mirror::{Held, Model, Row, Value};
use sync_core::port::{StoreError, TxResult};

use super::{among, stored_row};
use crate::backend::Dialect;
use crate::backend::postgres::{Conn, pipeline};
use crate::error::statement_failed;
use crate::statement::Cells;
use crate::types::{json_bytes, millis};

/// Keys of one look-up, of which two are on their way at a time.
const KEYS: usize = 500;

pub(crate) fn pg_held(conn: &Conn, model: Model, integration: &IntegrationId, rows: &[&Row]) -> TxResult<Vec<Held>> {
    let lookups =
        rows.chunks(KEYS).map(|rows| among(model, integration, rows.iter().map(|row| &row.key), Dialect::Postgres));
    let mut held: Vec<Held> = Vec::with_capacity(rows.len());
    held.resize_with(rows.len(), || Held::Nothing);
    let mut parts = rows.chunks(KEYS).zip(held.chunks_mut(KEYS)).map(|(rows, held)| Part::new(model, rows, held));
    let mut part = None;
    pipeline::load_all(conn, lookups, |found| -> Result<(), Interrupted> {
        match found {
            pipeline::Found::Statement => part = parts.next(),
            pipeline::Found::Row(found) => {
                if let Some(part) = &mut part {
                    part.take(found)?;
                }
            }
        }
        Ok(())
    })
    .map_err(|error| error.during(model.as_str()))?;
    Ok(held)
}

/// The rows whose keys one statement looks up.
struct Part<'a> {
    model: Model,
    rows: &'a [&'a Row],
    held: &'a mut [Held],
    /// The places of the rows, in the order of their keys.
    order: Vec<usize>,
    /// The place in `order` that is most likely next: what is found comes in the order of keys, but for no promise.
    next: usize,
}

impl<'a> Part<'a> {
    fn new(model: Model, rows: &'a [&'a Row], held: &'a mut [Held]) -> Self {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|one, other| rows.get(*one).map(|row| &row.key).cmp(&rows.get(*other).map(|row| &row.key)));
        Self { model, rows, held, order, next: 0 }
    }

    /// Takes a row that is stored.
    fn take(&mut self, found: &pipeline::PgRow) -> Result<(), Interrupted> {
        let Some(place) = self.place(found) else { return Ok(()) };
        if let (Some(row), Some(held)) = (self.rows.get(place), self.held.get_mut(place)) {
            *held = if is_same(self.model, row, found) {
                Held::Same
            } else {
                let cells = <Cells as QueryableByName<_>>::build(found).map_err(Error::DeserializationError)?;
                Held::Row(stored_row(self.model, cells)?)
            };
        }
        Ok(())
    }

    /// Whose row it is.
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

/// Whether a stored row is not removed and holds, to the letter, all that is said.
fn is_same(model: Model, row: &Row, found: &pipeline::PgRow) -> bool {
    let first = model.key_columns().len();
    let removed_at = first + row.values().len();
    let is_removed = found.get(removed_at).is_none_or(|field| field.value().is_some());
    !is_removed
        && row.values().iter().enumerate().all(|(place, said)| {
            let Some(field) = found.get(first + place) else { return false };
            match (said, field.value()) {
                (Value::Absent, _) | (Value::Null, None) => true,
                (Value::Text(said), Some(stored)) => stored.as_bytes() == said.as_bytes(),
                (Value::Json(said), Some(stored)) => json_bytes(&stored).is_ok_and(|it| it == said.as_bytes()),
                (Value::Time(said), Some(stored)) => is_moment(&stored, said.unix_millis()),
                (Value::Null, Some(_)) | (Value::Text(_) | Value::Json(_) | Value::Time(_), None) => false,
            }
        })
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
