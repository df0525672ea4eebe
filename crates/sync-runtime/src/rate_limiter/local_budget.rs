use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::jobs::SyncKind;
use sync_core::ratelimit::{Allotment, Budget, Observation};

use super::Answer;

/// Kombo rounds the time until the renewal to whole seconds, so the renewal may be almost a second later.
const RESET_SLACK: Duration = Duration::from_millis(250);

/// The part of Kombo's own limit that this process may use.
#[derive(Debug, Default)]
pub(super) struct LocalBudget {
    /// Whether Kombo reports no limit.
    unlimited: bool,
    /// Whether Kombo has reported a limit.
    limited: bool,
    /// The requests that may be sent.
    pub(super) allotted: Option<Allotted>,
    /// Requests that were let through and not answered yet.
    in_flight: u64,
    /// The latest observation, if it is not stored yet.
    pub(super) observed: Option<Observation>,
    /// Whether others wait for the answer to a request of this process.
    probing: bool,
    /// The known budget of all processes while no store shares it.
    pub(super) alone: Budget,
}

/// Requests that this process may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allotted {
    pub(super) count: u64,
    /// How many of them only deltas may send.
    reserved: u64,
    pub(super) until: Timestamp,
}

/// The reason why a request has to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Wait until deltas have gone first, or an answer shows the remainder.
    Turn,
    /// Wait until the budget is renewed.
    Until(Timestamp),
}

impl LocalBudget {
    /// Lets a request through if the budget allows it. Returns whether it did.
    pub(super) fn spend(&mut self, kind: SyncKind, now: Timestamp) -> bool {
        let through = match &mut self.allotted {
            _ if self.unlimited => true,
            Some(allotted) if allotted.until > now => allotted.spend(kind),
            Some(_) | None => false,
        };
        self.in_flight += u64::from(through);
        through
    }

    /// Applies an allotment. Returns true for the request that determines the remainder: it may be sent.
    pub(super) fn receive(&mut self, allotment: Allotment) -> Result<bool, Wait> {
        match allotment {
            Allotment::Requests { count, reserved, until } => {
                let mut allotted = Allotted { count, reserved, until };
                // A full fetch takes more while some are left that only deltas may send.
                if let Some(known) = self.allotted.filter(|known| known.until == until) {
                    allotted.count += known.count;
                    allotted.reserved += known.reserved;
                }
                self.allotted = Some(allotted);
            }
            Allotment::Probe => {
                self.in_flight += 1;
                self.probing = true;
                return Ok(true);
            }
            Allotment::Turn => return Err(Wait::Turn),
            Allotment::Wait(until) => return Err(Wait::Until(until)),
        }
        Ok(false)
    }

    /// Applies an answer. Returns whether others wait for it.
    pub(super) fn learn(&mut self, answer: &Answer, now: Timestamp) -> bool {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(left) = if answer.exceeds_limit_of_key() { Some(0) } else { answer.remaining } {
            let waiting = self.allotted.filter(|allotted| allotted.until > now).map_or(0, |allotted| allotted.count);
            let renewal = answer.reset.or(answer.retry_after).unwrap_or(Duration::from_secs(1)) + RESET_SLACK;
            self.observed = Some(Observation::Left {
                limit: answer.limit.unwrap_or(0),
                left,
                uncounted: self.in_flight + waiting,
                renewed_at: now.saturating_add(renewal),
            });
            (self.unlimited, self.limited) = (false, true);
            if left == 0 {
                // The allotment no longer counts: others use the key too.
                self.allotted = None;
            }
        } else {
            // The answer may come from a gateway. Only an answer of Kombo shows that there is no limit.
            if (200..300).contains(&answer.status) {
                self.unlimited = !self.limited;
            }
            if self.probing {
                self.observed = Some(Observation::Nothing);
            }
        }
        std::mem::take(&mut self.probing)
    }

    /// Notes that there was no answer. Returns whether others wait for it.
    pub(super) fn miss(&mut self) -> bool {
        self.forget_one();
        if self.probing {
            self.observed = Some(Observation::Nothing);
        }
        std::mem::take(&mut self.probing)
    }

