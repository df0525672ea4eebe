//! Decides what to fetch, when and by which worker: requests, leases, the schedule and pauses.

pub mod dispatch;
pub(crate) mod eligible;
pub(crate) mod endpoint;
pub(crate) mod integration;
pub(crate) mod lease;
pub mod pause;
pub mod queue;
pub(crate) mod request;
pub mod retention;
pub mod schedule;

pub use eligible::{Claimable, Eligible};
pub use endpoint::{EndpointState, EndpointStatus};
pub use integration::{IntegrationRecord, IntegrationStatus};
pub use lease::LeasedTx;
pub use request::{HeldLease, Lease, LeaseToken, QueuedRequest, RequestCause, SyncKind, Target};
