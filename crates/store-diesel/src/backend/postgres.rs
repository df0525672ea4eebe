use std::sync::Arc;

use diesel::RunQueryDsl as _;
use diesel::connection::Connection as _;
use kombo_model::IntegrationId;
use sync_core::ports::{Scope, Store, StoreError, Tx};
use tokio_postgres::AsyncMessage;

use super::{Undone, panicked};
use crate::connections::{Moved, Notification, PoolStatus};
use crate::error::postgres::{ServerError, connection_remedy};
use crate::error::{ConnectError, During as _, MigrateError, OLDEST_POSTGRES};
use crate::migrations::{self, SchemaStatus};
use crate::partitions::{self, Partitioning};
use crate::statement::Statement;
use crate::tables::Trial;
use crate::transaction::PgTx;
use crate::url::PostgresUrl;

mod address;
mod blockers;
pub(crate) mod connection;
mod database;
mod lending;
pub(crate) mod pipeline;
mod pool;
mod query;
mod requirements;
pub(crate) mod row;
mod turns;

use address::{Address, Unconnected};
pub(crate) use connection::Conn;
use database::Database;
use lending::{Lending, Lent};
use turns::Turns;

/// Default maximum number of connections.
const CONNECTIONS: usize = 10;

/// A mirror in a PostgreSQL database, in the schema `kombo`.
#[derive(Clone)]
pub struct PostgresStore {
    database: Arc<Database>,
    sessions: Lending,
    turns: Turns,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("url", &self.shown()).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the server that `url` names, with at most ten connections.
    pub async fn connect(url: &PostgresUrl) -> Result<Self, ConnectError> {
        Self::connect_with(url, CONNECTIONS).await
    }

    /// Connects to the server that `url` names, with at most `connections` connections, or with fewer if the server
    /// allows fewer.
    pub async fn connect_with(url: &PostgresUrl, connections: usize) -> Result<Self, ConnectError> {
        let address = Address::new(url).map_err(|reason| ConnectError::Setting { url: url.to_string(), reason })?;
        let database = Arc::new(Database::new(address));
        let failed = |reason: String, remedy| ConnectError::Server { url: url.to_string(), reason, remedy };
        let sessions = Lending::new(&database, connections, None);
        let sessions = sessions.map_err(|error| failed(error.to_string(), connection_remedy(None)))?;
        let store = Self { database, sessions, turns: Turns::default() };
        let mut session = store.sessions.borrow().await.map_err(|error| failed(error.to_string(), error.remedy()))?;
        let version = server_version(&session.conn().client).await;
        let (number, found) = version.map_err(|error| failed(error.to_string(), connection_remedy(None)))?;
        if number < OLDEST_POSTGRES * 10_000 {
            return Err(ConnectError::TooOld { url: url.to_string(), found });
        }
        drop(session);
        Ok(store)
    }

    /// Returns the same database over a pool of its own with at most `connections` connections, so that its user does
    /// not keep others waiting for a connection. If the server allows none for this pool, it borrows from the original
    /// pool. Transactions of one integration still run one after the other.
    #[must_use]
    pub fn with_pool(&self, connections: usize) -> Self {
        // Nothing connects here, so only an impossible setting can fail. In that case all share one pool.
        let sessions = Lending::new(&self.database, connections, Some(&self.sessions));
        Self { sessions: sessions.unwrap_or_else(|_| self.sessions.clone()), ..self.clone() }
    }

    /// Moves to another address of the same database if that address can be written to. New connections are made there,
    /// and old ones are not reused.
    pub async fn move_to(&self, url: &PostgresUrl) -> Result<Moved, ConnectError> {
        if self.database.address().is(url) {
            return Ok(Moved::Same);
        }
        let address = Address::new(url).map_err(|reason| ConnectError::Setting { url: url.to_string(), reason })?;
        let failed = |reason: String, remedy| ConnectError::Server { url: url.to_string(), reason, remedy };
        let found = requirements::tables(&address).await;
        let found = found.map_err(|error| failed(error.to_string(), error.remedy()))?;
        if found != migrations::newest() {
            let reason = "its tables are not those of this version";
            return Err(failed(reason.to_owned(), "run `syncd migrate` there first"));
        }
        self.database.move_to(address);
        Ok(Moved::Done)
    }

    /// Returns when the server has refused the user or the password.
    pub async fn refused(&self) {
        self.database.refused().await;
    }

