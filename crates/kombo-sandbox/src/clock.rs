//! The sandbox's clock: skewed, moved, or set by hand.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::TimeDelta;
use serde::Serialize;

use crate::Stamp;

/// The mode of the sandbox's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum ClockMode {
    /// The machine's time plus an offset.
    Real {
        /// Microseconds added to the machine's time.
        offset_micros: i64,
    },
    /// Stands still until it is changed.
    Manual {
        /// The current time.
        now: Stamp,
    },
}

impl Default for ClockMode {
    fn default() -> Self {
        Self::Real { offset_micros: 0 }
    }
}

/// The clock for `changed_at`, the `Date` header, the rate limit and anonymisation.
#[derive(Debug)]
pub struct SandboxClock {
    mode: Mutex<ClockMode>,
}

impl SandboxClock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self { mode: Mutex::new(mode) }
    }

    /// Returns the mode of the clock.
    pub fn mode(&self) -> ClockMode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the mode of the clock.
    pub fn set_mode(&self, mode: ClockMode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// Returns the current time, in microseconds.
    pub fn now(&self) -> Stamp {
        match self.mode() {
            ClockMode::Real { offset_micros } => machine_time().plus_micros(offset_micros),
            ClockMode::Manual { now } => now,
        }
    }

    /// Stops the clock at `now`. From then on, it moves only by hand.
    pub fn set(&self, now: Stamp) {
        self.set_mode(ClockMode::Manual { now });
    }

    /// Follows the machine's time plus `skew`.
    pub fn skew(&self, skew: TimeDelta) {
        self.set_mode(ClockMode::Real { offset_micros: skew.num_microseconds().unwrap_or_default() });
    }

    /// Moves the clock by `delta`, forward or back, in either mode.
    pub fn advance(&self, delta: TimeDelta) {
        let micros = delta.num_microseconds().unwrap_or_default();
        let mut mode = self.mode.lock().unwrap_or_else(PoisonError::into_inner);
        *mode = match *mode {
            ClockMode::Real { offset_micros } => {
                ClockMode::Real { offset_micros: offset_micros.saturating_add(micros) }
            }
            ClockMode::Manual { now } => ClockMode::Manual { now: now.plus_micros(micros) },
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the sandbox reads the machine's time, and nowhere else")]
fn machine_time() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = SandboxClock::new(ClockMode::default());
        clock.set(Stamp::from_millis(1000));
        assert_eq!(clock.now(), Stamp::from_millis(1000));
        clock.advance(TimeDelta::seconds(-1));
        assert_eq!(clock.now(), Stamp::from_millis(0));
    }

    #[test]
    fn a_skewed_clock_is_off_by_its_skew() {
        let clock = SandboxClock::new(ClockMode::default());
        let before = clock.now();
        clock.skew(TimeDelta::minutes(10));
        assert!(clock.now() >= before.plus(TimeDelta::minutes(10)));
        clock.advance(TimeDelta::minutes(-20));
        assert!(clock.now() < before);
    }
}
