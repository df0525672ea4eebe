//! Delivers what is added to the change log, as signed webhooks. What goes out when is decided in
//! [`sync_core::outbox`].

mod body;
mod post;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sync_core::SyncError;
use sync_core::jobs::LeaseToken;
use sync_core::jobs::queue::Claim;
use sync_core::outbox::{self, DeliveryId, Failure, Sending, Verdict};
use sync_core::ports::{Clock as _, Scope, Store as _, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::{Shared, measure};
use crate::clock::SystemClock;
use crate::config::Receiver;
use crate::{output, owner};

/// How many deliveries are under way at a time, each of another integration: they all go to one address.
const AT_A_TIME: usize = 4;
/// Between two looks for what is due, unless somebody tells of changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Delivers changes to a receiver.
pub(crate) struct Courier {
    receiver: Receiver,
    secret: RwLock<SecretString>,
    http: reqwest::Client,
    /// Told when there may be something to deliver.
    changed: Notify,
}

impl Courier {
    pub(super) fn new(receiver: Receiver) -> anyhow::Result<Self> {
        let (http, secret) = (post::client(&receiver)?, RwLock::new(receiver.secret.clone()));
        Ok(Self { receiver, secret, http, changed: Notify::new() })
    }

    /// There may be something to deliver.
    pub(super) fn look(&self) {
        self.changed.notify_one();
    }

    /// Deliveries are signed with this from now on.
    pub(super) fn replace_secret(&self, secret: SecretString) {
        *self.secret.write().unwrap_or_else(PoisonError::into_inner) = secret;
    }
}

/// Delivers until the daemon stops, if there is a receiver.
pub(super) fn spawn(tasks: &TaskTracker, shared: &Arc<Shared>) {
    if let Some(courier) = &shared.courier {
        let desk = Desk { shared: Arc::clone(shared), courier: Arc::clone(courier), owner: owner::this_process() };
        tasks.spawn(Arc::new(desk).deliver(tasks.clone()));
    }
}

struct Desk {
    shared: Arc<Shared>,
    courier: Arc<Courier>,
    owner: String,
}

impl Desk {
    async fn deliver(self: Arc<Self>, tasks: TaskTracker) {
        tracing::info!(to = self.courier.receiver.shown(), "changes are delivered");
        let permits = Arc::new(Semaphore::new(AT_A_TIME));
        let stop = &self.shared.stop;
        while !stop.is_cancelled() {
            let Some(Ok(permit)) = stop.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await else { return };
            // The lease is no older than this.
            let began = Instant::now();
            match self.take_next().await {
                Ok(Some(sending)) => {
                    tasks.spawn(Arc::clone(&self).send(sending, began, permit));
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(error = output::chain(&error), "what is to be delivered could not be looked up");
                }
            }
            drop(permit);
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.courier.changed.notified() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn take_next(&self) -> Result<Option<Sending>, StoreError> {
        let now = SystemClock.now();
        let random = || format!("{:032x}", fastrand::u128(..));
        let claim = Claim {
            owner: self.owner.clone(),
            token: LeaseToken(random()),
            ttl: self.lease(),
            longest_wait: self.courier.receiver.give_up_after,
        };
        // Looking takes no lock, and in SQLite nobody's turn.
        let horizon = claim.horizon(now);
        if !self.shared.store.read(move |tx| outbox::is_due(tx, &horizon)).await? {
            return Ok(None);
        }
        let fresh = DeliveryId(random());
        let most = self.courier.receiver.batch;
        self.shared.store.transact(Scope::Shared, move |tx| outbox::take_next(tx, &claim, &fresh, most, now)).await
    }

    /// As long as one try may take, and what a process may dawdle besides.
    fn lease(&self) -> Duration {
        self.courier.receiver.timeout + self.shared.config.lease()
    }

    async fn send(self: Arc<Self>, sending: Sending, began: Instant, permit: OwnedSemaphorePermit) {
        let (id, integration) = (sending.parcel.id.clone(), sending.integration_id.clone());
        if let Err(error) = self.try_to_send(sending, began).await {
            let error = output::chain(error.as_ref());
            let (id, integration) = (id.0.as_str(), integration.as_str());
            tracing::warn!(
                delivery.id = id,
                integration.id = integration,
                error,
                "what became of a delivery is not noted"
            );
        }
        drop(permit);
        // What comes next of this integration may go.
        self.courier.look();
    }

    async fn try_to_send(&self, sending: Sending, began: Instant) -> anyhow::Result<()> {
        let Receiver { url, timeout, give_up_after, .. } = &self.courier.receiver;
        let body = body::body(&sending)?;
        if began.elapsed() >= self.shared.config.lease() {
            // It slept: somebody else may be at it before an answer is there.
            self.settle(move |tx| outbox::release(tx, &sending)).await?;
            return Ok(());
        }
        let secret = self.courier.secret.read().unwrap_or_else(PoisonError::into_inner).clone();
        let sent = Instant::now();
        let result = post::post(&self.courier.http, url, &secret, *timeout, body.clone()).await;
        let (now, took) = (SystemClock.now(), sent.elapsed());
        let parcel = &sending.parcel;
        let (id, integration) = (parcel.id.0.clone(), sending.integration_id.to_string());
        let (first_seq, last_seq, attempts) = (parcel.first_seq, parcel.last_seq, parcel.attempts.saturating_add(1));
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(()) => {
                measure::delivery("delivered", took);
                tracing::debug!(
                    delivery.id = id,
                    integration.id = integration,
                    first_seq,
                    last_seq,
                    attempts,
                    duration_ms,
                    "delivered"
                );
                self.settle(move |tx| outbox::delivered(tx, &sending, now)).await
            }
            Err(failure) => {
                measure::delivery("failed", took);
                let Failure { error, .. } = failure.clone();
                let give_up_after = *give_up_after;
                let note = move |tx: &mut dyn sync_core::ports::Tx| {
                    outbox::failed(tx, &sending, &failure, &body, give_up_after, now)
                };
                match self.settle(note).await? {
                    Verdict::Again(at) => tracing::warn!(
                        delivery.id = id,
                        integration.id = integration,
                        first_seq,
                        last_seq,
                        attempts,
                        error,
                        again_at = %at,
                        "a delivery failed"
                    ),
                    Verdict::GivenUp => {
                        measure::given_up();
                        tracing::error!(
                            delivery.id = id,
                            integration.id = integration,
                            first_seq,
                            last_seq,
                            attempts,
                            error,
                            "a delivery is given up: `syncd deliveries retry` sends it again"
                        );
                    }
                }
                Ok(())
            }
        }
    }

    /// Notes what became of a delivery.
    async fn settle<T: Send + 'static>(
        &self,
        note: impl FnOnce(&mut dyn sync_core::ports::Tx) -> Result<T, SyncError> + Send + 'static,
    ) -> anyhow::Result<T> {
        Ok(self.shared.store.transact(Scope::Shared, note).await?)
    }
}
