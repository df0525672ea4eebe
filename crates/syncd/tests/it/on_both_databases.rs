//! Shared by the tests of the commands and of the daemon.

/// Expands each function to two tests: one with a mirror in SQLite, one with a mirror in PostgreSQL.
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
