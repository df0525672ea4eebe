//! Jobs: fetches that a caller waits for. Until they are done, a runtime works on nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::queue;
use sync_core::jobs::{Lease, SyncKind, Target};
use sync_core::ports::{Clock, FailureClass, LockMode, Scope, Source, Store};
use sync_core::pull::{Run, RunOutcome};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Runtime;
use crate::host::Host;
use crate::observer::{Notice, RuntimeObserver};

/// The time between two checks of a request that another process works on.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A run that ended while a job was done.
#[derive(Debug)]
pub struct FinishedRun {
    /// The run as stored.
    pub run: Run,
    /// Duration of the work in this process.
    pub took: Duration,
    /// The watermark of the endpoint after the run.
    pub watermark: Option<Timestamp>,
    /// Class of the failure, if the run failed in this process.
    pub failure: Option<FailureClass>,
}

impl<St: Store, So: Source, C: Clock, O: RuntimeObserver, H: Host> Runtime<St, So, C, O, H> {
    /// Fetches the targets, which must already be requested, several at a time. Returns when all are done, including
    /// those that another process works on. Returns the runs in the order of the targets. A stop or a rejected key ends
    /// it after the current batches; the rest stays requested.
    ///
    /// # Errors
    ///
    /// The store failed, or a run could not be stored.
    pub async fn complete(self: Arc<Self>, targets: Vec<Target>) -> Result<Vec<FinishedRun>, SyncError> {
        // All targets were requested before this time.
        let requested_before = self.engine.clock().now();
        let order: BTreeMap<(IntegrationId, Endpoint), usize> =
            targets.iter().map(|target| (target.integration_id.clone(), target.endpoint)).zip(0..).collect();
        let workers = self.policy.workers.min(targets.len());
        let waiting = Arc::new(Mutex::new(targets.into_iter()));
        // Other requests with a rejected key would be rejected as well.
        let stop = self.stop.child_token();
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let (runtime, waiting, stop) = (Arc::clone(&self), Arc::clone(&waiting), stop.clone());
            tasks.spawn(async move {
                let mut finished = Vec::new();
                while !stop.is_cancelled() {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { break };
                    finished.extend(runtime.finish(&target, requested_before, &stop).await?);
                }
                Ok::<_, SyncError>(finished)
            });
        }
        let mut finished = Vec::new();
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(done) => finished.extend(done?),
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
        finished.sort_by_key(|finished: &FinishedRun| {
            let target = &finished.run.target;
            (order.get(&(target.integration_id.clone(), target.endpoint)).copied(), finished.run.id)
        });
        Ok(finished)
    }

    /// Fetches one target until everything that was requested before `requested_before` is fetched, or waits for the
    /// process that does so. Returns the runs that ended; fewer if `stop` came first.
    ///
    /// The first run may resume one of an earlier process, with committed pages that do not include later changes. The
    /// request's generation shows that, so it is due again when such a run ends.
    async fn finish(
        &self,
        target: &Target,
        requested_before: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Vec<FinishedRun>, SyncError> {
        let mut finished: Vec<FinishedRun> = Vec::new();
        let mut target = target.clone();
        let mut waits = false;
        loop {
            let began = self.engine.clock().now();
            match self.lease_target(&target).await? {
                Leased::Lease(lease) => match self.attempt(&lease, stop).await {
                    Err(SyncError::LeaseLost(_)) => {}
                    Err(error) => return Err(error),
                    // A full fetch yielded to a delta, which is fetched first.
                    Ok(attempt) if attempt.run.outcome == RunOutcome::Interrupted && !stop.is_cancelled() => {
                        let delta = Target { kind: SyncKind::Delta, ..target.clone() };
                        Box::pin(self.finish(&delta, requested_before, stop)).await?;
                    }
                    Ok(attempt) => {
                        let (run, failure) = (attempt.run, attempt.failure.map(|failure| failure.class()));
                        if failure == Some(FailureClass::KeyRejected) {
                            stop.cancel();
                        }
                        let resumed = run.outcome.is_complete() && run.started_at < requested_before;
                        let first_load = run.first_load;
                        finished.push(self.finished(run, began, failure).await?);
                        if !resumed {
                            return Ok(finished);
                        }
                        if first_load && target.kind == SyncKind::Full && !self.is_requested(&target).await? {
                            // After a first load, a delta suffices for later requests.
                            target.kind = SyncKind::Delta;
                        }
                    }
                },
                Leased::Busy => {
                    if !std::mem::replace(&mut waits, true) {
                        self.observer().notice(Notice::Busy { target: &target });
                    }
                    tokio::select! {
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                        () = stop.cancelled() => return Ok(finished),
                    }
                }
                Leased::Missing(latest) => {
                    // If this process has not fetched the target, another one has.
                    if let Some(run) = latest.filter(|_| finished.is_empty()) {
                        finished.push(self.finished(*run, began, None).await?);
                    }
                    return Ok(finished);
                }
            }
            if stop.is_cancelled() {
                return Ok(finished);
            }
        }
    }

    async fn lease_target(&self, target: &Target) -> Result<Leased, SyncError> {
        let (target, claim, now) = (target.clone(), self.claim(), self.engine.clock().now());
        self.engine
            .store()
            .transact(Scope::Shared, move |tx| {
                if let Some(lease) = queue::lease_target(tx, &target, &claim, now)? {
                    return Ok(Leased::Lease(lease));
                }
                Ok(if tx.request(&target, LockMode::Wait)?.locked().is_some() {
                    Leased::Busy
                } else {
                    Leased::Missing(tx.latest_run(&target)?.map(Box::new))
                })
            })
            .await
    }

    async fn is_requested(&self, target: &Target) -> Result<bool, SyncError> {
        let target = target.clone();
        self.engine
            .store()
            .transact(Scope::Shared, move |tx| Ok(tx.request(&target, LockMode::Wait)?.locked().is_some()))
            .await
    }

    async fn finished(
        &self,
        run: Run,
        began: Timestamp,
        failure: Option<FailureClass>,
    ) -> Result<FinishedRun, SyncError> {
        let (id, endpoint) = (run.target.integration_id.clone(), run.target.endpoint);
        let state = self.engine.store().read(move |tx| queue::state(tx, &id, endpoint)).await?;
        let took = self.engine.clock().now().since(began);
        Ok(FinishedRun { run, took, watermark: state.watermark, failure })
    }
}

/// The outcome of an attempt to lease a request.
enum Leased {
    Lease(Lease),
    /// Another process has the lease.
    Busy,
    /// The request does not exist. Contains the latest run of its target.
    Missing(Option<Box<Run>>),
}
