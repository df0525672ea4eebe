use std::time::Duration;

use kombo_model::Timestamp;

use super::Engine;
use super::commit::checkpoint;
use crate::error::SyncError;
use crate::jobs::endpoint::EndpointStatus;
use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::lease::LeasedTx;
use crate::jobs::queue;
use crate::jobs::request::{Lease, Target};
use crate::ports::clock::Clock;
use crate::ports::error::TxResult;
use crate::ports::observer::Observer;
use crate::ports::source::{FailureClass, Source};
use crate::ports::store::{Scope, Store, Tx};
use crate::pull::run::{Run, RunOutcome};
use crate::stable_hash::stable_hash;

/// Waiting times after failures, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first temporary failure, doubled by each further one. All failures count as temporary except
    /// those that Kombo calls a lasting state.
    pub first: Duration,
    /// Longest wait after temporary failures.
    pub most: Duration,
    /// Wait while Kombo has no data yet. A webhook announces the data; this is the interval of checks in case it is
    /// lost.
    pub setup_pending: Duration,
    /// Wait while a person must act or a state must change, according to Kombo.
    pub lasting: Duration,
}

/// The longest `Retry-After` that is obeyed. After this time, one attempt is made.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            most: Duration::from_secs(900),
            setup_pending: Duration::from_secs(900),
            lasting: Duration::from_secs(3_600),
        }
    }
}

impl Backoff {
    /// Returns the longest wait after any failure.
    pub fn longest(&self) -> Duration {
        let longest = self.most.max(self.setup_pending).max(self.lasting).max(LONGEST_RETRY_AFTER);
        longest.saturating_add(longest / 4)
    }

    /// Returns the wait before attempt number `attempts + 1`. It varies by up to a quarter, so that requests that
    /// failed together are not retried together.
    pub fn wait(&self, class: FailureClass, attempts: i32, retry_after: Option<Duration>, target: &Target) -> Duration {
        let wait = match class {
            FailureClass::Transient | FailureClass::RequestRefused | FailureClass::Unintelligible => {
                let doublings = u32::try_from(attempts).unwrap_or(0).min(16);
                self.first.saturating_mul(1 << doublings).min(self.most)
            }
            FailureClass::SetupPending => self.setup_pending,
            FailureClass::KeyRejected
            | FailureClass::IntegrationNotFound
            | FailureClass::IntegrationUnavailable
            | FailureClass::ModelUnavailable => self.lasting,
        };
        let wait = wait.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        let quarters = stable_hash(target.integration_id.as_str(), target.endpoint.short_name()) % 256;
        wait.saturating_add(wait / 1_024 * u32::try_from(quarters).unwrap_or(0))
    }
}

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Stores that a run failed, why, and when to try again. Checkpoint and watermark stay as of the last committed
    /// batch.
    pub(super) async fn fail(&self, lease: &Lease, run: Run, error: &SyncError) -> Result<Run, SyncError> {
        let (lease, policy, now) = (lease.clone(), self.policy.clone(), self.clock.now());
        let class = error.class();
        let retry_after = match error {
            SyncError::Source(error) => error.retry_after,
            SyncError::LeaseLost(_) | SyncError::Store(_) => None,
        };
        let error = crate::rows::json::clean_text(error.to_string());
        self.store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, Duration::ZERO)?;
                let mut run = checkpoint(tx, &run)?;
                run.outcome = RunOutcome::Failed;
                run.finished_at = Some(now);
                run.error = Some(error);
                let wait = policy.backoff.wait(class, tx.leased().attempts, retry_after, &run.target);
                tx.release(now.saturating_add(wait), true)?;
                tx.put_run(&run)?;
                note_failure(&mut **tx, &run, class, now)?;
                Ok::<_, SyncError>(run)
            })
            .await
    }
}

fn note_failure(tx: &mut dyn Tx, run: &Run, class: FailureClass, now: Timestamp) -> TxResult<()> {
    let (id, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let integration_status = match class {
        FailureClass::IntegrationNotFound => Some(IntegrationStatus::NotFound),
        FailureClass::IntegrationUnavailable => Some(IntegrationStatus::Paused),
        FailureClass::Transient
        | FailureClass::KeyRejected
        | FailureClass::SetupPending
        | FailureClass::ModelUnavailable
        | FailureClass::RequestRefused
        | FailureClass::Unintelligible => None,
    };
    if let (Some(status), Some(integration)) = (integration_status, tx.integration(id)?)
        // Only a person ends a person's pause.
        && integration.status != IntegrationStatus::Held
    {
        let status_since = if integration.status == status { integration.status_since } else { now };
        tx.put_integration(&IntegrationRecord { status, status_since, reason: run.error.clone(), ..integration })?;
    }
    let status = match class {
        FailureClass::Transient => EndpointStatus::Retrying,
        FailureClass::SetupPending => EndpointStatus::WaitingForSetup,
        FailureClass::ModelUnavailable => EndpointStatus::ModelUnavailable,
        FailureClass::KeyRejected
        | FailureClass::IntegrationNotFound
        | FailureClass::IntegrationUnavailable
        | FailureClass::RequestRefused
        | FailureClass::Unintelligible => EndpointStatus::Failed,
    };
    let mut state = queue::state(tx, id, endpoint)?;
    if state.status == EndpointStatus::MassRemoval {
        return Ok(()); // a person must resolve that state first; the run contains this failure
    }
    queue::set_status(&mut state, status, run.error.clone(), now);
    tx.put_endpoint(&state)
}
