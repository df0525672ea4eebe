//! Decides when requests to the source may be sent, from the configured pace and the source's own limit. All replicas
//! share the state. Functions over a transaction.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::horizon::is_ahead;
use crate::jobs::request::SyncKind;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;

/// Full fetches always reserve this part of the source's limit for deltas: a fiftieth.
const RESERVED_PART: u64 = 50;
/// Full fetches reserve half of the part of the limit that belongs to the rest of the period. A full fetch that used up the
/// limit early would delay deltas until the renewal. What no delta uses is free again before the period ends.
const RESERVED_OF_REST: u64 = 2;
/// The usual period of the source's limit.
const PERIOD: Duration = Duration::from_secs(60);
/// A process takes this part of the limit at a time. A smaller part would cost more transactions. Of a larger one, more
/// would be unused in one process while another needs it.
const TAKEN_PART: u64 = 20;
/// Time limit for the request that determines the remainder of the limit. After it, another request tries.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// All processes together have taken but not sent at most this part of the limit: a half. If the source reports that
/// more than that remains beyond the stored number, other processes have used less than they took, and the source is
/// right.
const UNDER_WAY_PART: u64 = 2;
/// The source reports whole seconds. Times that differ by less belong to the same renewal.
const SAME_RENEWAL: Duration = Duration::from_secs(2);
/// The longest wait for a renewal, whatever the source reports. After it, one request checks again.
const LONGEST_RENEWAL: Duration = Duration::from_secs(300);
/// Maximum number of requests, of all processes, that wait for their slots.
const MOST_WAITING: u32 = 256;

/// The shared state that decides when requests to the source may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pacing {
    /// The next free slot of a configured pace.
    pub next_at: Option<Timestamp>,
    /// The remainder of the source's own limit.
    pub budget: Budget,
}

/// The known remainder of the source's own limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Budget {
    /// The remainder is unknown.
    #[default]
    Unknown,
    /// A request determines the remainder, until this time at the latest.
    Asked(Timestamp),
    /// The remainder is known.
    Left {
        /// The limit.
        limit: u64,
        /// Number of requests that no process has taken.
        left: u64,
        /// When the limit is renewed.
        renewed_at: Timestamp,
    },
}

/// The source's report on its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// The source reported nothing: it has no limit, or there was no answer.
    Nothing,
    /// The source reported the remainder.
    Left {
        /// The limit; 0 if not reported.
        limit: u64,
        /// Number of remaining requests.
        left: u64,
        /// Number of requests that this process has taken and the source has not counted yet.
        uncounted: u64,
        /// When the limit is renewed, by our clock.
        renewed_at: Timestamp,
    },
}

/// The number of requests that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allotment {
    /// A number of requests.
    Requests {
        /// The number.
        count: u64,
        /// How many of them only deltas may send.
        reserved: u64,
        /// Until when they may be sent.
        until: Timestamp,
    },
    /// One request. Its answer shows the remainder.
    Probe,
    /// None until another request has determined the remainder, which takes as long as an answer.
    Turn,
    /// None until this time.
    Wait(Timestamp),
}

/// Takes `count` slots of a configured pace, `interval` apart, after the slots that are already taken. Returns the time
/// of the first.
///
/// Unused slots expire, so a pause does not allow a burst.
pub fn reserve(tx: &mut dyn Tx, count: u32, interval: Duration, now: Timestamp) -> TxResult<Timestamp> {
    let mut pacing = tx.pacing()?;
    let longest = interval.saturating_mul(count.max(MOST_WAITING));
    let first = pacing.next_at.filter(|next| is_ahead(*next, now, longest)).unwrap_or(now);
    pacing.next_at = Some(first.saturating_add(interval.saturating_mul(count)));
    tx.put_pacing(&pacing)?;
    Ok(first)
}

/// Takes a part of the source's remaining limit, after applying what the source `observed`.
pub fn allot(tx: &mut dyn Tx, kind: SyncKind, observed: Option<Observation>, now: Timestamp) -> TxResult<Allotment> {
    let mut pacing = tx.pacing()?;
    let before = pacing.budget;
    if let Some(observed) = observed {
        pacing.budget.learn(observed, now);
    }
    let allotment = pacing.budget.allot(kind, now);
    if pacing.budget != before {
        tx.put_pacing(&pacing)?;
    }
    Ok(allotment)
}

/// Applies the source's report.
pub fn learn(tx: &mut dyn Tx, observed: Observation, now: Timestamp) -> TxResult<()> {
    let mut pacing = tx.pacing()?;
    pacing.budget.learn(observed, now);
    tx.put_pacing(&pacing)
}

/// Returns `count` unused requests that were taken until `until`.
pub fn give_back(tx: &mut dyn Tx, count: u64, until: Timestamp) -> TxResult<()> {
    let mut pacing = tx.pacing()?;
    pacing.budget.give_back(count, until);
    tx.put_pacing(&pacing)
}

