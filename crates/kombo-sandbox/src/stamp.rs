//! Times in Kombo's format.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A time in microseconds since 1970, printed as by Kombo: `2022-08-07T14:01:29.196Z`.
///
/// Whole milliseconds print three digits, finer values six, so that tests can use boundary values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i64);

impl Stamp {
    /// The earliest time.
    pub const MIN: Self = Self(i64::MIN);

    /// Creates a time from microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Creates a time from milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Returns the microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Cuts off the microseconds: the precision of most of Kombo's answers.
    #[must_use]
    pub const fn to_millis_precision(self) -> Self {
        Self(self.0.div_euclid(1000) * 1000)
    }

    /// Returns the time moved by `delta`.
    #[must_use]
    pub fn plus(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.num_microseconds().unwrap_or(i64::MAX)))
    }

    /// Returns the time moved by `micros`.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Converts to chrono; the epoch if chrono cannot represent the time.
    pub fn to_chrono(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// Formats a `Date` header: whole seconds, RFC 7231.
    pub fn http_date(self) -> String {
        self.to_chrono().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Parses the formats that Kombo accepts in a request: `YYYY-MM-DD`, optionally `THH:MM:SS` with a fraction,
    /// optionally `Z`. Everything else is rejected, in particular an offset, and so are dates that do not exist.
    pub fn parse_request(text: &str) -> Option<Self> {
        let bare = text.strip_suffix('Z').unwrap_or(text);
        let (date, time) = match bare.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (bare, None),
        };
        if !shaped(date, "dddd-dd-dd") {
            return None;
        }
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        let Some(time) = time else {
            return Some(Self::from_naive(date.and_hms_opt(0, 0, 0)?));
        };
        let (clock, fraction) = match time.split_once('.') {
            Some((clock, fraction)) => (clock, Some(fraction)),
            None => (time, None),
        };
        if !shaped(clock, "dd:dd:dd")
            || fraction.is_some_and(|it| it.is_empty() || !it.bytes().all(|b| b.is_ascii_digit()))
        {
            return None;
        }
        let clock = chrono::NaiveTime::parse_from_str(clock, "%H:%M:%S").ok()?;
        let micros = fraction.map_or(0, |it| {
            it.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0_i64, |sum, b| sum * 10 + i64::from(b - b'0'))
        });
        Some(Self::from_naive(date.and_time(clock)).plus_micros(micros))
    }

    fn from_naive(naive: NaiveDateTime) -> Self {
        Self(naive.and_utc().timestamp_micros())
    }
}

fn shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(b, s)| if s == b'd' { b.is_ascii_digit() } else { b == s })
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = if self.0.rem_euclid(1000) == 0 { SecondsFormat::Millis } else { SecondsFormat::Micros };
        f.write_str(&self.to_chrono().to_rfc3339_opts(precision, true))
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse_request(&text).ok_or_else(|| D::Error::custom(format!("not a time: {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_milliseconds_unless_finer() {
        let stamp = Stamp::parse_request("2022-08-07T14:01:29.196Z").unwrap();
        assert_eq!(stamp.to_string(), "2022-08-07T14:01:29.196Z");
        assert_eq!(stamp.plus_micros(1).to_string(), "2022-08-07T14:01:29.196001Z");
        assert_eq!(Stamp::parse_request("2022-08-07").unwrap().to_string(), "2022-08-07T00:00:00.000Z");
        assert_eq!(stamp.http_date(), "Sun, 07 Aug 2022 14:01:29 GMT");
    }

    #[test]
    fn accepts_exactly_the_documented_pattern() {
        for good in
            ["2024-01-02", "2024-01-02Z", "2024-01-02T03:04:05", "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.1Z"]
        {
            assert!(Stamp::parse_request(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "Z",
            "2024-1-2",
            "2024-01-02T",
            "2024-01-02T03:04Z",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05+00:00",
            "2024-01-02 03:04:05",
            "2024-01-02t03:04:05z",
            "2024-13-02",
            "2024-02-30",
            "2024-01-02T25:00:00Z",
            "2024-01-02T03:04:05ZZ",
            "+024-01-02",
        ] {
            assert!(Stamp::parse_request(bad).is_none(), "{bad}");
        }
    }
}
