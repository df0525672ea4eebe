use std::mem;

use kombo_model::Timestamp;
use tokio_util::sync::CancellationToken;

use super::commit::{applying, approved, complete, prepare, put_aside};
use super::{Engine, SyncPolicy, quarantine};
use crate::error::SyncError;
use crate::jobs::endpoint::EndpointStatus;
use crate::jobs::lease::LeasedTx;
use crate::jobs::queue;
use crate::jobs::request::{Lease, Target};
use crate::ports::clock::Clock;
use crate::ports::error::{StoreError, TxResult};
use crate::ports::observer::{Event, Observer};
use crate::ports::source::{Fetch, FetchSpec, Pages, Source, SourceError};
use crate::ports::store::QuarantinePart;
use crate::ports::store::{Scope, Store, Tx};
use crate::pull::listing::Listing;
use crate::pull::lookup::{LookUp, LookUpSize, SingleId, Verdict, can_be_sent};
use crate::pull::quarantined::Quarantined;
use crate::pull::run::{Run, RunOutcome, RunPhase};
use crate::rows::Model;
use crate::rows::apply;
use crate::rows::assess::Lists;
use crate::rows::counts::RunCounts;
use crate::rows::removals;
use crate::rows::repeats::Repeats;
use crate::rows::row::Key;
use crate::rows::unlisted::{self, Found, Search, Shown};

/// Maximum number of look-ups of a record while copies in other lists keep writing its row. After that, the next full
/// fetch has to resolve the record.
const MAX_LOOK_UPS: u32 = 5;

