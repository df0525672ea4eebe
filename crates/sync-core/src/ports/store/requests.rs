use kombo_model::{IntegrationId, Timestamp};

use crate::horizon::Horizon;
use crate::jobs::eligible::{Claimable, Eligible};
use crate::jobs::request::{QueuedRequest, Target};
use crate::ports::error::TxResult;
use crate::ports::lock::{Lock, LockMode};

/// The queue of requested fetches.
pub trait Requests {
    /// The request for a target, locked until the transaction ends.
    fn request(&mut self, target: &Target, mode: LockMode) -> TxResult<Lock<QueuedRequest>>;

    /// All requests, in the order of their time.
    fn requests(&mut self) -> TxResult<Vec<QueuedRequest>>;

    /// The requests of these integrations, in the order of their time.
    fn requests_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<QueuedRequest>>;

    /// The request that a worker may lease: due, by [`Horizon::is_due`]; held by nobody, by [`Horizon::is_held`], nor its
    /// endpoint's other kind of fetch; eligible; of a registered integration that is neither deleted nor paused by a
    /// person. Of the preferred kind, the one that became due first. One that another transaction has locked is passed over.
    ///
    /// How many rows this reads depends neither on the number of requests nor on that of integrations.
    fn claimable_request(&mut self, horizon: &Horizon, eligible: &Eligible) -> TxResult<Claimable>;

    /// Puts off until `until` up to a thousand requests that are due of integrations that are deleted, paused by a person
    /// or not registered, and says how many.
    fn put_off_idle_requests(&mut self, horizon: &Horizon, until: Timestamp) -> TxResult<usize>;

    /// Writes a request.
    fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()>;

    /// Writes a request if there is none for its target, and says whether there was none. Waits for units that write
    /// one.
    fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool>;

    /// Removes a request.
    fn delete_request(&mut self, target: &Target) -> TxResult<()>;
}
