//! When requests to the source may be sent: what is configured and what the source tells of its own limit, shared by
//! all replicas. Functions over a unit of work.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::horizon::is_ahead;
use crate::jobs::request::SyncKind;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;

/// Full fetches leave this part of the source's limit to deltas: a fiftieth.
const RESERVED_PART: u64 = 50;
/// The part of the limit that a process takes at a time: fewer would cost more units, more would lie idle with one
/// process while another needs it.
const TAKEN_PART: u64 = 20;
/// How long a request that finds out what is left may take before another one tries.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// No more than this part of the limit is taken and not sent yet, by however many processes: a half. If the source says
/// that more than that is left beyond what is known here, others count less than we do, and the source is right.
const UNDER_WAY_PART: u64 = 2;
/// The source tells whole seconds: what differs by less is the same renewal.
const SAME_RENEWAL: Duration = Duration::from_secs(2);
/// The longest that a renewal is waited for, whatever the source says: then one request asks again.
const LONGEST_RENEWAL: Duration = Duration::from_secs(300);
/// No more requests than this wait for their places, by however many processes.
const MOST_WAITING: u32 = 256;

/// When requests to the source may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pacing {
    /// From when on the next place of a configured pace is free.
    pub next_at: Option<Timestamp>,
    /// What is left of the source's own limit.
    pub budget: Budget,
}

/// What is known of the source's own limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Budget {
    /// Nothing.
    #[default]
    Unknown,
    /// Somebody is finding out, until then.
    Asked(Timestamp),
    /// So many requests are left that nobody has taken.
    Left {
        /// Out of so many.
        limit: u64,
        /// How many.
        left: u64,
        /// Until then.
        renewed_at: Timestamp,
    },
}

/// What the source said of its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// Nothing, though it was asked: it has none, or there was no answer.
    Nothing,
    /// How much is left.
    Left {
        /// Out of so many; 0 if it did not say.
        limit: u64,
        /// How many.
        left: u64,
        /// How many requests the teller has taken and the source has not counted yet.
        uncounted: u64,
        /// Until then, by our clock.
        renewed_at: Timestamp,
    },
}

/// How many requests may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allotment {
    /// So many, until then.
    Requests(u64, Timestamp),
    /// One, whose answer tells what is left.
    Probe,
    /// None before somebody has found out what is left, which takes as long as an answer takes.
    Turn,
    /// None before then.
    Wait(Timestamp),
}

/// Takes `count` places of a configured pace, `interval` apart, behind those that others took. Returns the time of the
/// first.
///
/// Places that nobody took in time are gone: a pause does not allow a burst.
pub fn reserve(tx: &mut dyn Tx, count: u32, interval: Duration, now: Timestamp) -> TxResult<Timestamp> {
    let mut pacing = tx.pacing()?;
    let longest = interval.saturating_mul(count.max(MOST_WAITING));
    let first = pacing.next_at.filter(|next| is_ahead(*next, now, longest)).unwrap_or(now);
    pacing.next_at = Some(first.saturating_add(interval.saturating_mul(count)));
    tx.put_pacing(&pacing)?;
    Ok(first)
}

/// Takes some of what is left of the source's limit, after taking note of what the source `told`.
pub fn allot(tx: &mut dyn Tx, kind: SyncKind, told: Option<Observation>, now: Timestamp) -> TxResult<Allotment> {
    let mut pacing = tx.pacing()?;
    let before = pacing.budget;
    if let Some(told) = told {
        pacing.budget.learn(told, now);
    }
    let allotment = pacing.budget.allot(kind, now);
    if pacing.budget != before {
        tx.put_pacing(&pacing)?;
    }
    Ok(allotment)
}

/// Takes note of what the source told.
pub fn learn(tx: &mut dyn Tx, told: Observation, now: Timestamp) -> TxResult<()> {
    let mut pacing = tx.pacing()?;
    pacing.budget.learn(told, now);
    tx.put_pacing(&pacing)
}

/// Gives back `count` requests, taken until `until`, that will not be sent.
pub fn give_back(tx: &mut dyn Tx, count: u64, until: Timestamp) -> TxResult<()> {
    let mut pacing = tx.pacing()?;
    pacing.budget.give_back(count, until);
    tx.put_pacing(&pacing)
}

impl Budget {
    /// Gives back `count` requests, taken until `until`, that will not be sent.
    pub fn give_back(&mut self, count: u64, until: Timestamp) {
        // What was taken of an earlier limit is gone with it.
        if let Self::Left { left, renewed_at, .. } = self
            && *renewed_at <= until.saturating_add(SAME_RENEWAL)
        {
            *left = left.saturating_add(count);
        }
    }

