use std::collections::BTreeSet;

use kombo_model::{Endpoint, IntegrationId};

use crate::jobs::request::{QueuedRequest, SyncKind};

/// The requests that a worker may lease, and their order.
#[derive(Debug, Clone)]
pub struct Eligible {
    /// The endpoints to fetch.
    pub endpoints: BTreeSet<Endpoint>,
    /// The kinds to fetch, the preferred one first.
    pub kinds: Vec<SyncKind>,
    /// Whether requests are eligible that failed the last time.
    pub retries: bool,
    /// Integrations that already have their share of the workers for fetches of a kind. Their requests wait, unless no
    /// other integration is registered.
    pub at_share: BTreeSet<(SyncKind, IntegrationId)>,
}

impl Eligible {
    /// Returns the value that admits all requests for these endpoints, deltas first.
    pub fn all(endpoints: BTreeSet<Endpoint>) -> Self {
        let kinds = vec![SyncKind::Delta, SyncKind::Full];
        Self { endpoints, kinds, retries: true, at_share: BTreeSet::new() }
    }

    /// Whether a request is eligible, if another integration is registered.
    pub fn admits(&self, request: &QueuedRequest) -> bool {
        let target = &request.target;
        self.endpoints.contains(&target.endpoint)
            && self.kinds.contains(&target.kind)
            && (self.retries || request.attempts == 0)
            && !self.at_share.contains(&(target.kind, target.integration_id.clone()))
    }
}

/// The request that a worker may lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimable {
    /// This request, which is locked until the transaction ends.
    Request(QueuedRequest),
    /// No request, but due requests of inactive integrations may hide others.
    /// [`Requests::postpone_idle_requests`](crate::ports::Requests::postpone_idle_requests) postpones them.
    Idle,
    /// No request.
    Nothing,
}