    /// Returns the requirements of a writing program that the database does not meet, each with its remedy. `fewest` is
    /// the number of connections that the program needs, `better` the recommended number.
    pub async fn missing(&self, fewest: usize, better: usize) -> Result<Vec<String>, StoreError> {
        let way = requirements::way(&self.database.address(), fewest).await;
        if let Some(fault) = way.map_err(|error| self.no_connection(error))? {
            return Ok(vec![fault]);
        }
        let (fewest, better) = (i64::try_from(fewest), i64::try_from(better));
        let (fewest, better) = (fewest.unwrap_or(i64::MAX), better.unwrap_or(i64::MAX));
        // Other missing requirements do not matter on a standby.
        let session = self.session_to_write().await?;
        on_session(session, move |conn| requirements::missing(conn, fewest, better)).await?
    }

    /// Returns the reasons why the program cannot work with the tables, each with its remedy. Writes test rows and
    /// rolls them back.
    pub async fn faults(&self, trial: Trial) -> Result<Vec<String>, StoreError> {
        let session = self.session_to_write().await?;
        let look = move |conn: &mut Conn| {
            let missing = requirements::missing(conn, 0, 0)?;
            if missing.is_empty() { crate::tables::pg::faults(conn, trial) } else { Ok(missing) }
        };
        let faults = on_session(session, look).await??;
        match self.database.recent_trouble() {
            Some(said) if faults.is_empty() => Err(StoreError::Unavailable {
                message: "the database refused a write".to_owned(),
                source: Some(said.into()),
            }),
            Some(_) | None => Ok(faults),
        }
    }

    /// Creates or upgrades the tables. Several processes may call it at the same time.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        self.without_limits(migrations::pg_migrate).await
    }

    /// Partitions the mirror's tables, and returns those that it changed.
    pub async fn partition(&self, number: usize) -> Result<Vec<String>, MigrateError> {
        let tables = self.without_limits(move |conn| partitions::split(conn, number, false)).await?;
        Ok(tables.into_iter().map(str::to_owned).collect())
    }

    /// Partitions the tables that are not partitioned.
    ///
    /// # Errors
    /// As for [`partition`](Self::partition).
    pub async fn partition_plain(&self, number: usize) -> Result<Vec<String>, MigrateError> {
        let tables = self.without_limits(move |conn| partitions::split(conn, number, true)).await?;
        Ok(tables.into_iter().map(str::to_owned).collect())
    }

    /// Returns whether the mirror's tables are partitioned.
    pub async fn partitioning(&self) -> Result<Partitioning, MigrateError> {
        self.on_connection(partitions::state).await?.map_err(|error| error.at(&self.shown()))
    }

    /// Changes the tables in a session without time-outs, and logs what it waits for.
    async fn without_limits<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, migrations::Failure> + Send + 'static,
    ) -> Result<T, MigrateError> {
        let session =
            || async { pool::unlimited_session(&self.database).await.map_err(|error| self.no_connection(error)) };
        let (mut session, watcher) = (session().await?, session().await?);
        let pid = blockers::backend_pid(&session.client).await.map_err(|error| self.no_connection(error.into()))?;
        let working = tokio::task::spawn_blocking(move || work(&mut session));
        let done = tokio::select! {
            done = working => done,
            never = blockers::watch(&watcher.client, pid) => match never {},
        };
        done.map_err(|error| panicked(&error))?.map_err(|error| error.at(&self.shown()))
    }

    /// Returns the counters that are behind numbers already in use, each with its remedy.
    pub async fn lost_counters(&self) -> Result<Vec<String>, StoreError> {
        self.on_connection(crate::counters::pg::faults).await?.during("looking at counters")
    }

    /// State of the tables.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        self.on_connection(migrations::pg::status).await?.map_err(|error| error.at(&self.shown()))
    }

    /// Usage of the connections.
    pub fn load(&self) -> PoolStatus {
        self.sessions.load()
    }

    /// Calls `tell` for each notification from any process, and once for each kind at the beginning, to cover earlier
    /// ones. Ends with the connection; notifications that arrive without a connection are lost.
    pub async fn listen(&self, tell: impl Fn(Notification)) -> Result<(), StoreError> {
        let message = || format!("listening to {}", self.shown());
        let lost = |error: tokio_postgres::Error| StoreError::Unavailable {
            message: message(),
            source: Some(Box::new(error)),
        };
        let moved = self.database.moved();
        let link = self.database.connect().await;
        let link =
            link.map_err(|error| StoreError::Unavailable { message: message(), source: Some(Box::new(error)) })?;
        let (client, mut connection) = (link.client, link.connection);
        let begin = async {
            pool::begin(&client).await?;
            client.batch_execute("LISTEN syncd_requests; LISTEN syncd_changes").await?;
            // Covers what happened before the connection.
            tell(Notification::Request);
            tell(Notification::Change);
            Ok(())
        };
        let hear = async {
            while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(told) = message? {
                    tell(if told.channel() == "syncd_changes" { Notification::Change } else { Notification::Request });
                }
            }
            Ok(())
        };
        let listen = async { tokio::try_join!(begin, hear).map_err(lost).map(drop) };
        tokio::select! {
            listened = listen => listened,
            () = moved => Ok(()),
        }
    }

    fn shown(&self) -> String {
        self.database.address().to_string()
    }

    fn no_connection(&self, error: Unconnected) -> StoreError {
        StoreError::Unavailable { message: format!("no connection to {}", self.shown()), source: Some(Box::new(error)) }
    }

    async fn session(&self) -> Result<Lent, StoreError> {
        Box::pin(self.sessions.borrow()).await.map_err(|error| self.no_connection(error))
    }

    /// A session in which transactions may write.
    async fn session_to_write(&self) -> Result<Lent, StoreError> {
        let session = self.session().await?;
        match session.read_only() {
            None => Ok(session),
            Some(why) => Err(StoreError::Unavailable {
                message: format!("nothing can be written to {}", self.shown()),
                source: Some(why.to_owned().into()),
            }),
        }
    }

    pub(crate) async fn on_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        on_session(self.session().await?, work).await
    }
}

