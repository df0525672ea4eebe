use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::Timestamp;

/// The lead of our clock over Kombo's, by the latest answer with a `Date` header. Zero if our clock is behind, or
/// before the first answer.
#[derive(Debug, Default)]
pub(super) struct ClockLead(AtomicU64);

impl ClockLead {
    /// Notes an answer. An answer without a `Date` header has no effect.
    pub(super) fn note(&self, requested_at: Timestamp, server_date: Option<Timestamp>) {
        if let Some(date) = server_date {
            let lead = u64::try_from(requested_at.since(date).as_millis()).unwrap_or(u64::MAX);
            self.0.store(lead, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}
