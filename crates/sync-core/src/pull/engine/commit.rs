use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use kombo_model::{Endpoint, Fault, IntegrationId, Timestamp};

use super::sweep::hold_back;
use super::{Engine, SyncPolicy, quarantine};
use crate::error::SyncError;
use crate::horizon::Horizon;
use crate::jobs::endpoint::EndpointStatus;
use crate::jobs::integration::{IntegrationRecord, IntegrationStatus};
use crate::jobs::lease::LeasedTx;
use crate::jobs::queue;
use crate::jobs::request::{Lease, QueuedRequest, RequestCause, SyncKind, Target};
use crate::jobs::schedule;
use crate::ports::clock::Clock;
use crate::ports::error::{Invariant, StoreError, TxResult};
use crate::ports::lock::{Lock, LockMode};
use crate::ports::observer::{Event, Observer};
use crate::ports::source::{RecordPage, Source};
use crate::ports::store::{QuarantinePart, QuarantineRelease};
use crate::ports::store::{Scope, Store, Tx};
use crate::pull::quarantined::Quarantined;
use crate::pull::run::{PageCursor, Run, RunOutcome, RunPhase};
use crate::pull::watermark;
use crate::rows::Model;
use crate::rows::apply::{Applied, Applying, Unlisted, apply, apply_and_tell};
use crate::rows::batch::{Batch, Incoming, Provenance};
use crate::rows::compare::{Reading, latest_credible};
use crate::rows::counts::RunCounts;
use crate::rows::decompose::decompose_new;
use crate::rows::json::{bounded_name, clean_text};
use crate::rows::repeats::Repeats;
use crate::rows::row::{Key, MirrorRow};
use crate::rows::unlisted::{self, Shown};

/// The content of some pages, ready to commit.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) batch: Batch,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) seen: Vec<String>,
    /// The rows of other models that a full fetch compares with the stored ones.
    pub(super) shown: Shown,
    pub(super) counts: RunCounts,
    /// Approximate size of the rows in memory.
    pub(super) bytes: usize,
    /// Kombo's clock at its latest answer.
    pub(super) server_date: Option<Timestamp>,
}

impl Prepared {
    /// Adds the content of later pages.
    pub(super) fn append(&mut self, mut later: Self) {
        self.batch.rows.append(&mut later.batch.rows);
        self.batch.members.append(&mut later.batch.members);
        self.batch.unsaid.append(&mut later.batch.unsaid);
        self.quarantined.append(&mut later.quarantined);
        self.seen.append(&mut later.seen);
        for (model, mut keys) in later.shown {
            self.shown.entry(model).or_default().append(&mut keys);
        }
        self.counts.add(&later.counts);
        self.bytes += later.bytes;
        self.server_date = self.server_date.max(later.server_date);
    }
}

/// Whether to continue after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onward {
    /// Continue.
    Go,
    /// Pause the run: a delta of the same endpoint is waiting, and its changes are more urgent.
    GiveWay,
}

/// The result of a commit.
struct Committed {
    onward: Onward,
    /// Ids of the listed records with rows that a later response has meanwhile written.
    stale: BTreeSet<String>,
}

