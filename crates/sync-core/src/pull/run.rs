use std::fmt;
use std::time::Duration;

use kombo_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::jobs::request::Target;
use crate::rows::counts::RunCounts;
use crate::words::words;

words! {
    /// The outcome of a run.
    pub enum RunOutcome {
        /// A worker works on the run, or its process died. The next run resumes it.
        Running = "running",
        /// The run was stopped. The next run resumes it.
        Interrupted = "interrupted",
        /// The run failed. The next run resumes it.
        Failed = "failed",
        /// All records are stored.
        Completed = "completed",
        /// All records are stored, except those in quarantine.
        CompletedWithQuarantine = "completed_with_quarantine",
        /// All records are stored, but nothing was removed: suspiciously many records vanished.
        Stopped = "stopped",
        /// Another run made this one unnecessary.
        Superseded = "superseded",
    }

    /// The phase of a run.
    pub enum RunPhase {
        /// Pages are fetched.
        Pages = "pages",
        /// Rows that no page showed are looked up.
        Sweep = "sweep",
        /// The run has ended.
        Done = "done",
    }
}

impl RunOutcome {
    /// Whether the next run of the same kind continues this one.
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted | Self::Failed)
    }

    /// Whether the run has stored all records.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithQuarantine)
    }
}

/// The opaque token for the next page, issued by Kombo.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(pub String);

/// The number of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fetch from its first page to its end, in any number of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of the run.
    pub id: RunId,
    /// Target of the run.
    pub target: Target,
    /// Outcome of the run.
    pub outcome: RunOutcome,
    /// When the first attempt began, by our clock.
    pub started_at: Timestamp,
    /// When the latest attempt ended.
    pub finished_at: Option<Timestamp>,
    /// The watermark that each request contains; `None` in a full fetch.
    pub updated_after: Option<Timestamp>,
    /// When the fetch started: the earlier of our clock and Kombo's. The next watermark is derived from it.
    pub fetch_started_at: Option<Timestamp>,
    /// Whether the endpoint had never been loaded when the run began.
    pub first_load: bool,
    /// Phase of the run.
    pub phase: RunPhase,
    /// The next page to request; `None` for the first.
    pub page_cursor: Option<PageCursor>,
    /// Number of committed batches.
    pub batches: i64,
    /// Counts of records and changes.
    pub counts: RunCounts,
    /// The reason why the run failed or stopped, for people.
    pub error: Option<String>,
}

/// Difference of the clocks that `Date` headers and slow answers can cause.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

impl Run {
    /// Returns when the run began, by our present clock. Rows that were observed later may be on none of its pages.
    ///
    /// `lead` is how far our clock is ahead of Kombo's now. If it was further ahead when the run began, it was set back
    /// since, and the recorded start is too late by the difference.
    pub(crate) fn began_at(&self, lead: Duration) -> Timestamp {
        let lead_then = self.fetch_started_at.map_or(Duration::ZERO, |kombo| self.started_at.since(kombo));
        let set_back = lead_then.saturating_sub(lead);
        if set_back > CLOCK_TOLERANCE { self.started_at.saturating_sub(set_back) } else { self.started_at }
    }
}
