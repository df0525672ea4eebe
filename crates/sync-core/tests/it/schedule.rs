use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use proptest::prelude::*;
use sync_core::jobs::schedule::next_full;

proptest! {
    #[test]
    fn the_next_full_fetch_is_within_a_period_and_keeps_its_place(
        id in "[a-z]{1,8}:[A-Za-z0-9]{1,24}",
        every in 1_000..2_000_000_000_u64,
        done in 0..4_000_000_000_000_i64,
        late in 0..10_u64,
    ) {
        let (id, period) = (IntegrationId::from(id), Duration::from_millis(every));
        let done = Timestamp::from_unix_millis(done).unwrap();
        for endpoint in Endpoint::LMS {
            let first = next_full(&id, endpoint, period, done);
            prop_assert!(first > done && first.since(done) <= period);
            // A fetch that ends a little late does not move the next slot.
            let second = next_full(&id, endpoint, period, first.saturating_add(Duration::from_millis(every * late / 11)));
            prop_assert_eq!(second.since(first), period);
        }
    }
}

#[test]
fn odd_periods_are_no_trouble() {
    let (id, now) = (IntegrationId::from("a:b"), "2026-01-01T00:00:00.000Z".parse::<Timestamp>().unwrap());
    for every in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        assert!(next_full(&id, Endpoint::LmsUsers, every, now) > now, "{every:?}");
    }
    assert_eq!(next_full(&id, Endpoint::LmsUsers, Duration::from_secs(60), Timestamp::MAX), Timestamp::MAX);
}
