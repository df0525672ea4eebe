//! Determines when full fetches are due. Plain functions.

use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::stable_hash::stable_hash;

/// Returns when the full fetch is due that follows one completed at `done_at`.
///
/// Every endpoint of every integration has its own slot within the period, so that integrations that were loaded
/// together are not always fetched together. The first period is therefore shorter than the others. The slot depends
/// only on the names, so restarts and clock changes do not move it.
pub fn next_full(integration: &IntegrationId, endpoint: Endpoint, every: Duration, done_at: Timestamp) -> Timestamp {
    let period = i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(1);
    let place = i64::try_from(stable_hash(integration.as_str(), endpoint.short_name()) >> 1).unwrap_or(0) % period;
    let since_place = (done_at.unix_millis() - place).rem_euclid(period);
    let wait = u64::try_from(period - since_place).unwrap_or(0);
    done_at.saturating_add(Duration::from_millis(wait))
}

/// Returns a period that is up to an eighth shorter than `every`. It is always the same for an endpoint, because it
/// depends only on the names.
pub(crate) fn jittered(every: Duration, integration: &IntegrationId, endpoint: Endpoint) -> Duration {
    let parts = u32::try_from(stable_hash(integration.as_str(), endpoint.short_name()) % 256).unwrap_or(0);
    every.saturating_sub(every / 2_048 * parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Duration = Duration::from_secs(7 * 86_400);

    #[test]
    fn periods_are_whole_after_the_first() {
        let id = IntegrationId::from("sandbox:a");
        let loaded: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let first = next_full(&id, Endpoint::LmsUsers, WEEK, loaded);
        assert!(first > loaded && first.since(loaded) <= WEEK);
        let second = next_full(&id, Endpoint::LmsUsers, WEEK, first);
        assert_eq!(second.since(first), WEEK);
        // A fetch that took an hour does not move the slot.
        let late = next_full(&id, Endpoint::LmsUsers, WEEK, first.saturating_add(Duration::from_secs(3_600)));
        assert_eq!(late, second);
    }

    #[test]
    fn a_thousand_integrations_spread_over_the_week() {
        let loaded: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let mut per_hour = vec![0_u32; 7 * 24];
        for number in 0..1_000 {
            let due = next_full(&IntegrationId::from(format!("sandbox:{number}")), Endpoint::LmsCourses, WEEK, loaded);
            let hour = usize::try_from(due.since(loaded).as_secs() / 3_600).unwrap().min(per_hour.len() - 1);
            per_hour[hour] += 1;
        }
        assert!(per_hour.iter().all(|count| *count < 20), "{per_hour:?}");
        assert!(per_hour.iter().filter(|count| **count == 0).count() < 10, "{per_hour:?}");
    }
}
