//! Limits on how long work waits.

use std::collections::BTreeMap;
use std::time::Duration;

use kombo_model::Timestamp;
use sync_core::jobs::{IntegrationStatus, LeaseToken, QueuedRequest, Target};
use sync_core::ports::StoreError;

use crate::world::World;

/// Maximum wait of a due request for a worker, while its integration works and Kombo accepts the key.
pub(crate) const MOST_DUE: Duration = Duration::from_secs(600);
/// Maximum wait of any request: the longest wait of the policies, and the wait for a worker after it.
pub(crate) const MOST_WAITING: Duration = Duration::from_secs(1_800);
/// Interval of checks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Requests and the times since which they have waited.
#[derive(Debug, Default)]
pub(super) struct Waits {
    looked: Duration,
    of: BTreeMap<Target, Wait>,
}

#[derive(Debug, Clone)]
struct Wait {
    /// The lease at the last check. If it changes, a worker is active.
    lease: Option<(LeaseToken, Timestamp)>,
    since: Duration,
    due_since: Option<Duration>,
}

impl Waits {
    /// Checks all requests, once per interval.
    pub(super) fn look(&mut self, world: &World) -> Result<(), String> {
        let now = world.elapsed();
        if now < self.looked + LOOK_EVERY {
            return Ok(());
        }
        self.looked = now;
        let look = world.store.look(|tx| Ok::<_, StoreError>((tx.requests()?, tx.integrations()?)));
        let (requests, integrations) = look.map_err(|error| error.to_string())?;
        let mut before = std::mem::take(&mut self.of);
        if world.may_rest() {
            return Ok(());
        }
        for request in requests {
            let id = &request.target.integration_id;
            let is_active = |status| status == IntegrationStatus::Active;
            let is_active = integrations.iter().any(|known| known.id == *id && is_active(known.status));
            if !is_active || !world.is_served(id) || !world.endpoints().contains(&request.target.endpoint) {
                continue;
            }
            let lease = request.lease.as_ref().map(|held| (held.token.clone(), held.expires_at));
            let wait = match before.remove(&request.target) {
                Some(wait) if wait.lease == lease => wait,
                Some(_) | None => Wait { lease, since: now, due_since: None },
            };
            let due_since = is_due(world, &request).then(|| wait.due_since.unwrap_or(now));
            let wait = Wait { due_since, ..wait };
            let (any, due) = (now.saturating_sub(wait.since), due_since.map(|since| now.saturating_sub(since)));
            let due = due.unwrap_or_default();
            let mut tally = world.tally();
            tally.longest_wait = tally.longest_wait.max(any.as_secs());
            tally.longest_due = tally.longest_due.max(due.as_secs());
            drop(tally);
            if any > MOST_WAITING || due > MOST_DUE {
                return Err(format!("waiting for {any:?}, due for {due:?}: {request:#?}"));
            }
            self.of.insert(request.target.clone(), wait);
        }
        Ok(())
    }
}

/// Whether a request is due by every clock that may be right.
fn is_due(world: &World, request: &QueuedRequest) -> bool {
    !world.manner.wild_clocks && request.not_before <= world.true_now()
}
