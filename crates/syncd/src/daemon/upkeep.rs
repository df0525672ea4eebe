//! Background tasks next to the runtime: the daemon follows the database, its clock, its notifications and the
//! configuration.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kombo_client::webhook::WebhookSecrets;
use secrecy::SecretString;
use store_diesel::{ConnectError, Moved, StoreUrl};
use sync_core::jobs::dispatch;
use sync_core::ports::{Clock as _, Scope, Store as _};
use tokio::signal::unix::Signal;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::clock::{self, SystemClock};
use crate::config::{Config, Receiver};
use crate::{output, strays};

/// Interval of checks of the database and its clock.
const FOLLOW_EVERY: Duration = Duration::from_secs(10);
/// Delay before listening again after notifications stopped.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Interval of checks for a new password.
const ASK_FOR_CREDENTIALS_EVERY: Duration = Duration::from_secs(2);
/// Interval at which histograms are aggregated. Otherwise samples pile up while nobody scrapes.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);
/// Interval of checks for rows of integrations that are not registered.
const LOOK_FOR_STRAYS_EVERY: Duration = Duration::from_secs(86_400);

/// Starts all tasks.
pub(super) fn spawn(tasks: &TaskTracker, shared: &Arc<Shared>, file: Option<PathBuf>, hangup: Signal) {
    tasks.spawn(follow_database(Arc::clone(shared)));
    tasks.spawn(listen(Arc::clone(shared)));
    tasks.spawn(look_for_strays(Arc::clone(shared)));
    tasks.spawn(sum_up(Arc::clone(shared)));
    tasks.spawn(renew_credentials(Arc::clone(shared), file.clone()));
    tasks.spawn(reload(Arc::clone(shared), file, hangup));
}

/// Sets the clock by the database's, and begins again when another database has replaced the present one.
async fn follow_database(shared: Arc<Shared>) {
    let mut generation = shared.store.generation();
    while !shared.stop.is_cancelled() {
        if shared.store.generation() != generation {
            let configured = shared.config.integrations();
            match super::begin(&shared, configured).await {
                Ok(()) => {
                    generation = shared.store.generation();
                    shared.runtime.wakers().schedule.notify_one();
                }
                Err(error) => {
                    tracing::warn!(error = output::chain(error.as_ref()), "the new database is not ready yet");
                }
            }
        }
        if let Err(error) = clock::follow(&shared.store).await {
            tracing::debug!(error = output::chain(&error), "the database's clock could not be read");
        }
        pause(&shared, FOLLOW_EVERY).await;
    }
}

/// Warns of rows of integrations that are not registered, at the start and every day.
async fn look_for_strays(shared: Arc<Shared>) {
    let endpoints = shared.config.endpoints();
    while !shared.stop.is_cancelled() {
        let looked = strays::warn(&shared.store, &endpoints).await;
        pause(&shared, if looked.is_ok() { LOOK_FOR_STRAYS_EVERY } else { FOLLOW_EVERY }).await;
    }
}

/// Aggregates histograms.
async fn sum_up(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        shared.metrics.run_upkeep();
        pause(&shared, SUM_UP_EVERY).await;
    }
}

/// Wakes a worker when another process requests work. Workers also poll, but later.
async fn listen(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        tokio::select! {
            result = shared.store.listen(|notification| shared.notified(notification)) => {
                if let Err(error) = result {
                    tracing::warn!(error = output::chain(&error), "notifications from the database are not available: polling");
                }
                pause(&shared, LISTEN_AGAIN_AFTER).await;
            }
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Reads the address of the database again when the server rejects the password, which may have changed.
async fn renew_credentials(shared: Arc<Shared>, file: Option<PathBuf>) {
    loop {
        tokio::select! {
            () = shared.store.refused() => {}
            () = shared.stop.cancelled() => return,
        }
        let moved = match crate::config::load(file.as_deref()).and_then(|config| config.store_url()) {
            Ok(url) => move_store(&shared, &url).await,
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = moved {
            tracing::warn!(why, "the database rejects the user or the password, and the configuration has no others");
        }
        pause(&shared, ASK_FOR_CREDENTIALS_EVERY).await;
    }
}

/// Moves the store to an address, if it is another one. Returns the reason if that is not possible.
async fn move_store(shared: &Shared, url: &StoreUrl) -> Option<String> {
    match shared.store.move_to(url).await {
        Ok(Moved::Same) => None,
        Ok(Moved::Done) => {
            tracing::info!(store = url.to_string(), "reloaded the address of the database");
            None
        }
        Ok(Moved::AtRestart) => Some("store.url names another kind of database: restart to use it".to_owned()),
        Err(error) => {
            let remedy =
                if let ConnectError::Server { remedy, .. } = &error { format!(": {remedy}") } else { String::new() };
            Some(format!("store.url: {}{remedy}", output::chain(&error)))
        }
    }
}

/// Reads secrets, integrations and the address of the database again on SIGHUP.
async fn reload(shared: Arc<Shared>, file: Option<PathBuf>, mut hangup: Signal) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = shared.stop.cancelled() => return,
        }
        match Reload::read(&shared, file.as_deref()) {
            Ok(reload) => reload.apply(&shared).await,
            Err(error) => {
                tracing::error!(
                    error = output::chain(error.as_ref()),
                    "the configuration is invalid: keeping the previous one"
                );
            }
        }
    }
}

/// The valid parts of a new configuration that can change while the daemon runs.
struct Reload {
    config: Config,
    store: StoreUrl,
    secrets: WebhookSecrets,
    token: Option<SecretString>,
    receiver: Option<Receiver>,
    client: kombo_client::Client,
}

impl Reload {
    fn read(shared: &Shared, file: Option<&std::path::Path>) -> anyhow::Result<Self> {
        let config = crate::config::load(file)?;
        Ok(Self {
            store: config.store_url()?,
            secrets: super::secrets(&config)?,
            token: config.operations_token()?,
            receiver: config.receiver()?,
            client: shared.kombo.client(&config)?,
            config,
        })
    }

    /// Applies everything. Settings that do not concern the database do not wait for it.
    async fn apply(self, shared: &Shared) {
        *shared.secrets.write().unwrap_or_else(PoisonError::into_inner) = self.secrets;
        if let (Some(known), Some(new)) = (&shared.receiver, self.receiver) {
            known.replace_secret(new.secret);
        }
        shared.access.replace(self.token);
        shared.kombo.source.replace(&self.client);
        shared.kombo.limiter.set_per_minute(self.config.kombo.max_requests_per_minute);
        tracing::info!("reloaded the secrets");
        if let Some(why) = move_store(shared, &self.store).await {
            tracing::error!(why, "keeping the previous database connection");
        }
        let configured = self.config.integrations();
        let now = SystemClock.now();
        match shared.store.transact(Scope::Shared, move |tx| dispatch::register(tx, &configured, now)).await {
            Ok(()) => tracing::info!("reloaded the integrations"),
            Err(error) => {
                let error = output::chain(&error);
                tracing::error!(
                    error,
                    "new integrations could not be stored: reload again when the database is available"
                );
            }
        }
        let waiting = shared.config.sections_unlike(&self.config);
        if !waiting.is_empty() {
            let sections = waiting.join(", ");
            tracing::warn!(sections, "other settings changed: restart to apply them");
        }
        shared.runtime.wakers().schedule.notify_one();
        shared.runtime.check_key().await;
    }
}

async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shared.stop.cancelled() => {}
    }
}
