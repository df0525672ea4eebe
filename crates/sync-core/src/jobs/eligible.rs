use std::collections::BTreeSet;

use kombo_model::{Endpoint, IntegrationId};

use crate::jobs::request::{QueuedRequest, SyncKind};

/// Which requests a worker may lease now, and in which order.
#[derive(Debug, Clone)]
pub struct Eligible {
    /// The endpoints that are fetched.
    pub endpoints: BTreeSet<Endpoint>,
    /// The kinds, the preferred one first.
    pub kinds: Vec<SyncKind>,
    /// Whether fetches that failed the last time are.
    pub retries: bool,
    /// Integrations that have their share of the workers for fetches of a kind. They wait, unless no other integration is
    /// registered.
    pub at_share: BTreeSet<(SyncKind, IntegrationId)>,
}

impl Eligible {
    /// Everything on these endpoints, deltas first.
    pub fn all(endpoints: BTreeSet<Endpoint>) -> Self {
        let kinds = vec![SyncKind::Delta, SyncKind::Full];
        Self { endpoints, kinds, retries: true, at_share: BTreeSet::new() }
    }

    /// Whether a request is, where another integration is registered.
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
    /// This one, which is locked until the transaction ends.
    Request(QueuedRequest),
    /// None, but some are due of integrations that are not worked on, and may hide others:
    /// [`Requests::put_off_idle_requests`](crate::ports::Requests::put_off_idle_requests) ends that.
    Idle,
    /// None.
    Nothing,
}
