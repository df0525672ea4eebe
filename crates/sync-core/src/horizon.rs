//! Which stored times count. Plain functions.
//!
//! A clock that was wrong for a moment, or one wrong answer, must not be believed for ever. So no stored time counts
//! that lies further ahead than its own longest wait: what waits for it is due now, and a lease that ends then has
//! expired.

use std::time::Duration;

use kombo_model::Timestamp;

/// How far the clocks of processes that share a store may differ before one of them counts as wrong.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// Whether a stored time is still ahead: later than now, and not further ahead than the longest wait that ends with it.
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
/// // Nobody waits for a day: whoever stored that had a wrong clock.
/// assert!(!is_ahead(now.saturating_add(hour * 24), now, hour));
/// # Ok::<(), kombo_model::ParseTimestampError>(())
/// ```
pub fn is_ahead(time: Timestamp, now: Timestamp, longest: Duration) -> bool {
    time > now && time <= latest(now, longest)
}

/// The latest time that counts where nothing waits longer than `longest`.
pub fn latest(now: Timestamp, longest: Duration) -> Timestamp {
    now.saturating_add(longest).saturating_add(TOLERANCE)
}

/// A stored time at which something happened, if it can have: what lies ahead of the clock did not happen then.
pub fn happened(time: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    time.filter(|time| *time <= latest(now, Duration::ZERO))
}

/// What waits is due, and who holds it: the times that count when work is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// The time.
    pub now: Timestamp,
    /// The longest that anything waits.
    pub longest_wait: Duration,
    /// How long a lease holds without being extended.
    pub lease_ttl: Duration,
}

impl Horizon {
    /// Whether what is not to begin before this time may begin.
    pub fn is_due(&self, not_before: Timestamp) -> bool {
        !is_ahead(not_before, self.now, self.longest_wait)
    }

    /// Whether a lease that expires then is held.
    pub fn is_held(&self, expires_at: Timestamp) -> bool {
        is_ahead(expires_at, self.now, self.lease_ttl)
    }

    /// The latest start that is still waited for.
    pub fn latest_wait(&self) -> Timestamp {
        latest(self.now, self.longest_wait)
    }

    /// The latest end of a lease that counts.
    pub fn latest_lease(&self) -> Timestamp {
        latest(self.now, self.lease_ttl)
    }
}
