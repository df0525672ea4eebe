use chrono::{DateTime, SecondsFormat, Utc};
use kombo_model::{CourseProgression, ParseTimestampError, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use crate::{PROGRESSION, with};

fn any_timestamp() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.unix_millis()..=Timestamp::MAX.unix_millis())
        .prop_map(|millis| Timestamp::from_unix_millis(millis).unwrap())
}

#[test]
fn a_record_may_carry_microseconds() {
    let json = with(PROGRESSION, "", "completed_at", json!("2022-08-07T14:01:29.196999Z"));
    let progression: CourseProgression = serde_json::from_str(&json).unwrap();
    assert_eq!(progression.completed_at.unwrap().to_string(), "2022-08-07T14:01:29.196Z");
    assert_eq!(progression.completed_at, progression.changed_at);
}

#[test]
fn a_record_with_something_else_for_a_time_is_refused() {
    for value in [json!(""), json!("soon"), json!(1_659_880_889), json!({}), json!("2022-02-30T00:00:00Z")] {
        serde_json::from_str::<CourseProgression>(&with(PROGRESSION, "", "changed_at", value)).unwrap_err();
    }
}

#[test]
fn only_the_years_that_sort_are_taken() {
    assert_eq!(Timestamp::from_unix_millis(i64::MAX), None);
    assert_eq!(Timestamp::from_unix_millis(i64::MIN), None);
    let far = DateTime::from_timestamp(300_000_000_000, 0).unwrap();
    assert_eq!(Timestamp::try_from(far), Err(ParseTimestampError));
}

proptest! {
    #[test]
    fn the_text_is_the_calendars(time in any_timestamp()) {
        prop_assert_eq!(time.to_string(), time.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true));
    }

    #[test]
    fn what_looks_like_a_time_is_read_as_the_calendar_reads_it(
        (year, month, day) in (0..=9999, 0..=13, 0..=32),
        (hour, minute, second, millis) in (0..=24, 0..=60, 0..=60, 0..=999),
    ) {
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z");
        let read = DateTime::parse_from_rfc3339(&text).ok();
        let read = read.and_then(|read| Timestamp::try_from(read.with_timezone(&Utc)).ok());
        prop_assert_eq!(text.parse().ok(), read, "{}", text);
    }

    #[test]
    fn any_time_survives_text_and_json(time in any_timestamp()) {
        prop_assert_eq!(time.to_string().parse(), Ok(time));
        let json = serde_json::to_string(&time).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        prop_assert_eq!(Timestamp::try_from(time.to_datetime()), Ok(time));
        prop_assert_eq!(Timestamp::from_unix_millis(time.unix_millis()), Some(time));
    }

    #[test]
    fn text_order_is_time_order(one in any_timestamp(), other in any_timestamp()) {
        prop_assert_eq!(one.to_string().cmp(&other.to_string()), one.cmp(&other));
        prop_assert_eq!(one.to_string().len(), other.to_string().len());
    }

    #[test]
    fn finer_digits_are_cut_off(time in any_timestamp(), digits in "[0-9]{1,6}") {
        let finer = time.to_string().replace('Z', &format!("{digits}Z"));
        prop_assert_eq!(finer.parse(), Ok(time));
    }

    #[test]
    fn an_offset_changes_nothing(time in any_timestamp(), hours in -23_i64..=23) {
        let shifted = time.unix_millis().checked_add(hours * 3_600_000).and_then(Timestamp::from_unix_millis);
        prop_assume!(shifted.is_some());
        let local = shifted.unwrap().to_string().replace('Z', &format!("{hours:+03}:00"));
        prop_assert_eq!(local.parse(), Ok(time));
    }

    #[test]
    fn going_back_and_forth_ends_where_it_began(time in any_timestamp(), by in 0_u64..4_000_000_000_000) {
        let by = std::time::Duration::from_millis(by);
        let later = time.saturating_add(by);
        prop_assert!(later >= time && time.saturating_sub(by) <= time);
        if later != Timestamp::MAX {
            prop_assert_eq!(later.since(time), by);
            prop_assert_eq!(later.saturating_sub(by), time);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        text.parse::<Timestamp>().ok();
    }
}
