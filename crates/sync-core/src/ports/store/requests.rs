use kombo_model::{IntegrationId, Timestamp};

use crate::horizon::Horizon;
use crate::jobs::eligible::{Claimable, Eligible};
use crate::jobs::request::{QueuedRequest, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};

/// The queue of requested fetches.
pub trait Requests {
    /// Returns the request for a target, locked until the transaction ends.
    fn request(&mut self, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>>;

    /// Returns all requests, in the order of their time.
    fn requests(&mut self) -> TxResult<Vec<QueuedRequest>>;

    /// Returns the requests with a lease, expired or not, in the order of their time.
    fn leased_requests(&mut self) -> TxResult<Vec<QueuedRequest>>;

    /// Returns the requests of these integrations, in the order of their time.
    fn requests_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<QueuedRequest>>;

    /// Returns the request that a worker may lease. It is due ([`Horizon::is_due`]), it is eligible, and neither it nor
    /// the other request of its endpoint is leased ([`Horizon::is_held`]). Its integration is registered, not deleted
    /// and not paused by a person. Among the requests of the preferred kind, it became due first. Requests that another
    /// transaction has locked are skipped.
    ///
    /// The number of rows that this reads depends neither on the number of requests nor on that of integrations.
    fn claimable_request(&mut self, horizon: &Horizon, eligible: &Eligible) -> TxResult<Claimable>;

    /// Postpones up to a thousand due requests to `until` and returns their number. Their integrations are deleted,
    /// paused by a person or not registered.
    fn postpone_idle_requests(&mut self, horizon: &Horizon, until: Timestamp) -> TxResult<usize>;

    /// Inserts or replaces a request.
    fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()>;

    /// Inserts a request if its target has none, and returns whether it did. Waits for transactions that write one.
    fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool>;

    /// Inserts those requests whose targets have none, and returns their number. Waits for transactions that write one.
    fn insert_requests(&mut self, requests: &[QueuedRequest]) -> TxResult<usize>;

    /// Makes all requests without a lease that wait after a failure due now, and sets their attempts to zero. Returns
    /// their number.
    fn retry_failed_requests(&mut self, now: Timestamp) -> TxResult<usize>;

    /// Deletes a request.
    fn delete_request(&mut self, target: &Target) -> TxResult<()>;
}
