use kombo_model::{IntegrationId, Timestamp};

use crate::jobs::request::Target;
use crate::ports::error::TxResult;
use crate::pull::run::{Run, RunId};

/// The runs.
pub trait Runs {
    /// Inserts a run and returns its new number. The number in `run` is ignored.
    fn insert_run(&mut self, run: &Run) -> TxResult<RunId>;

    /// Updates a run.
    fn put_run(&mut self, run: &Run) -> TxResult<()>;

    /// Returns the run with this number, if it exists.
    fn run(&mut self, id: RunId) -> TxResult<Option<Run>>;

    /// Returns the latest run of a target.
    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>>;

    /// Returns the latest `limit` runs, of one integration or of all, the latest first. With `before`, returns only
    /// runs with smaller numbers.
    fn runs(&mut self, integration: Option<&IntegrationId>, before: Option<RunId>, limit: usize) -> TxResult<Vec<Run>>;

    /// Deletes the runs that ended before `before`, except the latest of each target, and returns their number.
    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64>;
}
