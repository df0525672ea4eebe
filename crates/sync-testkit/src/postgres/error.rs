use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The reason why there is no PostgreSQL server for a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// No searched path contains the server's programs.
    #[error(
        "PostgreSQL's server programs (initdb, postgres) are neither on PATH nor under /usr/lib/postgresql/*/bin. \
         Install the package `postgresql` (Debian, Ubuntu), `postgresql-server` (Fedora), `postgresql` (Arch, Alpine, \
         Homebrew) or set DATABASE_TEST_URL to a server whose role may create databases"
    )]
    NotInstalled,

    /// The client `psql` is missing.
    #[error(
        "`psql` is neither beside the server's programs nor on PATH: install the package `postgresql-client` \
             (Debian, Ubuntu) or `postgresql`"
    )]
    NoPsql,

    /// The server refuses to run as root, and there is no other user that can run it.
    #[error("PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody`")]
    NoUnprivilegedUser,

    /// The operating system refused a step.
    #[error("cannot {action}")]
    Io {
        /// The attempted action.
        action: String,
        /// Error of the operating system.
        source: io::Error,
    },

    /// There is no pooler.
    #[error("`pgbouncer` is neither on PATH nor in /usr/sbin: install the package `pgbouncer`")]
    NoPgBouncer,

    /// A data folder could not be created.
    #[error("initdb or pg_basebackup failed: {output}")]
    Initdb {
        /// Its output.
        output: String,
    },

    /// No port between 15000 and 32000 is free on the loopback address.
    #[error("no free port on 127.0.0.1")]
    NoPort,

    /// The server ended before it was ready.
    #[error("the PostgreSQL server ended while starting: {log}")]
    Ended {
        /// The end of its log.
        log: String,
    },

    /// The server was not ready in time.
    #[error("the PostgreSQL server in {} was not ready within {waited:?}: {log}", directory.display())]
    NotReady {
        /// Folder of the server.
        directory: PathBuf,
        /// Time limit that passed.
        waited: Duration,
        /// The end of its log.
        log: String,
    },

    /// A statement failed.
    #[error("`{statement}` failed: {output}")]
    Statement {
        /// The statement.
        statement: String,
        /// Output of `psql`.
        output: String,
    },

    /// The private server that the whole process shares could not be started. The text is that of the first failure.
    #[error("{0}")]
    Shared(String),
}

impl PostgresError {
    pub(super) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source }
    }
}
