//! Requirements of `syncd run` on a database, checked in advance.

use std::time::Duration;

use sync_core::ports::StoreError;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::Conn;
use super::address::{Address, Link, Unconnected};
use super::pool;
use crate::error::During as _;
use crate::error::postgres::ServerError;
use crate::statement::{Cells, Statement};

/// Time limit for a second session.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

const POOLED: &str = "store.url leads to a pooler that gives each transaction another session, which loses settings, \
                      locks and notifications: connect to the server directly, or let the pooler keep sessions \
                      (PgBouncer: pool_mode = session)";

/// Errors that show a pooler in statement or transaction mode: a prepared statement belongs to another session or
/// already exists, or a transaction is not possible.
const OF_POOLERS: [&str; 3] = ["26000", "42P05", "08P01"];

/// Each row is a sentence with the missing requirement and its remedy. `$1` is the number of connections that are
/// needed, `$2` the number that is recommended.
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
SELECT 'session_replication_role is replica, so that no trigger runs: ' || ";
const MISSING_CONNECTIONS: &str = "
  FROM pg_settings WHERE name = 'session_replication_role' AND setting = 'replica'
UNION ALL
SELECT format('%s allows %s connections, and at least %s are needed: %s %s', place, most, needed, remedy, better)
  FROM limits, wanted WHERE most < needed";

/// The command that resets a setting, depending on its source: an expression over a row of `pg_settings`.
const RESET: &str = "
CASE source
  WHEN 'database' THEN format('ALTER DATABASE %I RESET %s', current_database(), name)
  WHEN 'user' THEN format('ALTER ROLE %I RESET %s', session_user, name)
  WHEN 'database user' THEN format('ALTER ROLE %I IN DATABASE %I RESET %s', session_user, current_database(), name)
  WHEN 'global' THEN format('ALTER ROLE ALL RESET %s', name)
  WHEN 'client' THEN format('take %s out of the options in store.url', name)
  ELSE format('ALTER SYSTEM RESET %s; SELECT pg_reload_conf()', name) END";

/// Returns missing requirements, each with its remedy.
pub(super) fn missing(conn: &mut Conn, needed: i64, better: i64) -> Result<Vec<String>, StoreError> {
    let question = Statement::new(MISSING).int(needed).sql(", ").int(better).sql(MISSING_OF);
    let question = question.sql(RESET).sql(MISSING_CONNECTIONS);
    let rows: Vec<Cells> = diesel::RunQueryDsl::load(question, conn).during("looking for what is missing")?;
    Ok(rows.into_iter().filter_map(|cells| cells.0.into_iter().next().flatten()?.into_text()).collect())
}

/// Returns the reason why transactions of a new session cannot write.
pub(super) async fn why_read_only(client: &Client) -> Result<String, Error> {
    let question = format!(
        "SELECT CASE WHEN pg_is_in_recovery()
           THEN 'the server is a standby, which takes no writes: promote it, or name the primary in store.url'
           ELSE 'default_transaction_read_only is on: ' || {RESET} END
         FROM pg_settings WHERE name = 'default_transaction_read_only'"
    );
    value(client, &question).await
}

/// Returns the newest migration of the tables at an address that can be written to, or an empty string if there are
/// none.
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

/// Returns a problem with the connection to the database, if there is one. Sessions must persist between transactions,
/// because settings, locks and prepared statements depend on them, and there must be enough of them.
pub(super) async fn way(address: &Address, fewest: usize) -> Result<Option<String>, Unconnected> {
    let first = match kept(session_at(address).await) {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(Some(POOLED.to_owned())),
        Err(error) => return Err(error),
    };
    // One more session is already in a pool.
    let mut sessions = vec![first];
    while sessions.len() + 1 < fewest.max(3) {
        match kept(session_at(address).await) {
            Ok(Some(session)) => sessions.push(session),
            Ok(None) => return Ok(Some(POOLED.to_owned())),
            Err(Unconnected::TooSlow(_)) if sessions.len() + 1 < fewest => {
                let there = sessions.len() + 1;
                return Ok(Some(format!(
                    "store.url leads to a pooler that gives {there} sessions at a time, and at least {fewest} are needed: let \
                     it give more (PgBouncer: default_pool_size, pool_size, max_db_connections, max_user_connections)"
                )));
            }
            // The connection limit is checked elsewhere, and others may use the connections for a moment.
            Err(error) if error.is_too_many() || matches!(error, Unconnected::TooSlow(_)) => break,
            Err(error) => return Err(error),
        }
    }
    let [first, second, ..] = sessions.as_slice() else { return Ok(None) };
    let is_kept = match tokio::time::timeout(ANSWER_WITHIN, keeps_sessions(first, second)).await {
        Ok(tried) => kept(tried.map_err(|error| ServerError::new(error).into()))? == Some(true),
        Err(_) => false,
    };
    Ok((!is_kept).then(|| POOLED.to_owned()))
}

/// Returns `None` if the error is one that poolers return when they do not keep sessions.
fn kept<T>(tried: Result<T, Unconnected>) -> Result<Option<T>, Unconnected> {
    match tried {
        Ok(value) => Ok(Some(value)),
        Err(Unconnected::Failed(error)) if error.code().is_some_and(|code| OF_POOLERS.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn session_at(address: &Address) -> Result<Client, Unconnected> {
    let opening = async { session(address.connect().await?).await };
    tokio::time::timeout(ANSWER_WITHIN, opening).await.unwrap_or(Err(Unconnected::TooSlow(ANSWER_WITHIN)))
}

/// Opens a session with the same settings as those of a pool.
async fn session(link: Link) -> Result<Client, Unconnected> {
    let connection = link.connection;
    tokio::spawn(async move { drop(connection.await) });
    pool::begin(&link.client).await.map_err(ServerError::new)?;
    Ok(link.client)
}

/// Whether settings of one client stay with it, and do not appear in another one.
async fn keeps_sessions(first: &Client, second: &Client) -> Result<bool, Error> {
    let mine = value(first, "SELECT pg_backend_pid()").await?;
    let token = format!("{} {mine}", std::process::id());
    first.batch_execute(&format!("SELECT set_config('syncd.session', '{token}', false)")).await?;
    // A pooler may give the first client's session to the second client, which is now in a transaction …
    second.batch_execute("BEGIN").await?;
    let setting = "SELECT coalesce(current_setting('syncd.session', true), '')";
    if value(second, setting).await? == token {
        return Ok(false);
    }
    let lock = format!("hashtextextended('syncd session {token}', 0)");
    second.batch_execute(&format!("SELECT pg_advisory_xact_lock({lock})")).await?;
    // … or another session to the first client.
    let kept = value(first, setting).await? == token
        && value(first, &format!("SELECT pg_try_advisory_xact_lock({lock})::text")).await? == "false";
    second.batch_execute("ROLLBACK").await?;
    let statement = first.prepare("SELECT 1").await?;
    first.query(&statement, &[]).await?;
    Ok(kept)
}

/// Returns the only value of the only row.
async fn value(client: &Client, sql: &str) -> Result<String, Error> {
    let messages = client.simple_query(sql).await?;
    let first = messages.iter().find_map(|it| if let SimpleQueryMessage::Row(row) = it { row.get(0) } else { None });
    Ok(first.unwrap_or_default().to_owned())
}
