use std::sync::Mutex;
use std::time::Duration;

use sync_core::jobs::SyncKind;
use sync_runtime::Answer;

use crate::tally::Fault;
use crate::world::{World, locked};

/// The period of Kombo's rate limit.
const PERIOD: Duration = Duration::from_secs(60);

/// Kombo's rate limit of the key.
#[derive(Debug, Default)]
pub(crate) struct Quota(Mutex<Period>);

/// A period from its start.
#[derive(Debug, Default)]
struct Period {
    began: Duration,
    used: u64,
}

impl Quota {
    /// Counts a request. The answer contains the remaining limit. `Err` if the limit was already used up.
    pub(crate) fn take(&self, world: &World, priority: SyncKind) -> Result<Answer, Answer> {
        let Some(limit) = world.manner.kombo_limit else { return Ok(Answer { status: 200, ..Answer::default() }) };
        let (mut period, now) = (locked(&self.0), world.elapsed());
        if now >= period.began + PERIOD {
            *period = Period { began: now, used: 0 };
        }
        let reset = (period.began + PERIOD).saturating_sub(now);
        // Whole seconds, as in Kombo's headers.
        let reset = Some(Duration::from_secs(reset.as_secs().max(1)));
        let is_refused = period.used >= limit;
        if is_refused {
            world.count(Fault::LimitExceeded);
            world.log(format_args!("a request for a {priority} exceeds the rate limit"));
        } else {
            period.used += 1;
        }
        let remaining = Some(limit - period.used);
        let answer = Answer { status: 200, limit: Some(limit), remaining, reset, ..Answer::default() };
        if is_refused { Err(Answer { status: 429, retry_after: reset, ..answer }) } else { Ok(answer) }
    }
}
