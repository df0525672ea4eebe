//! The program as a whole: the real binary against a sandbox and real databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

/// Makes of each function two tests: one with a mirror in SQLite, one with a mirror in PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[test]
                fn $name() {
                    super::$name(crate::database::Backend::Sqlite);
                }
            )*
        }

        mod on_postgres {
            $(
                #[test]
                fn $name() {
                    super::$name(crate::database::Backend::Postgres);
                }
            )*
        }
    };
}

mod database;
mod mirror;
mod program;
mod world;

mod changes;
mod config_check;
mod faults;
mod first_sync;
mod help;
mod interrupted;
mod migrate;
mod output;
mod quarantine;
mod second_sync;
mod skew;
mod typos;
mod verify;
mod wrong;