impl Budget {
    /// Returns `count` unused requests that were taken until `until`.
    pub fn give_back(&mut self, count: u64, until: Timestamp) {
        // Requests of an earlier limit expired with it.
        if let Self::Left { left, renewed_at, .. } = self
            && *renewed_at <= until.saturating_add(SAME_RENEWAL)
        {
            *left = left.saturating_add(count);
        }
    }

    /// Applies the source's report. A report on another renewal replaces the previous one, so a single wrong answer
    /// counts only until the next.
    pub fn learn(&mut self, observed: Observation, now: Timestamp) {
        let Observation::Left { limit, left, uncounted, renewed_at } = observed else {
            if let Self::Asked(_) = self {
                *self = Self::Unknown;
            }
            return;
        };
        let renewed_at = renewed_at.min(now.saturating_add(LONGEST_RENEWAL));
        let new = Self::Left { limit, left: left.saturating_sub(uncounted), renewed_at };
        *self = match *self {
            // The report is older than that renewal and does not show what has remained since.
            Self::Left { renewed_at: known, .. } if renewed_at <= now && known > now => return,
            // No answer includes requests that are taken but not sent. An answer can therefore show that others took
            // more, or that far less was used than taken.
            Self::Left { limit: known_limit, left: known_left, renewed_at: known }
                if renewed_at <= known.saturating_add(SAME_RENEWAL)
                    && known <= renewed_at.saturating_add(SAME_RENEWAL) =>
            {
                let surely = left.saturating_sub(uncounted.max(limit / UNDER_WAY_PART));
                Self::Left {
                    limit: limit.max(known_limit),
                    left: left.min(known_left).max(surely),
                    renewed_at: renewed_at.max(known),
                }
            }
            Self::Left { .. } | Self::Asked(_) | Self::Unknown => new,
        };
    }

    /// Takes a part of the remaining limit.
    pub fn allot(&mut self, kind: SyncKind, now: Timestamp) -> Allotment {
        match self {
            Self::Asked(until) if is_ahead(*until, now, ASKED_FOR) => Allotment::Turn,
            Self::Left { limit, left, renewed_at } if is_ahead(*renewed_at, now, LONGEST_RENEWAL) => {
                let reserve = of_deltas(*limit, renewed_at.since(now));
                let available = match kind {
                    SyncKind::Delta => *left,
                    SyncKind::Full => left.saturating_sub(reserve),
                };
                if available == 0 {
                    return Allotment::Wait(match kind {
                        SyncKind::Delta => *renewed_at,
                        SyncKind::Full => free_at(*limit, *left, *renewed_at),
                    });
                }
                let count = (*limit / TAKEN_PART).clamp(1, available);
                *left -= count;
                Allotment::Requests { count, reserved: reserve.saturating_sub(*left).min(count), until: *renewed_at }
            }
            Self::Unknown | Self::Asked(_) | Self::Left { .. } => {
                *self = Self::Asked(now.saturating_add(ASKED_FOR));
                Allotment::Probe
            }
        }
    }
}

/// Returns the number of requests that only deltas may send, `rest` before the renewal. None of a limit below fifty, which is
/// too small to share.
fn of_deltas(limit: u64, rest: Duration) -> u64 {
    if limit < RESERVED_PART {
        return 0;
    }
    let of_rest =
        u128::from(limit) * rest.min(PERIOD).as_millis() / (PERIOD.as_millis() * u128::from(RESERVED_OF_REST));
    u64::try_from(of_rest).unwrap_or(limit).max(limit / RESERVED_PART)
}