/// The results of a sweep's look-ups.
#[derive(Default)]
struct Findings {
    /// Ids that Kombo did not return, with the time of the look-up.
    gone: Vec<(Timestamp, Vec<String>)>,
    count: u64,
    /// Rows of other models in the records that were looked up.
    shown: Shown,
    /// Lists that those records do not contain.
    unsaid: Vec<(Model, String)>,
    /// Names of looked-up records that cannot be read.
    unreadable: Vec<String>,
    /// Ids on which the look-up fails. Their rows stay as they are.
    undecided: Vec<Quarantined>,
}

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Looks up by id the rows that no page of a full fetch showed. Stores the records that Kombo still has, and marks
    /// the other rows as removed, together with the rows of other models that nothing shows any more. Removes nothing
    /// if the removals are suspiciously many.
    pub(super) async fn sweep(&self, lease: &Lease, run: &mut Run, stop: &CancellationToken) -> Result<(), SyncError> {
        while !self.sweep_once(lease, run, stop).await? {}
        Ok(())
    }

    /// Returns false if the database lost the notes during the look-ups. Then nothing was removed.
    async fn sweep_once(&self, lease: &Lease, run: &mut Run, stop: &CancellationToken) -> Result<bool, SyncError> {
        if !self.notes_are_whole(lease, run).await? {
            tracing::warn!(
                run.id = run.id.0,
                "the database lost notes of what the fetch showed: fetching again from the first page"
            );
            self.restart(lease, run).await?;
            self.pages(lease, run, stop).await?;
        }
        if run.phase != RunPhase::Sweep {
            return Ok(true);
        }
        let Some(findings) = self.look_up_unseen(lease, run, stop).await? else { return Ok(true) };
        let (lease, policy, now, mut after) = (lease.clone(), self.policy.clone(), self.clock.now(), run.clone());
        let began_at = run.began_at(self.clock_lead.get());
        let swept = self
            .store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, policy.lease_ttl)?;
                // Checked again in this transaction: without the notes, all members of records would count as no longer
                // listed.
                if tx.seen_batches(after.id)? != after.batches {
                    return Ok(None);
                }
                let mut counts;
                let unlisted = find_unlisted(tx, &after, &policy, &findings, began_at, now)?;
                match mass_removal(&mut **tx, &after, findings.count, &unlisted)? {
                    Some((removals, what)) if removals > approved(tx.leased()) => {
                        hold_back(tx, &mut after, removals, &what, &policy, now)?;
                        counts = put_undecided(&mut **tx, &findings)?;
                        after.counts.add(&counts);
                    }
                    _ => {
                        counts = remove_all(tx, &after, &policy, &findings, &unlisted, began_at, now)?;
                        counts.add(&put_undecided(&mut **tx, &findings)?);
                        after.counts.add(&counts);
                        complete(tx, &mut after, &policy, now)?;
                    }
                }
                tx.clear_seen(after.id)?;
                tx.put_run(&after)?;
                Ok::<_, SyncError>(Some((after, counts)))
            })
            .await?;
        let Some((after, counts)) = swept else { return Ok(false) };
        *run = after;
        self.observer.event(Event::Committed { run, batch: &counts });
        Ok(true)
    }

    /// Whether all notes of the rows on the pages exist. A crash of the database may lose some.
    async fn notes_are_whole(&self, lease: &Lease, run: &Run) -> Result<bool, SyncError> {
        let (lease, now, ttl, run) = (lease.clone(), self.clock.now(), self.policy.lease_ttl, run.clone());
        self.store
            .transact(Scope::Shared, move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, ttl)?;
                Ok(tx.seen_batches(run.id)? == run.batches)
            })
            .await
    }

    /// Returns `None` if `stop` ended it.
    async fn look_up_unseen(
        &self,
        lease: &Lease,
        run: &mut Run,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, SyncError> {
        let mut findings = Findings::default();
        let (mut size, mut single) = (LookUpSize::new(self.policy.ids_per_lookup), SingleId::default());
        for page in 0..self.find_unseen(lease, run).await? {
            let unseen = self.unseen(lease, run, page).await?;
            let ids = unseen.iter().map(|key| key.first().to_owned());
            let (unseen, odd): (Vec<String>, Vec<String>) = ids.partition(|id| can_be_sent(id));
            if !odd.is_empty() {
                self.not_asked_for(run, odd, &mut findings).await?;
            }
            let mut rest = unseen.as_slice();
            while !rest.is_empty() {
                let (ids, later) = rest.split_at(size.get().min(rest.len()));
                match self.look_up(lease, run, ids.to_vec(), &mut findings, stop).await {
                    Ok(true) => {
                        size.accept();
                        rest = later;
                    }
                    Ok(false) => return Ok(None),
                    Err(SyncError::Source(error)) if size.reduce(ids.len(), &error) => {}
                    Err(SyncError::Source(error)) => {
                        let [id] = ids else { return Err(error.into()) };
                        match self.judge(lease, run, &mut single, (id, later), error).await? {
                            Verdict::TryAgain => continue,
                            Verdict::NoSuchRecord => self.not_asked_for(run, ids.to_vec(), &mut findings).await?,
                            Verdict::Undecided(error) => {
                                // Nothing that belongs to the record is removed either.
                                findings.unreadable.push(id.clone());
                                findings.undecided.push(quarantine::undecided(run, id, &error, self.clock.now()));
                            }
                        }
                        rest = later;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Some(findings))
    }

    /// Notes ids that cannot be looked up as gone: the pages would have shown their records.
    async fn not_asked_for(&self, run: &Run, ids: Vec<String>, findings: &mut Findings) -> Result<(), SyncError> {
        findings.count += self.counted_among(run, &ids).await?;
        findings.gone.push((run.began_at(self.clock_lead.get()), ids));
        Ok(())
    }

    async fn judge(
        &self,
        lease: &Lease,
        run: &Run,
        single: &mut SingleId,
        ids: (&str, &[String]),
        error: SourceError,
    ) -> Result<Verdict, SyncError> {
        let Target { integration_id, endpoint, kind } = &run.target;
        let verdict = single.judge(&*self.source, (integration_id, *endpoint, *kind), ids, error);
        Ok(self.while_holding(lease, verdict).await??)
    }

    /// Finds the listed rows that no page showed. Returns the number of pages.
    async fn find_unseen(&self, lease: &Lease, run: &Run) -> Result<i64, SyncError> {
        let (lease, now, ttl, run) = (lease.clone(), self.clock.now(), self.policy.lease_ttl, run.clone());
        self.store
            .transact(Scope::Shared, move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, ttl)?;
                let model = run.target.endpoint.lists();
                Ok(tx.find_unseen(run.id, model, &run.target.integration_id)?)
            })
            .await
    }

    async fn unseen(&self, lease: &Lease, run: &Run, page: i64) -> Result<Vec<Key>, SyncError> {
        let (lease, now, ttl, run) = (lease.clone(), self.clock.now(), self.policy.lease_ttl, run.clone());
        self.store
            .transact(Scope::Shared, move |tx| {
                let tx = &mut LeasedTx::assert_lease(tx, &lease, now, ttl)?;
                Ok(tx.unseen(run.id, run.target.endpoint.lists(), page)?)
            })
            .await
    }

    /// Returns the number of rows that count towards mass removal. Rows that are not live are already known to be gone.
    async fn counted_among(&self, run: &Run, ids: &[String]) -> Result<u64, SyncError> {
        let integration = run.target.integration_id.clone();
        let model = run.target.endpoint.lists();
        let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
        let first_load = run.first_load;
        let rows = self.store.read(move |tx| Ok::<_, SyncError>(tx.rows(model, &integration, &keys)?)).await?;
        Ok(u64::try_from(rows.iter().filter(|row| removals::counts(model, row, first_load)).count())
            .unwrap_or(u64::MAX))
    }

    /// Looks up ids, and repeats it if a copy was written while the answer was in transit. Returns `false` if `stop`
    /// ended it early.
    async fn look_up(
        &self,
        lease: &Lease,
        run: &mut Run,
        ids: Vec<String>,
        findings: &mut Findings,
        stop: &CancellationToken,
    ) -> Result<bool, SyncError> {
        let mut overtaken = ids;
        for _ in 0..MAX_LOOK_UPS {
            let ids = mem::take(&mut overtaken);
            if !self.look_up_once(lease, run, ids, findings, &mut overtaken, stop).await? {
                return Ok(false);
            }
            if overtaken.is_empty() {
                break;
            }
        }
        Ok(true)
    }

    async fn look_up_once(
        &self,
        lease: &Lease,
        run: &mut Run,
        ids: Vec<String>,
        findings: &mut Findings,
        overtaken: &mut Vec<String>,
        stop: &CancellationToken,
    ) -> Result<bool, SyncError> {
        let pages = self.source.open(FetchSpec {
            integration_id: run.target.integration_id.clone(),
            endpoint: run.target.endpoint,
            fetch: Fetch::Ids(ids.clone()),
            priority: run.target.kind,
        });
        let mut pages = Listing::new(pages, run.target.endpoint);
        let (mut look_up, mut repeats) = (LookUp::new(ids), Repeats::default());
        loop {
            // With all retries, Kombo's answer may take minutes. A stop does not wait for that.
            let page = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                page = self.while_holding(lease, pages.next_page()) => page??,
            };
            let Some(page) = page else { break };
            let last = page.next.is_none();
            self.clock_lead.note(page.requested_at, page.server_date);
            look_up.note(&page);
            let mut prepared = prepare(run, page, &mut repeats, &self.policy.plan.endpoints);
            for (model, mut keys) in mem::take(&mut prepared.shown) {
                findings.shown.entry(model).or_default().append(&mut keys);
            }
            findings.unsaid.extend_from_slice(&prepared.batch.unsaid);
            findings.unreadable.append(&mut put_aside(&prepared));
            if !prepared.seen.is_empty() || !prepared.quarantined.is_empty() {
                overtaken.extend(self.commit_looked_up(lease, run, prepared).await?);
            }
            if last {
                break;
            }
        }
        if let Some((looked_up_at, gone)) = look_up.gone() {
            findings.count += self.counted_among(run, &gone).await?;
            findings.gone.push((looked_up_at, gone));
        }
        Ok(true)
    }
}

