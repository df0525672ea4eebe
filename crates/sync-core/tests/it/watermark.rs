use std::time::Duration;

use kombo_model::Timestamp;
use proptest::prelude::*;
use sync_core::pull::watermark::{advance, fetch_started_at};

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        8 => (Timestamp::MIN.unix_millis()..=Timestamp::MAX.unix_millis())
            .prop_map(|millis| Timestamp::from_unix_millis(millis).unwrap()),
        1 => Just(Timestamp::MIN),
        1 => Just(Timestamp::MAX),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), (0..1_000_000_000_u64).prop_map(Duration::from_millis)]
}

proptest! {
    #[test]
    fn a_watermark_never_goes_back(before in proptest::option::of(time()), started in time(), overlap in duration()) {
        let after = advance(before, started, overlap);
        prop_assert!(before.is_none_or(|before| after >= before));
        prop_assert!(after <= before.unwrap_or(Timestamp::MIN).max(started), "nor past the start of its fetch");
    }

    #[test]
    fn the_earlier_clock_counts(requested in time(), date in proptest::option::of(time()), elapsed in duration()) {
        let started = fetch_started_at(requested, date, elapsed);
        prop_assert!(started.is_none_or(|started| started <= requested));
        prop_assert!(date.is_none_or(|date| started.is_some_and(|started| started <= date)));
        prop_assert!(date.is_some() || started.is_none(), "our clock alone may be ahead");
    }
}

#[test]
fn kombos_clock_is_read_back_to_the_request() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let requested = at("2026-01-01T12:00:00.000Z");
    for (date, elapsed, started) in [
        ("2026-01-01T12:00:09.000Z", 500, "2026-01-01T12:00:00.000Z"),
        ("2026-01-01T12:00:00.000Z", 500, "2026-01-01T11:59:59.500Z"),
        ("2026-01-01T11:50:00.000Z", 2_000, "2026-01-01T11:49:58.000Z"),
    ] {
        let found = fetch_started_at(requested, Some(at(date)), Duration::from_millis(elapsed));
        assert_eq!(found, Some(at(started)), "{date}");
    }
}
