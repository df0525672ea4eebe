use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use sync_core::ports::{Scope, Store, StoreError, Tx};

use super::{Undone, panicked};
use crate::connections::PoolStatus;
use crate::error::{ConnectError, During as _, MigrateError, statement_failed};
use crate::migrations::{self, SchemaStatus};
use crate::transaction::SqliteTx;

mod database;
mod files;
mod probe;
mod writer;

use database::Database;
use writer::{Writer, is_broken};

/// Time that a statement waits for another writing process, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 30_000;
/// More readers than this are closed when they come back.
const IDLE_READERS: usize = 4;

/// A mirror in an SQLite file. One connection writes, others read beside it.
///
/// If the file is replaced or deleted, every transaction fails with [`StoreError::Unavailable`] until a complete database
/// is in its place again; then the store goes on with that one.
#[derive(Clone)]
pub struct SqliteStore {
    database: Arc<Database>,
    writer: Writer,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.database.path()).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or makes it if it is not there. Its tables are made by [`SqliteStore::migrate`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ConnectError> {
        let path = path.into();
        let opening = path.clone();
        let opened = tokio::task::spawn_blocking(move || Database::open(&opening)).await;
        let (database, conn) = opened.map_err(|error| unopened(&path, &error)).and_then(|opened| opened)?;
        let database = Arc::new(database);
        let writer = Writer::start(conn, Arc::clone(&database)).map_err(|error| unopened(&path, &error))?;
        Ok(Self { database, writer })
    }

    /// Makes or upgrades the tables. Safe to call from several processes.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        let ran = self.writer.alone(migrations::sqlite_migrate).await?.map_err(|error| error.at(&self.url()))?;
        self.database.migrate_from_now_on();
        Ok(ran)
    }

    /// Which counters are behind the numbers that are taken, each with its remedy.
    pub async fn lost_counters(&self) -> Result<Vec<String>, StoreError> {
        self.writer.alone(crate::counters::sqlite::faults).await?.during("looking at counters")
    }

    /// State of the tables.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        self.writer.alone(migrations::sqlite::status).await?.map_err(|error| error.at(&self.url()))
    }

    /// Whether this is the file.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.database.path() == path
    }

    /// Why the program cannot work with the tables, each with its remedy. Writes to the file on trial, and takes it back.
    pub async fn faults(&self) -> Result<Vec<String>, StoreError> {
        // Opening a file that is gone would make one.
        if let Some(reason) = self.unusable() {
            return Err(unavailable(reason));
        }
        let path = self.database.path().to_owned();
        let tried = tokio::task::spawn_blocking(move || probe::faults(&path)).await;
        tried.map_err(|error| panicked(&error))?
    }

    /// How busy the connections are: one writes, and as many read as there are readers.
    pub fn load(&self) -> PoolStatus {
        let (idle, waiting) = (self.database.idle_readers(), self.writer.waiting());
        PoolStatus { most: IDLE_READERS + 1, open: idle + 1, idle: idle + usize::from(waiting == 0), waiting }
    }

    /// Why the file cannot be used at the moment, if it was replaced or deleted.
    pub fn unusable(&self) -> Option<String> {
        let reason = self.database.unusable();
        if reason.is_some() {
            // The writer opens the file that is there now.
            self.writer.look();
        }
        reason
    }

    /// Number of times that another file was opened instead of the first.
    pub fn generation(&self) -> u64 {
        self.database.generation()
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.database.path().display())
    }
}

impl Store for SqliteStore {
    async fn transact<T, E, F>(&self, _scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        self.writer.transact(work).await
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        let store = self.clone();
        let run = move || {
            let result = store.database.read(|conn| {
                let result = conn.transaction(|conn| work(&mut SqliteTx::new(conn)).map_err(Undone::Work));
                (result, !is_broken(conn))
            });
            match result {
                Ok(result) => result.map_err(Undone::into_error),
                Err(reason) => {
                    // The writer opens the file that is there now.
                    store.writer.look();
                    Err(unavailable(reason).into())
                }
            }
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| panicked(&error))?
    }
}

fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { message, source: None }
}

fn open(path: &Path) -> Result<SqliteConnection, ConnectError> {
    let name = path.to_str().ok_or_else(|| unopened(path, &"its name is not Unicode"))?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(unopened(path, &format!("there is no folder {}", folder.display())));
    }
    // So that no name is taken for something else, such as a URI.
    let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
    let mut conn = SqliteConnection::establish(&name).map_err(|error| unopened(path, &error))?;
    // WAL: readers and the writer do not wait for each other. FULL: a webhook that was answered and a number of the
    // change log that was read survive a power cut too. The first read makes the files beside the database.
    let pragmas = format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 67108864;
         SELECT count(*) FROM sqlite_master;"
    );
    conn.batch_execute(&pragmas).map_err(|error| unopened(path, &statement_failed("opening", error)))?;
    Ok(conn)
}

fn unopened(path: &Path, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Open { url: format!("sqlite://{}", path.display()), reason: reason.to_string() }
}
