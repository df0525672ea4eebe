use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// A calendar date in the years 0 to 9999: `2022-08-07`.
///
/// ```
/// use kombo_model::Date;
///
/// let date: Date = "2022-08-07T00:00:00.000Z".parse()?;
/// assert_eq!(date.to_string(), "2022-08-07");
/// assert!("2022-08-07T12:00:00.000Z".parse::<Date>().is_err());
/// # Ok::<(), kombo_model::ParseDateError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(NaiveDate);

/// The text is not a date in the years 0 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a date such as 2022-08-07")]
pub struct ParseDateError;

impl Date {
    /// Returns the date `days` days after 1970-01-01; `None` outside the years 0 to 9999.
    pub fn from_unix_days(days: i32) -> Option<Self> {
        NaiveDate::from_epoch_days(days).and_then(|date| Self::try_from(date).ok())
    }

    /// Returns the days since 1970-01-01.
    pub fn unix_days(self) -> i32 {
        self.0.to_epoch_days()
    }

    /// Converts to a [`chrono::NaiveDate`].
    pub fn to_naive_date(self) -> NaiveDate {
        self.0
    }
}

impl TryFrom<NaiveDate> for Date {
    type Error = ParseDateError;

    fn try_from(date: NaiveDate) -> Result<Self, Self::Error> {
        use chrono::Datelike;
        if (0..=9999).contains(&date.year()) { Ok(Self(date)) } else { Err(ParseDateError) }
    }
}

impl FromStr for Date {
    type Err = ParseDateError;

    /// Parses a date, or a time that is the first moment of one in UTC: tools and Kombo write dates in both ways.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Self::try_from(date);
        }
        let moment = text.parse::<Timestamp>().map_err(|_| ParseDateError)?.to_datetime();
        if moment.time() == chrono::NaiveTime::MIN { Self::try_from(moment.date_naive()) } else { Err(ParseDateError) }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
