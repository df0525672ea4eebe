use std::time::Duration;

use kombo_model::IntegrationId;

use crate::stable_hash::stable_hash;

/// Wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Longest wait after any number of failures.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Returns the wait after this number of consecutive failures: five seconds, doubled up to a quarter of an hour, and up
/// to a quarter longer to spread integrations and tries. A longer wait that the receiver requests is obeyed.
pub fn wait(integration: &IntegrationId, failures: i32, retry_after: Option<Duration>) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(0).min(16);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let quarters = stable_hash(integration.as_str(), &failures.to_string()) % 256;
    let longer = wait.saturating_mul(u32::try_from(quarters).unwrap_or(0)) / 1_024;
    (wait + longer).max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(failures: i32) -> f64 {
        wait(&IntegrationId::from("sandbox:a"), failures, None).as_secs_f64()
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        for (failures, base) in
            [(1, 5.0), (2, 10.0), (3, 20.0), (8, 640.0), (9, 900.0), (1_000, 900.0), (i32::MAX, 900.0)]
        {
            let waited = seconds(failures);
            assert!(waited >= base && waited < base * 1.25, "{failures} failures: {waited}");
        }
    }

    #[test]
    fn integrations_that_failed_together_do_not_come_again_together() {
        let waits: std::collections::BTreeSet<Duration> =
            (0..20).map(|number| wait(&IntegrationId::from(format!("sandbox:{number}")), 4, None)).collect();
        assert!(waits.len() > 15, "{waits:?}");
    }

    #[test]
    fn a_receiver_that_asks_for_more_time_gets_it() {
        let id = IntegrationId::from("sandbox:a");
        let hour = Duration::from_secs(3_600);
        assert_eq!(wait(&id, 1, Some(hour)), hour);
        assert_eq!(wait(&id, 4, Some(Duration::from_secs(1))), wait(&id, 4, None));
    }
}
