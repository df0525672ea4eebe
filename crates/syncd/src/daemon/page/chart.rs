//! The charts of the status page, drawn by the server as SVG. Each chart also has its content in words.

use std::time::Duration;

use askama::Template;
use kombo_model::Timestamp;
use sync_core::jobs::EndpointState;
use sync_core::pull::Run;

use super::show::grouped;

const HOURS: i64 = 24;
const HOUR: i64 = 3_600_000;
/// Width of a bar with its gap, and height of the highest bar, in transactions of the drawing.
const STEP: u64 = 10;
const HEIGHT: u64 = 60;

/// A bar and its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) count: String,
    x: u64,
    y: u64,
    height: u64,
}

/// A row of bars.
#[derive(Debug, Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    /// Name of the chart, unique on the page.
    name: &'static str,
    title: &'static str,
    /// Description of the chart in words.
    words: String,
    /// Column heads of the equivalent table.
    heads: [&'static str; 2],
    bars: Vec<Bar>,
    width: u64,
    first: String,
    last: String,
}

/// Its template has already escaped the content.
impl askama::filters::HtmlSafe for Chart {}

impl Chart {
    fn new(
        name: &'static str,
        title: &'static str,
        words: String,
        heads: [&'static str; 2],
        counts: &[(String, u64)],
    ) -> Self {
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let bars: Vec<Bar> = counts
            .iter()
            .zip(0_u64..)
            .map(|((label, count), place)| {
                // Every value above zero is visible.
                let scaled = u128::from(*count) * u128::from(HEIGHT) / u128::from(most);
                let height = u64::try_from(scaled).unwrap_or(HEIGHT).max(u64::from(*count > 0));
                let (x, y) = (place * STEP, HEIGHT - height);
                Bar { label: label.clone(), count: grouped(*count), x, y, height }
            })
            .collect();
        let label = |bar: Option<&Bar>| bar.map(|bar| bar.label.clone()).unwrap_or_default();
        let width = bars.last().map_or(0, |bar| bar.x + STEP);
        let (first, last) = (label(bars.first()), label(bars.last()));
        Self { name, title, words, heads, bars, width, first, last }
    }
}

/// The rows that runs changed in each of the last 24 hours, without first loads, as far back as `runs` go. `cut_off`
/// means that earlier runs exist.
pub(super) fn changes(runs: &[Run], cut_off: bool, now: Timestamp) -> Chart {
    let this_hour = now.unix_millis().div_euclid(HOUR);
    let mut counts: Vec<(i64, u64)> = (0..HOURS).map(|hour| (this_hour - HOURS + 1 + hour, 0)).collect();
    let oldest = runs.iter().map(|run| run.started_at.unix_millis().div_euclid(HOUR)).min();
    if let Some(oldest) = oldest.filter(|_| cut_off) {
        // The hour of the oldest run is incomplete.
        counts.retain(|(hour, _)| *hour > oldest || *hour == this_hour);
    }
    for run in runs.iter().filter(|run| !run.first_load) {
        let at = run.finished_at.unwrap_or(now).unix_millis().div_euclid(HOUR);
        if let Some((_, count)) = counts.iter_mut().find(|(hour, _)| *hour == at) {
            let counts = &run.counts;
            *count += counts.created + counts.updated + counts.deleted + counts.restored;
        }
    }
    let counts: Vec<(String, u64)> = counts.into_iter().map(|(hour, count)| (clock(hour), count)).collect();
    let total = counts.iter().map(|(_, count)| count).sum();
    let most = counts.iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 0);
    let words = match most {
        None => format!("No row changed in the last {} hours.", counts.len()),
        Some((hour, count)) => format!(
            "{} rows changed in the last {} hours, most of them ({}) in the hour from {hour} UTC.",
            grouped(total),
            counts.len(),
            grouped(*count)
        ),
    };
    Chart::new("changes", "Rows changed, by the hour", words, ["Hour (UTC)", "Rows changed"], &counts)
}