/// The position after some pages.
#[derive(Clone)]
enum Next {
    Page(PageCursor),
    End,
    /// The pages are not part of the list.
    Stay,
}

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Commits pages with their checkpoint, and with the watermark after the last page of a delta.
    pub(super) async fn commit(
        &self,
        lease: &Lease,
        run: &mut Run,
        prepared: Prepared,
        next: Option<PageCursor>,
    ) -> Result<Onward, SyncError> {
        let next = next.map_or(Next::End, Next::Page);
        Ok(self.commit_or_go_around(lease, run, prepared, next).await?.onward)
    }

    /// Commits the result of a look-up by id, without moving the checkpoint. Returns the ids to look up again: a copy
    /// in another list was written while the answer was in transit, and the row now contains less than the answer.
    pub(super) async fn commit_looked_up(
        &self,
        lease: &Lease,
        run: &mut Run,
        prepared: Prepared,
    ) -> Result<BTreeSet<String>, SyncError> {
        Ok(self.commit_or_go_around(lease, run, prepared, Next::Stay).await?.stale)
    }

    async fn commit_or_go_around(
        &self,
        lease: &Lease,
        run: &mut Run,
        prepared: Prepared,
        next: Next,
    ) -> Result<Committed, SyncError> {
        let prepared = Arc::new(prepared);
        match self.commit_prepared(lease, run, Arc::clone(&prepared), next.clone()).await {
            Err(SyncError::Store(error)) if error.may_lie_in_a_row() => {
                self.commit_around(lease, run, &prepared, next, error).await
            }
            result => result,
        }
    }

    async fn commit_prepared(
        &self,
        lease: &Lease,
        run: &mut Run,
        prepared: Arc<Prepared>,
        next: Next,
    ) -> Result<Committed, SyncError> {
        let (lease, policy, now, mut after) = (lease.clone(), self.policy.clone(), self.clock.now(), run.clone());
        let (after, counts, gives_way, stale) = self
            .store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, policy.lease_ttl)?;
                let (stored, known) = (checkpoint(tx, &after)?.batches, after.batches);
                if stored > known {
                    return Err(StoreError::from(Invariant::CheckpointAhead { run: after.id, stored, known }).into());
                }
                if stored < known {
                    let message = "the database crashed and lost a checkpoint: going on from the one before".to_owned();
                    return Err(StoreError::Unavailable { message, source: None }.into());
                }
                let Applied { counts, stale, logged, .. } = apply_prepared(tx, &after, &prepared, &policy, now)?;
                after.counts.add(&counts);
                match next {
                    Next::Stay => {}
                    Next::Page(cursor) => {
                        after.batches += 1;
                        after.page_cursor = Some(cursor);
                        // If this batch is lost, so is its checkpoint, and it is fetched again. A logged change must
                        // not be lost, because others may have read it.
                        if !logged {
                            tx.may_be_lost()?;
                        }
                    }
                    Next::End => {
                        after.batches += 1;
                        end_of_pages(tx, &mut after, &policy, now)?;
                    }
                }
                tx.put_run(&after)?;
                let gives_way = gives_way(&mut **tx, &after, &policy.horizon(now))?;
                Ok::<_, SyncError>((after, counts, gives_way, stale))
            })
            .await?;
        *run = after;
        self.observer.event(Event::Committed { run, batch: &counts });
        Ok(Committed { onward: if gives_way { Onward::GiveWay } else { Onward::Go }, stale })
    }

    /// Commits pages after an error that a row may have caused. Puts each row that the database rejects into quarantine
    /// and commits the rest as usual. Returns the error if it has another cause.
    async fn commit_around(
        &self,
        lease: &Lease,
        run: &mut Run,
        refused: &Prepared,
        next: Next,
        error: StoreError,
    ) -> Result<Committed, SyncError> {
        let now = self.clock.now();
        let batch = refused.batch.clone();
        let placeholders = placeholders(&batch, now);
        if matches!(error, StoreError::Unexpected { .. })
            && matches!(
                self.attempt(lease, run, placeholders, refused.server_date).await?,
                Err(StoreError::Unexpected { .. })
            )
        {
            return Err(error.into());
        }
        let mut prepared = Prepared {
            batch: Batch::default(),
            quarantined: refused.quarantined.clone(),
            seen: refused.seen.clone(),
            shown: refused.shown.clone(),
            counts: refused.counts,
            bytes: refused.bytes,
            server_date: refused.server_date,
        };
        // Member lists contain nothing that the database could reject.
        let mut parts = vec![Batch { rows: batch.rows, ..Batch::default() }];
        let mut good = Batch { rows: Vec::new(), ..batch };
        while let Some(part) = parts.pop() {
            self.heartbeat(lease).await?;
            let Err(error) = self.attempt(lease, run, part.clone(), refused.server_date).await? else {
                good.rows.extend(part.rows);
                continue;
            };
            if let Some((left, right)) = halves(&part) {
                // The left half is handled first, so that later copies stay after earlier ones.
                parts.push(right);
                parts.push(left);
            } else if let Some(row) = part.rows.first() {
                prepared.counts.quarantined += 1;
                prepared.quarantined.push(quarantine::refused(run, row, &error, now));
            }
        }
        prepared.batch = good;
        self.commit_prepared(lease, run, Arc::new(prepared), next).await
    }

    /// Applies a batch in a transaction that is rolled back. Returns the error if a row may have caused it, and fails
    /// with any other.
    async fn attempt(
        &self,
        lease: &Lease,
        run: &Run,
        batch: Batch,
        server_date: Option<Timestamp>,
    ) -> Result<Result<(), StoreError>, SyncError> {
        enum Attempt {
            Passed,
            Failed(StoreError),
            Other(SyncError),
        }
        impl From<StoreError> for Attempt {
            fn from(error: StoreError) -> Self {
                Self::Failed(error)
            }
        }
        let (lease, run, policy, now) = (lease.clone(), run.clone(), self.policy.clone(), self.clock.now());
        let attempt = self
            .store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, policy.lease_ttl).map_err(Attempt::Other)?;
                let applying = applying(tx, &run, &policy, now, server_date)?;
                apply(tx, &batch, &applying)?;
                Err::<(), Attempt>(Attempt::Passed)
            })
            .await;
        match attempt {
            Ok(()) | Err(Attempt::Passed) => Ok(Ok(())),
            Err(Attempt::Failed(error)) if error.may_lie_in_a_row() => Ok(Err(error)),
            Err(Attempt::Failed(error)) => Err(error.into()),
            Err(Attempt::Other(error)) => Err(error),
        }
    }

    /// Restarts the fetch of a run at its first page.
    pub(super) async fn restart(&self, lease: &Lease, run: &mut Run) -> Result<(), SyncError> {
        let (lease, now, ttl, mut again) = (lease.clone(), self.clock.now(), self.policy.lease_ttl, run.clone());
        again.page_cursor = None;
        again.phase = RunPhase::Pages;
        again.batches = 0;
        again.fetch_started_at = None;
        *run = self
            .store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, ttl)?;
                tx.begin()?;
                tx.clear_seen(again.id)?;
                tx.put_run(&again)?;
                Ok::<_, SyncError>(again)
            })
            .await?;
        Ok(())
    }
}

