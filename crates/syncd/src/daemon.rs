//! The daemon: receives webhooks, fetches deltas, and runs full fetches on schedule, until it is stopped.

mod gauges;
mod last_read;
mod lifecycle;
mod measure;
mod operations;
mod page;
mod prometheus;
mod receiver;
mod series;
mod serve;
mod upkeep;
mod webhooks;

use std::ops::ControlFlow;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use kombo_client::RetryPolicy;
use kombo_client::webhook::WebhookSecrets;
use metrics_exporter_prometheus::PrometheusHandle;
use store_diesel::{DieselStore, Notification};
use sync_runtime::KeyGate;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Configured};
use crate::context::Context;
use crate::exit::Exit;
use crate::store::{Tables, is_passing, open_to_write};
use crate::wiring::{self, Kombo, ProcessRuntime};
use crate::{output, owner};

use lifecycle::Readiness;
use measure::Meter;
use page::{Access, Page};
use receiver::Receiver;

/// Time limit for running batches at shutdown.
const GRACE: Duration = Duration::from_secs(25);
/// Time limit for returning this process's part of the rate limit.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(1);
/// First delay between two attempts to reach the database at the start.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest delay between two such attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A failed fetch releases its worker after seconds and waits in the queue, so that others need not wait with it. When many
/// integrations begin to fail at the same time, none counts as failing yet, and all workers may try them.
const SHORT_RETRIES: RetryPolicy = RetryPolicy {
    budget: Duration::from_secs(3),
    initial: Duration::from_millis(500),
    max_delay: Duration::from_secs(2),
};

/// Maximum number of connections to the servers of webhooks and of operations.
const MOST_WEBHOOKS: usize = 512;
const MOST_OPERATIONS: usize = 128;

/// State shared by the parts of the daemon.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) store: Arc<DieselStore>,
    pub(crate) runtime: Arc<ProcessRuntime<Meter>>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) secrets: RwLock<WebhookSecrets>,
    pub(crate) access: Arc<Access>,
    pub(crate) kombo: Kombo,
    /// The receiver of changes, if there is one.
    pub(crate) receiver: Option<Arc<Receiver>>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Wakes the loop that waits for this notification.
    fn notified(&self, notification: Notification) {
        let wakers = self.runtime.wakers();
        match notification {
            Notification::Request => wakers.work.notify_one(),
            Notification::Change => wakers.deliveries.notify_one(),
        }
    }
}

/// Runs until a stop signal.
pub(crate) async fn run(context: &Context, tables: Tables) -> anyhow::Result<Exit> {
    let config = context.config_with_warnings()?;
    let secrets = secrets(&config)?;
    let receiver = config.receiver()?.map(Receiver::new).transpose()?.map(Arc::new);
    let metrics = prometheus::install()?;
    let gate = Arc::new(KeyGate::default());
    let kombo = Kombo::new(&config, SHORT_RETRIES, Arc::new(measure::answer))?;
    let webhooks = serve::bind("server.webhooks", config.server.webhooks).await?;
    let operations = serve::bind("server.operations", config.server.operations).await?;
    let stop = context.signals.stop_gently(|| {
        tracing::info!("stopping after the running batches; a second signal stops at once");
    });
    let tasks = TaskTracker::new();
    // Registered early, because an unhandled hangup ends the process.
    let hangup = signal(SignalKind::hangup())?;

    let readiness = Arc::new(Readiness::new(Arc::clone(&gate)));
    let access = Arc::new(Access::new(config.operations_token()?));
    let status_page = Arc::new(Page::new(Arc::clone(&access)));
    let routes = operations::routes(
        Arc::clone(&readiness),
        metrics.clone(),
        Arc::clone(&status_page),
        gauges::Gauges::new(config.server.metrics_integrations, receiver.is_some()),
    );
    tasks.spawn(serve::serve(operations, MOST_OPERATIONS, routes, stop.clone()));
    let (webhook_endpoint, opened) = watch::channel(None);
    tasks.spawn(serve::serve(webhooks, MOST_WEBHOOKS, webhooks::routes(opened), stop.clone()));

    let Some(store) = open_store(&config, tables, &stop).await? else { return Ok(Exit::Done) };
    let configured = config.integrations();
    let store = Arc::new(store);
    kombo.limiter.share(&store);
    let policies = (config.policy(), wiring::policy(&config));
    let shared = Arc::new(Shared {
        runtime: wiring::runtime(&kombo.source, &store, Meter, policies, gate, &stop),
        config,
        store,
        metrics,
        secrets: RwLock::new(secrets),
        access,
        kombo,
        receiver,
        stop: stop.clone(),
    });
    if begin_sometime(&shared, &configured).await?.is_break() {
        return Ok(Exit::Done);
    }
    // A separate, limited pool: storing webhooks and workers do not keep each other waiting for a connection.
    let for_webhooks = Arc::new(shared.store.with_pool(shared.config.connections()?.for_webhooks()));
    readiness.ready(Arc::clone(&shared.store), Arc::clone(&for_webhooks));
    status_page.ready(Arc::clone(&shared));
    let (endpoint, inbox) = webhooks::open(Arc::clone(&shared), for_webhooks);
    tasks.spawn(inbox);
    webhook_endpoint.send_replace(Some(endpoint));
    // Only the routes keep the endpoint alive, so that storing ends with them.
    drop(webhook_endpoint);
    upkeep::spawn(&tasks, &shared, context.global.config.clone(), hangup);
    if let Some(receiver) = &shared.receiver {
        tracing::info!(to = receiver.shown(), "changes are delivered");
    }
    tasks.spawn(Arc::clone(&shared.runtime).run(shared.receiver.clone()));
    tracing::info!(
        webhooks = %shared.config.server.webhooks,
        operations = %shared.config.server.operations,
        "ready"
    );

    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("some fetches did not stop in time: they continue from their checkpoints at the next start");
    }
    // A database that does not answer must not delay the exit.
    drop(tokio::time::timeout(GIVE_BACK_WITHIN, shared.kombo.limiter.give_back()).await);
    tracing::info!("stopped");
    Ok(Exit::Done)
}

