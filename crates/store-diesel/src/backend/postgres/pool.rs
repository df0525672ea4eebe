use std::sync::Arc;

use deadpool::managed::{BuildError, Manager, Metrics, Object, RecycleError, RecycleResult};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::address::Unconnected;
use super::connection::Conn;
use super::database::Database;
use super::requirements;
use crate::error::postgres::ServerError;

/// The settings of every session: everything that the program depends on, regardless of the defaults of a server, a
/// database or a role. Settings that the server does not have are left out.
///
/// A statement that takes ten minutes is stuck. No statement gains from JIT compilation. A process that is silent for
/// seconds in the middle of a transaction is frozen or cut off, and its locks must not keep others from taking over its
/// work. A commit has reached the disk when it is answered, unless the transaction waives that. With `row_security`
/// off, rows that a policy hides are an error.
const SESSION: &str = "
SELECT set_config(name, value, false) FROM (VALUES
  ('search_path', 'kombo, public'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'),
  ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('standard_conforming_strings', 'on'),
  ('array_nulls', 'on'), ('transform_null_equals', 'off'), ('xmloption', 'content'),
  ('quote_all_identifiers', 'off'),
  ('idle_in_transaction_session_timeout', '10000'),
  ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
  ('default_transaction_isolation', 'read committed'), ('default_transaction_deferrable', 'off'),
  ('row_security', 'off'), ('client_min_messages', 'warning'), ('jit', 'off'), ('plan_cache_mode', 'auto'),
  ('enable_indexscan', 'on'), ('enable_indexonlyscan', 'on'), ('enable_bitmapscan', 'on'), ('enable_seqscan', 'on'),
  ('enable_nestloop', 'on'), ('enable_hashjoin', 'on'), ('enable_mergejoin', 'on'), ('enable_hashagg', 'on'),
  ('enable_sort', 'on'), ('enable_incremental_sort', 'on'), ('enable_material', 'on'), ('enable_memoize', 'on'),
  ('default_table_access_method', 'heap'),
  ('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                         ELSE current_setting('synchronous_commit') END)
) AS wanted(name, value) JOIN pg_settings USING (name)";

/// Runs before [`SESSION`], statement by statement: until then, time-outs and the search path from elsewhere apply.
const FIRST: [&str; 4] = [
    "SET statement_timeout TO '10min'",
    "SET lock_timeout TO 0",
    "SET search_path TO kombo, public",
    // With less memory even a small sort may need a file, and a limit of the role may forbid that.
    "SELECT set_config('work_mem', '4MB', false) WHERE pg_size_bytes(current_setting('work_mem')) < 4194304",
];

/// Maximum number of attempts of such a statement: the inherited time-out may be too short for it.
const MOST_TRIES: u32 = 50;

/// Sets a session up.
pub(super) async fn begin(client: &Client) -> Result<(), Error> {
    for statement in FIRST {
        let mut tries = 1;
        while let Err(error) = client.batch_execute(statement).await {
            if error.code() != Some(&SqlState::QUERY_CANCELED) || tries == MOST_TRIES {
                return Err(error);
            }
            tries += 1;
        }
    }
    client.batch_execute(SESSION).await
}

/// Settings of a session that migrates.
const UNLIMITED: &str =
    "SET statement_timeout TO 0; SET lock_timeout TO 0; SET idle_in_transaction_session_timeout TO 0";

pub(super) type Pool = deadpool::managed::Pool<Sessions>;
pub(super) type PoolError = deadpool::managed::PoolError<Unconnected>;

/// Creates sessions, and decides which of them can be reused.
pub(super) struct Sessions {
    database: Arc<Database>,
}

/// A session in a pool.
pub(super) struct Pooled {
    pub(super) conn: Conn,
    /// [`Database::generation`] at its creation.
    made_in: u64,
    database: Arc<Database>,
    /// The reason why its transactions cannot write, if they cannot.
    pub(super) read_only: Option<String>,
}

impl Pooled {
    /// Applies the findings of the last transaction to other sessions of the same age.
    pub(super) fn settle(&self) {
        if self.conn.shows_all_spent() {
            self.database.outlive(self.made_in);
        }
        if let Some(said) = self.conn.take_trouble() {
            self.database.refused_write(said);
        }
    }
}

impl Manager for Sessions {
    type Type = Pooled;
    type Error = Unconnected;

    async fn create(&self) -> Result<Pooled, Unconnected> {
        let made_in = self.database.generation();
        let link = self.database.connect().await?;
        let (client, connection) = (link.client, link.connection);
        // Ends when the session is dropped, or with an error that the session's next statement reports.
        tokio::spawn(async move { drop(connection.await) });
        begin(&client).await.map_err(ServerError::new)?;
        let read_only = if link.is_writable {
            None
        } else {
            Some(requirements::why_read_only(&client).await.map_err(ServerError::new)?)
        };
        Ok(Pooled { conn: Conn::new(client), made_in, database: Arc::clone(&self.database), read_only })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<Unconnected> {
        // A server that refused writes may accept them by now. Only a new connection finds out.
        let is_current = pooled.made_in >= self.database.generation() && pooled.read_only.is_none();
        if is_current && pooled.conn.is_usable() {
            Ok(())
        } else {
            Err(RecycleError::message("it cannot be used any more"))
        }
    }
}

/// Creates a pool that connects on demand. Each host of an address has its own time limit for connecting.
pub(super) fn pool(database: &Arc<Database>, size: usize) -> Result<Pool, BuildError> {
    let sessions = Sessions { database: Arc::clone(database) };
    Pool::builder(sessions).max_size(size).runtime(deadpool::Runtime::Tokio1).build()
}

/// Opens a session outside of any pool, without limits on the duration of statements and waits.
pub(super) async fn unlimited_session(database: &Database) -> Result<Conn, Unconnected> {
    let link = database.connect().await?;
    let (client, connection) = (link.client, link.connection);
    tokio::spawn(async move { drop(connection.await) });
    begin(&client).await.map_err(ServerError::new)?;
    client.batch_execute(UNLIMITED).await.map_err(ServerError::new)?;
    Ok(Conn::new(client))
}

/// A session that returns to its pool when it is dropped.
pub(super) type Borrowed = Object<Sessions>;
