use sync_core::ports::{Scope, Store, StoreError, Tx};

use crate::connections::{Moved, Notification, PoolStatus};
use crate::error::{ConnectError, MigrateError};
use crate::migrations::SchemaStatus;
use crate::url::StoreUrl;
use crate::{PostgresStore, SqliteStore};

/// A mirror in whichever database a URL names.
#[derive(Debug, Clone)]
pub enum DieselStore {
    /// In an SQLite file.
    Sqlite(SqliteStore),
    /// In a PostgreSQL database.
    Postgres(PostgresStore),
}

impl DieselStore {
    /// Opens the database. Its tables are made by [`DieselStore::migrate`].
    pub async fn open(url: &StoreUrl) -> Result<Self, ConnectError> {
        match url {
            StoreUrl::Sqlite(path) => SqliteStore::open(path).await.map(Self::Sqlite),
            StoreUrl::Postgres(address) => PostgresStore::connect(address).await.map(Self::Postgres),
        }
    }

    /// Opens a store with at most this many connections to PostgreSQL.
    pub async fn open_with(url: &StoreUrl, connections: usize) -> Result<Self, ConnectError> {
        match url {
            StoreUrl::Sqlite(path) => SqliteStore::open(path).await.map(Self::Sqlite),
            StoreUrl::Postgres(address) => PostgresStore::connect_with(address, connections).await.map(Self::Postgres),
        }
    }

    /// Goes over to another address of the same database, such as one with another password. If it does not answer or
    /// cannot be written to, the present one stays.
    pub async fn move_to(&self, url: &StoreUrl) -> Result<Moved, ConnectError> {
        match (self, url) {
            (Self::Postgres(store), StoreUrl::Postgres(address)) => store.move_to(address).await,
            (Self::Sqlite(store), StoreUrl::Sqlite(path)) if store.is_at(path) => Ok(Moved::Same),
            (Self::Sqlite(_) | Self::Postgres(_), _) => Ok(Moved::AtRestart),
        }
    }

    /// Returns when the database has refused the user or the password, which SQLite never does.
    pub async fn refused(&self) {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(store) => store.refused().await,
        }
    }

    /// What the database lacks of what a program that writes needs, each with its remedy. In PostgreSQL these are sessions
    /// that are kept, `fewest` connections, rights, and an encoding that holds every character. A standby is an error.
    pub async fn missing(&self, fewest: usize, better: usize) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(store) => store.missing(fewest, better).await,
        }
    }

    /// Why the program cannot work with the tables now, each with its remedy: rights, columns, keys or triggers are not as
    /// the migrations made them, or something refuses or swallows rows. Writes on trial, and takes it back. The migrations
    /// have to be done.
    pub async fn faults(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.faults().await,
            Self::Postgres(store) => store.faults().await,
        }
    }

    /// Makes or upgrades the tables, and returns the migrations that ran. Safe to call from several processes, and
    /// again: it does nothing then. Refuses tables that a newer version made.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Sqlite(store) => store.migrate().await,
            Self::Postgres(store) => store.migrate().await,
        }
    }

    /// Which counters are behind the numbers that are taken, each with its remedy. [`DieselStore::migrate`] moves them, if
    /// the role may; a program that does not migrate must not write before that.
    pub async fn lost_counters(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.lost_counters().await,
            Self::Postgres(store) => store.lost_counters().await,
        }
    }

    /// Calls `tell` with what happened, by whatever process, until the connection ends. SQLite tells nothing: there the
    /// future never ends.
    pub async fn listen(&self, tell: impl Fn(Notification)) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(store) => store.listen(tell).await,
        }
    }

    /// The same database for a part of a program that must neither keep others waiting for a connection nor wait for
    /// theirs: in PostgreSQL over so many connections of its own. Its units and those of others wait for each other all the
    /// same, as [`Store::transact`] says.
    #[must_use]
    pub fn with_pool(&self, connections: usize) -> Self {
        match self {
            Self::Sqlite(store) => Self::Sqlite(store.clone()),
            Self::Postgres(store) => Self::Postgres(store.with_pool(connections)),
        }
    }

    /// Usage of the connections.
    pub fn load(&self) -> PoolStatus {
        match self {
            Self::Sqlite(store) => store.load(),
            Self::Postgres(store) => store.load(),
        }
    }

    /// Why the database cannot be used at the moment, where that is known: its SQLite file was replaced or deleted.
    pub fn unusable(&self) -> Option<String> {
        match self {
            Self::Sqlite(store) => store.unusable(),
            Self::Postgres(_) => None,
        }
    }

    /// Changes when the store goes on with another database in place of the one that was opened: an SQLite file that
    /// replaced it.
    pub fn generation(&self) -> u64 {
        match self {
            Self::Sqlite(store) => store.generation(),
            Self::Postgres(_) => 0,
        }
    }

    /// State of the tables. Changes nothing.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        match self {
            Self::Sqlite(store) => store.schema_status().await,
            Self::Postgres(store) => store.schema_status().await,
        }
    }
}

impl Store for DieselStore {
    async fn transact<T, E, F>(&self, scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        match self {
            Self::Sqlite(store) => store.transact(scope, work).await,
            Self::Postgres(store) => store.transact(scope, work).await,
        }
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        match self {
            Self::Sqlite(store) => store.read(work).await,
            Self::Postgres(store) => store.read(work).await,
        }
    }
}
