//! Fetches: the engine, which works on one leased request, and its rules.

pub(crate) mod engine;
pub(crate) mod listing;
pub(crate) mod lookup;
pub mod quarantine;
pub(crate) mod quarantined;
pub(crate) mod run;
pub mod watermark;

pub use engine::{Attempt, Backoff, Engine, SyncPolicy};
pub use quarantined::Quarantined;
pub use run::{PageCursor, Run, RunId, RunOutcome, RunPhase};

pub use crate::rows::RunCounts;
