use std::time::Duration;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::Target;
use sync_core::jobs::retention::Trimmed;
use sync_core::outbox::{DeliveryBatch, Failure, Verdict};
use sync_core::ports::{Observer, SourceError, StoreError};
use sync_core::webhooks::PlannedWebhook;

/// An event of a runtime, in addition to the events of the engine. For logs and metrics: nothing depends on it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A worker could not query the queue.
    NotLeased {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// Work ended with an error that could not be stored.
    BrokeOff {
        /// Target of the work.
        target: &'a Target,
        /// The error.
        error: &'a SyncError,
    },
    /// A job waits for another process that works on the same target.
    Busy {
        /// The common target.
        target: &'a Target,
    },
    /// Kombo accepted or rejected the key.
    Key {
        /// Whether Kombo accepts the key.
        accepted: bool,
        /// Whether this is a change.
        changed: bool,
    },
    /// The key is accepted again, but failed requests could not be made due immediately. They keep their retry times.
    NotRetried {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// Due fetches were requested.
    Scheduled {
        /// Number of requests.
        requests: usize,
    },
    /// Kombo did not name the category of an integration. It is asked again.
    NotCategorized {
        /// Id of the integration.
        integration_id: &'a IntegrationId,
        /// Kombo's answer.
        error: &'a SourceError,
    },
    /// Webhooks may have been missed, so deltas were requested.
    CaughtUp {
        /// Number of requests.
        requests: usize,
    },
    /// Webhooks of an integration were planned, and their fetches requested.
    WebhooksPlanned {
        /// Id of the integration.
        integration_id: &'a IntegrationId,
        /// The webhooks, in their order.
        webhooks: &'a [PlannedWebhook],
    },
    /// Stored webhooks could not be planned. This is tried again.
    WebhooksNotPlanned {
        /// Id of the integration; `None` if the store could not be searched for pending webhooks.
        integration_id: Option<&'a IntegrationId>,
        /// The error of the store.
        error: &'a StoreError,
    },
    /// The store could not be queried for due fetches.
    NotScheduled {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// Old entries were deleted.
    Trimmed {
        /// Number of entries of each kind.
        trimmed: Trimmed,
    },
    /// Old entries could not be deleted.
    NotTrimmed {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// A request has a long wait. Each wait is reported once, however many requests share it.
    LongWait {
        /// Reason for the wait.
        reason: WaitReason,
        /// End of the wait.
        until: Timestamp,
        /// Duration of the wait.
        wait: Duration,
    },
    /// The store provides no part of the rate limit, so this process keeps the limit alone.
    LimitedAlone {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// The rate limit is shared with other processes again.
    LimitedTogether,
    /// Kombo's report on the rate limit, or an unused part of the limit, could not be stored.
    LimitNotShared {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// The store could not be queried for due deliveries.
    NotDispatched {
        /// The error of the store.
        error: &'a StoreError,
    },
    /// A batch was sent.
    Delivery {
        /// Id of the integration.
        integration_id: &'a IntegrationId,
        /// The batch before this attempt.
        batch: &'a DeliveryBatch,
        /// Duration of the request.
        took: Duration,
        /// The reason of the failure, and the resulting state of the batch.
        failed: Option<(&'a Failure, Verdict)>,
    },
    /// The outcome of a delivery could not be stored, so the batch will be sent again.
    DeliveryNotNoted {
        /// Id of the integration.
        integration_id: &'a IntegrationId,
        /// The batch.
        batch: &'a DeliveryBatch,
        /// The error.
        error: &'a (dyn std::error::Error + 'static),
    },
}

/// The reason for a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// A request to Kombo failed, or Kombo asked to wait before the next attempt.
    Again,
    /// Kombo's rate limit is used up.
    UsedUp,
    /// The configured pace has no earlier slot.
    Pace,
}

/// Observes the runtime and its engine.
pub trait RuntimeObserver: Observer {
    /// Called for every notice. It must not block.
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
