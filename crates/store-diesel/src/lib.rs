#![doc = include_str!("../README.md")]

mod backend;
mod cached;
mod counters;
mod error;
mod migrations;
mod mirror;
mod schema;
mod statement;
mod store;
mod sync;
mod tables;
mod tx;
mod types;
mod url;

pub use backend::postgres::PostgresStore;
pub use backend::sqlite::SqliteStore;
pub use error::{ConnectError, MigrateError};
pub use migrations::SchemaStatus;
pub use store::{DieselStore, Load, Moved, News};
pub use url::{PostgresUrl, StoreUrl, StoreUrlError};

/// Defines the same functions twice: in `pg` for PostgreSQL and in `sqlite` for SQLite, where `Conn` is the connection
/// and `DIALECT` the dialect. Diesel checks each against its own backend, which a generic function could only promise.
macro_rules! both {
    ($($item:item)*) => {
        pub(crate) mod pg {
            #[allow(unused_imports, reason = "not every group of functions needs all of it")]
            use super::*;
            #[allow(unused_imports, reason = "not every group of functions needs it")]
            use crate::backend::{Dialect, postgres::Conn};
            #[allow(dead_code, reason = "not every group of functions needs it")]
            const DIALECT: Dialect = Dialect::Postgres;
            $($item)*
        }

        pub(crate) mod sqlite {
            #[allow(unused_imports, reason = "not every group of functions needs all of it")]
            use super::*;
            #[allow(unused_imports, reason = "not every group of functions needs it")]
            use crate::backend::{Dialect, sqlite::Conn};
            #[allow(dead_code, reason = "not every group of functions needs it")]
            const DIALECT: Dialect = Dialect::Sqlite;
            $($item)*
        }
    };
}
pub(crate) use both;
