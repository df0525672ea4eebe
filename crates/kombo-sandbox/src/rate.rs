//! The rate limit: a fixed window over all requests of the key.

use crate::{RateLimit, Stamp};

/// The current window.
#[derive(Debug, Default)]
pub(crate) struct RateWindow {
    started: i64,
    used: u32,
}

/// The result of the rate limit for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateVerdict {
    pub(crate) allowed: bool,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) reset_seconds: i64,
}

impl RateWindow {
    /// Counts a request, or only checks the limit if `counts` is false.
    pub(crate) fn see(&mut self, limit: RateLimit, now: Stamp, counts: bool) -> RateVerdict {
        let seconds = now.micros().div_euclid(1_000_000);
        let window = i64::from(limit.window.max(1));
        let started = seconds.div_euclid(window) * window;
        if started != self.started {
            *self = Self { started, used: 0 };
        }
        let (shown, refuses) = if limit.requests == 0 { (300, false) } else { (limit.requests, true) };
        let allowed = !(refuses && counts && self.used >= shown);
        if counts && allowed {
            self.used = self.used.saturating_add(1);
        }
        RateVerdict {
            allowed,
            limit: shown,
            // Without a limit, a client that paces itself must not stop either.
            remaining: if refuses { shown.saturating_sub(self.used) } else { shown },
            reset_seconds: started + window - seconds,
        }
    }
}
