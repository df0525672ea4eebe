//! SQL types with the same meaning on both databases, each in the usual form of that database.

mod text;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, SqlType, Text};
use diesel::sqlite::Sqlite;
use kombo_model::Timestamp;
use std::io::Write as _;

pub(crate) use text::{AnyText, MaybeAnyText};

/// `timestamptz` in PostgreSQL; UTC text of fixed width in SQLite, so that text order is time order.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Text"))]
pub struct Instant;

/// `jsonb` in PostgreSQL, text in SQLite.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 3802, array_oid = 3807))]
#[diesel(sqlite_type(name = "Text"))]
pub struct Document;

/// `json` in PostgreSQL, which keeps the text as it is.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 114, array_oid = 199))]
pub struct Opaque;

/// A time in a statement or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Instant)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// JSON in a statement or a result.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Document)]
pub(crate) struct Json(pub(crate) String);

/// JSON text in a statement for PostgreSQL, which checks it on arrival. Text with a cast would be copied twice more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonText<'a>(pub(crate) &'a str);

impl ToSql<Opaque, Pg> for JsonText<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl ToSql<Document, Pg> for JsonText<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&[JSONB_VERSION])?;
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// Returns the text of a `json` or `jsonb` from PostgreSQL.
pub(crate) fn json_text(value: &PgValue<'_>) -> deserialize::Result<String> {
    Ok(std::str::from_utf8(json_bytes(value)?)?.to_owned())
}

pub(crate) fn json_bytes<'a>(value: &'a PgValue<'_>) -> deserialize::Result<&'a [u8]> {
    match (value.get_oid().get(), value.as_bytes()) {
        (PG_JSONB, [JSONB_VERSION, text @ ..]) => Ok(text),
        (PG_JSONB, _) => Err("not the wire form of jsonb".into()),
        (_, text) => Ok(text),
    }
}

/// Converts PostgreSQL's time to milliseconds since 1970. Microseconds, which only a person writes, are cut off as
/// everywhere else.
pub(crate) fn millis(pg_micros: i64) -> i64 {
    pg_micros.div_euclid(1_000).saturating_add(PG_EPOCH_MILLIS)
}

/// Converts PostgreSQL's time to milliseconds since 1970, if it is in whole milliseconds and within the range of
/// [`Timestamp`].
pub(crate) fn exact_millis(pg_micros: i64) -> Option<i64> {
    Some(millis(pg_micros))
        .filter(|millis| pg_micros.rem_euclid(1_000) == 0 && Timestamp::from_unix_millis(*millis).is_some())
}

const PG_JSONB: u32 = 3802;
/// First byte of the wire form of `jsonb`.
const JSONB_VERSION: u8 = 1;

// PostgreSQL counts microseconds from the start of 2000.
const PG_EPOCH_MILLIS: i64 = 946_684_800_000;

impl ToSql<Instant, Pg> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let micros = (self.0.unix_millis() - PG_EPOCH_MILLIS) * 1_000;
        ToSql::<BigInt, Pg>::to_sql(&micros, &mut out.reborrow())
    }
}

impl FromSql<Instant, Pg> for Moment {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Pg>>::from_sql(value)?;
        // Values that no program writes, such as 'infinity', were written by hand. One such row must not hide all rows
        // that are read with it.
        let bound = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Ok(Self(Timestamp::from_unix_millis(millis(micros)).unwrap_or(bound)))
    }
}

impl ToSql<Instant, Sqlite> for Moment {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.to_string());
        Ok(IsNull::No)
    }
}

impl FromSql<Instant, Sqlite> for Moment {
    fn from_sql(value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        let text: String = <AnyText as FromSql<Text, Sqlite>>::from_sql(value)?.into();
        // As above: a text that is not a time, written by hand, must not hide other rows.
        Ok(Self(text.parse().unwrap_or(Timestamp::MIN)))
    }
}

impl ToSql<Document, Pg> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<Document, Pg>::to_sql(&JsonText(&self.0), &mut out.reborrow())
    }
}

impl FromSql<Document, Pg> for Json {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        json_text(&value).map(Self)
    }
}

impl ToSql<Document, Sqlite> for Json {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        ToSql::<Text, Sqlite>::to_sql(self.0.as_str(), out)
    }
}

impl FromSql<Document, Sqlite> for Json {
    fn from_sql(value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        <AnyText as FromSql<Text, Sqlite>>::from_sql(value).map(|text| Self(text.into()))
    }
}
