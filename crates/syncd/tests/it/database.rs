//! The databases of mirrors.

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use sync_testkit::postgres::{TestDatabase, test_database};

use crate::program::wait_until;

/// The kind of database for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
}

/// A database for one test, empty at first.
#[derive(Debug)]
pub enum Database {
    /// The path of the file.
    Sqlite(PathBuf),
    /// A database on a server.
    Postgres(TestDatabase),
}

impl Database {
    /// Creates an empty database. A file is created in `folder`.
    pub fn new(backend: Backend, folder: &Path) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(folder.join("mirror.db")),
            Backend::Postgres => Self::Postgres(test_database().expect("PostgreSQL can be had")),
        }
    }

    /// Returns its URL for the configuration.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(database) => database.url().to_owned(),
        }
    }

    /// Runs statements.
    pub fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(path) => {
                let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                // A store that is no longer used closes in the background.
                connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
                connection.batch_execute(sql).unwrap();
            }
            Self::Postgres(database) => {
                database.execute(&format!("SET search_path TO kombo, public; {sql}")).unwrap();
            }
        }
    }

    /// Returns PostgreSQL's counts of inserted, updated and deleted rows in the mirror's tables; `None` for SQLite,
    /// which does not count.
    pub fn rows_written(&self) -> Option<String> {
        let Self::Postgres(database) = self else { return None };
        // A session reports its counts at its end at the latest.
        wait_until("every other session has ended", || {
            let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> \
                          pg_backend_pid() AND backend_type = 'client backend'";
            database.execute(others).unwrap() == "0"
        });
        let written = "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = \
                       'kombo' AND relname LIKE 'lms\\_%' ORDER BY relname";
        Some(database.execute(written).unwrap())
    }
}
