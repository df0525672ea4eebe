//! What a database must have for `syncd run`, asked before it is needed.

use std::time::Duration;

use sync_core::ports::StoreError;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::Conn;
use super::address::{Address, Link, Unconnected};
use super::pool::SESSION;
use crate::error::During as _;
use crate::error::postgres::ServerError;
use crate::statement::{Cells, Statement};

/// A second session that is not there by then will not come.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const POOLED: &str = "store.url leads to a pooler that gives each transaction another session, which loses settings, \
                      locks and notifications: connect to the server directly, or let the pooler keep sessions \
                      (PgBouncer: pool_mode = session)";

/// What is said of a prepared statement that is another session's, or is there already, and of a transaction where a
/// pooler has sessions for single statements.
const OF_POOLERS: [&str; 3] = ["26000", "42P05", "08P01"];

/// Each row is a sentence: what is missing, and what to do. `$1` is how many connections are needed, `$2` how many are
/// wanted.
const MISSING: &str = "
WITH me AS (SELECT * FROM pg_roles WHERE rolname = current_user),
     here AS (SELECT * FROM pg_database WHERE datname = current_database()),
     tables AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'kombo' AND c.relkind IN ('r', 'p')),
     wanted(needed, better) AS (SELECT ";
const MISSING_OF: &str = "),
     limits(place, most, remedy) AS (
       SELECT format('role %I', rolname), rolconnlimit::bigint, format('ALTER ROLE %I CONNECTION LIMIT', rolname)
         FROM me WHERE rolconnlimit >= 0 AND NOT rolsuper
       UNION ALL SELECT format('database %I', datname), datconnlimit::bigint,
                        format('ALTER DATABASE %I CONNECTION LIMIT', datname)
         FROM here WHERE datconnlimit >= 0
       UNION ALL SELECT 'the server', current_setting('max_connections')::bigint
                                      - current_setting('superuser_reserved_connections')::bigint,
                        'set max_connections to more than')
SELECT format('the encoding of database %I is %s, which cannot hold every name: create a database with ENCODING ''UTF8'' '
              'TEMPLATE template0, and name it in store.url', current_database(), current_setting('server_encoding'))
       AS missing
  WHERE current_setting('server_encoding') <> 'UTF8'
UNION ALL
SELECT format('role %I may not use the schema kombo: GRANT USAGE ON SCHEMA kombo TO %1$I', current_user)
  FROM pg_namespace WHERE nspname = 'kombo' AND NOT has_schema_privilege(oid, 'USAGE')
UNION ALL
SELECT format('role %I lacks rights on kombo.%I: GRANT %s ON kombo.%2$I TO %1$I', current_user, relname,
              string_agg(privilege, ', '))
  FROM tables CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) privileges(privilege)
  WHERE NOT has_table_privilege(tables.oid, privilege)
        AND (privilege = 'SELECT' OR relname <> '__diesel_schema_migrations')
  GROUP BY relname
UNION ALL
SELECT format('row-level security hides rows of kombo.%I from role %I: ALTER TABLE kombo.%1$I DISABLE ROW LEVEL SECURITY, '
              'or ALTER ROLE %2$I BYPASSRLS', relname, current_user)
  FROM tables WHERE row_security_active(tables.oid)
UNION ALL
SELECT format('session_replication_role is %s for role %I, so that no trigger runs: ALTER ROLE %2$I RESET '
              'session_replication_role', current_setting('session_replication_role'), current_user)
  WHERE current_setting('session_replication_role') = 'replica'
UNION ALL
SELECT format('%s allows %s connections, and at least %s are needed: %s %s', place, most, needed, remedy, better)
  FROM limits, wanted WHERE most < needed";

/// What is missing, each with its remedy.
pub(super) fn missing(conn: &mut Conn, needed: i64, better: i64) -> Result<Vec<String>, StoreError> {
    let question = Statement::new(MISSING).int(needed).sql(", ").int(better).sql(MISSING_OF);
    let rows: Vec<Cells> = diesel::RunQueryDsl::load(question, conn).during("looking for what is missing")?;
    Ok(rows.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect())
}

