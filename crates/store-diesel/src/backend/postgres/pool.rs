use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed::{BuildError, Manager, Metrics, Object, RecycleError, RecycleResult};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::Conn;
use crate::error::postgres::ServerError;

/// How long to wait for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// What every session begins with. A statement that takes this long is stuck; none gains by being compiled. A process that says nothing for seconds in
/// the midst of a unit is frozen or cut off: the locks that it holds must not keep others from taking over its work.
const SESSION: &str = "SET search_path TO kombo, public; SET statement_timeout TO '10min'; SET TimeZone TO 'UTC'; \
                       SET idle_in_transaction_session_timeout TO '10s'; SET client_min_messages TO warning; \
                       SET jit TO off";

pub(super) type Pool = deadpool::managed::Pool<Sessions>;
pub(super) type PoolError = deadpool::managed::PoolError<ServerError>;

/// Makes sessions, and says which of them may be used again.
pub(super) struct Sessions {
    address: Arc<str>,
    tls: MakeRustlsConnect,
    generation: Arc<AtomicU64>,
}

/// A session in a pool.
pub(super) struct Pooled {
    pub(super) conn: Conn,
    /// [`Sessions::generation`] when it was made.
    made_in: u64,
    generation: Arc<AtomicU64>,
}

impl Pooled {
    /// Looks at what the last transaction learnt of sessions like this one.
    pub(super) fn settle(&self) {
        if self.conn.shows_all_spent() {
            // If another one of the same age said so before, nothing is new.
            let next = self.made_in.saturating_add(1);
            self.generation.fetch_max(next, Ordering::Relaxed);
        }
    }
}

impl Manager for Sessions {
    type Type = Pooled;
    type Error = ServerError;

    async fn create(&self) -> Result<Pooled, ServerError> {
        let made_in = self.generation.load(Ordering::Relaxed);
        let (client, connection) =
            tokio_postgres::connect(&self.address, self.tls.clone()).await.map_err(ServerError::new)?;
        // It ends when the session is dropped, or with an error that the session's next statement reports.
        tokio::spawn(async move { drop(connection.await) });
        client.batch_execute(SESSION).await.map_err(ServerError::new)?;
        Ok(Pooled { conn: Conn::new(client), made_in, generation: Arc::clone(&self.generation) })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<ServerError> {
        let is_current = pooled.made_in >= self.generation.load(Ordering::Relaxed);
        if is_current && pooled.conn.is_usable() {
            Ok(())
        } else {
            Err(RecycleError::message("it cannot be used any more"))
        }
    }
}

/// Connections, made when they are needed.
///
/// `generation` counts the errors which showed that no session made before can be used any more: pools of one database
/// share it.
pub(super) fn pool(
    address: &Arc<str>,
    tls: &MakeRustlsConnect,
    generation: &Arc<AtomicU64>,
    size: usize,
) -> Result<Pool, BuildError> {
    let sessions = Sessions { address: Arc::clone(address), tls: tls.clone(), generation: Arc::clone(generation) };
    Pool::builder(sessions)
        .max_size(size)
        .wait_timeout(Some(CONNECTION_TIMEOUT))
        .create_timeout(Some(CONNECTION_TIMEOUT))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
}

/// A session that goes back to its pool when it is dropped.
pub(super) type Borrowed = Object<Sessions>;
