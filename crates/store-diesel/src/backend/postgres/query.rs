//! Converts Diesel's queries to the form that tokio-postgres sends.

use std::error::Error as StdError;

use bytes::BytesMut;
use diesel::QueryResult;
use diesel::pg::{FailedToLookupTypeError, Pg, PgMetadataCacheKey, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{QueryBuilder as _, QueryFragment};
use diesel::result::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A query with its encoded values.
pub(super) struct Encoded {
    pub(super) text: QueryText,
    pub(super) binds: Vec<Bind>,
    /// Whether the text is the same for all values, so that preparing it pays off.
    pub(super) cacheable: bool,
}

/// Key of a prepared statement: queries with the same key share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct QueryText {
    pub(super) sql: String,
    pub(super) types: Vec<Type>,
}

impl Encoded {
    pub(super) fn new(query: &impl QueryFragment<Pg>) -> QueryResult<Self> {
        let mut builder = PgQueryBuilder::default();
        query.to_sql(&mut builder, &Pg)?;
        let mut collected = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut collected, &mut BuiltInTypes, &Pg)?;
        let types = collected.metadata.iter().map(built_in).collect::<QueryResult<_>>()?;
        Ok(Self {
            text: QueryText { sql: builder.finish(), types },
            binds: collected.binds.into_iter().map(Bind).collect(),
            cacheable: query.is_safe_to_cache_prepared(&Pg)?,
        })
    }
}

/// A value in PostgreSQL's binary form. `None` is null.
pub(super) struct Bind(Option<Vec<u8>>);

/// Shows no value, because a driver that logs parameters must not log customers' data.
impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(bytes) => write!(f, "{} bytes", bytes.len()),
            None => f.write_str("null"),
        }
    }
}

impl ToSql for Bind {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Looks up no type by name: all types in use have fixed numbers.
struct BuiltInTypes;

impl PgMetadataLookup for BuiltInTypes {
    fn lookup_type(&mut self, name: &str, schema: Option<&str>) -> PgTypeMetadata {
        let key = PgMetadataCacheKey::new(schema.map(Into::into), name.into());
        PgTypeMetadata::from_result(Err(FailedToLookupTypeError::new(key.into_owned())))
    }
}

fn built_in(metadata: &PgTypeMetadata) -> QueryResult<Type> {
    let oid = metadata.oid().map_err(|error| Error::SerializationError(Box::new(error)))?;
    Type::from_oid(oid)
        .ok_or_else(|| Error::SerializationError(format!("no built-in type has the number {oid}").into()))
}
