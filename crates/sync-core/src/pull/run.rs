use std::fmt;
use std::time::Duration;

use kombo_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::jobs::request::Target;
use crate::rows::counts::RunCounts;
use crate::words::words;

words! {
    /// How a run stands.
    pub enum RunOutcome {
        /// Somebody works on it, or its process died: the next run resumes it.
        Running = "running",
        /// It was asked to stop: the next run resumes it.
        Interrupted = "interrupted",
        /// It failed: the next run resumes it.
        Failed = "failed",
        /// Everything is stored.
        Completed = "completed",
        /// Everything is stored but the records in quarantine.
        CompletedWithQuarantine = "completed_with_quarantine",
        /// Everything is stored, and nothing was removed: too many records vanished at once.
        Stopped = "stopped",
        /// Another run made it needless.
        Superseded = "superseded",
    }

    /// Where a run stands.
    pub enum RunPhase {
        /// Pages are being fetched.
        Pages = "pages",
        /// Rows that no page showed are being looked up.
        Sweep = "sweep",
        /// Nothing is left to do.
        Done = "done",
    }
}

impl RunOutcome {
    /// Whether the next run of the same kind continues this one.
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Running | Self::Interrupted | Self::Failed)
    }

    /// Whether the run did what it was for.
    pub fn is_complete(self) -> bool {
        matches!(self, Self::Completed | Self::CompletedWithQuarantine)
    }
}

/// The opaque token that Kombo hands out for the next page.
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

/// One fetch, from its first page to its end, over any number of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What it fetches.
    pub target: Target,
    /// How it stands.
    pub outcome: RunOutcome,
    /// When its first attempt began, by our clock.
    pub started_at: Timestamp,
    /// When the latest attempt ended.
    pub finished_at: Option<Timestamp>,
    /// The watermark that it sends with every page; none in a full fetch.
    pub updated_after: Option<Timestamp>,
    /// When the fetch started, as the earlier of our clock and Kombo's: what the next watermark is made of.
    pub fetch_started_at: Option<Timestamp>,
    /// Whether the endpoint had never been loaded when the run began.
    pub first_load: bool,
    /// Where it stands.
    pub phase: RunPhase,
    /// The page to ask for next; none for the first.
    pub page_cursor: Option<PageCursor>,
    /// How many batches were committed.
    pub batches: i64,
    /// What it did.
    pub counts: RunCounts,
    /// Why it failed or stopped, for people.
    pub error: Option<String>,
}

/// What `Date` headers and slow answers may make the clocks differ by.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

impl Run {
    /// When the run began, by our present clock: rows that were observed later may be on none of its pages.
    ///
    /// `lead` is how far our clock is ahead of Kombo's now. If it was further ahead when the run began, then it was set
    /// back since, and the start that it gave lies too late by the difference.
    pub(crate) fn began_at(&self, lead: Duration) -> Timestamp {
        let lead_then = self.fetch_started_at.map_or(Duration::ZERO, |kombo| self.started_at.since(kombo));
        let set_back = lead_then.saturating_sub(lead);
        if set_back > CLOCK_TOLERANCE { self.started_at.saturating_sub(set_back) } else { self.started_at }
    }
}
