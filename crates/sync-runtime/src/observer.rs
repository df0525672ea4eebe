use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::Target;
use sync_core::jobs::retention::Trimmed;
use sync_core::outbox::{DeliveryBatch, Failure, Verdict};
use sync_core::ports::{Observer, StoreError};

/// Something that happened in a runtime, besides the events of the engine. For logs and metrics: nothing depends on it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A worker could not look for work.
    NotLeased {
        /// Why.
        error: &'a StoreError,
    },
    /// Work ended with an error that could not even be stored.
    BrokeOff {
        /// What was worked on.
        target: &'a Target,
        /// Why it ended.
        error: &'a SyncError,
    },
    /// A job waits for another process that works on the same target.
    Busy {
        /// What both want to fetch.
        target: &'a Target,
    },
    /// Kombo said whether it accepts the key.
    Key {
        /// Whether it does.
        accepted: bool,
        /// Whether that is new.
        changed: bool,
    },
    /// The key is accepted again, but failed requests could not be made due at once: they keep their retry times.
    NotRetried {
        /// Why.
        error: &'a StoreError,
    },
    /// Fetches were due and are requested.
    Scheduled {
        /// How many.
        requests: usize,
    },
    /// Webhooks may have been missed: deltas are requested instead.
    CaughtUp {
        /// How many.
        requests: usize,
    },
    /// The store could not be asked what is due.
    NotScheduled {
        /// Why.
        error: &'a StoreError,
    },
    /// Old entries were deleted.
    Trimmed {
        /// How many of each kind.
        trimmed: Trimmed,
    },
    /// Old entries could not be deleted.
    NotTrimmed {
        /// Why.
        error: &'a StoreError,
    },
    /// A request waits for long. Each wait is reported once, however many requests share it.
    LongWait {
        /// Why it waits.
        reason: WaitReason,
        /// Until when.
        until: Timestamp,
        /// For how long.
        wait: Duration,
    },
    /// The store cannot be asked for a part of the rate limit: this process keeps the limit alone.
    LimitedAlone {
        /// Why.
        error: &'a StoreError,
    },
    /// The rate limit is shared with other processes again.
    LimitedTogether,
    /// What Kombo said of the rate limit, or a part of it that is not needed any more, could not be passed on.
    LimitNotShared {
        /// Why.
        error: &'a StoreError,
    },
    /// The store could not be asked what is to be delivered.
    NotDispatched {
        /// Why.
        error: &'a StoreError,
    },
    /// A batch was sent.
    Delivery {
        /// The integration of its entries.
        integration_id: &'a IntegrationId,
        /// The batch, as it was before.
        batch: &'a DeliveryBatch,
        /// How long the receiver took.
        took: Duration,
        /// Why the receiver did not accept it, and what follows.
        failed: Option<(&'a Failure, Verdict)>,
    },
    /// The outcome of a delivery could not be stored: it is sent again.
    DeliveryNotNoted {
        /// The integration of its entries.
        integration_id: &'a IntegrationId,
        /// The batch.
        batch: &'a DeliveryBatch,
        /// Why.
        error: &'a (dyn std::error::Error + 'static),
    },
}

/// Why a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// A request to Kombo failed, or Kombo asked to wait before it is sent again.
    Again,
    /// Kombo's rate limit is used up.
    UsedUp,
    /// The configured pace has no earlier slot.
    Pace,
}

/// Observes the runtime and its engine.
pub trait RuntimeObserver: Observer {
    /// Called for every notice: must not block.
    fn notice(&self, notice: Notice<'_>);
}

impl<O: RuntimeObserver + ?Sized> RuntimeObserver for std::sync::Arc<O> {
    fn notice(&self, notice: Notice<'_>) {
        (**self).notice(notice);
    }
}

impl RuntimeObserver for sync_core::ports::Silent {
    fn notice(&self, _notice: Notice<'_>) {}
}
