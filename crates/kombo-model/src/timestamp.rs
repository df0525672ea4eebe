mod text;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC at millisecond precision, written as Kombo writes it: `2022-08-07T14:01:29.196Z`.
///
/// Finer digits are cut off when reading, so that a value survives any trip through JSON or a database unchanged,
/// whether that stores microseconds or this text. Only the years 0 to 9999 are accepted. Their texts have a fixed
/// width, so text order is time order.
///
/// ```
/// use std::time::Duration;
///
/// use kombo_model::Timestamp;
///
/// let at: Timestamp = "2022-08-07T16:01:29.196789+02:00".parse()?;
/// assert_eq!(at.to_string(), "2022-08-07T14:01:29.196Z");
/// let earlier = at.saturating_sub(Duration::from_secs(120));
/// assert_eq!(at.since(earlier), Duration::from_secs(120));
/// # Ok::<(), kombo_model::ParseTimestampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

const MIN_MILLIS: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00.000Z
const MAX_MILLIS: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z

impl Timestamp {
    /// The earliest valid time: the start of the year 0.
    pub const MIN: Self = Self(MIN_MILLIS);
    /// The latest valid time: the end of the year 9999.
    pub const MAX: Self = Self(MAX_MILLIS);

    /// Returns the time `millis` milliseconds after 1970-01-01T00:00:00Z; `None` outside the years 0 to 9999.
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        (MIN_MILLIS..=MAX_MILLIS).contains(&millis).then_some(Self(millis))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Returns the time `duration` earlier, but not before [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(MIN_MILLIS))
    }

    /// Returns the time `duration` later, but not after [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(MAX_MILLIS))
    }

    /// Returns the time elapsed since `earlier`; zero if `earlier` is not before this time.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Converts to a [`chrono::DateTime`].
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl TryFrom<DateTime<Utc>> for Timestamp {
    type Error = ParseTimestampError;

    /// Cuts off digits below a millisecond.
    fn try_from(moment: DateTime<Utc>) -> Result<Self, Self::Error> {
        Self::from_unix_millis(moment.timestamp_millis()).ok_or(ParseTimestampError)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&text::write(self.0)).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a time in the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time such as 2022-08-07T14:01:29.196Z")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Parses any RFC 3339 time, and a bare date as its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(millis) = text::read(text.as_bytes()) {
            return Ok(Self(millis));
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Self::try_from(moment.with_timezone(&Utc));
        }
        let date: NaiveDate = text.parse().map_err(|_| ParseTimestampError)?;
        let midnight = date.and_hms_opt(0, 0, 0).ok_or(ParseTimestampError)?;
        Self::try_from(midnight.and_utc())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2022-08-07T14:01:29.196Z")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
                // The error does not contain the text, which is a customer's data.
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_kombos_format() {
        for text in ["2022-08-07T14:01:29.196Z", "0000-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn cuts_off_below_a_millisecond_and_turns_to_utc() {
        for (text, written) in [
            ("2022-08-07T14:01:29.196999Z", "2022-08-07T14:01:29.196Z"),
            ("2022-08-07T14:01:29.999999999Z", "2022-08-07T14:01:29.999Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999Z"),
            ("2022-08-07T16:01:29+02:00", "2022-08-07T14:01:29.000Z"),
            ("2022-08-07", "2022-08-07T00:00:00.000Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_time() {
        for text in
            ["", "yesterday", "2022-13-01", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1659880889"]
        {
            assert_eq!(text.parse::<Timestamp>(), Err(ParseTimestampError), "{text}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let day = Duration::from_secs(86_400);
        assert_eq!(Timestamp::MIN.saturating_sub(day), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.saturating_add(day), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(Timestamp::MIN.saturating_add(day).since(Timestamp::MIN), day);
    }
}
