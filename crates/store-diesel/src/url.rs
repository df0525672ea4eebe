use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

mod escape;
mod postgres;
mod sqlite;

pub use postgres::PostgresUrl;
pub(crate) use postgres::{Encryption, Roots};

/// URL of a supported database.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file: `sqlite://syncd.db` in the working directory, `sqlite:///var/lib/syncd/syncd.db` elsewhere.
    Sqlite(PathBuf),
    /// A server: `postgres://user:password@host:port/database?sslmode=require`, with the other parameters of libpq.
    Postgres(Box<PostgresUrl>),
}

/// The error for a text that is not the URL of a supported database. It never shows a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// Another kind of database, or none.
    #[error("{}: use sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE", unsupported(.0))]
    Unsupported(String),
    /// The key-value form of libpq.
    #[error("unsupported kind of connection string, key=value: use postgres://USER:PASSWORD@HOST/DATABASE?KEY=VALUE")]
    KeyValue,
    /// SQLite without a file.
    #[error("the SQLite URL names no file: use sqlite://FILE, for example sqlite://syncd.db")]
    NoFile,
    /// SQLite in memory: each connection would have its own database.
    #[error("SQLite in memory keeps nothing: use sqlite://FILE, for example sqlite://syncd.db")]
    InMemory,
    /// SQLite with something that is not a file name.
    #[error("the SQLite URL is malformed ({0}): use sqlite://FILE, for example sqlite:///var/lib/syncd/syncd.db")]
    File(String),
    /// PostgreSQL with something missing or malformed.
    #[error("the PostgreSQL URL is malformed ({0}): use postgres://USER:PASSWORD@HOST/DATABASE")]
    Malformed(String),
    /// PostgreSQL with a parameter that is unknown, impossible or not supported.
    #[error("the PostgreSQL URL has a wrong parameter: {0}")]
    Parameter(String),
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return sqlite::path(rest.strip_prefix("//").unwrap_or(rest)).map(Self::Sqlite);
        }
        if let Some(rest) = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
            return PostgresUrl::parse(rest).map(Box::new).map(Self::Postgres);
        }
        if postgres::is_key_value(text) {
            return Err(StoreUrlError::KeyValue);
        }
        // Only the scheme is shown: the rest may contain a password.
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.len() <= 16 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        Err(StoreUrlError::Unsupported(if is_scheme { scheme.to_owned() } else { String::new() }))
    }
}

fn unsupported(scheme: &str) -> String {
    if scheme.is_empty() {
        "it names no kind of database".to_owned()
    } else {
        format!("unsupported kind of database \"{scheme}\"")
    }
}

/// The given URL without password and parameters.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", sqlite::shown(path)),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
