use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use sync_core::port::{Scope, Store, StoreError, Tx};

use super::{Undone, panicked};
use crate::error::{ConnectError, MigrateError, statement_failed};
use crate::migrations::{self, SchemaStatus};
use crate::store::Load;
use crate::tx::SqliteTx;

mod probe;
mod writer;

use writer::{Writer, is_broken};

pub(crate) type Conn = SqliteConnection;

/// How long a statement waits for another process that writes, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 30_000;
/// More readers than this are closed when they come back.
const IDLE_READERS: usize = 4;

/// A mirror in an SQLite file. One connection writes, others read beside it.
#[derive(Clone)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Mutex<Vec<SqliteConnection>>>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens the file, or makes it if it is not there. Its tables are made by [`SqliteStore::migrate`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, ConnectError> {
        let path = path.into();
        let opening = path.clone();
        let writer = tokio::task::spawn_blocking(move || open(&opening)).await;
        let writer = writer.map_err(|error| unopened(&path, &error)).and_then(|opened| opened)?;
        let writer = Writer::start(writer, path.clone()).map_err(|error| unopened(&path, &error))?;
        Ok(Self { path, writer, readers: Arc::default() })
    }

    /// Makes or upgrades the tables. Safe to call from several processes.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        self.writer.alone(migrations::sqlite_migrate).await?.map_err(|error| error.at(&self.url()))
    }

    /// How the tables stand.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        self.writer.alone(migrations::sqlite::status).await?.map_err(|error| error.at(&self.url()))
    }

    /// Whether this is the file.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Writes to the file, and takes it back.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let path = self.path.clone();
        let tried = tokio::task::spawn_blocking(move || probe::try_write(&path)).await;
        let tried = tried.map_err(|error| panicked(&error))?;
        tried.map_err(|said| StoreError::Unavailable {
            message: "writing on trial".to_owned(),
            source: Some(said.into()),
        })
    }

    /// How busy the connections are: one writes, and as many read as there are readers.
    pub fn load(&self) -> Load {
        let (idle, waiting) = (lock(&self.readers).len(), self.writer.waiting());
        Load { most: IDLE_READERS + 1, open: idle + 1, idle: idle + usize::from(waiting == 0), waiting }
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path.display())
    }

    fn reader(&self) -> Result<SqliteConnection, StoreError> {
        if let Some(reader) = lock(&self.readers).pop() {
            return Ok(reader);
        }
        open(&self.path).map_err(|error| StoreError::Unavailable { message: error.to_string(), source: None })
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
            let mut conn = store.reader()?;
            let result = conn.transaction(|conn| work(&mut SqliteTx { conn }).map_err(Undone::Work));
            let broken = is_broken(&mut conn);
            let mut readers = lock(&store.readers);
            if !broken && readers.len() < IDLE_READERS {
                readers.push(conn);
            }
            result.map_err(Undone::into_error)
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| panicked(&error))?
    }
}

/// A connection whose last unit panicked is as good as any: its transaction was undone.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    // change log that was read survive a power cut too.
    let pragmas = format!(
        "PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 67108864;"
    );
    conn.batch_execute(&pragmas).map_err(|error| unopened(path, &statement_failed("opening", error)))?;
    Ok(conn)
}

fn unopened(path: &Path, reason: &dyn std::fmt::Display) -> ConnectError {
    ConnectError::Open { url: format!("sqlite://{}", path.display()), reason: reason.to_string() }
}
