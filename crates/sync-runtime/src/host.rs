use kombo_model::Timestamp;
use sync_core::jobs::{Lease, LeaseToken};

/// The interface to the process that a runtime runs in, in addition to the ports of `sync-core`.
pub trait Host: Send + Sync + 'static {
    /// Returns random bits. They identify leases and deliveries, so no two calls, in any process, may return the same.
    fn random(&self) -> u128;

    /// Asks Kombo whether it accepts the key.
    fn check_key(&self) -> impl Future<Output = KeyState> + Send;

    /// Returns a time that has passed by every known clock. Retention deletes entries that are old by this time. `None`
    /// while nothing confirms the clock of this machine.
    fn certain_now(&self) -> Option<Timestamp>;

    /// Runs the work on a lease. A host may attach context to it, such as a task-local.
    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        let _ = lease;
        work
    }

    /// Returns a unique token for a lease.
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
