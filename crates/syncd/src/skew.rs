//! Detection of clocks that disagree, to report it before it causes problems.

use std::time::Duration;

use kombo_model::Timestamp;

use crate::clock::apart;

/// Minimum difference for a warning.
const NOTABLE: Duration = Duration::from_secs(120);
/// From this difference on, one of the clocks is clearly wrong.
const WRONG: Duration = Duration::from_secs(86_400);

/// Two clocks that disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skew {
    /// For people: the difference, and the time of each clock.
    pub(crate) message: String,
    /// Whether the difference shows that a clock is clearly wrong.
    pub(crate) is_wrong: bool,
}

impl Skew {
    /// Logs the difference. Work continues: no decision depends on a single clock.
    pub(crate) fn log(&self) {
        let message = self.message.as_str();
        if self.is_wrong {
            tracing::error!("{message}");
        } else {
            tracing::warn!("{message}");
        }
    }
}

/// Compares the clock of this machine with that of `owner`. Returns `None` if they agree.
pub(crate) fn compare(ours: Timestamp, owner: &str, theirs: Timestamp) -> Option<Skew> {
    let apart = apart(ours, theirs);
    if apart < NOTABLE {
        return None;
    }
    let direction = if ours > theirs { "ahead of" } else { "behind" };
    let far = match apart.as_secs() {
        seconds if apart >= WRONG => format!("{} days", seconds / 86_400),
        seconds if seconds >= 7_200 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} minutes", seconds / 60),
    };
    let message = format!(
        "the clock of this machine is {far} {direction} {owner}: {ours} here, {theirs} there; let a time service such as \
         chrony set it"
    );
    Some(Skew { message, is_wrong: apart >= WRONG })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000 + seconds * 1_000).unwrap_or(Timestamp::MAX)
    }

    #[test]
    fn clocks_that_agree_are_not_talked_about() {
        assert_eq!(compare(at(0), "Kombo's", at(119)), None);
        assert_eq!(compare(at(119), "Kombo's", at(0)), None);
    }

    #[test]
    fn both_times_are_shown() {
        let skew = compare(at(420), "Kombo's", at(0)).unwrap();
        assert!(!skew.is_wrong);
        assert_eq!(
            skew.message,
            "the clock of this machine is 7 minutes ahead of Kombo's: 2026-01-01T00:07:00.000Z here, \
             2026-01-01T00:00:00.000Z there; let a time service such as chrony set it"
        );
        let skew = compare(at(0), "Kombo's", at(366 * 86_400)).unwrap();
        assert!(skew.is_wrong && skew.message.contains("366 days behind"), "{}", skew.message);
    }
}
