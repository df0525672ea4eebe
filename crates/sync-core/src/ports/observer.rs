use std::time::Duration;

use crate::SyncError;
use crate::jobs::request::Target;
use crate::pull::run::Run;
use crate::rows::counts::RunCounts;

/// An event of the engine's work, for progress, logs and metrics. Nothing depends on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run began or was resumed.
    Started {
        /// The run.
        run: &'a Run,
        /// Whether the run continues from a checkpoint.
        resumed: bool,
    },
    /// A batch was committed.
    Committed {
        /// The run, after the batch.
        run: &'a Run,
        /// The counts of the batch alone.
        batch: &'a RunCounts,
    },
    /// An attempt at a run ended.
    Ended {
        /// The run.
        run: &'a Run,
        /// Duration of the attempt.
        took: Duration,
        /// The error, if the attempt failed.
        failure: Option<&'a SyncError>,
    },
    /// A lease was lost. All work since the last commit is discarded.
    LeaseLost {
        /// Target of the lost lease.
        target: &'a Target,
    },
}

/// Receives the events of the engine.
pub trait Observer: Send + Sync + 'static {
    /// Called for every event, on the engine's task. It must not block.
    fn event(&self, event: Event<'_>);
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn event(&self, event: Event<'_>) {
        (**self).event(event);
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event<'_>) {}
}
