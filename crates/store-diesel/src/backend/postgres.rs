use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use diesel::RunQueryDsl as _;
use diesel::connection::Connection as _;
use kombo_model::IntegrationId;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sync_core::port::{Scope, Store, StoreError, Tx};
use tokio_postgres::AsyncMessage;
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

use super::{Undone, panicked};
use crate::error::{ConnectError, During as _, MigrateError};
use crate::migrations::{self, SchemaStatus};
use crate::statement::Statement;
use crate::store::{Load, News};
use crate::tx::PgTx;

mod connection;
pub(crate) mod pipeline;
mod pool;
mod query;
pub(crate) mod row;
mod turns;

pub(crate) use connection::Conn;
use pool::{Borrowed, Pool, PoolError, pool};
use turns::Turns;

const POOL_SIZE: usize = 10;
/// Options of a URL, unless it says otherwise, in seconds and milliseconds: a server that vanished without a word is
/// noticed within a minute.
const UNLESS_SAID: [(&str, &str); 4] =
    [("keepalives_idle", "30"), ("keepalives_interval", "10"), ("keepalives_retries", "3"), ("tcp_user_timeout", "60")];

/// A mirror in a PostgreSQL database, in the schema `kombo`.
#[derive(Clone)]
pub struct PostgresStore {
    shown: Arc<str>,
    address: Arc<str>,
    tls: MakeRustlsConnect,
    pool: Pool,
    /// See [`pool`].
    generation: Arc<AtomicU64>,
    turns: Turns,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the server that `url` names; `shown` is how errors name it, without secrets.
    ///
    /// Besides `sslmode=disable|prefer|require`, the URL may say `sslmode=verify-ca|verify-full` (certificates are
    /// always verified in full) and `sslrootcert=FILE`.
    pub async fn connect(url: &Url, shown: &str) -> Result<Self, ConnectError> {
        let failed = |reason: String| ConnectError::Server { url: shown.to_owned(), reason };
        let (address, root_certificates) = split_tls_options(url);
        let tls = MakeRustlsConnect::new(tls_config(root_certificates.as_deref()).map_err(failed)?);
        let (address, generation): (Arc<str>, _) = (address.into(), Arc::default());
        let pool = pool(&address, &tls, &generation, POOL_SIZE).map_err(|error| failed(error.to_string()))?;
        let store = Self { shown: shown.into(), address, tls, pool, generation, turns: Turns::default() };
        drop(store.pool.get().await.map_err(|error| failed(no_connection(&error)))?);
        Ok(store)
    }

    /// The same database over connections of their own, so many at most: whoever uses them keeps nobody else waiting for
    /// one. Units of one integration go on running one after the other.
    #[must_use]
    pub fn beside(&self, connections: usize) -> Self {
        // Nothing is connected yet, so that nothing can fail but an impossible setting: then there is one pool for all.
        let pool = pool(&self.address, &self.tls, &self.generation, connections).unwrap_or_else(|_| self.pool.clone());
        Self { pool, ..self.clone() }
    }

    /// Makes or upgrades the tables. Safe to call from several processes.
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        self.on_connection(migrations::pg_migrate).await?.map_err(|error| error.at(&self.shown))
    }

    /// How the tables stand.
    pub async fn schema_status(&self) -> Result<SchemaStatus, MigrateError> {
        self.on_connection(migrations::pg::status).await?.map_err(|error| error.at(&self.shown))
    }

    /// How busy the connections are.
    pub fn load(&self) -> Load {
        let status = self.pool.status();
        Load { most: status.max_size, open: status.size, idle: status.available, waiting: status.waiting }
    }

    /// Calls `tell` with what happened, by whatever process, and at the beginning with everything that may have. Ends when
    /// the connection does: what happened while there is none is not told later.
    pub async fn listen(&self, tell: impl Fn(News)) -> Result<(), StoreError> {
        let lost = |error: tokio_postgres::Error| StoreError::Unavailable {
            message: format!("listening to {}", self.shown),
            source: Some(Box::new(error)),
        };
        let (client, mut connection) = tokio_postgres::connect(&self.address, self.tls.clone()).await.map_err(lost)?;
        let begin = async {
            client.batch_execute("LISTEN syncd_requests; LISTEN syncd_changes").await?;
            // For what happened before.
            tell(News::Request);
            tell(News::Change);
            Ok(())
        };
        let hear = async {
            while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(told) = message? {
                    tell(if told.channel() == "syncd_changes" { News::Change } else { News::Request });
                }
            }
            Ok(())
        };
        tokio::try_join!(begin, hear).map_err(lost).map(drop)
    }

    async fn connection(&self) -> Result<Borrowed, StoreError> {
        self.pool.get().await.map_err(|error| StoreError::Unavailable {
            message: format!("no connection to {}", self.shown),
            source: Some(no_connection(&error).into()),
        })
    }

    pub(crate) async fn on_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut session = self.connection().await?;
        let work = move || {
            let result = work(&mut session.conn);
            session.settle();
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| panicked(&error))
    }
}

