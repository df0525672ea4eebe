use crate::horizon::Horizon;
use crate::jobs::request::{QueuedRequest, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};

/// The queue of requested fetches.
pub trait Requests {
    /// The request for a target, locked until the transaction ends.
    fn request(&mut self, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>>;

    /// All requests, in the order of their time.
    fn requests(&mut self) -> TxResult<Vec<QueuedRequest>>;

    /// Up to `limit` requests that are due and that nobody holds: [`Horizon::is_due`] says so of `not_before`, and there
    /// is no lease or [`Horizon::is_held`] says no. Deltas first, then by `requested_at`. They are not locked: see
    /// [`Self::request`].
    fn due_requests(&mut self, horizon: &Horizon, limit: usize) -> TxResult<Vec<QueuedRequest>>;

    /// Writes a request.
    fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()>;

    /// Writes a request if there is none for its target, and says whether there was none. Waits for units that write
    /// one.
    fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool>;

    /// Removes a request.
    fn delete_request(&mut self, target: &Target) -> TxResult<()>;
}