/// Returns when a full fetch may take half of the usual part of the remaining limit.
fn free_at(limit: u64, left: u64, renewed_at: Timestamp) -> Timestamp {
    let free = left.saturating_sub(limit / RESERVED_PART);
    let wanted = (limit / TAKEN_PART / 2).max(1).min(free);
    if wanted == 0 {
        return renewed_at;
    }
    let period = u64::try_from(PERIOD.as_millis()).unwrap_or(u64::MAX);
    let rest = (left - wanted).saturating_mul(period * RESERVED_OF_REST) / limit.max(1);
    renewed_at.saturating_sub(Duration::from_millis(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    fn observed(left: u64, renewed_at: i64) -> Observation {
        Observation::Left { limit: 300, left, uncounted: 0, renewed_at: at(renewed_at) }
    }

    /// Requests until second 60.
    fn requests(count: u64, reserved: u64) -> Allotment {
        Allotment::Requests { count, reserved, until: at(60) }
    }

    #[test]
    fn one_request_finds_out_what_is_left() {
        let mut budget = Budget::default();
        assert_eq!(budget.allot(SyncKind::Full, at(0)), Allotment::Probe);
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Turn);
        assert_eq!(budget.allot(SyncKind::Delta, at(5)), Allotment::Probe, "the first one may have died");
        budget.learn(observed(299, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(5)), requests(15, 0));
    }

    #[test]
    fn full_fetches_spread_over_the_period() {
        let mut budget = Budget::default();
        budget.learn(observed(300, 60), at(0));
        let mut taken = 0;
        while let Allotment::Requests { count, .. } = budget.allot(SyncKind::Full, at(0)) {
            taken += count;
        }
        assert_eq!(taken, 150, "half of the limit");
        let (mut now, mut waits) = (at(0), 0);
        loop {
            match budget.allot(SyncKind::Full, now) {
                Allotment::Requests { count, .. } => taken += count,
                Allotment::Wait(until) if until == at(60) => break,
                Allotment::Wait(until) => {
                    assert!(until > now && until.since(now) <= Duration::from_secs(3), "{now} {until}");
                    (now, waits) = (until, waits + 1);
                }
                Allotment::Probe | Allotment::Turn => panic!("the limit is known"),
            }
        }
        assert_eq!((taken, waits), (294, 21), "all but a fiftieth, a few at a time");
        assert_eq!(budget.allot(SyncKind::Delta, now), requests(6, 6));
    }

    #[test]
    fn no_more_is_taken_than_is_left_and_deltas_have_the_last_of_it() {
        let mut budget = Budget::default();
        budget.learn(observed(25, 60), at(58));
        assert_eq!(budget.allot(SyncKind::Full, at(58)), requests(15, 0));
        assert_eq!(budget.allot(SyncKind::Full, at(58)), requests(4, 0));
        assert_eq!(budget.allot(SyncKind::Full, at(58)), Allotment::Wait(at(60)));
        assert_eq!(budget.allot(SyncKind::Delta, at(58)), requests(6, 6));
        assert_eq!(budget.allot(SyncKind::Delta, at(58)), Allotment::Wait(at(60)));
        assert_eq!(budget.allot(SyncKind::Delta, at(60)), Allotment::Probe, "it is renewed");
    }

    #[test]
    fn what_is_given_back_is_there_for_others_until_the_renewal() {
        let mut budget = Budget::default();
        budget.learn(observed(20, 60), at(58));
        assert_eq!(budget.allot(SyncKind::Delta, at(58)), requests(15, 1), "a fiftieth is for deltas only");
        budget.give_back(11, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 16, renewed_at: at(60) });
        budget.learn(observed(299, 120), at(1));
        budget.give_back(4, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 299, renewed_at: at(120) });
    }

    #[test]
    fn what_others_took_is_noticed() {
        let mut budget = Budget::default();
        budget.learn(observed(299, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), requests(15, 0));
        budget.learn(observed(298, 61), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 284, renewed_at: at(61) }, "14 are taken and not sent");
        budget.learn(observed(100, 60), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 100, renewed_at: at(61) });
    }

    #[test]
    fn a_source_that_counts_less_is_believed() {
        let mut budget = Budget::default();
        budget.learn(observed(300, 60), at(1));
        let mut taken = 0;
        while let Allotment::Requests { count, .. } = budget.allot(SyncKind::Delta, at(1)) {
            taken += count;
        }
        assert_eq!(taken, 300);
        budget.learn(observed(150, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Wait(at(60)), "all that may be under way");
        budget.learn(observed(300, 60), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 150, renewed_at: at(60) });
    }

    #[test]
    fn an_answer_of_before_the_renewal_says_nothing() {
        let mut budget = Budget::default();
        budget.learn(observed(299, 120), at(61));
        budget.learn(observed(0, 60), at(61));
        assert_eq!(budget, Budget::Left { limit: 300, left: 299, renewed_at: at(120) });
    }

    #[test]
    fn a_renewal_counts_what_is_under_way() {
        let mut budget = Budget::default();
        budget.learn(observed(10, 60), at(1));
        budget.learn(Observation::Left { limit: 300, left: 299, uncounted: 14, renewed_at: at(120) }, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 285, renewed_at: at(120) });
    }

    #[test]
    fn a_refusal_stops_everybody() {
        let mut budget = Budget::default();
        budget.learn(observed(200, 60), at(1));
        budget.learn(Observation::Left { limit: 0, left: 0, uncounted: 0, renewed_at: at(60) }, at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(2)), Allotment::Wait(at(60)));
    }

    #[test]
    fn where_nothing_is_reported_the_next_one_asks() {
        let mut budget = Budget::default();
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
        budget.learn(Observation::Nothing, at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
    }

    #[test]
    fn a_later_answer_replaces_a_wrong_one() {
        let mut budget = Budget::default();
        budget.learn(observed(250, 3_600), at(1));
        budget.learn(observed(249, 60), at(2));
        assert_eq!(budget, Budget::Left { limit: 300, left: 249, renewed_at: at(60) });
    }

    #[test]
    fn no_renewal_is_waited_for_longer_than_the_longest() {
        let mut budget = Budget::default();
        budget.learn(observed(0, 40 * 86_400), at(0));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Wait(at(300)));
        assert_eq!(budget.allot(SyncKind::Delta, at(300)), Allotment::Probe);
    }

    #[test]
    fn what_a_clock_stored_that_was_ahead_does_not_count() {
        for ahead in [3_600, 40 * 86_400] {
            let mut budget = Budget::Left { limit: 300, left: 0, renewed_at: at(ahead + 60) };
            assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
            let mut budget = Budget::Asked(at(ahead + 5));
            assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
        }
    }
}
