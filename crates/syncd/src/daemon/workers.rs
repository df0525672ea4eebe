use std::sync::Arc;

use sync_core::jobs::{Lease, LeaseToken};
use sync_core::pull::Engine;
use sync_runtime::workers::{Host, WorkerPool};
use tokio_util::task::TaskTracker;

use super::Shared;
use super::gate::KeyGate;
use super::measure::Meter;
use crate::clock::SystemClock;
use crate::owner;
use crate::pace::FETCHING;

/// Sets the workers to work until the daemon stops.
pub(super) fn spawn(tasks: &TaskTracker, shared: &Arc<Shared>) {
    let workers = shared.config.sync.workers;
    let meter = Meter { gate: Arc::clone(&shared.gate), courier: shared.courier.clone() };
    let (store, source) = (Arc::clone(&shared.store), Arc::clone(&shared.source));
    let engine = Engine::new(store, source, SystemClock, meter, shared.config.policy());
    let host = Daemon { gate: Arc::clone(&shared.gate) };
    let (wake, stop) = (Arc::clone(&shared.wake), shared.stop.clone());
    let pool = Arc::new(WorkerPool::new(engine, host, owner::this_process(), workers, wake, stop));
    for _ in 0..workers {
        let pool = Arc::clone(&pool);
        tasks.spawn(async move { pool.work().await });
    }
}

struct Daemon {
    gate: Arc<KeyGate>,
}

impl Host for Daemon {
    fn is_open(&self) -> bool {
        self.gate.is_open()
    }

    fn token(&self) -> LeaseToken {
        LeaseToken(format!("{:032x}", fastrand::u128(..)))
    }

    fn run<F: Future + Send>(&self, lease: &Lease, work: F) -> impl Future<Output = F::Output> + Send {
        FETCHING.scope(lease.request.target.kind, work)
    }
}