/// Whether the run put a record without a readable id into quarantine. Such records are named by a digest.
fn some_are_nameless(tx: &mut dyn Tx, run: &Run) -> TxResult<bool> {
    const PAGE: usize = 200;
    let mut from = "#".to_owned();
    loop {
        let mut page =
            tx.quarantined(QuarantinePart::From(&run.target.integration_id, run.target.endpoint, &from), PAGE + 1)?;
        let next = page.split_off(page.len().min(PAGE)).pop();
        let mut nameless = page.iter().take_while(|record| record.record_id.starts_with('#'));
        if nameless.any(|record| record.run_id == run.id) {
            return Ok(true);
        }
        match next {
            Some(next) if next.record_id.starts_with('#') => from = next.record_id,
            Some(_) | None => return Ok(false),
        }
    }
}

/// Returns the rows of other models that nothing shows any more; none if that cannot be determined.
fn find_unlisted(
    tx: &mut LeasedTx<'_>,
    run: &Run,
    policy: &SyncPolicy,
    findings: &Findings,
    began_at: Timestamp,
    now: Timestamp,
) -> TxResult<Vec<Found>> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    if some_are_nameless(&mut **tx, run)? {
        // A record without a readable id may be any record and show any row.
        return Ok(Vec::new());
    }
    let enabled = &policy.plan.endpoints;
    let mut shown = unlisted::nothing_shown(endpoint, enabled);
    unlisted::add_stored_with(&mut **tx, integration, endpoint, &findings.unreadable, &mut shown)?;
    unlisted::add_members(&mut **tx, integration, endpoint, &findings.unsaid, &mut shown)?;
    let is_in = |shown: &Shown, model, key: &Key| shown.get(&model).is_some_and(|keys| keys.contains(key));
    let applying = applying(tx, run, policy, now, None)?;
    let search = Search {
        assessing: applying.assessing(Lists::Remove),
        enabled,
        notes: Some(run.id),
        began_at,
        first_load: run.first_load,
        gone: findings.gone.iter().flat_map(|(_, ids)| ids).map(String::as_str).collect(),
    };
    search.find(&mut **tx, |model, key| is_in(&shown, model, key) || is_in(&findings.shown, model, key))
}

