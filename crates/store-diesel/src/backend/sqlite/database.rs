//! The connections to one database, valid while its files are those that were opened.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::SqliteConnection;
use diesel::connection::SimpleConnection as _;

use super::IDLE_READERS;
use super::files::{self, Files, Look};
use crate::error::ConnectError;
use crate::migrations;
use crate::statement::{Cell, Cells, Statement};

/// A file that replaced the old one is opened once it has not changed for this long: it may still be written.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Database {
    path: PathBuf,
    /// Locked for reading while a reader is in use, for writing while all are closed.
    opened: RwLock<Opened>,
    generation: AtomicU64,
    migrates: AtomicBool,
}

enum Opened {
    Yes {
        files: Files,
        readers: Mutex<Vec<SqliteConnection>>,
    },
    /// No file is open. A new one must be settled before it is opened.
    No {
        reason: String,
        seen: Option<(Look, Instant)>,
    },
}

impl Database {
    /// Opens the file, or creates it if it does not exist. The returned connection is for the writer.
    pub(super) fn open(path: &Path) -> Result<(Self, SqliteConnection), ConnectError> {
        files::put_back(path);
        let conn = super::open(path)?;
        let opened = Opened::Yes { files: Files::at(path), readers: Mutex::default() };
        let database = Self {
            path: path.to_owned(),
            opened: RwLock::new(opened),
            generation: AtomicU64::new(0),
            migrates: AtomicBool::new(false),
        };
        Ok((database, conn))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on, a file that replaces this one is migrated too.
    pub(super) fn migrate_from_now_on(&self) {
        self.migrates.store(true, Ordering::SeqCst);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(super) fn idle_readers(&self) -> usize {
        match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
            Opened::Yes { readers, .. } => lock(readers).len(),
            Opened::No { .. } => 0,
        }
    }

    /// Returns the reason if the database cannot be used.
    pub(super) fn unusable(&self) -> Option<String> {
        self.check().err()
    }

    /// Fails with the reason if the files are not those that were opened.
    pub(super) fn check(&self) -> Result<(), String> {
        match &*self.opened.read().unwrap_or_else(PoisonError::into_inner) {
            Opened::Yes { files, .. } => files.check(),
            Opened::No { reason, .. } => Err(reason.clone()),
        }
    }

    /// Lends a reader to `work`, which also returns whether the reader can be reused. Fails if the files were replaced
    /// before the end: the data that was read may be in a file that nobody will see again.
    pub(super) fn read<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> (T, bool)) -> Result<T, String> {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let (files, readers) = match &*opened {
            Opened::Yes { files, readers } => (files, readers),
            Opened::No { reason, .. } => return Err(reason.clone()),
        };
        files.check()?;
        let reader = lock(readers).pop();
        let mut conn = match reader {
            Some(conn) => conn,
            None => super::open(&self.path).map_err(|error| error.to_string())?,
        };
        let (result, reusable) = work(&mut conn);
        let mut readers = lock(readers);
        if reusable && readers.len() < IDLE_READERS {
            readers.push(conn);
        }
        drop(readers);
        files.check().map(|()| result)
    }

    /// Makes `conn` a connection of the writer to the present file.
    pub(super) fn renew(&self, conn: &mut Option<SqliteConnection>) -> Result<(), String> {
        if let Err(reason) = self.check() {
            self.reopen(conn, reason)?;
        }
        if conn.is_none() {
            *conn = Some(super::open(&self.path).map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Closes all connections, and opens the present file once it is complete.
    fn reopen(&self, conn: &mut Option<SqliteConnection>, reason: String) -> Result<(), String> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if let Opened::Yes { files, readers } = &*opened {
            tracing::error!(reason, "the database is not used until a complete file is in place");
            files.close_without_a_trace(|| {
                drop(conn.take());
                lock(readers).clear();
            });
            *opened = Opened::No { reason, seen: None };
        }
        let Opened::No { reason, seen } = &mut *opened else { return Ok(()) };
        let look = Look::at(&self.path);
        let is_settled = match (look, &*seen) {
            (Some(now), Some((before, since))) if now == *before => since.elapsed() >= SETTLED_AFTER,
            (now, _) => {
                *seen = now.map(|look| (look, Instant::now()));
                false
            }
        };
        if !is_settled {
            return Err(reason.clone());
        }
        match self.open_again() {
            Ok(fresh) => {
                *conn = Some(fresh);
                *opened = Opened::Yes { files: Files::at(&self.path), readers: Mutex::default() };
                self.generation.fetch_add(1, Ordering::SeqCst);
                tracing::warn!("the database file was reopened");
                Ok(())
            }
            Err(why) => {
                // Try again when the file has changed, or after the same wait.
                *seen = look.map(|look| (look, Instant::now()));
                *reason = why;
                Err(reason.clone())
            }
        }
    }

    /// Opens the file as at the program's start, and checks that it is intact.
    fn open_again(&self) -> Result<SqliteConnection, String> {
        let mut conn = super::open(&self.path).map_err(|error| error.to_string())?;
        let broken = |what: &str| format!("{} is damaged: {what}", self.path.display());
        let found: Vec<Cells> =
            Statement::new("PRAGMA quick_check(1)").load(&mut conn).map_err(|error| broken(&error.to_string()))?;
        let said = found.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        match said.and_then(Cell::into_text) {
            Some(said) if said == "ok" => {}
            said => return Err(broken(&said.unwrap_or_default())),
        }
        if self.migrates.load(Ordering::SeqCst) {
            let url = format!("sqlite://{}", self.path.display());
            migrations::sqlite_migrate(&mut conn).map_err(|error| error.at(&url).to_string())?;
        } else {
            let status = migrations::sqlite::status(&mut conn).map_err(|error| error.at("the file").to_string())?;
            if !status.pending.is_empty() || !status.unknown.is_empty() {
                return Err(format!("{} has tables of another version", self.path.display()));
            }
        }
        conn.batch_execute("SELECT count(*) FROM sqlite_master").map_err(|error| broken(&error.to_string()))?;
        Ok(conn)
    }
}

/// A connection stays usable after a panic in its last transaction, which was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
