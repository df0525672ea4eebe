//! SQL with a text that depends on the model, and its binds. It serves the mirror's tables, which are derived from a
//! list of columns.

use diesel::RunQueryDsl;
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::pg::data_types::PgDate;
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::row::{Field as _, NamedRow};
use diesel::sql_types::Date as SqlDate;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Untyped};
use diesel::sqlite::Sqlite;
use kombo_model::{Date, Timestamp};

use crate::types::{Document, Instant, JsonText, Moment, Opaque, exact_millis, json_text, millis};

/// A statement under construction. Its text depends on the model only, never on the values. The connection's statement
/// cache therefore stays small, and every statement is prepared once.
#[derive(Debug, Default)]
pub(crate) struct Statement<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
enum Part<'a> {
    Sql(std::borrow::Cow<'a, str>),
    Text(&'a str),
    Time(Option<Moment>),
    Int(i64),
    /// An array in PostgreSQL, a JSON array in SQLite.
    Texts(Vec<Option<&'a str>>, String),
    /// Arrays; PostgreSQL only.
    Ints(Vec<Option<i64>>),
    Doubles(Vec<Option<f64>>),
    Flags(Vec<Option<bool>>),
    Dates(Vec<Option<PgDate>>),
    Times(Vec<Option<Moment>>),
    Documents(Vec<Option<JsonText<'a>>>),
    Opaques(Vec<Option<JsonText<'a>>>),
}

impl<'a> Statement<'a> {
    pub(crate) fn new(sql: impl Into<std::borrow::Cow<'a, str>>) -> Self {
        Self::default().sql(sql)
    }

    pub(crate) fn sql(mut self, sql: impl Into<std::borrow::Cow<'a, str>>) -> Self {
        self.parts.push(Part::Sql(sql.into()));
        self
    }

    pub(crate) fn text(mut self, text: &'a str) -> Self {
        self.parts.push(Part::Text(text));
        self
    }

    pub(crate) fn time(mut self, time: Option<Timestamp>) -> Self {
        self.parts.push(Part::Time(time.map(Moment)));
        self
    }

    pub(crate) fn int(mut self, number: i64) -> Self {
        self.parts.push(Part::Int(number));
        self
    }

    /// An array of texts in PostgreSQL.
    pub(crate) fn texts(mut self, texts: Vec<Option<&'a str>>) -> Self {
        self.parts.push(Part::Texts(texts, String::new()));
        self
    }

    /// A JSON array, for `json_each` in SQLite.
    pub(crate) fn json(mut self, json: String) -> Self {
        self.parts.push(Part::Texts(Vec::new(), json));
        self
    }

    /// An array of `jsonb`.
    pub(crate) fn documents(mut self, texts: Vec<Option<&'a str>>) -> Self {
        self.parts.push(Part::Documents(texts.into_iter().map(|text| text.map(JsonText)).collect()));
        self
    }

    /// An array of `json`.
    pub(crate) fn opaques(mut self, texts: Vec<Option<&'a str>>) -> Self {
        self.parts.push(Part::Opaques(texts.into_iter().map(|text| text.map(JsonText)).collect()));
        self
    }

    /// An array of `bigint`.
    pub(crate) fn ints(mut self, numbers: Vec<Option<i64>>) -> Self {
        self.parts.push(Part::Ints(numbers));
        self
    }

    /// An array of `double precision`.
    pub(crate) fn doubles(mut self, numbers: Vec<Option<f64>>) -> Self {
        self.parts.push(Part::Doubles(numbers));
        self
    }

    /// An array of `boolean`.
    pub(crate) fn flags(mut self, flags: Vec<Option<bool>>) -> Self {
        self.parts.push(Part::Flags(flags));
        self
    }

    /// An array of `date`.
    pub(crate) fn dates(mut self, dates: Vec<Option<Date>>) -> Self {
        let days = |date: Date| PgDate(date.unix_days() - UNIX_DAYS_IN_2000);
        self.parts.push(Part::Dates(dates.into_iter().map(|date| date.map(days)).collect()));
        self
    }

    /// An array of `timestamptz`.
    pub(crate) fn times(mut self, times: Vec<Option<Timestamp>>) -> Self {
        self.parts.push(Part::Times(times.into_iter().map(|time| time.map(Moment)).collect()));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        for part in &self.parts {
            match part {
                Part::Sql(sql) => out.push_sql(sql),
                Part::Text(text) => out.push_bind_param::<Text, str>(text)?,
                Part::Time(time) => out.push_bind_param::<Nullable<Instant>, _>(time)?,
                Part::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
                Part::Texts(texts, _) => out.push_bind_param::<Array<Nullable<Text>>, _>(texts)?,
                Part::Ints(numbers) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(numbers)?,
                Part::Doubles(numbers) => out.push_bind_param::<Array<Nullable<Double>>, _>(numbers)?,
                Part::Flags(flags) => out.push_bind_param::<Array<Nullable<Bool>>, _>(flags)?,
                Part::Dates(dates) => out.push_bind_param::<Array<Nullable<SqlDate>>, _>(dates)?,
                Part::Times(times) => out.push_bind_param::<Array<Nullable<Instant>>, _>(times)?,
                Part::Documents(texts) => out.push_bind_param::<Array<Nullable<Document>>, _>(texts)?,
                Part::Opaques(texts) => out.push_bind_param::<Array<Nullable<Opaque>>, _>(texts)?,
            }
        }
        Ok(())
    }
}

impl QueryFragment<Sqlite> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        for part in &self.parts {
            match part {
                Part::Sql(sql) => out.push_sql(sql),
                Part::Text(text) => out.push_bind_param::<Text, str>(text)?,
                Part::Time(time) => out.push_bind_param::<Nullable<Instant>, _>(time)?,
                Part::Int(number) => out.push_bind_param::<BigInt, _>(number)?,
                Part::Texts(_, json) => out.push_bind_param::<Text, str>(json)?,
                Part::Ints(_)
                | Part::Doubles(_)
                | Part::Flags(_)
                | Part::Dates(_)
                | Part::Times(_)
                | Part::Documents(_)
                | Part::Opaques(_) => {
                    let error = "SQLite has no arrays".into();
                    return Err(diesel::result::Error::QueryBuilderError(error));
                }
            }
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    // Cached by its text: see `Statement`.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<Conn> RunQueryDsl<Conn> for Statement<'_> {}

/// The raw values of a row. The author of the statement defines their meaning.
pub(crate) struct Cells(pub(crate) Vec<Option<Cell>>);

/// One value.
pub(crate) enum Cell {
    Text(String),
    Time(Timestamp),
    /// A time that no fetch writes: finer than milliseconds, or outside of the years 0 to 9999, where it is `None`.
    OddTime(Option<Timestamp>),
    Int(i64),
    Double(f64),
    Flag(bool),
    /// `None` for a date that no fetch writes.
    Date(Option<Date>),
    /// Bytes in a text column that are not valid text: SQLite accepts any.
    NoText(Vec<u8>),
}

impl Cell {
    pub(crate) fn into_text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns a time, which SQLite stores as text.
    pub(crate) fn into_time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::OddTime(time) => time,
            Self::Text(text) => text.parse().ok(),
            Self::Int(_) | Self::Double(_) | Self::Flag(_) | Self::Date(_) | Self::NoText(_) => None,
        }
    }

    /// Returns a time if it has the form that fetches write.
    pub(crate) fn into_exact_time(self) -> Option<Timestamp> {
        match self {
            Self::Time(time) => Some(time),
            Self::Text(text) => text.parse().ok().filter(|time: &Timestamp| time.to_string() == text),
            Self::OddTime(_) | Self::Int(_) | Self::Double(_) | Self::Flag(_) | Self::Date(_) | Self::NoText(_) => None,
        }
    }

    /// Returns a date, which SQLite stores as text, if it has the form that fetches write.
    pub(crate) fn into_date(self) -> Option<Date> {
        match self {
            Self::Date(date) => date,
            Self::Text(text) => text.parse().ok().filter(|date: &Date| date.to_string() == text),
            Self::Time(_) | Self::OddTime(_) | Self::Int(_) | Self::Double(_) | Self::Flag(_) | Self::NoText(_) => None,
        }
    }

    /// Returns a finite number.
    pub(crate) fn into_double(self) -> Option<f64> {
        if let Self::Double(number) = self { Some(number).filter(|number| number.is_finite()) } else { None }
    }

    /// Returns a flag, which SQLite stores as 0 or 1.
    pub(crate) fn into_flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            Self::Text(_)
            | Self::Time(_)
            | Self::OddTime(_)
            | Self::Int(_)
            | Self::Double(_)
            | Self::Date(_)
            | Self::NoText(_) => None,
        }
    }

    pub(crate) fn into_int(self) -> Option<i64> {
        if let Self::Int(number) = self { Some(number) } else { None }
    }
}

pub(crate) const PG_TIMESTAMPTZ: u32 = 1184;
pub(crate) const PG_DATE: u32 = 1082;
pub(crate) const PG_FLOAT8: u32 = 701;
const PG_BOOL: u32 = 16;
const PG_INT8: u32 = 20;
const PG_JSON: u32 = 114;
const PG_JSONB: u32 = 3802;

impl QueryableByName<Pg> for Cells {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        let mut cells = Vec::with_capacity(row.field_count());
        for index in 0..row.field_count() {
            let field = diesel::row::Row::get(row, index).ok_or("a column is missing")?;
            cells.push(match field.value() {
                None => None,
                Some(value) => Some(match value.get_oid().get() {
                    PG_TIMESTAMPTZ => {
                        let micros = <i64 as FromSql<BigInt, Pg>>::from_sql(value)?;
                        match (exact_millis(micros), Timestamp::from_unix_millis(millis(micros))) {
                            (Some(_), Some(time)) => Cell::Time(time),
                            (_, time) => Cell::OddTime(time),
                        }
                    }
                    PG_JSON | PG_JSONB => Cell::Text(json_text(&value)?),
                    PG_INT8 => Cell::Int(<i64 as FromSql<BigInt, Pg>>::from_sql(value)?),
                    PG_FLOAT8 => Cell::Double(<f64 as FromSql<Double, Pg>>::from_sql(value)?),
                    PG_BOOL => Cell::Flag(<bool as FromSql<Bool, Pg>>::from_sql(value)?),
                    PG_DATE => Cell::Date(pg_date(&value)),
                    _ => Cell::Text(<String as FromSql<Text, Pg>>::from_sql(value)?),
                }),
            });
        }
        Ok(Self(cells))
    }
}

