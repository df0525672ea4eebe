//! Connections and units of work, one file for each database.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use sync_core::ports::StoreError;

/// SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// Why a unit of work ended without a commit.
pub(crate) enum Undone<E> {
    /// The database failed around it: begin or commit.
    Database(diesel::result::Error),
    /// It asked for that.
    Work(E),
}

impl<E> From<diesel::result::Error> for Undone<E> {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl<E: From<StoreError>> Undone<E> {
    pub(crate) fn into_error(self) -> E {
        match self {
            Self::Database(error) => crate::error::statement_failed("transaction", error).into(),
            Self::Work(error) => error,
        }
    }
}

/// A unit of work panicked: a bug, of which the unit's transaction was undone.
pub(crate) fn panicked(said: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed { message: format!("a unit of work did not end: {said}"), source: None }
}