/// Returns the stored run. It may be older than `run`: a crash of the database may have lost the last batches.
pub(super) fn checkpoint(tx: &mut LeasedTx<'_>, run: &Run) -> TxResult<Run> {
    Ok(tx.run(run.id)?.unwrap_or_else(|| run.clone()))
}

/// Reads a page into rows. Records that cannot be read or stored completely go to quarantine, with the faults.
pub(super) fn prepare(run: &Run, page: RecordPage, repeats: &mut Repeats, enabled: &BTreeSet<Endpoint>) -> Prepared {
    let mut prepared = Prepared { server_date: page.server_date, ..Prepared::default() };
    prepared.counts.pages = 1;
    for record in page.records {
        prepared.counts.records += 1;
        let id = clean_text(record.id().to_owned());
        // Copied only if the record might turn out to be unstorable, because quarantine then needs its text.
        let copy = quarantine::suspicious(&record).then(|| record.clone());
        let faults = decompose_new(record, page.requested_at, &mut prepared.batch, repeats);
        if let Some(fault) = faults.map_or_else(Some, Fault::join) {
            prepared.counts.quarantined += 1;
            let json = copy.and_then(|record| serde_json::to_string(&record).ok()).unwrap_or_default();
            prepared.quarantined.push(quarantine::unstorable(run, &id, json, fault, page.requested_at));
        }
        prepared.seen.push(bounded_name(id));
    }
    for rejected in page.rejected {
        // Some are records of this page that were read in part.
        let is_listed = rejected.id.as_ref().is_some_and(|id| prepared.seen.contains(&clean_text(id.clone())));
        prepared.counts.records += u64::from(!is_listed);
        prepared.counts.quarantined += 1;
        prepared.seen.extend(rejected.id.clone().map(clean_text).map(bounded_name));
        prepared.quarantined.push(quarantine::unreadable(run, rejected, page.requested_at));
    }
    prepared.batch.mark_sole_copies(enabled);
    if run.target.kind == SyncKind::Full {
        prepared.shown = unlisted::shown_in(&prepared.batch, run.target.endpoint, enabled);
    }
    prepared.bytes = prepared.batch.rows.iter().map(|incoming| incoming.row.bytes()).sum();
    prepared
}

/// Applies pages, notes the rows that they showed, and updates the quarantine. The transaction has the lease and the
/// integration's scope.
pub(super) fn apply_prepared(
    tx: &mut LeasedTx<'_>,
    run: &Run,
    prepared: &Prepared,
    policy: &SyncPolicy,
    now: Timestamp,
) -> Result<Applied, SyncError> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let mut counts = prepared.counts;
    let applying = applying(tx, run, policy, now, prepared.server_date)?;
    let Applied { counts: applied, stale, outdated, logged } = apply_and_tell(tx, &prepared.batch, &applying)?;
    counts.add(&applied);
    if run.target.kind == SyncKind::Full && run.phase == RunPhase::Pages {
        // If a copy was written while the page was in transit, the row contains less than the page. The sweep looks
        // such records up.
        let seen = prepared.seen.iter().filter(|id| !stale.contains(*id));
        let seen: Vec<Key> = seen.cloned().map(Key::Id).collect();
        tx.put_seen(run.id, run.batches, endpoint.lists(), &seen)?;
        let mut shown = Cow::Borrowed(&prepared.shown);
        if !prepared.quarantined.is_empty() {
            let ids = put_aside(prepared);
            unlisted::add_stored_with(&mut **tx, integration, endpoint, &ids, shown.to_mut())?;
        }
        if !prepared.batch.unsaid.is_empty() {
            unlisted::add_members(&mut **tx, integration, endpoint, &prepared.batch.unsaid, shown.to_mut())?;
        }
        if !outdated.is_empty() {
            unlisted::remove_outdated(shown.to_mut(), &outdated);
        }
        for (model, keys) in shown.iter() {
            let keys: Vec<Key> = keys.iter().cloned().collect();
            tx.put_seen(run.id, run.batches, *model, &keys)?;
        }
    }
    if tx.quarantine_size(QuarantinePart::Endpoint(integration, endpoint))? > 0 {
        tx.clear_quarantined(integration, endpoint, QuarantineRelease::Ids(&prepared.seen))?;
    }
    if !prepared.quarantined.is_empty() {
        tx.put_quarantined(&prepared.quarantined)?;
    }
    Ok(Applied { counts, stale, outdated, logged })
}

