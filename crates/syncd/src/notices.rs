//! Log lines and metrics for the events of a runtime other than fetches.

use kombo_model::IntegrationId;
use metrics::{counter, gauge, histogram};
use sync_core::jobs::retention::Trimmed;
use sync_core::outbox::{Failure, Verdict};
use sync_core::ports::{Event, Observer};
use sync_runtime::{Notice, RuntimeObserver, WaitReason};

use crate::output;

/// Logs and counts notices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notices;

impl Observer for Notices {
    fn event(&self, _event: Event<'_>) {}
}

impl RuntimeObserver for Notices {
    fn notice(&self, notice: Notice<'_>) {
        match notice {
            Notice::NotLeased { error } => tracing::warn!(error = output::chain(error), "no request could be leased"),
            Notice::BrokeOff { target, error } => tracing::error!(
                integration.id = target.integration_id.as_str(),
                endpoint = target.endpoint.as_str(),
                sync.kind = target.kind.as_str(),
                error = output::chain(error),
                "a fetch was interrupted"
            ),
            Notice::Busy { target } => tracing::warn!(
                integration.id = target.integration_id.as_str(),
                endpoint = target.endpoint.as_str(),
                "another process is working on this, or stopped without releasing it: waiting"
            ),
            Notice::Key { accepted, changed } => key(accepted, changed),
            Notice::NotRetried { error } => {
                tracing::warn!(
                    error = output::chain(error),
                    "failed requests could not be made due at once: they keep their retry times"
                );
            }
            Notice::Scheduled { requests } => tracing::info!(requests, "due"),
            Notice::NotCategorized { integration_id, error } => tracing::warn!(
                integration.id = integration_id.as_str(),
                error = output::chain(error),
                "the category of an integration is unknown, so nothing is fetched: Kombo is asked again"
            ),
            Notice::CaughtUp { requests } => {
                tracing::info!(requests, "catching up: webhooks may have been missed");
            }
            Notice::WebhooksPlanned { integration_id, webhooks } => {
                for webhook in webhooks {
                    tracing::info!(
                        webhook.id = webhook.id,
                        integration.id = integration_id.as_str(),
                        requests = webhook.targets.len(),
                        result = webhook.result,
                        "a webhook was planned"
                    );
                }
            }
            Notice::WebhooksNotPlanned { integration_id, error } => tracing::warn!(
                integration.id = integration_id.map(IntegrationId::as_str),
                error = output::chain(error),
                "stored webhooks could not be planned: they are tried again"
            ),
            Notice::NotScheduled { error } => {
                tracing::warn!(error = output::chain(error), "due requests could not be read");
            }
            Notice::Trimmed { trimmed: Trimmed { changes, runs, webhooks } } => {
                tracing::info!(changes, runs, webhooks, "old entries were deleted");
            }
            Notice::NotTrimmed { error } => {
                tracing::warn!(error = output::chain(error), "old entries could not be deleted");
            }
            Notice::LongWait { reason, until, wait } => {
                let why = match reason {
                    WaitReason::Again => "waiting before the request to Kombo is retried",
                    WaitReason::UsedUp => "Kombo's rate limit is exhausted: requests wait until it resets",
                    WaitReason::Pace => "kombo.max_requests_per_minute delays the next request",
                };
                tracing::warn!(until = until.to_string(), seconds = wait.as_secs(), "{why}");
            }
            Notice::LimitedAlone { error } => {
                tracing::warn!(
                    error = output::chain(error),
                    "the shared rate limit cannot be read from the database: this process limits itself alone"
                );
            }
            Notice::LimitedTogether => tracing::info!("the rate limit is shared with other replicas again"),
            Notice::LimitNotShared { error } => {
                tracing::debug!(error = output::chain(error), "the rate limit could not be shared with other replicas");
            }
            Notice::NotDispatched { error } => {
                tracing::warn!(error = output::chain(error), "due deliveries could not be read");
            }
            Notice::Delivery { integration_id, batch, took, failed } => {
                let id = (batch.id.0.as_str(), integration_id.as_str());
                let seqs = (batch.first_seq, batch.last_seq);
                let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                let result = if failed.is_none() { "delivered" } else { "failed" };
                counter!("syncd_deliveries_total", "result" => result).increment(1);
                histogram!("syncd_delivery_seconds").record(took.as_secs_f64());
                delivery(id, seqs, batch.attempts.saturating_add(1), duration_ms, failed);
            }
            Notice::DeliveryNotNoted { integration_id, batch, error } => tracing::warn!(
                delivery.id = batch.id.0.as_str(),
                integration.id = integration_id.as_str(),
                error = output::chain(error),
                "the result of a delivery could not be stored"
            ),
            _ => {}
        }
    }
}

fn key(accepted: bool, changed: bool) {
    gauge!("syncd_kombo_key_accepted").set(if accepted { 1.0 } else { 0.0 });
    match (accepted, changed) {
        (true, true) => tracing::info!("Kombo accepts the key again"),
        (false, true) => {
            tracing::error!(
                "Kombo rejects the key: nothing is fetched until it is accepted again; check kombo.api_key"
            );
        }
        (_, false) => {}
    }
}

fn delivery(
    (id, integration): (&str, &str),
    (first_seq, last_seq): (i64, i64),
    attempts: i32,
    duration_ms: u64,
    failed: Option<(&Failure, Verdict)>,
) {
    match failed {
        None => tracing::debug!(
            delivery.id = id,
            integration.id = integration,
            first_seq,
            last_seq,
            attempts,
            duration_ms,
            "delivered"
        ),
        Some((failure, Verdict::Again(at))) => tracing::warn!(
            delivery.id = id,
            integration.id = integration,
            first_seq,
            last_seq,
            attempts,
            error = failure.error,
            again_at = %at,
            "a delivery failed"
        ),
        Some((failure, Verdict::GivenUp)) => {
            counter!("syncd_deliveries_total", "result" => "given_up").increment(1);
            tracing::error!(
                delivery.id = id,
                integration.id = integration,
                first_seq,
                last_seq,
                attempts,
                error = failure.error,
                "a delivery became a dead letter: `syncd deliveries retry` sends it again"
            );
        }
    }
}
