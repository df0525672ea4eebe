//! What is to be fetched, when, and by whom: requests, leases, the schedule, pauses.

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