/// Returns the names of the records that were put into quarantine.
pub(super) fn put_aside(prepared: &Prepared) -> Vec<String> {
    prepared.quarantined.iter().map(|record| record.record_id.clone()).collect()
}

pub(super) fn applying<'a>(
    tx: &mut LeasedTx<'_>,
    run: &'a Run,
    policy: &SyncPolicy,
    now: Timestamp,
    server_date: Option<Timestamp>,
) -> TxResult<Applying<'a>> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let known_until = match run.target.kind {
        SyncKind::Delta => run.updated_after,
        SyncKind::Full => queue::state(&mut **tx, integration, endpoint)?.watermark,
    };
    Ok(Applying {
        run,
        reading: Reading {
            kind: run.target.kind,
            tombstones: policy.tombstones,
            known_until,
            announced: tx.leased().cause == RequestCause::Webhook,
            now,
            settles: run.phase != RunPhase::Pages,
            latest: latest_credible(now, server_date),
        },
        quiet: quiet_models(&mut **tx, run, integration, endpoint)?,
        change_values: policy.change_values,
        unlisted: match run.target.kind {
            SyncKind::Delta => Unlisted::Guard { approved: approved(tx.leased()) },
            SyncKind::Full => Unlisted::Leave,
        },
        now,
    })
}

/// Returns the number of removals that a person approved.
pub(super) fn approved(request: &QueuedRequest) -> u64 {
    request.approved_removals.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}

/// Returns the models for which a first load logs no changes: all except those that another endpoint has already
/// loaded.
fn quiet_models(
    tx: &mut dyn Tx,
    run: &Run,
    integration: &IntegrationId,
    endpoint: Endpoint,
) -> TxResult<BTreeSet<Model>> {
    let mut quiet = BTreeSet::new();
    if run.first_load {
        for owner in endpoint.category().endpoints() {
            if owner == endpoint || queue::state(tx, integration, owner)?.loaded_at.is_none() {
                quiet.extend(endpoint.category().models().filter(|model| model.owner() == owner));
            }
        }
    }
    Ok(quiet)
}

/// Whether a full fetch should pause for a delta of its endpoint. Its checkpoint makes this free. A first load never
/// does, because no delta is possible before it ends.
fn gives_way(tx: &mut dyn Tx, run: &Run, horizon: &Horizon) -> TxResult<bool> {
    if run.target.kind == SyncKind::Delta || run.first_load || run.phase == RunPhase::Done {
        return Ok(false);
    }
    let delta = Target { kind: SyncKind::Delta, ..run.target.clone() };
    Ok(
        matches!(tx.request(&delta, LockMode::Skip)?, Lock::Locked(delta) if horizon.is_due(delta.not_before) && delta.lease.is_none()),
    )
}

fn end_of_pages(tx: &mut LeasedTx<'_>, run: &mut Run, policy: &SyncPolicy, now: Timestamp) -> Result<(), SyncError> {
    run.page_cursor = None;
    match run.target.kind {
        SyncKind::Delta if run.counts.withheld > 0 => {
            let what = format!(
                "{} rows are no longer in the lists of their courses and revisions; none of them was removed",
                run.counts.withheld
            );
            hold_back(tx, run, run.counts.withheld, &what, policy, now)
        }
        SyncKind::Delta => complete(tx, run, policy, now),
        SyncKind::Full => {
            run.phase = RunPhase::Sweep;
            Ok(())
        }
    }
}

