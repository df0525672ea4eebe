//! The databases of mirrors, including servers that a test may kill.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query, sql_types::Text};
use sync_testkit::postgres::{PrivatePostgres, TestDatabase, programs_folder, test_database};

/// The kind of database for a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file.
    Sqlite,
    /// A server that other tests also use.
    Postgres,
    /// A private server, which the test may kill.
    OwnPostgres,
}

/// A database for one test, empty at first.
#[derive(Debug)]
pub enum Database {
    /// The path of the file.
    Sqlite(PathBuf),
    /// A database on a shared server.
    Postgres(TestDatabase),
    /// A database on a private server.
    OwnPostgres {
        /// The server.
        server: Box<Mutex<PrivatePostgres>>,
        /// URL of the database.
        url: String,
    },
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

impl Database {
    /// Creates an empty database. A file is created in `folder`.
    pub fn new(backend: Backend, folder: &Path) -> Self {
        match backend {
            Backend::Sqlite => Self::Sqlite(folder.join("mirror.db")),
            Backend::Postgres => Self::Postgres(test_database().expect("PostgreSQL can be had")),
            Backend::OwnPostgres => {
                let server = PrivatePostgres::start().expect("PostgreSQL can be had");
                let url = server.create_database("own").unwrap();
                Self::OwnPostgres { server: Box::new(Mutex::new(server)), url }
            }
        }
    }

    /// Returns its URL for the configuration.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(database) => database.url().to_owned(),
            Self::OwnPostgres { url, .. } => url.clone(),
        }
    }

    /// Returns the private server, so that the test can kill it.
    pub fn server(&self) -> MutexGuard<'_, PrivatePostgres> {
        let Self::OwnPostgres { server, .. } = self else { panic!("no server of its own") };
        server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the rows of `SELECT … AS value`, one text each.
    pub fn query(&self, sql: &str) -> Vec<String> {
        if let Self::Sqlite(path) = self {
            let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            sql_query("PRAGMA busy_timeout = 10000").execute(&mut connection).unwrap();
            let lines: Vec<Line> = sql_query(sql).load(&mut connection).unwrap();
            return lines.into_iter().map(|line| line.value).collect();
        }
        let sql = format!("SET search_path TO kombo, public; {sql}");
        let output = psql(&self.url()).args(["-c", &sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Runs a statement that is not allowed in a transaction.
    pub fn run_alone(&self, sql: &str) {
        let output = psql(&self.url()).args(["-c", sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `statements`, each outside a transaction, and switches to the database `name` on the same
    /// server.
    pub fn move_to(&mut self, name: &str, statements: &[String]) {
        let Self::OwnPostgres { url, .. } = self else { panic!("no server of its own") };
        for sql in statements {
            let output = psql(url).args(["-c", sql]).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let (server, _) = url.rsplit_once('/').unwrap();
        *url = format!("{server}/{name}");
    }

    /// Opens a session that stays open.
    pub fn session(&self) -> Session {
        let mut child = psql(&self.url()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let mut session = Session { child, input: Some(input) };
        session.run("SET search_path TO kombo, public");
        session
    }
}

fn psql(url: &str) -> Command {
    let mut command = Command::new(programs_folder().unwrap().join("psql"));
    command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url]).env("LC_ALL", "C");
    command
}

/// A session with PostgreSQL, which keeps its locks until it ends.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
}

impl Session {
    /// Starts a statement without waiting for its end.
    pub fn run(&mut self, sql: &str) {
        writeln!(self.input.as_mut().unwrap(), "{sql};").unwrap();
    }

    /// Waits until all statements have run.
    pub fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