impl QueryableByName<Sqlite> for Cells {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        let mut cells = Vec::with_capacity(row.field_count());
        for index in 0..row.field_count() {
            let field = diesel::row::Row::get(row, index).ok_or("a column is missing")?;
            cells.push(match field.value() {
                None => None,
                Some(mut value) => Some(match value.value_type() {
                    Some(diesel::sqlite::SqliteType::Long | diesel::sqlite::SqliteType::Integer) => {
                        Cell::Int(<i64 as FromSql<BigInt, Sqlite>>::from_sql(value)?)
                    }
                    Some(diesel::sqlite::SqliteType::Float | diesel::sqlite::SqliteType::Double) => {
                        Cell::Double(<f64 as FromSql<Double, Sqlite>>::from_sql(value)?)
                    }
                    _ => text(&mut value),
                }),
            });
        }
        Ok(Self(cells))
    }
}

/// Days from 1970-01-01 to 2000-01-01, from which PostgreSQL counts.
const UNIX_DAYS_IN_2000: i32 = 10_957;

/// Reads a date that a fetch may have written.
pub(crate) fn pg_date(value: &PgValue<'_>) -> Option<Date> {
    let days = i32::from_be_bytes(value.as_bytes().try_into().ok()?);
    Date::from_unix_days(days.checked_add(UNIX_DAYS_IN_2000)?)
}

