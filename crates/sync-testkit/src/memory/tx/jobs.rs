use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kombo_model::{IntegrationId, Timestamp};
use sync_core::horizon::Horizon;
use sync_core::jobs::{Claimable, Eligible, IntegrationStatus, QueuedRequest, SyncKind, Target};
use sync_core::ports::{Lock, LockMode, RateLimit, Requests, Runs, TxResult};
use sync_core::pull::{Run, RunId};
use sync_core::ratelimit::Pacing;

use super::{MemoryTx, count, locked};

impl Requests for MemoryTx<'_> {
    fn request(&mut self, target: &Target, _mode: LockMode) -> TxResult<Lock<QueuedRequest>> {
        self.reading()?;
        Ok(locked(self.state.requests.get(target)))
    }

    fn requests(&mut self) -> TxResult<Vec<QueuedRequest>> {
        self.reading()?;
        let mut requests: Vec<QueuedRequest> = self.state.requests.values().cloned().collect();
        requests.sort_by_key(|request| request.requested_at);
        Ok(requests)
    }

    fn leased_requests(&mut self) -> TxResult<Vec<QueuedRequest>> {
        Ok(self.requests()?.into_iter().filter(|request| request.lease.is_some()).collect())
    }

    fn requests_of(&mut self, integrations: &[IntegrationId]) -> TxResult<Vec<QueuedRequest>> {
        self.reading()?;
        let requests = self.state.requests.values();
        let of = requests.filter(|request| integrations.contains(&request.target.integration_id));
        let mut of: Vec<QueuedRequest> = of.cloned().collect();
        of.sort_by_key(|request| request.requested_at);
        Ok(of)
    }

    fn claimable_request(&mut self, horizon: &Horizon, eligible: &Eligible) -> TxResult<Claimable> {
        self.reading()?;
        let requests = &self.state.requests;
        let is_alone = self.state.integrations.len() == 1;
        let alone = Eligible { at_share: BTreeSet::new(), ..eligible.clone() };
        let eligible = if is_alone { &alone } else { eligible };
        let is_free = |request: &QueuedRequest| {
            let of_endpoint = SyncKind::ALL.iter().map(|kind| Target { kind: *kind, ..request.target.clone() });
            !of_endpoint.filter_map(|target| requests.get(&target)).any(|request| is_held(request, horizon))
        };
        let due = requests
            .values()
            .filter(|request| horizon.is_due(request.not_before) && eligible.admits(request) && is_free(request));
        let preference = |kind: SyncKind| eligible.kinds.iter().position(|preferred| *preferred == kind);
        let found = due.min_by_key(|request| {
            (self.is_idle(request), preference(request.target.kind), request.not_before, &request.target)
        });
        Ok(match found {
            Some(request) if self.is_idle(request) => Claimable::Idle,
            Some(request) => Claimable::Request(request.clone()),
            None => Claimable::Nothing,
        })
    }

    fn postpone_idle_requests(&mut self, horizon: &Horizon, until: Timestamp) -> TxResult<usize> {
        self.writing()?;
        let due = self.state.requests.values().filter(|request| {
            self.is_idle(request) && horizon.is_due(request.not_before) && !is_held(request, horizon)
        });
        let put_off: Vec<QueuedRequest> =
            due.map(|request| QueuedRequest { not_before: until, lease: None, ..request.clone() }).collect();
        let count = put_off.len();
        self.state.requests.extend(put_off.into_iter().map(|request| (request.target.clone(), request)));
        Ok(count)
    }

    fn put_request(&mut self, request: &QueuedRequest) -> TxResult<()> {
        self.writing()?;
        self.state.requests.insert(request.target.clone(), request.clone());
        Ok(())
    }

    fn insert_request(&mut self, request: &QueuedRequest) -> TxResult<bool> {
        self.writing()?;
        if self.state.requests.contains_key(&request.target) {
            return Ok(false);
        }
        self.state.requests.insert(request.target.clone(), request.clone());
        Ok(true)
    }

    fn insert_requests(&mut self, requests: &[QueuedRequest]) -> TxResult<usize> {
        let mut inserted = 0;
        for request in requests {
            inserted += usize::from(self.insert_request(request)?);
        }
        Ok(inserted)
    }

    fn retry_failed_requests(&mut self, now: Timestamp) -> TxResult<usize> {
        self.writing()?;
        let requests = self.state.requests.values_mut();
        let waits =
            |request: &&mut QueuedRequest| request.attempts > 0 && request.not_before > now && request.lease.is_none();
        let mut made_due = 0;
        for request in requests.filter(waits) {
            (request.attempts, request.not_before) = (0, now);
            made_due += 1;
        }
        Ok(made_due)
    }

    fn delete_request(&mut self, target: &Target) -> TxResult<()> {
        self.writing()?;
        self.state.requests.remove(target);
        Ok(())
    }
}

impl Runs for MemoryTx<'_> {
    fn insert_run(&mut self, run: &Run) -> TxResult<RunId> {
        self.writing()?;
        self.state.last_run += 1;
        let id = RunId(self.state.last_run);
        Arc::make_mut(&mut self.state.runs).insert(id, Run { id, ..run.clone() });
        Ok(id)
    }

    fn put_run(&mut self, run: &Run) -> TxResult<()> {
        self.writing()?;
        Arc::make_mut(&mut self.state.runs).insert(run.id, run.clone());
        Ok(())
    }

    fn run(&mut self, id: RunId) -> TxResult<Option<Run>> {
        self.reading()?;
        Ok(self.state.runs.get(&id).cloned())
    }

    fn latest_run(&mut self, target: &Target) -> TxResult<Option<Run>> {
        self.reading()?;
        Ok(self.state.runs.values().rev().find(|run| run.target == *target).cloned())
    }

    fn trim_runs(&mut self, before: Timestamp) -> TxResult<u64> {
        self.writing()?;
        let runs = Arc::make_mut(&mut self.state.runs);
        let latest: BTreeMap<Target, RunId> = runs.values().map(|run| (run.target.clone(), run.id)).collect();
        let had = runs.len();
        runs.retain(|id, run| {
            run.finished_at.is_none_or(|at| at >= before) || latest.get(&run.target).is_some_and(|latest| latest == id)
        });
        Ok(count(had - runs.len()))
    }

    fn runs(&mut self, integration: Option<&IntegrationId>, before: Option<RunId>, limit: usize) -> TxResult<Vec<Run>> {
        self.reading()?;
        let earlier = self.state.runs.range(..before.unwrap_or(RunId(i64::MAX))).rev().map(|(_, run)| run);
        let of = earlier.filter(|run| integration.is_none_or(|id| run.target.integration_id == *id));
        Ok(of.take(limit).cloned().collect())
    }
}

impl RateLimit for MemoryTx<'_> {
    fn pacing(&mut self) -> TxResult<Pacing> {
        self.reading()?;
        Ok(self.state.pacing.clone())
    }

    fn put_pacing(&mut self, pacing: &Pacing) -> TxResult<()> {
        self.writing()?;
        self.state.pacing = pacing.clone();
        Ok(())
    }
}

impl MemoryTx<'_> {
    /// Whether the integration of a request is not worked on.
    fn is_idle(&self, request: &QueuedRequest) -> bool {
        let integration = self.state.integrations.get(&request.target.integration_id);
        integration.is_none_or(|known| matches!(known.status, IntegrationStatus::Deleted | IntegrationStatus::Held))
    }
}

fn is_held(request: &QueuedRequest, horizon: &Horizon) -> bool {
    request.lease.as_ref().is_some_and(|held| horizon.is_held(held.expires_at))
}