/// Number of endpoints by age of their data.
pub(super) fn freshness<'a>(states: impl Iterator<Item = &'a EndpointState>, now: Timestamp) -> Chart {
    const STEPS: [(&str, u64); 7] = [
        ("1 min", 60),
        ("10 min", 600),
        ("1 h", 3_600),
        ("6 h", 6 * 3_600),
        ("1 d", 86_400),
        ("7 d", 7 * 86_400),
        ("longer", u64::MAX),
    ];
    let mut counts: Vec<(String, u64)> = STEPS.iter().map(|(label, _)| ((*label).to_owned(), 0)).collect();
    counts.push(("never".to_owned(), 0));
    let (mut all, mut within_a_day) = (0_u64, 0_u64);
    for state in states {
        let age = state.watermark.map(|watermark| now.since(watermark));
        let step = age.and_then(|age| STEPS.iter().position(|(_, most)| age <= Duration::from_secs(*most)));
        if let Some((_, count)) = counts.get_mut(step.unwrap_or(STEPS.len())) {
            *count += 1;
        }
        all += 1;
        within_a_day += u64::from(age.is_some_and(|age| age <= Duration::from_secs(86_400)));
    }
    let words = format!(
        "{} of {} endpoints were last fetched within a day. An endpoint of which nothing changes ages until its next \
         full fetch.",
        grouped(within_a_day),
        grouped(all)
    );
    Chart::new("freshness", "Endpoints, by the age of what they show", words, ["Up to", "Endpoints"], &counts)
}

/// Formats the time of day of an hour since 1970.
fn clock(hour: i64) -> String {
    format!("{:02}:00", hour.rem_euclid(24))
}

#[cfg(test)]
mod tests {
    use kombo_model::{Endpoint, IntegrationId};
    use sync_core::jobs::{SyncKind, Target};
    use sync_core::pull::{RunCounts, RunId, RunOutcome, RunPhase};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T15:30:00Z".parse().unwrap()
    }

    fn run(finished_at: &str, created: u64, first_load: bool) -> Run {
        let finished_at: Timestamp = finished_at.parse().unwrap();
        let integration_id = IntegrationId::from("sandbox:a");
        Run {
            id: RunId(1),
            target: Target { integration_id, endpoint: Endpoint::LmsUsers, kind: SyncKind::Delta },
            outcome: RunOutcome::Completed,
            started_at: finished_at,
            finished_at: Some(finished_at),
            updated_after: None,
            fetch_started_at: None,
            first_load,
            phase: RunPhase::Done,
            page_cursor: None,
            batches: 1,
            counts: RunCounts { created, updated: 1, ..RunCounts::default() },
            error: None,
        }
    }

    fn shown(chart: &Chart) -> Vec<(&str, &str)> {
        let bars = chart.bars.iter().filter(|bar| bar.height > 0);
        bars.map(|bar| (bar.label.as_str(), bar.count.as_str())).collect()
    }

    #[test]
    fn changes_are_counted_by_the_hour() {
        let runs = [
            run("2026-01-02T15:10:00Z", 1_999, false),
            run("2026-01-02T15:00:00Z", 99, true),
            run("2026-01-02T14:59:59Z", 4, false),
            run("2026-01-01T16:00:00Z", 0, false),
            run("2026-01-01T15:59:59Z", 70, false),
        ];
        let chart = changes(&runs, false, now());
        assert_eq!(chart.bars.len(), 24);
        assert_eq!(shown(&chart), [("16:00", "1"), ("14:00", "5"), ("15:00", "2,000")]);
        assert!(
            chart.words.starts_with("2,006 rows changed in the last 24 hours, most of them (2,000)"),
            "{}",
            chart.words
        );
        assert!(chart.bars.iter().all(|bar| bar.y + bar.height == HEIGHT));
        // Earlier runs are unknown, and must not be shown as zero.
        let chart = changes(&runs[..3], true, now());
        assert_eq!(shown(&chart), [("15:00", "2,000")]);
        assert_eq!(changes(&[], false, now()).words, "No row changed in the last 24 hours.");
    }

    #[test]
    fn endpoints_are_counted_by_their_age() {
        let state = |ago: Option<u64>| EndpointState {
            watermark: ago.map(|seconds| now().saturating_sub(Duration::from_secs(seconds))),
            ..EndpointState::new(IntegrationId::from("sandbox:a"), Endpoint::LmsUsers)
        };
        let states = [state(Some(0)), state(Some(60)), state(Some(61)), state(Some(10_000_000)), state(None)];
        let chart = freshness(states.iter(), now());
        assert_eq!(shown(&chart), [("1 min", "2"), ("10 min", "1"), ("longer", "1"), ("never", "1")]);
        assert!(chart.words.starts_with("3 of 5 endpoints"), "{}", chart.words);
    }
}