/// Reads a text, or its bytes. Invalid UTF-8 arrives with U+FFFD, so texts without it need no second check.
fn text(value: &mut <Sqlite as Backend>::RawValue<'_>) -> Cell {
    let text = value.read_text();
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        return Cell::Text(text.to_owned());
    }
    String::from_utf8(value.read_blob().to_vec()).map_or_else(|error| Cell::NoText(error.into_bytes()), Cell::Text)
}

/// A value of a row to be written to SQLite.
pub(crate) enum Bind<'a> {
    Text(Option<&'a str>),
    Time(Option<Moment>),
    Date(Option<String>),
    Int(Option<i64>),
    Double(Option<f64>),
}

impl Bind<'_> {
    pub(crate) fn time(time: Option<Timestamp>) -> Self {
        Self::Time(time.map(Moment))
    }
}

/// A statement that writes one row to one of SQLite's tables.
pub(crate) struct WriteRow<'a> {
    pub(crate) head: &'a str,
    pub(crate) binds: Vec<Bind<'a>>,
    pub(crate) tail: &'a str,
}

/// The number of the change log's statement in [`WriteRow::execute`].
pub(crate) const INSERT_CHANGE: usize = 127;

impl WriteRow<'_> {
    /// Executes the statement. All statements with the same `number`, which is at most 127, have the same text: it
    /// identifies the prepared statement. A cache that is keyed by text would build and compare the text for every row.
    pub(crate) fn execute(self, conn: &mut diesel::SqliteConnection, number: usize) -> QueryResult<usize> {
        let run = match number >> 4 {
            0 => Self::execute_of::<0>,
            1 => Self::execute_of::<1>,
            2 => Self::execute_of::<2>,
            3 => Self::execute_of::<3>,
            4 => Self::execute_of::<4>,
            5 => Self::execute_of::<5>,
            6 => Self::execute_of::<6>,
            _ => Self::execute_of::<7>,
        };
        run(self, conn, number & 15)
    }

    fn execute_of<const SIXTEEN: usize>(
        self,
        conn: &mut diesel::SqliteConnection,
        number: usize,
    ) -> QueryResult<usize> {
        match number {
            0 => Numbered::<SIXTEEN, 0>(self).execute(conn),
            1 => Numbered::<SIXTEEN, 1>(self).execute(conn),
            2 => Numbered::<SIXTEEN, 2>(self).execute(conn),
            3 => Numbered::<SIXTEEN, 3>(self).execute(conn),
            4 => Numbered::<SIXTEEN, 4>(self).execute(conn),
            5 => Numbered::<SIXTEEN, 5>(self).execute(conn),
            6 => Numbered::<SIXTEEN, 6>(self).execute(conn),
            7 => Numbered::<SIXTEEN, 7>(self).execute(conn),
            8 => Numbered::<SIXTEEN, 8>(self).execute(conn),
            9 => Numbered::<SIXTEEN, 9>(self).execute(conn),
            10 => Numbered::<SIXTEEN, 10>(self).execute(conn),
            11 => Numbered::<SIXTEEN, 11>(self).execute(conn),
            12 => Numbered::<SIXTEEN, 12>(self).execute(conn),
            13 => Numbered::<SIXTEEN, 13>(self).execute(conn),
            14 => Numbered::<SIXTEEN, 14>(self).execute(conn),
            _ => Numbered::<SIXTEEN, 15>(self).execute(conn),
        }
    }

    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(self.head);
        for (place, bind) in self.binds.iter().enumerate() {
            if place > 0 {
                out.push_sql(", ");
            }
            match bind {
                Bind::Text(text) => out.push_bind_param::<Nullable<Text>, _>(text)?,
                Bind::Time(time) => out.push_bind_param::<Nullable<Instant>, _>(time)?,
                Bind::Date(date) => out.push_bind_param::<Nullable<Text>, _>(date)?,
                Bind::Int(number) => out.push_bind_param::<Nullable<BigInt>, _>(number)?,
                Bind::Double(number) => out.push_bind_param::<Nullable<Double>, _>(number)?,
            }
        }
        out.push_sql(self.tail);
        Ok(())
    }
}

/// A statement with a type of its own.
struct Numbered<'a, const SIXTEEN: usize, const ONE: usize>(WriteRow<'a>);

impl<const SIXTEEN: usize, const ONE: usize> QueryFragment<Sqlite> for Numbered<'_, SIXTEEN, ONE> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}

impl<const SIXTEEN: usize, const ONE: usize> QueryId for Numbered<'_, SIXTEEN, ONE> {
    type QueryId = Numbered<'static, SIXTEEN, ONE>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const SIXTEEN: usize, const ONE: usize> RunQueryDsl<diesel::SqliteConnection> for Numbered<'_, SIXTEEN, ONE> {}
