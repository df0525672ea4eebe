//! Decides which stored times count. Plain functions.
//!
//! A clock that was briefly wrong, or a single wrong answer, must not have a lasting effect. A stored time therefore
//! counts only if it is no further ahead than its own longest wait. Otherwise, work that waits for it is due now, and a
//! lease that ends then has expired.

use std::time::Duration;

use kombo_model::Timestamp;

/// The largest difference between the clocks of processes that share a store. Beyond it, one of them counts as wrong.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// Whether a stored time is still ahead: later than now, but no further ahead than the longest possible wait.
///
/// ```
/// use std::time::Duration;
///
/// use kombo_model::Timestamp;
/// use sync_core::horizon::is_ahead;
///
/// let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
/// let hour = Duration::from_secs(3_600);
/// assert!(is_ahead(now.saturating_add(hour), now, hour));
/// assert!(!is_ahead(now, now, hour));
/// // Nothing waits for a day: the clock that stored this time was wrong.
/// assert!(!is_ahead(now.saturating_add(hour * 24), now, hour));
/// # Ok::<(), kombo_model::ParseTimestampError>(())
/// ```
pub fn is_ahead(time: Timestamp, now: Timestamp, longest: Duration) -> bool {
    time > now && time <= latest(now, longest)
}

/// Returns the latest time that counts if nothing waits longer than `longest`.
pub fn latest(now: Timestamp, longest: Duration) -> Timestamp {
    now.saturating_add(longest).saturating_add(TOLERANCE)
}

/// Returns the stored time of an event, unless it lies ahead of the clock: the event cannot have happened then.
pub fn happened(time: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    time.filter(|time| *time <= latest(now, Duration::ZERO))
}

/// The limits for stored times that decide which work is due and which leases are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The current time.
    pub now: Timestamp,
    /// The longest possible wait.
    pub longest_wait: Duration,
    /// Duration of a lease without an extension.
    pub lease_ttl: Duration,
}

impl Horizon {
    /// Whether work that must not begin before `not_before` may begin.
    pub fn is_due(&self, not_before: Timestamp) -> bool {
        !is_ahead(not_before, self.now, self.longest_wait)
    }

    /// Whether a lease that expires at `expires_at` is still valid.
    pub fn is_held(&self, expires_at: Timestamp) -> bool {
        is_ahead(expires_at, self.now, self.lease_ttl)
    }

    /// Returns the latest `not_before` that counts.
    pub fn latest_wait(&self) -> Timestamp {
        latest(self.now, self.longest_wait)
    }

    /// Returns the latest expiry of a lease that counts.
    pub fn latest_lease(&self) -> Timestamp {
        latest(self.now, self.lease_ttl)
    }
}
