use sync_core::ports::{Scope, Store, StoreError, Tx};

use crate::connections::{Moved, Notification, PoolStatus};
use crate::error::{ConnectError, MigrateError};
use crate::migrations::SchemaStatus;
use crate::partitions::Partitioning;
use crate::tables::Trial;
use crate::url::StoreUrl;
use crate::{PostgresStore, SqliteStore};

/// A mirror in the kind of database that its URL names.
#[derive(Debug, Clone)]
pub enum DieselStore {
    /// In an SQLite file.
    Sqlite(SqliteStore),
    /// In a PostgreSQL database.
    Postgres(PostgresStore),
}

impl DieselStore {
    /// Opens the database. [`DieselStore::migrate`] creates its tables.
    pub async fn open(url: &StoreUrl) -> Result<Self, ConnectError> {
        match url {
            StoreUrl::Sqlite(path) => SqliteStore::open(path).await.map(Self::Sqlite),
            StoreUrl::Postgres(address) => PostgresStore::connect(address).await.map(Self::Postgres),
        }
    }

    /// Opens the database, with at most `connections` connections to PostgreSQL.
    pub async fn open_with(url: &StoreUrl, connections: usize) -> Result<Self, ConnectError> {
        match url {
            StoreUrl::Sqlite(path) => SqliteStore::open(path).await.map(Self::Sqlite),
            StoreUrl::Postgres(address) => PostgresStore::connect_with(address, connections).await.map(Self::Postgres),
        }
    }

    /// Moves to another address of the same database, such as one with another password. If it does not answer or
    /// cannot be written to, the present address stays.
    pub async fn move_to(&self, url: &StoreUrl) -> Result<Moved, ConnectError> {
        match (self, url) {
            (Self::Postgres(store), StoreUrl::Postgres(address)) => store.move_to(address).await,
            (Self::Sqlite(store), StoreUrl::Sqlite(path)) if store.is_at(path) => Ok(Moved::Same),
            (Self::Sqlite(_) | Self::Postgres(_), _) => Ok(Moved::AtRestart),
        }
    }

    /// Returns when the database has rejected the user or the password. SQLite never does.
    pub async fn refused(&self) {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(store) => store.refused().await,
        }
    }

    /// Returns the requirements of a writing program that the database does not meet, each with its remedy: in
    /// PostgreSQL persistent sessions, at least `fewest` connections, rights, and an encoding for all characters. A
    /// standby is an error. `better` is the recommended number of connections.
    pub async fn missing(&self, fewest: usize, better: usize) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(store) => store.missing(fewest, better).await,
        }
    }

    /// Returns the reasons why the program cannot work with the tables at present, each with its remedy: rights,
    /// columns, keys or triggers differ from those of the migrations, or something rejects or swallows rows. Writes
    /// test rows and rolls them back. All migrations must have run.
    pub async fn faults(&self, trial: Trial) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.faults(trial).await,
            Self::Postgres(store) => store.faults(trial).await,
        }
    }

    /// Creates or upgrades the tables, and returns the migrations that ran. Idempotent, and several processes may call
    /// it at the same time. Rejects tables of a newer version.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Sqlite(store) => store.migrate().await,
            Self::Postgres(store) => store.migrate().await,
        }
    }

    /// Partitions the mirror's tables by a hash of `integration_id`, `number` (at least 2) partitions each, and returns
    /// the tables that it changed. It copies their rows. Tables with this number of partitions stay as they are, so an
    /// interrupted call can be repeated. All migrations must have run.
    ///
    /// # Errors
    /// SQLite has no partitions. A table stays as it is if something else depends on it that it would lose.
    pub async fn partition(&self, number: usize) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Sqlite(store) => {
                Err(MigrateError::Failed { url: store.url(), reason: "SQLite has no partitions".to_owned() })
            }
            Self::Postgres(store) => store.partition(number).await,
        }
    }

    /// Partitions the tables that are not partitioned, such as new ones after an upgrade.
    ///
    /// # Errors
    /// As for [`partition`](Self::partition).
    pub async fn partition_plain(&self, number: usize) -> Result<Vec<String>, MigrateError> {
        match self {
            Self::Sqlite(store) => {
                Err(MigrateError::Failed { url: store.url(), reason: "SQLite has no partitions".to_owned() })
            }
            Self::Postgres(store) => store.partition_plain(number).await,
        }
    }

    /// Returns whether the mirror's tables are partitioned. All migrations must have run.
    pub async fn partitioning(&self) -> Result<Partitioning, MigrateError> {
        match self {
            Self::Sqlite(_) => Ok(Partitioning::Done),
            Self::Postgres(store) => store.partitioning().await,
        }
    }

    /// Returns the counters that are behind numbers already in use, each with its remedy. [`DieselStore::migrate`]
    /// moves them if the role may do so. A program that does not migrate must not write before that.
    pub async fn lost_counters(&self) -> Result<Vec<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.lost_counters().await,
            Self::Postgres(store) => store.lost_counters().await,
        }
    }

    /// Calls `tell` for each notification from any process, until the connection ends. SQLite sends none, and there the
    /// future never ends.
    pub async fn listen(&self, tell: impl Fn(Notification)) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => std::future::pending().await,
            Self::Postgres(store) => store.listen(tell).await,
        }
    }

    /// Returns the same database for a part of the program that must neither keep others waiting for a connection nor
    /// wait for theirs. In PostgreSQL it has up to `connections` connections of its own. Its transactions and those of
    /// others still wait for each other as [`Store::transact`] says.
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

    /// Returns the reason if the database is known to be unusable at present: its SQLite file was replaced or deleted.
    pub fn unusable(&self) -> Option<String> {
        match self {
            Self::Sqlite(store) => store.unusable(),
            Self::Postgres(_) => None,
        }
    }

    /// Changes when the store continues with another database: an SQLite file that replaced the one it had opened.
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