/// Returns the number of suspicious removals and a description, if a person should check them. Only models with
/// suspiciously many removals count.
fn mass_removal(tx: &mut dyn Tx, run: &Run, listed: u64, unlisted: &[Found]) -> TxResult<Option<(u64, String)>> {
    let integration = &run.target.integration_id;
    let mut removals = 0;
    let mut what = Vec::new();
    // Counting reads all rows, so it is done only if there are removals to compare.
    if listed > 0 {
        let model = run.target.endpoint.lists();
        let live = tx.live_rows(model, integration)?;
        if removals::are_suspicious(listed, live) {
            removals += listed;
            what.push(format!("{listed} of {live} {model} are no longer at Kombo"));
        }
    }
    for Found { model, count, .. } in unlisted.iter().filter(|found| found.count > 0) {
        let live = tx.live_rows(*model, integration)?;
        if removals::are_many(*count, live) {
            removals += count;
            what.push(format!("{count} of {live} {model} are shown by no record any more"));
        }
    }
    Ok((!what.is_empty()).then(|| (removals, format!("{}; nothing was removed", what.join(", ")))))
}

fn remove_all(
    tx: &mut LeasedTx<'_>,
    run: &Run,
    policy: &SyncPolicy,
    findings: &Findings,
    unlisted: &[Found],
    began_at: Timestamp,
    now: Timestamp,
) -> TxResult<RunCounts> {
    let applying = applying(tx, run, policy, now, None)?;
    let mut counts = RunCounts::default();
    for (looked_up_at, ids) in &findings.gone {
        counts.add(&apply::sweep(tx, ids, *looked_up_at, &applying)?);
    }
    for found in unlisted {
        counts.add(&apply::remove_unlisted(tx, found, began_at, &applying)?);
    }
    Ok(counts)
}

/// Puts the ids on which the look-up fails into quarantine.
fn put_undecided(tx: &mut dyn Tx, findings: &Findings) -> TxResult<RunCounts> {
    tx.put_quarantined(&findings.undecided)?;
    let quarantined = u64::try_from(findings.undecided.len()).unwrap_or(u64::MAX);
    Ok(RunCounts { quarantined, ..RunCounts::default() })
}

/// Ends a run without removals, and describes what a person can do.
pub(super) fn hold_back(
    tx: &mut LeasedTx<'_>,
    run: &mut Run,
    removals: u64,
    what: &str,
    policy: &SyncPolicy,
    now: Timestamp,
) -> Result<(), SyncError> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let reason = format!(
        "{what}. If that is right, run: syncd sync --full --integration {integration} --endpoint {endpoint} \
         --allow-mass-removal"
    );
    let mut state = queue::state(&mut **tx, integration, endpoint)?;
    let watermark_before = state.watermark;
    if let Some(started) = run.fetch_started_at {
        // New and updated records are stored, so the next delta need not fetch them again.
        state.watermark = Some(crate::pull::watermark::advance(state.watermark, started, policy.overlap));
    }
    crate::pull::watermark::assert_not_back(watermark_before, state.watermark, now).map_err(StoreError::from)?;
    state.loaded_at.get_or_insert(now);
    queue::set_status(&mut state, EndpointStatus::MassRemoval, Some(reason.clone()), now);
    state.pending_removals = i64::try_from(removals).ok();
    // The next full fetch follows within a day: the stop ends by itself if the rows are back.
    state.next_full_at = Some(now.saturating_add(policy.full_every.min(std::time::Duration::from_secs(86_400))));
    tx.put_endpoint(&state)?;
    run.phase = RunPhase::Done;
    run.outcome = RunOutcome::Stopped;
    run.error = Some(reason);
    run.finished_at = Some(now);
    Ok(tx.finish(now).map(drop)?)
}
