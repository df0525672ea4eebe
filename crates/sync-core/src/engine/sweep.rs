use kombo_model::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::commit::{applying, complete, prepare};
use crate::apply;
use crate::error::SyncError;
use crate::listing::Listing;
use crate::lookup::{LookUp, LookUpSize};
use crate::mirror::{Key, Model, Repeats};
use crate::planted::{self, Bug};
use crate::port::{Clock, Event, Fetch, FetchSpec, Observer, Pages, Scope, Source, Store};
use crate::queue;
use crate::types::{EndpointStatus, Lease, Run, RunOutcome, RunPhase};

/// What a sweep found out about rows that no page showed.
struct Findings {
    /// Ids that Kombo does not know, with the time of the look-up.
    gone: Vec<(Timestamp, Vec<String>)>,
    count: u64,
}

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Looks up by id the rows that no page of a full fetch showed, takes over those that Kombo still has, and
    /// marks the others as removed, unless they are suspiciously many.
    pub(super) async fn sweep(&self, lease: &Lease, run: &mut Run, stop: &CancellationToken) -> Result<(), SyncError> {
        if !self.notes_are_whole(lease, run).await? {
            tracing::warn!(
                run.id = run.id.0,
                "the database lost notes of what the fetch showed: fetching again from the first page"
            );
            self.restart(lease, run).await?;
            self.pages(lease, run, stop).await?;
        }
        if run.phase != RunPhase::Sweep {
            return Ok(());
        }
        let Some(findings) = self.look_up_unseen(lease, run, stop).await? else { return Ok(()) };
        let (lease, policy, now, mut after) = (lease.clone(), self.policy.clone(), self.clock.now(), run.clone());
        let (after, counts) = self
            .store
            .transact(Scope::Integration(run.target.integration_id.clone()), move |tx| {
                let request = queue::hold(tx, &lease, now, policy.lease_ttl)?;
                let model = Model::listed_by(after.target.endpoint);
                // Counting takes a look at all rows, which is needed only to hold a number against theirs.
                let live = match findings.count {
                    0 => 0,
                    _ => tx.live_rows(model, &after.target.integration_id)?,
                };
                let mut counts = crate::types::RunCounts::default();
                let approved = request.approved_removals.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
                if is_suspicious(findings.count, live) && findings.count > approved {
                    hold_back(tx, &lease, &mut after, findings.count, live, &policy, now)?;
                } else {
                    let applying = applying(tx, &after, request.cause, &policy, now)?;
                    for (looked_up_at, ids) in &findings.gone {
                        counts.add(&apply::sweep(tx, ids, *looked_up_at, &applying)?);
                    }
                    after.counts.add(&counts);
                    complete(tx, &lease, &mut after, &policy, now)?;
                }
                tx.clear_seen(after.id)?;
                tx.put_run(&after)?;
                Ok::<_, SyncError>((after, counts))
            })
            .await?;
        *run = after;
        self.observer.event(Event::Committed { run, batch: &counts });
        Ok(())
    }

    /// Whether all notes of what the pages showed are there: a database may lose them in a crash.
    async fn notes_are_whole(&self, lease: &Lease, run: &Run) -> Result<bool, SyncError> {
        let (lease, now, ttl, run) = (lease.clone(), self.clock.now(), self.policy.lease_ttl, run.clone());
        self.store
            .transact(Scope::Shared, move |tx| {
                queue::hold(tx, &lease, now, ttl)?;
                Ok(tx.seen_batches(run.id)? == run.batches)
            })
            .await
    }

    /// `None` if `stop` asked to end.
    async fn look_up_unseen(
        &self,
        lease: &Lease,
        run: &mut Run,
        stop: &CancellationToken,
    ) -> Result<Option<Findings>, SyncError> {
        let mut findings = Findings { gone: Vec::new(), count: 0 };
        let mut after: Option<String> = None;
        let mut size = LookUpSize::new(self.policy.ids_per_lookup);
        loop {
            let unseen = self.unseen(lease, run, after.take()).await?;
            let Some(last) = unseen.last() else { return Ok(Some(findings)) };
            after = Some(last.clone());
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
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn unseen(&self, lease: &Lease, run: &Run, after: Option<String>) -> Result<Vec<String>, SyncError> {
        let (lease, now, policy, run) = (lease.clone(), self.clock.now(), self.policy.clone(), run.clone());
        self.store
            .transact(Scope::Shared, move |tx| {
                queue::hold(tx, &lease, now, policy.lease_ttl)?;
                let model = Model::listed_by(run.target.endpoint);
                // A page of ids costs a look at all notes, so it is larger than a look-up.
                let limit = policy.ids_per_lookup.saturating_mul(50);
                Ok(tx.unseen(model, &run.target.integration_id, run.id, after.as_deref(), limit)?)
            })
            .await
    }

    /// How many of the rows are live: of the others it is known that they are gone.
    async fn live_among(&self, run: &Run, ids: &[String]) -> Result<u64, SyncError> {
        let integration = run.target.integration_id.clone();
        let model = Model::listed_by(run.target.endpoint);
        let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
        let rows = self.store.read(move |tx| Ok::<_, SyncError>(tx.rows(model, &integration, &keys)?)).await?;
        Ok(u64::try_from(rows.iter().filter(|row| row.is_live()).count()).unwrap_or(u64::MAX))
    }

    /// Looks some ids up. `false` if `stop` asked to end before it was done.
    async fn look_up(
        &self,
        lease: &Lease,
        run: &mut Run,
        ids: Vec<String>,
        findings: &mut Findings,
        stop: &CancellationToken,
    ) -> Result<bool, SyncError> {
        if planted::has(Bug::NoLookUp) {
            findings.count += self.live_among(run, &ids).await?;
            findings.gone.push((self.clock.now(), ids));
            return Ok(true);
        }
        let pages = self.source.open(FetchSpec {
            integration_id: run.target.integration_id.clone(),
            endpoint: run.target.endpoint,
            fetch: Fetch::Ids(ids.clone()),
        });
        let mut pages = Listing::new(pages, run.target.endpoint);
        let (mut look_up, mut repeats) = (LookUp::new(ids), Repeats::default());
        loop {
            // Kombo may take minutes to answer, with all retries: whoever asks to stop does not wait for that.
            let page = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                page = self.while_holding(lease, pages.next_page()) => page??,
            };
            let Some(page) = page else { break };
            let last = page.next.is_none();
            look_up.note(&page);
            let prepared = prepare(run, page, &mut repeats);
            if !prepared.seen.is_empty() || !prepared.quarantined.is_empty() {
                self.commit_looked_up(lease, run, prepared).await?;
            }
            if last {
                break;
            }
        }
        if let Some((looked_up_at, gone)) = look_up.gone() {
            findings.count += self.live_among(run, &gone).await?;
            findings.gone.push((looked_up_at, gone));
        }
        Ok(true)
    }
}

