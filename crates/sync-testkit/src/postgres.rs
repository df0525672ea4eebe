//! A private Postgres for tests: started from the installed binaries, gone with the process that asked for it.
//!
//! Most tests want [`test_database`]: a fresh, empty database, on the server that `DATABASE_TEST_URL` names or, where
//! it is unset, on one private server for the whole process. Tests that crash a server take a [`PrivatePostgres`] of
//! their own:
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
//! Everything here blocks; it is meant for set-up, not for an asynchronous test's inner loop.

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
