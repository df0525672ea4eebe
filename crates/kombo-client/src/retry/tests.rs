use proptest::prelude::*;

use super::*;

const FAILED: Failed =
    Failed { class: RetryClass::Backoff, retry_after: None, attempts: 1, spent: Duration::ZERO, few_used: 0 };

fn millis(decision: RetryDecision) -> Option<u128> {
    match decision {
        RetryDecision::After(delay) => Some(delay.as_millis()),
        RetryDecision::GiveUp => None,
    }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let policy = RetryPolicy::default();
    let pauses = (1..=9).map(|attempts| millis(policy.decide(&Failed { attempts, ..FAILED }, 0.0)).unwrap());
    assert!(pauses.eq([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]));
    assert_eq!(millis(policy.decide(&Failed { attempts: u32::MAX, ..FAILED }, 0.0)), Some(30_000));
    assert_eq!(millis(policy.decide(&FAILED, 1.0)), Some(250));
}

#[test]
fn nothing_is_tried_past_the_budget() {
    let policy = RetryPolicy::default();
    let spent = |seconds| Failed { spent: Duration::from_secs(seconds), ..FAILED };
    assert_eq!(millis(policy.decide(&spent(119), 0.0)), Some(500));
    assert_eq!(millis(policy.decide(&spent(120), 0.0)), None);
    assert_eq!(millis(RetryPolicy::NEVER.decide(&FAILED, 0.0)), None);
}

#[test]
fn a_named_wait_is_obeyed_or_the_request_given_up() {
    let policy = RetryPolicy::default();
    let told = |wait| Failed { retry_after: Some(wait), ..FAILED };
    assert_eq!(millis(policy.decide(&told(Duration::from_secs(60)), 0.0)), Some(60_500));
    assert_eq!(millis(policy.decide(&told(Duration::ZERO), 1.0)), Some(250));
    assert_eq!(millis(policy.decide(&told(Duration::from_secs(120)), 0.0)), None);
    assert_eq!(millis(policy.decide(&told(Duration::MAX), 0.0)), None);
}

#[test]
fn what_cannot_succeed_is_not_repeated_and_nonsense_a_few_times() {
    let policy = RetryPolicy::default();
    let of = |class, few_used| Failed { class, few_used, ..FAILED };
    assert_eq!(millis(policy.decide(&of(RetryClass::Never, 0), 0.0)), None);
    assert_eq!(millis(policy.decide(&of(RetryClass::Few(1), 0), 0.0)), Some(500));
    assert_eq!(millis(policy.decide(&of(RetryClass::Few(1), 1), 0.0)), None);
    assert_eq!(millis(policy.decide(&of(RetryClass::Few(5), 4), 0.0)), Some(500));
    assert_eq!(millis(policy.decide(&of(RetryClass::Backoff, 9), 0.0)), Some(500));
}

proptest! {
    #[test]
    fn a_pause_is_never_shorter_than_told_nor_past_the_budget(
        attempts: u32,
        spent in 0_u64..200_000,
        told in proptest::option::of(0_u64..200_000),
        jitter in -1.0..2.0_f64,
    ) {
        let policy = RetryPolicy::default();
        let (spent, told) = (Duration::from_millis(spent), told.map(Duration::from_millis));
        let failed = Failed { attempts, spent, retry_after: told, ..FAILED };
        if let RetryDecision::After(delay) = policy.decide(&failed, jitter) {
            prop_assert!(spent + delay < policy.budget);
            prop_assert!(delay >= told.unwrap_or_default());
            prop_assert!(delay <= told.unwrap_or_default() + policy.max_delay);
        }
    }
}
