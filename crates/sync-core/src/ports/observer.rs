use std::time::Duration;

use crate::SyncError;
use crate::jobs::request::Target;
use crate::pull::run::Run;
use crate::rows::counts::RunCounts;

/// Something that happened while the engine worked. For progress, logs and metrics: nothing depends on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run began or was resumed.
    Started {
        /// The run.
        run: &'a Run,
        /// Whether it continues from a checkpoint.
        resumed: bool,
    },
    /// A batch was committed.
    Committed {
        /// The run, after the batch.
        run: &'a Run,
        /// What the batch did.
        batch: &'a RunCounts,
    },
    /// A run's attempt ended.
    Ended {
        /// The run.
        run: &'a Run,
        /// How long the attempt took.
        took: Duration,
        /// Why it failed, if it did.
        failure: Option<&'a SyncError>,
    },
    /// A lease was lost: what this worker did since its last commit is thrown away.
    LeaseLost {
        /// What it worked on.
        target: &'a Target,
    },
}

/// Hears what happens while the engine works.
pub trait Observer: Send + Sync + 'static {
    /// Called for every event, on the engine's task: must not block.
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
