//! Logs the sessions that keep another session waiting.

use std::convert::Infallible;
use std::time::Duration;

use tokio_postgres::Client;

use crate::error::postgres::ServerError;

/// Wait before the first check. Most migrations end earlier.
const FIRST: Duration = Duration::from_secs(1);
/// Interval of later checks.
const EVERY: Duration = Duration::from_secs(5);

/// Returns the process id of a session.
pub(super) async fn backend_pid(client: &Client) -> Result<i32, ServerError> {
    let row = client.query_typed_one("SELECT pg_backend_pid()", &[]).await.map_err(ServerError::new)?;
    row.try_get(0).map_err(ServerError::new)
}

/// Logs the sessions that keep `pid` waiting, until the future is dropped. If a check fails, that is logged as well.
pub(super) async fn watch(client: &Client, pid: i32) -> Infallible {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        wait = EVERY;
        match blockers(client, pid).await {
            Ok(blockers) => {
                for (blocker, application, state, since) in blockers {
                    tracing::warn!(
                        blocker.pid = blocker,
                        blocker.application = application,
                        blocker.state = state,
                        blocker.transaction_seconds = since,
                        "a migration is waiting for another session"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "cannot look for what a migration waits for"),
        }
    }
}

/// Process id, application, state, and the age of its transaction in seconds.
type Blocker = (i32, String, String, i64);

async fn blockers(client: &Client, pid: i32) -> Result<Vec<Blocker>, ServerError> {
    const BLOCKERS: &str = "SELECT pid, coalesce(application_name, ''), coalesce(state, ''), \
         coalesce(extract(epoch FROM now() - xact_start)::bigint, 0) \
         FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids($1))";
    let rows = client.query_typed(BLOCKERS, &[(&pid, tokio_postgres::types::Type::INT4)]).await;
    let rows = rows.map_err(ServerError::new)?;
    let blocker = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    rows.iter().map(|row| blocker(row).map_err(ServerError::new)).collect()
}