async fn on_session<T: Send + 'static>(
    mut session: Lent,
    work: impl FnOnce(&mut Conn) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let work = move || {
        let result = work(session.conn());
        session.settle();
        result
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| panicked(&error))
}

impl Store for PostgresStore {
    async fn transact<T, E, F>(&self, scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        // Waits before taking a connection, because connections are few.
        let turn = match &scope {
            Scope::Integration(integration) => Some(self.turns.take(integration).await),
            Scope::Shared => None,
        };
        let session = self.session_to_write().await?;
        let is_of_integration = turn.is_some();
        let run = move |conn: &mut Conn| {
            // Keeps the turn until the transaction ends, even if the caller stops waiting.
            let _turn = turn;
            let (value, has_appended) = conn.transaction(|conn| {
                if let Scope::Integration(integration) = &scope {
                    lock_integration(conn, integration)?;
                }
                let mut tx = PgTx::new(conn);
                let value = work(&mut tx).map_err(Undone::Work)?;
                Ok::<_, Undone<E>>((value, tx.has_appended()))
            })?;
            if has_appended {
                notify_of_changes(conn);
            }
            Ok(value)
        };
        let done = on_session(session, run).await?.map_err(Undone::into_error)?;
        if is_of_integration {
            self.database.wrote();
        }
        Ok(done)
    }

    async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        let run = move |conn: &mut Conn| {
            conn.transaction(|conn| {
                Statement::new("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").execute(conn)?;
                work(&mut PgTx::new(conn)).map_err(Undone::Work)
            })
        };
        self.on_connection(run).await?.map_err(Undone::into_error)
    }
}

/// Notifies listeners that the change log grew. It runs after the commit, because transactions that notify wait for
/// each other until they are on disk; this transaction does not have to reach the disk. A listener that misses the
/// notification polls anyway.
fn notify_of_changes(conn: &mut Conn) {
    let notify = "SELECT set_config('synchronous_commit', 'off', true), pg_notify('syncd_changes', '')";
    if let Err(error) = Statement::new(notify).execute(conn) {
        tracing::debug!("no notification of changes: {error}");
    }
}

/// Makes the transactions of one integration run one after the other, in all processes.
fn lock_integration(conn: &mut Conn, integration: &IntegrationId) -> diesel::QueryResult<()> {
    Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd integration ' || ")
        .text(integration.as_str())
        .sql(", 0))")
        .execute(conn)
        .map(drop)
}

/// Returns the server's version as a number, such as 150018, and as text.
async fn server_version(client: &tokio_postgres::Client) -> Result<(i64, String), ServerError> {
    const VERSION: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version')";
    let row = client.query_typed_one(VERSION, &[]).await.map_err(ServerError::new)?;
    let version = row.try_get(0).and_then(|number| Ok((number, row.try_get(1)?)));
    version.map_err(ServerError::new)
}
