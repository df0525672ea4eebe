//! The dispatcher delivers new entries of the change log to a receiver. [`sync_core::outbox`] decides which entries are
//! sent, and when.

use std::sync::Arc;
use std::time::Duration;

use sync_core::SyncError;
use sync_core::jobs::queue::Claim;
use sync_core::outbox::{self, DeliveryId, Failure, Sending};
use sync_core::ports::{Clock, Scope, Source, Store, StoreError, Tx};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Runtime;
use crate::host::Host;
use crate::observer::{Notice, RuntimeObserver};

/// Maximum number of batches that are sent concurrently, each of another integration. All go to one address.
const MAX_SENDING: usize = 4;
/// The time between two checks for due deliveries, unless a notification arrives earlier.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Receives the changes.
pub trait Receiver: Send + Sync + 'static {
    /// Returns the settings of the delivery.
    fn policy(&self) -> DeliveryPolicy;

    /// Returns the body for a batch. The same batch always has exactly the same body.
    ///
    /// # Errors
    ///
    /// The batch cannot be serialized. It stays, and is tried again when its lease has expired.
    fn body(&self, sending: &Sending) -> Result<String, Box<dyn std::error::Error + Send + Sync>>;

    /// Sends a body once, within the policy's `timeout`.
    ///
    /// # Errors
    ///
    /// The receiver did not accept the body, or the result is unknown.
    fn send(&self, body: &str) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// The settings of the delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Maximum number of entries in a batch.
    pub batch_entries: usize,
    /// Maximum duration of a request.
    pub timeout: Duration,
    /// Time limit for the tries of a batch, after which it becomes a dead letter.
    pub give_up_after: Duration,
}

/// Delivers until the runtime stops.
pub(crate) struct Dispatcher<St, So, C, O, H, R> {
    runtime: Arc<Runtime<St, So, C, O, H>>,
    receiver: Arc<R>,
}

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host, R: Receiver> Dispatcher<St, So, C, O, H, R> {
    pub(crate) fn new(runtime: Arc<Runtime<St, So, C, O, H>>, receiver: Arc<R>) -> Self {
        Self { runtime, receiver }
    }

    pub(crate) async fn run(self: Arc<Self>) {
        let permits = Arc::new(Semaphore::new(MAX_SENDING));
        let (runtime, mut sending) = (&self.runtime, JoinSet::new());
        while let Some(Ok(permit)) = runtime.stop.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await {
            while sending.try_join_next().is_some() {}
            // The lease begins no earlier than this.
            let leased_at = Instant::now();
            match self.lease().await {
                Ok(Some(batch)) => {
                    sending.spawn(Arc::clone(&self).send(batch, leased_at, permit));
                    continue;
                }
                Ok(None) => {}
                Err(error) => runtime.observer().notice(Notice::NotDispatched { error: &error }),
            }
            drop(permit);
            tokio::select! {
                biased;
                () = runtime.pause(LOOK_EVERY) => {}
                () = runtime.wakers.deliveries.notified() => {}
            }
        }
        while sending.join_next().await.is_some() {}
    }

    /// Leases the next due batch.
    async fn lease(&self) -> Result<Option<Sending>, StoreError> {
        let (runtime, policy) = (&self.runtime, self.receiver.policy());
        let (store, now) = (runtime.engine.store(), runtime.engine.clock().now());
        let claim = Claim {
            owner: runtime.policy.owner.clone(),
            token: runtime.host.token(),
            // The duration of an attempt, with an allowance for a process that was suspended.
            ttl: policy.timeout + runtime.engine.policy().lease_ttl,
            longest_wait: policy.give_up_after,
        };
        // The check takes no lock, and in SQLite it does not occupy the writer.
        let horizon = claim.horizon(now);
        if !store.read(move |tx| outbox::is_due(tx, &horizon)).await? {
            return Ok(None);
        }
        let fresh = DeliveryId(format!("{:032x}", runtime.host.random()));
        let transaction = move |tx: &mut dyn Tx| outbox::take_next(tx, &claim, &fresh, policy.batch_entries, now);
        store.transact(Scope::Shared, transaction).await
    }

    async fn send(self: Arc<Self>, batch: Sending, leased_at: Instant, permit: OwnedSemaphorePermit) {
        if let Err(error) = self.attempt(&batch, leased_at).await {
            self.runtime.observer().notice(Notice::DeliveryNotNoted {
                integration_id: &batch.integration_id,
                batch: &batch.batch,
                error: error.as_ref(),
            });
        }
        drop(permit);
        // The next batch of this integration may be sent.
        self.runtime.wakers.deliveries.notify_one();
    }

    async fn attempt(
        &self,
        batch: &Sending,
        leased_at: Instant,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (runtime, give_up_after) = (&self.runtime, self.receiver.policy().give_up_after);
        let body = self.receiver.body(batch)?;
        let leased = batch.clone();
        if leased_at.elapsed() >= runtime.engine.policy().lease_ttl {
            // The process was suspended, so the lease may expire before the receiver answers.
            return Ok(self.note(move |tx| outbox::release(tx, &leased)).await?);
        }
        let sent_at = Instant::now();
        let result = self.receiver.send(&body).await;
        let (now, took) = (runtime.engine.clock().now(), sent_at.elapsed());
        let failed = match result {
            Ok(()) => {
                self.note(move |tx| outbox::delivered(tx, &leased, now)).await?;
                None
            }
            Err(failure) => {
                let reason = failure.clone();
                let note = move |tx: &mut dyn Tx| outbox::failed(tx, &leased, &reason, &body, give_up_after, now);
                let verdict = self.note(note).await?;
                Some((failure, verdict))
            }
        };
        runtime.observer().notice(Notice::Delivery {
            integration_id: &batch.integration_id,
            batch: &batch.batch,
            took,
            failed: failed.as_ref().map(|(failure, verdict)| (failure, *verdict)),
        });
        Ok(())
    }

    /// Stores the outcome of a delivery.
    async fn note<T: Send + 'static>(
        &self,
        note: impl FnOnce(&mut dyn Tx) -> Result<T, SyncError> + Send + 'static,
    ) -> Result<T, SyncError> {
        self.runtime.engine.store().transact(Scope::Shared, note).await
    }
}
