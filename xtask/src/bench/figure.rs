use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) measured: String,
    /// The measurement to compare with.
    pub(crate) yardstick: String,
    /// The number that the target applies to: a ratio, or the measured value itself.
    pub(crate) judged: f64,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
}

/// The target of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// No target, for information.
    None,
}

impl Figure {
    pub(crate) fn holds(&self) -> bool {
        match self.target {
            Target::AtMost(most) => self.judged <= most,
            Target::AtLeast(least) => self.judged >= least,
            Target::None => true,
        }
    }

    /// Returns the figure's cells: name, measured, yardstick, judged, target.
    pub(crate) fn cells(&self) -> [String; 5] {
        let target = match self.target {
            Target::AtMost(most) => format!("≤ {}{}", number(most), self.unit),
            Target::AtLeast(least) => format!("≥ {}{}", number(least), self.unit),
            Target::None => "–".to_owned(),
        };
        let mark = if self.holds() { "" } else { " (missed)" };
        let judged = format!("{}{}{mark}", number(self.judged), self.unit);
        [self.what.clone(), self.measured.clone(), self.yardstick.clone(), judged, target]
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, measured, yardstick, judged, target] = self.cells();
        write!(f, "{what}: {measured}; beside it {yardstick}: {judged} (target {target})")
    }
}

pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() >= 3.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1_000.0) } else { format!("{seconds:.1} s") }
}

pub(crate) fn ratio(time: Duration, yardstick: Duration) -> f64 {
    time.as_secs_f64() / yardstick.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// Returns the median, or the smaller of the two middle values.
pub(crate) fn median<T: Copy>(values: &[T], order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(order);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

pub(crate) fn median_time(times: &[Duration]) -> Duration {
    median(times, Ord::cmp).unwrap_or_default()
}

pub(crate) fn median_number(numbers: &[f64]) -> f64 {
    median(numbers, f64::total_cmp).unwrap_or(f64::NAN)
}

/// Returns the given percentile.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let time = Duration::from_millis;
        assert_eq!(median_time(&[time(3), time(1), time(2)]), time(2));
        let mut times: Vec<Duration> = (1..=200).rev().map(time).collect();
        assert_eq!(percentile(&mut times, 99), time(198));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