/// Whether the removals are so many that a person should look: more than ten and more than a tenth of the live rows,
/// in small tables more than half of them, or all.
fn is_suspicious(removals: u64, live: u64) -> bool {
    let many = removals > 10 && removals.saturating_mul(10) > live;
    let half = removals > 2 && removals.saturating_mul(2) > live;
    many || half || (removals > 0 && removals >= live)
}

/// Ends a run without removing anything, and says what a person can do.
fn hold_back(
    tx: &mut dyn crate::port::Tx,
    lease: &Lease,
    run: &mut Run,
    removals: u64,
    live: u64,
    policy: &super::SyncPolicy,
    now: Timestamp,
) -> Result<(), SyncError> {
    let (integration, endpoint) = (&run.target.integration_id, run.target.endpoint);
    let model = Model::listed_by(endpoint);
    let reason = format!(
        "{removals} of {live} {model} are no longer at Kombo; nothing was removed. If that is right, run: syncd sync \
         --full --integration {integration} --endpoint {endpoint} --allow-mass-removal"
    );
    let mut state = queue::state(tx, integration, endpoint)?;
    if let Some(started) = run.fetch_started_at {
        // Additions and updates are in, so the next delta need not fetch them again.
        state.watermark = Some(crate::watermark::advance(state.watermark, started, policy.overlap));
    }
    state.loaded_at.get_or_insert(now);
    queue::set_status(&mut state, EndpointStatus::MassRemoval, Some(reason.clone()), now);
    state.pending_removals = i64::try_from(removals).ok();
    // Looked at again within a day: the stop clears by itself when the rows are back.
    state.next_full_at = Some(now.saturating_add(policy.full_every.min(std::time::Duration::from_secs(86_400))));
    tx.put_endpoint(&state)?;
    run.phase = RunPhase::Done;
    run.outcome = RunOutcome::Stopped;
    run.error = Some(reason);
    run.finished_at = Some(now);
    queue::finish(tx, lease, now).map(drop)
}

#[cfg(test)]
mod tests {
    use super::is_suspicious;

    #[test]
    fn mass_removal_is_relative_but_small_tables_are_guarded_too() {
        for (removals, live, suspicious) in [
            (0, 0, false),
            (0, 100, false),
            (10, 100, false),
            (11, 100, true),
            (11, 1_000, false),
            (100, 1_000, false),
            (101, 1_000, true),
            (1, 1, true),
            (1, 2, false),
            (2, 2, true),
            (2, 3, false),
            (3, 5, true),
            (3, 6, false),
            (8, 8, true),
        ] {
            assert_eq!(is_suspicious(removals, live), suspicious, "{removals} of {live}");
        }
    }
}
