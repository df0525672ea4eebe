//! A private PostgreSQL server for tests, started from the installed programs, which ends with the process that started
//! it.
//!
//! Most tests need [`test_database`]: a fresh, empty database on the server in `DATABASE_TEST_URL` or, if that is
//! unset, on one private server for the whole process. Tests that crash a server need their own [`PrivatePostgres`]:
//!
//! ```
//! use sync_testkit::postgres::PrivatePostgres;
//!
//! let mut server = PrivatePostgres::start()?;
//! let url = server.create_database("crash")?;
//! server.kill_9()?;
//! server.restart()?; // same data, same port: `url` still holds
//! # assert!(url.starts_with("postgres://"));
//! # Ok::<(), sync_testkit::postgres::PostgresError>(())
//! ```
//!
//! All functions block. They are meant for set-up, not for the inner loop of an asynchronous test.

mod database;
mod error;
mod installation;
mod owner;
mod pgbouncer;
mod server;
mod supervisor;

pub use database::{TestDatabase, test_database};
pub use error::PostgresError;
pub use installation::programs_folder;
pub use pgbouncer::{PoolMode, PrivatePgBouncer};
pub use server::{Options, PrivatePostgres};
