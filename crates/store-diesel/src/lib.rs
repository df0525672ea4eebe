#![doc = include_str!("../README.md")]

mod backend;
mod cached;
mod connections;
mod counters;
mod error;
mod migrations;
mod mirror;
mod note;
mod partitions;
mod schema;
mod statement;
mod store;
mod sync;
mod tables;
mod transaction;
mod types;
mod url;

pub use backend::postgres::PostgresStore;
pub use backend::sqlite::SqliteStore;
pub use connections::{Moved, Notification, PoolStatus};
pub use error::{ConnectError, MigrateError};
pub use migrations::SchemaStatus;
pub use partitions::Partitioning;
pub use store::DieselStore;
pub use tables::Trial;
pub use url::{PostgresUrl, StoreUrl, StoreUrlError};

/// Defines the same items twice: in `pg` for PostgreSQL and in `sqlite` for SQLite, where `Conn` is the connection,
/// `DB` its Diesel backend, `DbTx` the transaction and `DIALECT` the dialect. Diesel checks each copy against its own
/// backend, which is not possible in a generic function. Items in a leading `postgres` or `sqlite` block exist in that
/// module only.
macro_rules! both {
    (postgres { $($pg:item)* } sqlite { $($lite:item)* } $($item:item)*) => {
        pub(crate) mod pg {
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use super::*;
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use crate::backend::{Dialect, postgres::connection::Conn};
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use crate::transaction::PgTx as DbTx;
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use diesel::pg::Pg as DB;
            #[allow(dead_code, reason = "not every group of items needs it")]
            const DIALECT: Dialect = Dialect::Postgres;
            $($pg)*
            $($item)*
        }

        pub(crate) mod sqlite {
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use super::*;
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use crate::backend::Dialect;
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use crate::transaction::SqliteTx as DbTx;
            #[allow(unused_imports, reason = "not every group of items needs all of it")]
            use diesel::{SqliteConnection as Conn, sqlite::Sqlite as DB};
            #[allow(dead_code, reason = "not every group of items needs it")]
            const DIALECT: Dialect = Dialect::Sqlite;
            $($lite)*
            $($item)*
        }
    };
    ($($item:item)*) => {
        $crate::both! { postgres {} sqlite {} $($item)* }
    };
}
pub(crate) use both;
