//! What is to be done now and then.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kombo_client::ErrorKind;
use sync_core::dispatch::{self, SchedulePolicy};
use sync_core::port::{Clock as _, Scope, Store as _};
use sync_core::retention;
use tokio::signal::unix::Signal;
use tokio_util::task::TaskTracker;

use super::Shared;
use crate::clock::SystemClock;
use crate::output;

/// Between two looks at what is due.
const SCHEDULE_EVERY: Duration = Duration::from_secs(10);
/// After the database no longer tells of work.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Between two looks for what is too old.
const TRIM_EVERY: Duration = Duration::from_secs(3_600);
/// Between two questions whether a rejected key is accepted again.
const ASK_ABOUT_KEY_EVERY: Duration = Duration::from_secs(10);
/// Between two times at which what was measured is summed up: without, it would pile up while nobody reads it.
const SUM_UP_EVERY: Duration = Duration::from_secs(5);

/// Begins all of it.
pub(super) fn spawn(tasks: &TaskTracker, shared: &Arc<Shared>, file: Option<PathBuf>, hangup: Signal) {
    tasks.spawn(schedule(Arc::clone(shared)));
    tasks.spawn(listen(Arc::clone(shared)));
    tasks.spawn(trim(Arc::clone(shared)));
    tasks.spawn(ask_about_key(Arc::clone(shared)));
    tasks.spawn(sum_up(Arc::clone(shared)));
    tasks.spawn(reload(Arc::clone(shared), file, hangup));
}

/// Asks for what is due.
async fn schedule(shared: Arc<Shared>) {
    let poll_every = Some(shared.config.sync.poll_every).filter(|every| !every.is_zero());
    let policy = SchedulePolicy {
        endpoints: shared.config.plan_policy().endpoints,
        poll_every,
        look_at_paused_every: super::LOOK_AT_PAUSED_EVERY,
    };
    while !shared.stop.is_cancelled() {
        let (policy, now) = (policy.clone(), SystemClock.now());
        let unit = move |tx: &mut dyn sync_core::port::Tx| dispatch::schedule(tx, &policy, now);
        match shared.store.transact(Scope::Shared, unit).await {
            Ok(0) => {}
            Ok(requests) => {
                tracing::info!(requests, "due");
                shared.wake.notify_one();
            }
            Err(error) => tracing::warn!(error = output::chain(&error), "what is due could not be looked up"),
        }
        tokio::select! {
            () = pause(&shared, SCHEDULE_EVERY) => {}
            () = shared.look.notified() => {}
        }
    }
}

/// Sums up what was measured.
async fn sum_up(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        shared.metrics.run_upkeep();
        pause(&shared, SUM_UP_EVERY).await;
    }
}

/// Wakes a worker when another process asks for work. Workers look by themselves too, only later.
async fn listen(shared: Arc<Shared>) {
    while !shared.stop.is_cancelled() {
        tokio::select! {
            result = shared.store.listen(|news| shared.hear(news)) => {
                if let Err(error) = result {
                    tracing::warn!(error = output::chain(&error), "the database tells of no work: looking now and then");
                }
                pause(&shared, LISTEN_AGAIN_AFTER).await;
            }
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Removes what is older than it is to be kept.
async fn trim(shared: Arc<Shared>) {
    let keep_for = shared.config.changes.keep_for;
    let undelivered = shared.config.undelivered();
    while !shared.stop.is_cancelled() {
        let now = SystemClock.now();
        match shared.store.transact(Scope::Shared, move |tx| retention::trim(tx, keep_for, undelivered, now)).await {
            Ok(trimmed) if trimmed == retention::Trimmed::default() => {}
            Ok(trimmed) => {
                let retention::Trimmed { changes, runs, webhooks } = trimmed;
                tracing::info!(changes, runs, webhooks, "old entries were removed");
            }
            Err(error) => tracing::warn!(error = output::chain(&error), "old entries were not removed"),
        }
        pause(&shared, TRIM_EVERY).await;
    }
}

/// Asks at the start whether the key is accepted and, while it is not, whether it is again: then sets everything going.
async fn ask_about_key(shared: Arc<Shared>) {
    // Kombo may take minutes to answer, with all retries: nobody who asks to stop waits for that.
    shared.stop.run_until_cancelled(watch_key(&shared)).await;
}

async fn watch_key(shared: &Shared) -> Infallible {
    match shared.source.check_api_key().await {
        Ok(()) => accepted(shared).await,
        Err(error) if error.kind() == ErrorKind::KeyRejected => shared.gate.close(),
        Err(_) => {} // the fetches tell
    }
    loop {
        tokio::time::sleep(ASK_ABOUT_KEY_EVERY).await;
        if !shared.gate.is_open() && shared.source.check_api_key().await.is_ok() {
            accepted(shared).await;
        }
    }
}

/// Sets going what failed because of the key.
async fn accepted(shared: &Shared) {
    if !shared.gate.open() {
        return;
    }
    let now = SystemClock.now();
    let unit = move |tx: &mut dyn sync_core::port::Tx| dispatch::retry_failed(tx, now);
    if let Err(error) = shared.store.transact(Scope::Shared, unit).await {
        tracing::warn!(error = output::chain(&error), "failed work could not be set going: it goes on in its time");
    }
    shared.wake.notify_one();
}

/// Reads secrets and integrations again on SIGHUP.
async fn reload(shared: Arc<Shared>, file: Option<PathBuf>, mut hangup: Signal) {
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = shared.stop.cancelled() => return,
        }
        match reload_once(&shared, file.as_deref()).await {
            Ok(waiting) => {
                tracing::info!("secrets and integrations were read again");
                if !waiting.is_empty() {
                    let sections = waiting.join(", ");
                    tracing::warn!(
                        sections,
                        "other settings were changed: they take effect when syncd is started again"
                    );
                }
            }
            Err(error) => {
                tracing::error!(error = output::chain(error.as_ref()), "the configuration is wrong: the old one stays");
            }
        }
    }
}

/// Returns the sections with changes that wait for the next start.
async fn reload_once(shared: &Shared, file: Option<&std::path::Path>) -> anyhow::Result<Vec<&'static str>> {
    let config = crate::config::load(file)?;
    let secrets = super::secrets(&config)?;
    let token = config.operations_token()?;
    let receiver = config.receiver()?;
    let client = super::client(&config, &shared.pace)?;
    let configured = config.integrations.iter().map(|known| known.id.clone()).collect();
    let now = SystemClock.now();
    shared.store.transact(Scope::Shared, move |tx| dispatch::register(tx, &configured, now)).await?;
    *shared.secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets;
    if let (Some(courier), Some(receiver)) = (&shared.courier, receiver) {
        courier.replace_secret(receiver.secret);
    }
    shared.access.replace(token);
    shared.source.replace(client);
    shared.pace.set_per_minute(config.kombo.max_requests_per_minute);
    shared.look.notify_one();
    if shared.source.check_api_key().await.is_ok() {
        accepted(shared).await;
    }
    Ok(shared.config.sections_unlike(&config))
}

async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shared.stop.cancelled() => {}
    }
}
