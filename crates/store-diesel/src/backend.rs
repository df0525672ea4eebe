//! Connections and transactions, one file for each database.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use sync_core::ports::StoreError;

/// SQL dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

/// The reason why a transaction ended without a commit.
pub(crate) enum Undone<E> {
    /// Begin or commit failed.
    Database(diesel::result::Error),
    /// The work itself failed.
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

/// The error of a transaction that panicked. A panic is a bug; the transaction was rolled back.
pub(crate) fn panicked(said: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed { message: format!("a transaction of work did not end: {said}"), source: None }
}