impl Store for PostgresStore {
    async fn transact<T, E, F>(&self, scope: Scope, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Result<T, E> + Send + 'static,
    {
        // Waited for without a connection, of which there are few.
        let turn = match &scope {
            Scope::Integration(integration) => Some(self.turns.take(integration).await),
            Scope::Shared => None,
        };
        let run = move |conn: &mut Conn| {
            // Until the end of the unit, whoever waits for that.
            let _turn = turn;
            conn.transaction(|conn| {
                if let Scope::Integration(integration) = &scope {
                    lock_integration(conn, integration)?;
                }
                work(&mut PgTx::new(conn)).map_err(Undone::Work)
            })
        };
        self.on_connection(run).await?.map_err(Undone::into_error)
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

/// Until the unit ends, thousands of rows are found by their keys in an index, whatever the planner thinks of a table
/// that it last looked at when it was empty, and whatever plan an earlier unit left. Each key is looked up once and has one
/// row at most, so there is nothing to remember, to gather or to join in another way than key by key.
pub(crate) fn look_up_by_index(conn: &mut Conn) -> Result<(), StoreError> {
    Statement::new(
        "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), \
         set_config('enable_memoize', 'off', true), set_config('enable_hashjoin', 'off', true), \
         set_config('enable_mergejoin', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true)",
    )
    .execute(conn)
    .during("the planner")
    .map(drop)
}

/// The unit's commit does not wait for the disk. What others commit, and wait for, takes it there as well.
pub(crate) fn commit_lazily(conn: &mut Conn) -> Result<(), StoreError> {
    Statement::new("SELECT set_config('synchronous_commit', 'off', true)").execute(conn).during("the commit").map(drop)
}

/// Units of one integration run one after the other, in whatever process.
fn lock_integration(conn: &mut Conn, integration: &IntegrationId) -> diesel::QueryResult<()> {
    Statement::new("SELECT pg_advisory_xact_lock(hashtextextended('syncd integration ' || ")
        .text(integration.as_str())
        .sql(", 0))")
        .execute(conn)
        .map(drop)
}

/// Takes out of a URL what tokio-postgres does not know, and returns the file of root certificates if it names one.
fn split_tls_options(url: &Url) -> (String, Option<String>) {
    let mut root_certificates = None;
    let mut address = url.clone();
    let mut options = Vec::new();
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("sslrootcert", file) => root_certificates = Some(file.to_owned()),
            ("sslmode", "verify-ca" | "verify-full") => options.push(("sslmode".to_owned(), "require".to_owned())),
            _ => options.push((name.into_owned(), value.into_owned())),
        }
    }
    for (name, value) in UNLESS_SAID {
        if !options.iter().any(|(said, _)| said == name) {
            options.push((name.to_owned(), value.to_owned()));
        }
    }
    address.set_query(None);
    address.query_pairs_mut().extend_pairs(options);
    (address.to_string(), root_certificates)
}

fn tls_config(root_certificates: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match root_certificates {
        Some(file) => {
            let certificates = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| format!("sslrootcert={file} cannot be read: {error}"))?;
            for certificate in certificates {
                roots.add(certificate).map_err(|error| format!("sslrootcert={file}: {error}"))?;
            }
        }
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // One that is malformed is no reason to do without the others.
                drop(roots.add(certificate));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why there is no connection. That one was to be made says nothing new.
#[allow(clippy::wildcard_enum_match_arm, reason = "the errors of another crate, which may become more")]
fn no_connection(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => error.to_string(),
        error => error.to_string(),
    }
}
