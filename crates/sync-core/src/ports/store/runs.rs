use kombo_model::{IntegrationId, Timestamp};

use crate::jobs::request::Target;
use crate::ports::error::TxResult;
use crate::pull::run::{Run, RunId};

/// The fetches that were begun.
pub trait Runs {
    /// Starts a run and gives it its number; the number in `run` is ignored.
    fn insert_run(&mut self, run: &Run) -> TxResult<RunId>;

    /// Writes a run.
    fn put_run(&mut self, run: &Run) -> TxResult<()>;

    /// A run, if there is one of this number.
    fn run(&mut self, id: RunId) -> TxResult<Option<Run>>;

    /// The latest run of a target.
    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>>;

    /// The latest `limit` runs, of one integration or of all, the latest first. With `before`, only runs with smaller
    /// numbers count.
    fn runs(&mut self, integration: Option<&IntegrationId>, before: Option<RunId>, limit: usize) -> TxResult<Vec<Run>>;

    /// Removes runs that ended before `before`, but for the latest of each target, and says how many.
    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64>;
}
