use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use sync_core::ports::{Scope, Store, StoreError, Tx};

use super::{Undone, panicked};
use crate::connections::PoolStatus;
use crate::error::{ConnectError, During as _, MigrateError, statement_failed};
use crate::migrations::{self, SchemaStatus};
use crate::tables::Trial;
use crate::transaction::SqliteTx;

mod database;
mod files;
mod probe;
mod writer;

use database::Database;
use writer::{Writer, is_broken};

/// Time limit for waiting for another writing process, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 30_000;
/// Maximum number of idle readers. Further ones are closed when they are returned.
const IDLE_READERS: usize = 4;

/// A mirror in an SQLite file. One connection writes while others read.
///
/// If the file is replaced or deleted, every transaction fails with [`StoreError::Unavailable`] until a complete database
/// is in its place again; then the store continues with that one.
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
    /// Opens the file, or creates it if it does not exist. [`SqliteStore::migrate`] creates its tables.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ConnectError> {
        let path = path.into();
        let opening = path.clone();
        let opened = tokio::task::spawn_blocking(move || Database::open(&opening)).await;
        let (database, conn) = opened.map_err(|error| unopened(&path, &error)).and_then(|opened| opened)?;
        let database = Arc::new(database);
        let writer = Writer::start(conn, Arc::clone(&database)).map_err(|error| unopened(&path, &error))?;
        Ok(Self { database, writer })
    }

    /// Creates or upgrades the tables. Several processes may call it at the same time.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        let ran = self.writer.alone(migrations::sqlite_migrate).await?.map_err(|error| error.at(&self.url()))?;
        self.database.migrate_from_now_on();
        Ok(ran)
    }

    /// Returns the counters that are behind numbers already in use, each with its remedy.
    pub async fn lost_counters(&self) -> Result<Vec<String>, StoreError> {
        self.writer.alone(crate::counters::sqlite::faults).await?.during("looking at counters")
    }

    /// State of the tables.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        self.writer.alone(migrations::sqlite::status).await?.map_err(|error| error.at(&self.url()))
    }

    /// Whether the store uses the file `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.database.path() == path
    }

    /// Returns the reasons why the program cannot work with the tables, each with its remedy. Writes to the file and
    /// rolls back.
    pub async fn faults(&self, trial: Trial) -> Result<Vec<String>, StoreError> {
        // Opening a deleted file would create an empty one.
        if let Some(reason) = self.unusable() {
            return Err(unavailable(reason));
        }
        let path = self.database.path().to_owned();
        let tried = tokio::task::spawn_blocking(move || probe::faults(&path, trial)).await;
        tried.map_err(|error| panicked(&error))?
    }

    /// Usage of the connections: one that writes, and one for each reader.
    pub fn load(&self) -> PoolStatus {
        let (idle, waiting) = (self.database.idle_readers(), self.writer.waiting());
        PoolStatus { most: IDLE_READERS + 1, open: idle + 1, idle: idle + usize::from(waiting == 0), waiting }
    }

    /// Returns the reason if the file was replaced or deleted and cannot be used.
    pub fn unusable(&self) -> Option<String> {
        let reason = self.database.unusable();
        if reason.is_some() {
            // Lets the writer open the present file.
            self.writer.look();
        }
        reason
    }

    /// Number of times that the store opened a file that replaced its previous one.
    pub fn generation(&self) -> u64 {
        self.database.generation()
    }

    pub(crate) fn url(&self) -> String {
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
                    // The writer opens the present file.
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
    // Keeps SQLite from reading the name as something else, such as a URI.
    let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
    let mut conn = SqliteConnection::establish(&name).map_err(|error| unopened(path, &error))?;
    // WAL: readers and the writer do not wait for each other. FULL: an answered webhook and a change number that was
    // read also survive a power failure. The first read creates the files next to the database.
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
