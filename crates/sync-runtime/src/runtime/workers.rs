//! The worker pool: each worker leases the most urgent request, works on it, and then leases the next.

use std::time::Duration;

use sync_core::SyncError;
use sync_core::jobs::Lease;
use sync_core::jobs::queue::{self, Claim};
use sync_core::ports::{Clock, Event, FailureClass, Scope, Source, Store, StoreError, Tx};
use sync_core::pull::Attempt;
use tokio_util::sync::CancellationToken;

use super::Runtime;
use super::admission::Taken;
use crate::host::Host;
use crate::observer::{Notice, RuntimeObserver};

/// Longest sleep of an idle worker, which may be woken earlier.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// Wait of a worker after a failure of the store.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// Runs one worker until the runtime stops.
    pub(crate) async fn work(&self) {
        while !self.stop.is_cancelled() {
            let wait = match self.lease().await {
                Ok(Some((lease, taken))) => {
                    // More requests may be due, so another worker is woken.
                    self.wakers.work.notify_one();
                    self.work_on(&lease, taken).await;
                    continue;
                }
                Ok(None) => POLL_EVERY,
                Err(error) => {
                    self.observer().notice(Notice::NotLeased { error: &error });
                    RETRY_AFTER
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => {}
                () = self.wakers.work.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Leases the most urgent request, with the slots that it takes.
    async fn lease(&self) -> Result<Option<(Lease, Taken<'_>)>, StoreError> {
        if !self.gate.is_open() {
            return Ok(None);
        }
        // Workers take turns, so that each sees what the others have leased.
        let turn = self.admission.turn().await;
        let (eligible, reserved) = turn.reserve(&self.categories.among(&self.engine.policy().plan.endpoints));
        let (claim, now) = (self.claim(), self.engine.clock().now());
        let transaction = move |tx: &mut dyn Tx| queue::lease_next(tx, &claim, &eligible, now);
        let leased = self.engine.store().transact(Scope::Shared, transaction).await?;
        Ok(leased.map(|lease| {
            let taken = reserved.take(&lease);
            (lease, taken)
        }))
    }

    /// Returns the data of a new lease for a worker of this process.
    pub(crate) fn claim(&self) -> Claim {
        let policy = self.engine.policy();
        Claim {
            owner: self.policy.owner.clone(),
            token: self.host.token(),
            ttl: policy.lease_ttl,
            longest_wait: policy.longest_wait(),
        }
    }

    async fn work_on(&self, lease: &Lease, taken: Taken<'_>) {
        let result = self.attempt(lease, &self.stop).await;
        taken.end(matches!(&result, Ok(Attempt { failure: None, .. })));
        match result {
            Ok(_) | Err(SyncError::LeaseLost(_)) => {}
            // In every other case the lease expires, and the work resumes from its checkpoint.
            Err(error) => {
                self.observer().notice(Notice::BrokeOff { target: &lease.request.target, error: &error });
                match &error {
                    SyncError::Store(error) if error.is_transient() => self.release(lease).await,
                    SyncError::LeaseLost(_) | SyncError::Source(_) | SyncError::Store(_) | _ => {
                        self.pause(RETRY_AFTER).await;
                    }
                }
            }
        }
    }

    /// Works on a lease. Closes the gate if Kombo rejected the key.
    pub(crate) async fn attempt(&self, lease: &Lease, stop: &CancellationToken) -> Result<Attempt, SyncError> {
        let result = self.host.run(lease, self.engine.work(lease, stop)).await;
        if let Ok(Attempt { failure: Some(failure), .. }) = &result
            && failure.class() == FailureClass::KeyRejected
        {
            self.reject_key();
        }
        // Changes may have been committed. During long work, the dispatcher's regular checks find them.
        self.wakers.deliveries.notify_one();
        result
    }

    /// Releases the lease of work that ended because of the database, as soon as the database answers. Other workers
    /// then need not wait for its expiry.
    async fn release(&self, lease: &Lease) {
        while !self.stop.is_cancelled() {
            self.pause(RETRY_AFTER).await;
            let (released, now) = (lease.clone(), self.engine.clock().now());
            let transaction = move |tx: &mut dyn Tx| queue::release(tx, &released, now, false, now).map(drop);
            match self.engine.store().transact(Scope::Shared, transaction).await {
                Err(SyncError::Store(error)) if error.is_transient() => {}
                Err(SyncError::LeaseLost(_)) => {
                    return self.observer().event(Event::LeaseLost { target: &lease.request.target });
                }
                Ok(()) | Err(_) => return,
            }
        }
    }
}
