use kombo_model::Timestamp;
use sync_core::jobs::{Lease, LeaseToken};

/// What a runtime needs of the process it runs in, besides the ports of `sync-core`.
pub trait Host: Send + Sync + 'static {
    /// Random bits. They name leases and deliveries, so no two calls may return the same, in no process.
    fn random(&self) -> u128;

    /// Asks Kombo whether it accepts the key.
    fn check_key(&self) -> impl Future<Output = KeyState> + Send;

    /// A time that has passed by every clock that is known. Retention deletes what is old by this time. `None` while
    /// nothing confirms the clock of this machine.
    fn certain_now(&self) -> Option<Timestamp>;

    /// Runs the work on a lease. A host may attach context to it, such as a task-local.
    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        let _ = lease;
        work
    }

    /// A token that no lease ever had.
    fn token(&self) -> LeaseToken {
        LeaseToken(format!("{:032x}", self.random()))
    }
}

/// Kombo's answer about the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Kombo accepts it.
    Accepted,
    /// Kombo rejects it.
    Rejected,
    /// There was no such answer.
    Unknown,
}
