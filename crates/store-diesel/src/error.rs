use diesel::result::{DatabaseErrorKind, Error};
use sync_core::port::StoreError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file cannot be opened.
    #[error("cannot open {url}: {reason}")]
    Open {
        /// The store, without secrets.
        url: String,
        /// What SQLite said.
        reason: String,
    },
    /// The server cannot be reached or refuses.
    #[error("cannot connect to {url}: {reason}")]
    Server {
        /// The store, without secrets.
        url: String,
        /// What was said.
        reason: String,
    },
}

/// Why the tables could not be created or upgraded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database was migrated by a newer version.
    #[error(
        "the tables of {url} are newer than this program (migration {newest}): upgrade syncd, or use another database"
    )]
    TooNew {
        /// The store, without secrets.
        url: String,
        /// The newest migration that this version does not know.
        newest: String,
    },
    /// A migration failed.
    #[error("cannot migrate {url}: {reason}")]
    Failed {
        /// The store, without secrets.
        url: String,
        /// What the database said.
        reason: String,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What PostgreSQL says of values that it cannot hold: it gives no kind for them, only words.
const REFUSALS: [&str; 8] = [
    "unsupported unicode escape sequence",
    "invalid input syntax for type json",
    "value overflows numeric format",
    "stack depth limit exceeded",
    "invalid byte sequence for encoding",
    "string too long to represent as jsonb",
    "total size of jsonb",
    "index row size",
];

/// What databases say while they start, stop or are busy.
const PASSING: [&str; 9] = [
    "terminating connection",
    "the database system is",
    "database is locked",
    "database table is locked",
    "connection closed",
    "canceling statement due to",
    "deadlock detected",
    "too many clients",
    "remaining connection slots",
];

/// Sorts what a statement said.
pub(crate) fn statement_failed(what: &str, error: Error) -> StoreError {
    let said = error.to_string().to_lowercase();
    if REFUSALS.iter().any(|words| said.contains(words)) {
        return StoreError::Refused { message: error.to_string() };
    }
    let passing = matches!(
        &error,
        Error::BrokenTransactionManager
            | Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::UnableToSendCommand
                    | DatabaseErrorKind::SerializationFailure
                    | DatabaseErrorKind::ReadOnlyTransaction
                    // Somebody else inserted the row after this unit saw that it is not there.
                    | DatabaseErrorKind::UniqueViolation,
                _
            )
    );
    let message = format!("{what}: {error}");
    if passing || PASSING.iter().any(|words| said.contains(words)) {
        StoreError::Unavailable { message, source: Some(Box::new(error)) }
    } else {
        StoreError::Failed { message, source: Some(Box::new(error)) }
    }
}

/// A stored value that makes no sense.
pub(crate) fn corrupt(table: &'static str, message: &(impl ToString + ?Sized)) -> StoreError {
    StoreError::Corrupt { table, message: message.to_string() }
}

/// Names the statement that failed.
pub(crate) trait During<T> {
    fn during(self, what: &str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|error| statement_failed(what, error))
    }
}
