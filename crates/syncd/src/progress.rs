//! Progress of a fetch: bars on a terminal, plain log lines elsewhere.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sync_core::ports::{Event, Observer};
use sync_core::pull::{Run, RunId};
use sync_runtime::{Notice, RuntimeObserver};

use crate::notices::Notices;
use crate::output;

/// Interval of log lines about a run.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the progress of runs.
pub(crate) struct Progress {
    bars: MultiProgress,
    drawn: bool,
    runs: Mutex<HashMap<RunId, Shown>>,
}

struct Shown {
    bar: ProgressBar,
    began: Instant,
    records_before: u64,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(bars: MultiProgress) -> Self {
        Self { bars, drawn: output::is_terminal(), runs: Mutex::default() }
    }

    fn started(&self, run: &Run, resumed: bool) {
        let bar = if self.drawn { self.bars.add(ProgressBar::new_spinner()) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {msg}  {elapsed}") {
            bar.set_style(style);
        }
        let target = &run.target;
        bar.set_prefix(output::one_line(&format!("{} {} {}", target.integration_id, target.endpoint, target.kind)));
        if self.drawn {
            bar.enable_steady_tick(Duration::from_millis(200));
        } else {
            tracing::info!(
                run.id = run.id.0,
                integration.id = target.integration_id.as_str(),
                endpoint = target.endpoint.as_str(),
                sync.kind = target.kind.as_str(),
                resumed,
                "fetching"
            );
        }
        let now = Instant::now();
        let shown = Shown { bar, began: now, records_before: run.counts.records, last_line: now };
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run.id, shown);
    }

    fn committed(&self, run: &Run) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shown) = runs.get_mut(&run.id) else { return };
        let fetched = run.counts.records.saturating_sub(shown.records_before);
        let rate = u128::from(fetched) * 1_000 / shown.began.elapsed().as_millis().max(1);
        shown.bar.set_message(format!("{} pages, {} records, {rate}/s", run.counts.pages, run.counts.records));
        if !self.drawn && shown.last_line.elapsed() >= LINE_EVERY {
            shown.last_line = Instant::now();
            tracing::info!(
                run.id = run.id.0,
                integration.id = run.target.integration_id.as_str(),
                endpoint = run.target.endpoint.as_str(),
                pages = run.counts.pages,
                records = run.counts.records,
                "still fetching"
            );
        }
    }

    fn ended(&self, run: &Run, took: Duration) {
        if let Some(shown) = self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&run.id) {
            shown.bar.finish_and_clear();
        }
        if !self.drawn {
            tracing::info!(
                run.id = run.id.0,
                integration.id = run.target.integration_id.as_str(),
                endpoint = run.target.endpoint.as_str(),
                outcome = run.outcome.as_str(),
                pages = run.counts.pages,
                records = run.counts.records,
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                "ended"
            );
        }
    }
}

impl Observer for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Started { run, resumed } => self.started(run, resumed),
            Event::Committed { run, .. } => self.committed(run),
            Event::Ended { run, took, .. } => self.ended(run, took),
            Event::LeaseLost { target } => {
                let id = target.integration_id.as_str();
                tracing::warn!(integration.id = id, endpoint = target.endpoint.as_str(), "lease lost");
            }
            _ => {}
        }
    }
}

impl RuntimeObserver for Progress {
    fn notice(&self, notice: Notice<'_>) {
        Notices.notice(notice);
    }
}
