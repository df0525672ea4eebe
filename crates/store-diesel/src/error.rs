pub(crate) mod postgres;
mod sqlite;

use diesel::result::Error;
use sync_core::ports::StoreError;

/// The oldest major version of PostgreSQL that is supported.
pub(crate) const OLDEST_POSTGRES: i64 = 14;

/// The reason why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file cannot be opened.
    #[error("cannot open {url}: {reason}")]
    Open {
        /// The store, without secrets.
        url: String,
        /// Message of SQLite.
        reason: String,
    },
    /// A setting of the URL that can never work.
    #[error("cannot connect to {url}: {reason}")]
    Setting {
        /// The store, without secrets.
        url: String,
        /// The setting and the reason.
        reason: String,
    },
    /// The server is too old to be supported.
    #[error("{url} is PostgreSQL {found}: syncd needs PostgreSQL {OLDEST_POSTGRES} or later")]
    TooOld {
        /// The store, without secrets.
        url: String,
        /// Its version.
        found: String,
    },
    /// The server cannot be reached, or refuses the connection.
    #[error("cannot connect to {url}: {reason}")]
    Server {
        /// The store, without secrets.
        url: String,
        /// Message of the server or the network.
        reason: String,
        /// Advice for a person, by the server's SQLSTATE.
        remedy: &'static str,
    },
}

impl ConnectError {
    /// Whether opening may succeed later, with the same URL and the same server.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Server { .. } => true,
            Self::Setting { .. } | Self::TooOld { .. } => false,
        }
    }
}

/// The reason why the tables could not be created or upgraded.
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
        /// The newest migration that this version does not contain.
        newest: String,
    },
    /// A migration failed.
    #[error("cannot migrate {url}: {reason}")]
    Failed {
        /// The store, without secrets.
        url: String,
        /// Message of the database.
        reason: String,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Meaning of a statement's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The database rejects the content of a row.
    Refused,
    /// A retry may succeed.
    Unavailable,
    /// The error persists until a person acts. The text is the remedy.
    Lasting(&'static str),
    Unknown,
}

/// Classifies the error of a statement.
pub(crate) fn statement_failed(what: &str, error: Error) -> StoreError {
    let verdict = match (postgres::server_error(&error), &error) {
        (Some(error), _) => error.verdict(),
        (None, Error::BrokenTransactionManager) => Verdict::Unavailable,
        (None, Error::DatabaseError(kind, said)) => sqlite::verdict(*kind, said.message()),
        (None, Error::DeserializationError(_)) => Verdict::Lasting("a stored value cannot be read"),
        (None, _) => Verdict::Unknown,
    };
    let message = format!("{what}: {error}");
    match verdict {
        Verdict::Refused => StoreError::Refused { message: error.to_string() },
        Verdict::Unavailable => StoreError::Unavailable { message, source: Some(Box::new(error)) },
        Verdict::Lasting(remedy) => {
            StoreError::Failed { message: format!("{message}; {remedy}"), source: Some(Box::new(error)) }
        }
        Verdict::Unknown => StoreError::Unexpected { message, source: Some(Box::new(error)) },
    }
}

/// Whether the database rejects the content of a row.
pub(crate) fn is_refusal(error: &Error) -> bool {
    let verdict = match (postgres::server_error(error), error) {
        (Some(error), _) => error.verdict(),
        (None, Error::DatabaseError(kind, said)) => sqlite::verdict(*kind, said.message()),
        (None, _) => Verdict::Unknown,
    };
    verdict == Verdict::Refused
}

/// The error for a stored value that makes no sense.
pub(crate) fn corrupt(table: &'static str, message: &(impl ToString + ?Sized)) -> StoreError {
    StoreError::Corrupt { table, message: message.to_string() }
}

/// Adds the name of the failed statement to its error.
pub(crate) trait During<T> {
    fn during(self, what: &str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &str) -> Result<T, StoreError> {
        self.map_err(|error| statement_failed(what, error))
    }
}