/// Ends a successful run: moves the watermark and ends the request, in the transaction that commits its last records.
pub(super) fn complete(
    tx: &mut LeasedTx<'_>,
    run: &mut Run,
    policy: &SyncPolicy,
    now: Timestamp,
) -> Result<(), SyncError> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let mut state = queue::state(&mut **tx, integration, endpoint)?;
    let watermark_before = state.watermark;
    if let Some(started) = run.fetch_started_at {
        let before = watermark::plausible(state.watermark, now);
        state.watermark = Some(watermark::advance(before, started.min(now), policy.overlap));
    }
    watermark::assert_not_back(watermark_before, state.watermark, now).map_err(StoreError::from)?;
    match run.target.kind {
        SyncKind::Delta => state.last_delta_at = Some(now),
        SyncKind::Full => {
            state.last_full_at = Some(now);
            state.next_full_at = Some(schedule::next_full(integration, endpoint, policy.full_every, now));
            state.loaded_at.get_or_insert(now);
            state.pending_removals = None;
        }
    }
    if run.target.kind == SyncKind::Full {
        clear_old_quarantine(tx, run)?;
    }
    run.error = quarantine::too_much(&mut **tx, run, state.status)?;
    // Only a full fetch ends the state after a stopped sweep.
    if run.target.kind == SyncKind::Full || state.status != EndpointStatus::MassRemoval {
        let status = if run.error.is_some() { EndpointStatus::Unreadable } else { EndpointStatus::Ok };
        queue::set_status(&mut state, status, run.error.clone(), now);
    }
    tx.put_endpoint(&state)?;
    back_in_order(&mut **tx, integration, now)?;
    run.phase = RunPhase::Done;
    run.finished_at = Some(now);
    // A later page or another attempt may have shown a quarantined record intact.
    let some_are_left =
        run.counts.quarantined > 0 && tx.quarantine_size(QuarantinePart::Endpoint(integration, endpoint))? > 0;
    run.outcome = if some_are_left { RunOutcome::CompletedWithQuarantine } else { RunOutcome::Completed };
    let cause = tx.leased().cause;
    let again = tx.finish(now)?;
    if again && run.first_load && !endpoint.category().models().any(|model| policy.plan.is_blind(model, endpoint)) {
        // During a first load, every request was for a full fetch. A delta now suffices.
        tx.delete_request(&run.target)?;
        let delta = Target { kind: SyncKind::Delta, ..run.target.clone() };
        queue::request(&mut **tx, delta, cause, now, now)?;
    }
    Ok(())
}

/// Makes an integration active: if its data can be fetched, it is neither paused nor missing.
fn back_in_order(tx: &mut dyn Tx, id: &IntegrationId, now: Timestamp) -> TxResult<()> {
    let Some(known) = tx.integration(id)? else { return Ok(()) };
    match known.status {
        IntegrationStatus::Active | IntegrationStatus::Deleted | IntegrationStatus::Held => Ok(()),
        IntegrationStatus::Paused | IntegrationStatus::NotFound => {
            tx.put_integration(&IntegrationRecord {
                status: IntegrationStatus::Active,
                status_since: now,
                reason: None,
                ..known
            })?;
            queue::set_going(tx, id, now)
        }
    }
}

/// Clears the quarantine of earlier runs. A full fetch shows everything, so records that it did not put into quarantine
/// again are intact or gone.
fn clear_old_quarantine(tx: &mut LeasedTx<'_>, run: &Run) -> TxResult<()> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    if tx.quarantine_size(QuarantinePart::Endpoint(integration, endpoint))? == 0 {
        return Ok(());
    }
    tx.clear_quarantined(integration, endpoint, QuarantineRelease::OfOtherRuns(run.id)).map(drop)
}

/// Returns a row without content for each table that a batch writes. If the database rejects these too, the error is
/// not caused by the content of the batch.
fn placeholders(batch: &Batch, now: Timestamp) -> Batch {
    let models: BTreeSet<Model> = batch.rows.iter().map(|incoming| incoming.model).collect();
    let placeholder = |model: Model| Incoming {
        model,
        row: MirrorRow::new(
            model,
            Key::of(model, "syncd placeholder".to_owned(), "syncd placeholder".to_owned()),
            Vec::new(),
        ),
        provenance: Provenance::Listed,
        observed_at: now,
    };
    Batch { rows: models.into_iter().map(placeholder).collect(), ..Batch::default() }
}

fn halves(batch: &Batch) -> Option<(Batch, Batch)> {
    if batch.rows.len() < 2 {
        return None;
    }
    let mut left = batch.clone();
    let right = Batch { rows: left.rows.split_off(left.rows.len() / 2), ..Batch::default() };
    Some((left, right))
}
