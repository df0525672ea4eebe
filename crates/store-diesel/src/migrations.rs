//! Creates and upgrades the tables, by migrations that are part of the program.

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::migration::MigrationSource;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use sync_core::ports::StoreError;

use crate::both;
use crate::error::{During as _, MigrateError, statement_failed};

const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// State of a database's tables, compared with what this version needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Migrations that have not run yet.
    pub pending: Vec<String>,
    /// Migrations that this version does not contain: a newer one ran them.
    pub unknown: Vec<String>,
    /// Whether the connecting role may run the pending migrations, as far as its rights can be looked up.
    pub may_migrate: bool,
}

/// The newest PostgreSQL migration of this version.
pub(crate) fn newest() -> String {
    let known = MigrationSource::<diesel::pg::Pg>::migrations(&POSTGRES).unwrap_or_default();
    known.iter().map(|migration| migration.name().version().to_string()).max().unwrap_or_default()
}

/// A failure without the name of its database.
#[derive(Debug)]
pub(crate) enum Failure {
    TooNew(String),
    Failed(String),
    /// The database does not answer.
    Store(StoreError),
}

impl Failure {
    pub(crate) fn at(self, url: &str) -> MigrateError {
        match self {
            Self::TooNew(newest) => MigrateError::TooNew { url: url.to_owned(), newest },
            Self::Failed(reason) => MigrateError::Failed { url: url.to_owned(), reason },
            Self::Store(error) => MigrateError::Store(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_transient() { Self::Store(error) } else { Self::Failed(error.to_string()) }
    }
}

impl From<diesel::result::Error> for Failure {
    fn from(error: diesel::result::Error) -> Self {
        let said = error.to_string();
        match statement_failed("migrating", error) {
            error if error.is_transient() => Self::Store(error),
            _ => Self::Failed(said),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::Failed(error.to_string())
}

both! {
    use diesel::connection::Connection;
    use diesel::RunQueryDsl as _;
    use crate::statement::{Cell, Cells, Statement};

    pub(super) fn run(conn: &mut Conn) -> Result<Vec<String>, Failure> {
        prepare(conn)?;
        if let Some(newest) = status(conn)?.unknown.pop() {
            return Err(Failure::TooNew(newest));
        }
        if status(conn)?.pending.is_empty() {
            return Ok(Vec::new());
        }
        let pending = conn.pending_migrations(source()).map_err(failed)?;
        let (mut ran, of) = (Vec::new(), pending.len());
        for (number, migration) in (1..).zip(&pending) {
            let name = migration.name().to_string();
            tracing::info!(migration = name, number, of, "migrating");
            let began = std::time::Instant::now();
            let version = conn.run_migration(migration.as_ref()).map_err(failed)?;
            tracing::info!(migration = name, number, of, seconds = began.elapsed().as_secs(), "migrated");
            ran.push(version.to_string());
        }
        Ok(ran)
    }

    pub(crate) fn status(conn: &mut Conn) -> Result<SchemaStatus, Failure> {
        let known: Vec<String> = MigrationSource::<<Conn as Connection>::Backend>::migrations(&source())
            .map_err(failed)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect();
        let applied: Vec<String> = if is_fresh(conn)? {
            Vec::new()
        } else {
            // Plain SQL, because Diesel would create a missing list first. A role that only reads and writes rows may
            // not do that.
            let list = Statement::new("SELECT version FROM __diesel_schema_migrations ORDER BY version");
            let versions: Vec<Cells> = list.load(conn).during("looking for migrations")?;
            versions.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect()
        };
        let mut unknown: Vec<String> = applied.iter().filter(|version| !known.contains(version)).cloned().collect();
        unknown.sort();
        let pending: Vec<String> = known.into_iter().filter(|version| !applied.contains(version)).collect();
        let may_migrate = pending.is_empty() || may_migrate(conn)?;
        Ok(SchemaStatus { pending, unknown, may_migrate })
    }

    /// Whether the role may create tables in the schema, or the schema itself if it does not exist.
    fn may_migrate(conn: &mut Conn) -> Result<bool, Failure> {
        if DIALECT == Dialect::Sqlite {
            return Ok(true);
        }
        let question = Statement::new(
            "SELECT CASE WHEN coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'kombo'), \
             has_database_privilege(current_database(), 'CREATE')) \
             AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'kombo' \
             AND c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE')) THEN 1::bigint ELSE 0::bigint END",
        );
        let answer: Vec<Cells> = question.load(conn).during("looking for rights")?;
        let may = answer.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten()?.into_int());
        Ok(may == Some(1))
    }

    fn source() -> EmbeddedMigrations {
        match DIALECT {
            Dialect::Postgres => POSTGRES,
            Dialect::Sqlite => SQLITE,
        }
    }

    /// Whether no migration ever ran. Diesel's own check would create the list of migrations.
    fn is_fresh(conn: &mut Conn) -> Result<bool, Failure> {
        let question = match DIALECT {
            Dialect::Postgres => "SELECT count(*) FROM pg_tables WHERE schemaname = 'kombo' AND tablename = '__diesel_schema_migrations'",
            Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name = '__diesel_schema_migrations'",
        };
        let answer: Vec<Cells> = Statement::new(question).load(conn).during("looking for tables")?;
        let count = answer.into_iter().next().and_then(|cells| cells.0.into_iter().next().flatten());
        Ok(count.and_then(Cell::into_int) == Some(0))
    }

    /// Creates the schema of the tables if it does not exist. A role may own the schema without the right to create
    /// one.
    fn prepare(conn: &mut Conn) -> Result<(), Failure> {
        if DIALECT == Dialect::Sqlite {
            return Ok(());
        }
        let question = Statement::new("SELECT nspname::text FROM pg_namespace WHERE nspname = 'kombo'");
        let found: Vec<Cells> = question.load(conn).during("looking for the schema")?;
        if found.is_empty() { Ok(conn.batch_execute("CREATE SCHEMA kombo")?) } else { Ok(()) }
    }
}

/// Migrates. One process does so while others wait.
pub(crate) fn pg_migrate(conn: &mut crate::backend::postgres::connection::Conn) -> Result<Vec<String>, Failure> {
    conn.batch_execute("SELECT pg_advisory_lock(hashtextextended('syncd migration', 0))")?;
    let result = pg::run(conn).and_then(|ran| {
        let faults = conn.transaction(crate::counters::pg::settle)?;
        if faults.is_empty() { Ok(ran) } else { Err(Failure::Failed(faults.join("; "))) }
    });
    // Diesel's errors of migrations do not show whether the connection was lost; this one does.
    conn.batch_execute("SELECT pg_advisory_unlock(hashtextextended('syncd migration', 0))")?;
    result
}

/// Migrates in one exclusive transaction. The transactions of the migrations become parts of it.
pub(crate) fn sqlite_migrate(conn: &mut diesel::SqliteConnection) -> Result<Vec<String>, Failure> {
    conn.exclusive_transaction(|conn| {
        let ran = sqlite::run(conn)?;
        crate::counters::sqlite::settle(conn)?;
        Ok(ran)
    })
}
