use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{Nullable, Text};
use diesel::sqlite::Sqlite;

/// A text of a bookkeeping table. SQLite stores any bytes as text. Bytes that are not UTF-8 are read as U+FFFD, so that
/// a value written by hand does not hide the rows around it.
#[derive(Debug, FromSqlRow)]
pub(crate) struct AnyText(String);

/// An optional [`AnyText`].
#[derive(Debug, FromSqlRow)]
pub(crate) struct MaybeAnyText(Option<String>);

impl From<AnyText> for String {
    fn from(text: AnyText) -> Self {
        text.0
    }
}

impl From<MaybeAnyText> for Option<String> {
    fn from(text: MaybeAnyText) -> Self {
        text.0
    }
}

impl FromSql<Text, Pg> for AnyText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        FromSql::<Text, Pg>::from_sql(value).map(Self)
    }
}

impl FromSql<Text, Sqlite> for AnyText {
    fn from_sql(mut value: <Sqlite as diesel::backend::Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.read_text().to_owned()))
    }
}

impl<DB: diesel::backend::Backend> FromSql<Nullable<Text>, DB> for MaybeAnyText
where
    AnyText: FromSql<Text, DB>,
{
    fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
        FromSql::<Text, DB>::from_sql(value).map(|AnyText(text)| Self(Some(text)))
    }

    fn from_nullable_sql(value: Option<DB::RawValue<'_>>) -> deserialize::Result<Self> {
        value.map_or(Ok(Self(None)), Self::from_sql)
    }
}