/// Returns the secrets that verify webhooks.
pub(crate) fn secrets(config: &Config) -> anyhow::Result<WebhookSecrets> {
    WebhookSecrets::new(config.webhook_secrets()?).context("kombo.webhook_secret")
}

/// Opens the store and waits while the database is unavailable; `None` if a stop signal arrives first.
async fn open_store(config: &Config, tables: Tables, stop: &CancellationToken) -> anyhow::Result<Option<DieselStore>> {
    let mut wait = FIRST_WAIT;
    loop {
        // A file with the URL is read again for each attempt.
        let error = match open_to_write(config, tables).await {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error,
        };
        let is_server = matches!(config.store_url()?, store_diesel::StoreUrl::Postgres(_));
        if !is_passing(&error) || !is_server {
            return Err(error);
        }
        tracing::error!(error = output::chain(error.as_ref()), "the database is not available yet: retrying");
        if wait_longer(&mut wait, stop).await.is_break() {
            return Ok(None);
        }
    }
}

/// Waits, and doubles the next wait. Breaks if the daemon receives a stop signal meanwhile.
async fn wait_longer(wait: &mut Duration, stop: &CancellationToken) -> ControlFlow<()> {
    tokio::select! {
        () = tokio::time::sleep(*wait) => {
            *wait = (*wait * 2).min(LONGEST_WAIT);
            ControlFlow::Continue(())
        }
        () = stop.cancelled() => ControlFlow::Break(()),
    }
}

/// Calls [`begin`], and retries while the database is unavailable. Breaks if the daemon receives a stop signal.
async fn begin_sometime(shared: &Shared, configured: &Configured) -> anyhow::Result<ControlFlow<()>> {
    let mut wait = FIRST_WAIT;
    loop {
        match begin(shared, configured.clone()).await {
            Ok(()) => return Ok(ControlFlow::Continue(())),
            Err(error) if is_passing(&error) => {
                tracing::error!(error = output::chain(error.as_ref()), "the database became unavailable: retrying");
            }
            Err(error) => return Err(error),
        }
        if wait_longer(&mut wait, &shared.stop).await.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}

/// Registers the configured integrations, takes over the work of dead processes of this machine, makes failed work due
/// because its cause may be gone, and requests changes that webhooks announced while no daemon ran.
async fn begin(shared: &Shared, configured: Configured) -> anyhow::Result<()> {
    let abandoned = shared.runtime.begin(configured, shared.receiver.is_some(), owner::is_gone).await?;
    if !abandoned.is_empty() {
        tracing::info!(requests = abandoned.len(), "taking over from a process that stopped");
    }
    Ok(())
}