    /// Takes note of what the source told. What it says of another renewal replaces what it said before: one wrong
    /// answer counts until the next one.
    pub fn learn(&mut self, told: Observation, now: Timestamp) {
        let Observation::Left { limit, left, uncounted, renewed_at } = told else {
            if let Self::Asked(_) = self {
                *self = Self::Unknown;
            }
            return;
        };
        let renewed_at = renewed_at.min(now.saturating_add(LONGEST_RENEWAL));
        let new = Self::Left { limit, left: left.saturating_sub(uncounted), renewed_at };
        *self = match *self {
            // It was told before that renewal, and says nothing of what is left since.
            Self::Left { renewed_at: known, .. } if renewed_at <= now && known > now => return,
            // What is taken and not sent yet is in no answer, so an answer tells that others took more, or that far
            // less is used than was taken.
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

    /// Takes some of what is left.
    pub fn allot(&mut self, kind: SyncKind, now: Timestamp) -> Allotment {
        match self {
            Self::Asked(until) if is_ahead(*until, now, ASKED_FOR) => Allotment::Turn,
            Self::Left { limit, left, renewed_at } if is_ahead(*renewed_at, now, LONGEST_RENEWAL) => {
                let reserved = match kind {
                    SyncKind::Delta => 0,
                    SyncKind::Full => *limit / RESERVED_PART,
                };
                match left.saturating_sub(reserved) {
                    0 => Allotment::Wait(*renewed_at),
                    available => {
                        let taken = (*limit / TAKEN_PART).clamp(1, available);
                        *left -= taken;
                        Allotment::Requests(taken, *renewed_at)
                    }
                }
            }
            Self::Unknown | Self::Asked(_) | Self::Left { .. } => {
                *self = Self::Asked(now.saturating_add(ASKED_FOR));
                Allotment::Probe
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    fn told(left: u64, renewed_at: i64) -> Observation {
        Observation::Left { limit: 300, left, uncounted: 0, renewed_at: at(renewed_at) }
    }

    #[test]
    fn one_request_finds_out_what_is_left() {
        let mut budget = Budget::default();
        assert_eq!(budget.allot(SyncKind::Full, at(0)), Allotment::Probe);
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Turn);
        assert_eq!(budget.allot(SyncKind::Delta, at(5)), Allotment::Probe, "the first one may have died");
        budget.learn(told(299, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(5)), Allotment::Requests(15, at(60)));
    }

    #[test]
    fn no_more_is_taken_than_is_left_and_deltas_have_the_last_of_it() {
        let mut budget = Budget::default();
        budget.learn(told(25, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Full, at(1)), Allotment::Requests(15, at(60)));
        assert_eq!(budget.allot(SyncKind::Full, at(1)), Allotment::Requests(4, at(60)));
        assert_eq!(budget.allot(SyncKind::Full, at(1)), Allotment::Wait(at(60)));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Requests(6, at(60)));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Wait(at(60)));
        assert_eq!(budget.allot(SyncKind::Delta, at(60)), Allotment::Probe, "it is renewed");
    }

    #[test]
    fn what_is_given_back_is_there_for_others_until_the_renewal() {
        let mut budget = Budget::default();
        budget.learn(told(20, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Requests(15, at(60)));
        budget.give_back(11, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 16, renewed_at: at(60) });
        budget.learn(told(299, 120), at(1));
        budget.give_back(4, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 299, renewed_at: at(120) });
    }

    #[test]
    fn what_others_took_is_noticed() {
        let mut budget = Budget::default();
        budget.learn(told(299, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Requests(15, at(60)));
        budget.learn(told(298, 61), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 284, renewed_at: at(61) }, "14 are taken and not sent");
        budget.learn(told(100, 60), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 100, renewed_at: at(61) });
    }

    #[test]
    fn a_source_that_counts_less_is_believed() {
        let mut budget = Budget::default();
        budget.learn(told(300, 60), at(1));
        let mut taken = 0;
        while let Allotment::Requests(count, _) = budget.allot(SyncKind::Delta, at(1)) {
            taken += count;
        }
        assert_eq!(taken, 300);
        budget.learn(told(150, 60), at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(1)), Allotment::Wait(at(60)), "all that may be under way");
        budget.learn(told(300, 60), at(1));
        assert_eq!(budget, Budget::Left { limit: 300, left: 150, renewed_at: at(60) });
    }

    #[test]
    fn an_answer_of_before_the_renewal_says_nothing() {
        let mut budget = Budget::default();
        budget.learn(told(299, 120), at(61));
        budget.learn(told(0, 60), at(61));
        assert_eq!(budget, Budget::Left { limit: 300, left: 299, renewed_at: at(120) });
    }

    #[test]
    fn a_renewal_counts_what_is_under_way() {
        let mut budget = Budget::default();
        budget.learn(told(10, 60), at(1));
        budget.learn(Observation::Left { limit: 300, left: 299, uncounted: 14, renewed_at: at(120) }, at(60));
        assert_eq!(budget, Budget::Left { limit: 300, left: 285, renewed_at: at(120) });
    }

    #[test]
    fn a_refusal_stops_everybody() {
        let mut budget = Budget::default();
        budget.learn(told(200, 60), at(1));
        budget.learn(Observation::Left { limit: 0, left: 0, uncounted: 0, renewed_at: at(60) }, at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(2)), Allotment::Wait(at(60)));
    }

    #[test]
    fn where_nothing_is_told_the_next_one_asks() {
        let mut budget = Budget::default();
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
        budget.learn(Observation::Nothing, at(1));
        assert_eq!(budget.allot(SyncKind::Delta, at(0)), Allotment::Probe);
    }

    #[test]
    fn a_later_answer_replaces_a_wrong_one() {
        let mut budget = Budget::default();
        budget.learn(told(250, 3_600), at(1));
        budget.learn(told(249, 60), at(2));
        assert_eq!(budget, Budget::Left { limit: 300, left: 249, renewed_at: at(60) });
    }

    #[test]
    fn no_renewal_is_waited_for_longer_than_the_longest() {
        let mut budget = Budget::default();
        budget.learn(told(0, 40 * 86_400), at(0));
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
