use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Parses a duration such as `30s`, `2m`, `1h` or `7d`.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(text.trim()).map_err(|_| {
        D::Error::custom(format_args!("\"{text}\" is no duration: write \"30s\", \"2m\", \"1h\" or \"7d\""))
    })
}