/// Writes a row, and takes it back.
pub(super) fn try_write(conn: &mut Conn) -> Result<(), StoreError> {
    use diesel::connection::Connection as _;
    use diesel::result::Error;
    let written = conn.transaction::<(), Error, _>(|conn| {
        let row = "INSERT INTO sync_integrations (id, status, status_since, registered_at) \
                   VALUES ('syncd probe ' || pg_backend_pid(), 'probe', now(), now())";
        diesel::RunQueryDsl::execute(Statement::new(row), conn)?;
        // What a webhook and a fetch write besides: the rights are checked, and no row is there to insert.
        for table in ["sync_webhook_events", "sync_requests", "sync_watermarks", "sync_runs"] {
            let nothing = format!("INSERT INTO {table} SELECT * FROM {table} WHERE false");
            diesel::RunQueryDsl::execute(Statement::new(nothing), conn)?;
        }
        Err(Error::RollbackTransaction)
    });
    match written {
        Ok(()) | Err(Error::RollbackTransaction) => Ok(()),
        Err(error) => Err(error).during("writing on trial"),
    }
}

/// The newest migration of the tables at an address that can be written to; empty if there are none.
pub(super) async fn tables(address: &Address) -> Result<String, Unconnected> {
    let link = address.connect().await?;
    if !link.is_writable {
        return Err(Unconnected::ReadOnly);
    }
    let client = session(link).await?;
    let question = "SELECT coalesce(to_regclass('kombo.__diesel_schema_migrations')::text, '')";
    if value(&client, question).await.map_err(ServerError::new)?.is_empty() {
        return Ok(String::new());
    }
    let newest = value(&client, "SELECT max(version) FROM kombo.__diesel_schema_migrations").await;
    Ok(newest.map_err(ServerError::new)?)
}

/// What is wrong with the way to the database, if anything: sessions must be kept between transactions, as their settings,
/// locks and prepared statements are.
pub(super) async fn way(address: &Address) -> Result<Option<String>, Unconnected> {
    let first = session(address.connect().await?).await?;
    let second = session(address.connect().await?).await?;
    let kept = match tokio::time::timeout(ANSWER_WITHIN, keeps_sessions(&first, &second)).await {
        Ok(Ok(kept)) => kept,
        Ok(Err(error)) => {
            let error = ServerError::new(error);
            if !error.code().is_some_and(|code| OF_POOLERS.contains(&code)) {
                return Err(error.into());
            }
            false
        }
        Err(_) => false,
    };
    Ok((!kept).then(|| POOLED.to_owned()))
}

/// A session that is set up as those of a pool are.
async fn session(link: Link) -> Result<Client, Unconnected> {
    let connection = link.connection;
    tokio::spawn(async move { drop(connection.await) });
    link.client.batch_execute(SESSION).await.map_err(ServerError::new)?;
    Ok(link.client)
}

/// Whether what one client sets stays with it, and does not show in another one.
async fn keeps_sessions(first: &Client, second: &Client) -> Result<bool, Error> {
    let mine = value(first, "SELECT pg_backend_pid()").await?;
    let token = format!("{} {mine}", std::process::id());
    first.batch_execute(&format!("SELECT set_config('syncd.session', '{token}', false)")).await?;
    // A pooler gives the second client, now in the midst of a transaction, the session that the first one had …
    second.batch_execute("BEGIN").await?;
    let setting = "SELECT coalesce(current_setting('syncd.session', true), '')";
    if value(second, setting).await? == token {
        return Ok(false);
    }
    let lock = format!("hashtextextended('syncd session {token}', 0)");
    second.batch_execute(&format!("SELECT pg_advisory_xact_lock({lock})")).await?;
    // … or the first one another session than before.
    let kept = value(first, setting).await? == token
        && value(first, &format!("SELECT pg_try_advisory_xact_lock({lock})::text")).await? == "false";
    second.batch_execute("ROLLBACK").await?;
    let statement = first.prepare("SELECT 1").await?;
    first.query(&statement, &[]).await?;
    Ok(kept)
}

/// The one value of the one row.
async fn value(client: &Client, sql: &str) -> Result<String, Error> {
    let messages = client.simple_query(sql).await?;
    let first = messages.iter().find_map(|it| if let SimpleQueryMessage::Row(row) = it { row.get(0) } else { None });
    Ok(first.unwrap_or_default().to_owned())
}