    /// Notes that a request that was let through is not sent.
    pub(super) fn forget_one(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

impl Allotted {
    fn spend(&mut self, kind: SyncKind) -> bool {
        let kept = match kind {
            SyncKind::Delta => 0,
            SyncKind::Full => self.reserved,
        };
        let is_enough = self.count > kept;
        self.count -= u64::from(is_enough);
        self.reserved = self.reserved.min(self.count);
        is_enough
    }
}

#[cfg(test)]
mod tests {
    use kombo_model::ErrorCode;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    fn answer(status: u16, code: Option<&ErrorCode>) -> Answer {
        Answer { status, code: code.cloned(), ..Answer::default() }
    }

    fn said(status: u16, limit: u64, remaining: u64, reset: u64) -> Answer {
        let reset = Some(Duration::from_secs(reset));
        Answer { limit: Some(limit), remaining: Some(remaining), reset, ..answer(status, None) }
    }

    /// Requests until second 60.
    fn requests(count: u64, reserved: u64) -> Allotment {
        Allotment::Requests { count, reserved, until: at(60) }
    }

    #[test]
    fn full_fetches_leave_what_is_reserved_for_deltas() {
        let (delta, full) = (SyncKind::Delta, SyncKind::Full);
        let mut budget = LocalBudget::default();
        assert_eq!(budget.receive(requests(4, 2)), Ok(false));
        assert!(budget.spend(full, at(0)) && budget.spend(full, at(0)));
        assert!(!budget.spend(full, at(0)), "two are reserved");
        assert_eq!(budget.receive(requests(1, 0)), Ok(false));
        assert!(budget.spend(full, at(0)) && !budget.spend(full, at(0)), "another process returned one");
        assert!(budget.spend(delta, at(0)) && budget.spend(delta, at(0)));
        assert!(!budget.spend(delta, at(0)));
    }

    #[test]
    fn what_is_allotted_is_spent_until_its_time() {
        let mut budget = LocalBudget::default();
        assert!(!budget.spend(SyncKind::Delta, at(0)));
        assert_eq!(budget.receive(requests(2, 0)), Ok(false));
        assert!(
            budget.spend(SyncKind::Delta, at(0))
                && !budget.spend(SyncKind::Delta, at(60))
                && budget.spend(SyncKind::Delta, at(1))
                && !budget.spend(SyncKind::Delta, at(1))
        );
        assert_eq!(budget.in_flight, 2);
        assert_eq!(budget.receive(Allotment::Turn), Err(Wait::Turn));
        assert_eq!(budget.receive(Allotment::Wait(at(60))), Err(Wait::Until(at(60))));
    }

    #[test]
    fn an_answer_is_passed_on_with_what_it_does_not_count() {
        let mut budget = LocalBudget::default();
        assert_eq!(budget.receive(Allotment::Probe), Ok(true));
        assert!(budget.learn(&said(200, 300, 299, 60), at(0)), "others wait for it");
        let renewed_at = at(60).saturating_add(RESET_SLACK);
        assert_eq!(budget.observed, Some(Observation::Left { limit: 300, left: 299, uncounted: 0, renewed_at }));
        assert_eq!(budget.receive(requests(15, 0)), Ok(false));
        assert!(budget.spend(SyncKind::Delta, at(0)) && budget.spend(SyncKind::Delta, at(0)));
        assert!(!budget.learn(&said(200, 300, 298, 60), at(0)));
        assert_eq!(budget.observed, Some(Observation::Left { limit: 300, left: 298, uncounted: 14, renewed_at }));
    }

    #[test]
    fn a_probe_without_an_answer_leaves_its_place() {
        let mut budget = LocalBudget::default();
        assert_eq!(budget.receive(Allotment::Probe), Ok(true));
        assert!(budget.miss());
        assert_eq!((budget.observed, budget.in_flight), (Some(Observation::Nothing), 0));
    }

    #[test]
    fn the_limit_of_one_tool_stops_nobody_else() {
        let mut budget = LocalBudget::default();
        budget.receive(requests(15, 0)).unwrap_or_default();
        let of_tool = Some(ErrorCode::RemoteRateLimitExceeded);
        let wait = Some(Duration::from_secs(1));
        budget.learn(&Answer { code: of_tool, retry_after: wait, ..said(429, 300, 299, 60) }, at(0));
        assert!(budget.spend(SyncKind::Delta, at(0)));
        budget.learn(&said(429, 300, 0, 60), at(0));
        assert!(!budget.spend(SyncKind::Delta, at(0)));
    }

    #[test]
    fn without_headers_there_is_no_limit_until_kombo_refuses() {
        let mut budget = LocalBudget::default();
        budget.learn(&answer(502, None), at(0));
        assert!(!budget.spend(SyncKind::Delta, at(0)), "that may have been said by something in between");
        budget.learn(&answer(200, None), at(0));
        assert!(budget.spend(SyncKind::Delta, at(0)));
        let wait = Some(Duration::from_secs(3));
        for code in [None, Some(&ErrorCode::RemoteRateLimitExceeded)] {
            budget.learn(&Answer { retry_after: wait, ..answer(429, code) }, at(0));
            assert!(budget.spend(SyncKind::Delta, at(0)), "{code:?} says nothing of the key");
            budget.learn(&answer(200, None), at(0));
        }
        let code = Some(&ErrorCode::PlatformRateLimitExceeded);
        budget.learn(&Answer { retry_after: wait, ..answer(429, code) }, at(0));
        assert!(!budget.spend(SyncKind::Delta, at(0)));
        let renewed_at = at(3).saturating_add(RESET_SLACK);
        assert_eq!(budget.observed, Some(Observation::Left { limit: 0, left: 0, uncounted: 0, renewed_at }));
        budget.learn(&answer(200, None), at(9));
        assert!(!budget.spend(SyncKind::Delta, at(9)), "there is one");
    }
}
