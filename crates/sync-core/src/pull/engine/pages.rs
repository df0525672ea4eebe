use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_model::{Endpoint, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::clock_lead::ClockLead;
use super::commit::{Onward, Prepared, prepare};
use super::delta_priority::DeltaPriority;
use crate::error::SyncError;
use crate::jobs::request::{Lease, SyncKind};
use crate::ports::clock::Clock;
use crate::ports::observer::Observer;
use crate::ports::source::{FailureClass, Fetch, FetchSpec, Pages, Source, SourceError};
use crate::ports::store::Store;
use crate::pull::listing::Listing;
use crate::pull::run::{PageCursor, Run, RunPhase};
use crate::pull::watermark;
use crate::rows::repeats::Repeats;

/// Maximum number of pages that wait to be written.
const PAGES_AHEAD: usize = 40;
/// Maximum size of the rows that wait to be written, in bytes.
const BYTES_AHEAD: u32 = 4 << 20;
/// Maximum size of the rows in a transaction, in bytes, give or take a page. Together these limits bound the memory of
/// a fetch, whatever the size of its records.
const BATCH_BYTES: usize = 4 << 20;

impl<St: Store, So: Source, C: Clock, O: Observer> Engine<St, So, C, O> {
    /// Fetches and commits pages until the last one, or until `stop`.
    ///
    /// The next page is requested while earlier ones are compared and written. Waiting pages are written together: one
    /// page when data trickles, many when writing is slower than fetching.
    pub(super) async fn pages(&self, lease: &Lease, run: &mut Run, stop: &CancellationToken) -> Result<(), SyncError> {
        let mut restarted = false;
        let mut committed_before = run.batches;
        loop {
            let error = match self.pages_from_checkpoint(lease, run, stop).await {
                Err(SyncError::Source(error)) if run.page_cursor.is_some() && !restarted => error,
                result => return result,
            };
            let got_somewhere = run.batches > committed_before;
            committed_before = run.batches;
            match suspicion(error.class, got_somewhere, lease.request.attempts) {
                Suspicion::Once => {}
                // Kombo documents neither how long a page cursor is valid nor how it rejects one. The fetch is
                // restarted once.
                Suspicion::Cursor if self.first_page_comes(lease, run, stop).await? => {
                    tracing::warn!(
                        run.id = run.id.0,
                        integration.id = run.target.integration_id.as_str(),
                        endpoint = run.target.endpoint.as_str(),
                        error = %error,
                        "the list does not continue from its page cursor: fetching again from the first page"
                    );
                    restarted = true;
                    self.restart(lease, run).await?;
                }
                Suspicion::Cursor | Suspicion::None => return Err(error.into()),
            }
        }
    }

    /// Whether the first page of the list can be fetched, without a page cursor.
    async fn first_page_comes(&self, lease: &Lease, run: &Run, stop: &CancellationToken) -> Result<bool, SyncError> {
        let mut fetch = self.source.open(FetchSpec {
            integration_id: run.target.integration_id.clone(),
            endpoint: run.target.endpoint,
            fetch: Fetch::List { updated_after: run.updated_after, from: None },
            priority: run.target.kind,
        });
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(false),
            page = self.while_holding(lease, fetch.next_page()) => Ok(page?.is_ok()),
        }
    }

    async fn pages_from_checkpoint(
        &self,
        lease: &Lease,
        run: &mut Run,
        stop: &CancellationToken,
    ) -> Result<(), SyncError> {
        let target = &run.target;
        let fetch = self.source.open(FetchSpec {
            integration_id: target.integration_id.clone(),
            endpoint: target.endpoint,
            fetch: Fetch::List { updated_after: run.updated_after, from: run.page_cursor.clone() },
            priority: target.kind,
        });
        let mut fetch = Listing::starting_at(run.page_cursor.as_ref(), fetch, target.endpoint);
        let (ready, mut waiting) = mpsc::channel(PAGES_AHEAD);
        // When writing stops, fetching stops too.
        let halt = stop.child_token();
        let started = run.clone();
        let delta_priority = (target.kind == SyncKind::Full).then_some(&self.delta_priority);
        let enabled = &self.policy.plan.endpoints;
        let producer =
            fetch_pages(&mut fetch, &started, enabled, ready, delta_priority, &self.clock_lead, halt.clone());
        let consumer = async {
            let result = self.write_pages(lease, run, &mut waiting, stop).await;
            halt.cancel();
            result
        };
        // Both run on this task. A failed fetch queues behind the earlier pages, so they are written first, and no
        // commit is dropped halfway.
        let ((), result) = tokio::join!(producer, consumer);
        result
    }

    async fn write_pages(
        &self,
        lease: &Lease,
        run: &mut Run,
        waiting: &mut mpsc::Receiver<Fetched>,
        stop: &CancellationToken,
    ) -> Result<(), SyncError> {
        let mut beat = tokio::time::interval((self.policy.lease_ttl / 3).max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await; // the first tick is immediate
        let most = u64::try_from(self.policy.batch_records).unwrap_or(u64::MAX);
        while run.phase == RunPhase::Pages {
            let first = tokio::select! {
                biased;
                page = waiting.recv() => page,
                () = stop.cancelled() => return Ok(()),
                _ = beat.tick() => {
                    self.heartbeat(lease).await?;
                    continue;
                }
            };
            // If the last page is missing, the fetch was stopped.
            let Some(first) = first.transpose()? else { return Ok(()) };
            let Page { prepared: mut batch, mut next, began, place } = first;
            drop(place); // pages in a batch no longer wait
            // Set by the first page only: a resumed attempt begins later than its fetch.
            if run.batches == 0 {
                run.fetch_started_at = began;
                if began.is_none() {
                    tracing::warn!(
                        integration.id = run.target.integration_id.as_str(),
                        endpoint = run.target.endpoint.as_str(),
                        "Kombo's answers have no Date header to confirm the clock: the watermark is not moved"
                    );
                }
            }
            let mut failure = None;
            while batch.counts.records < most
                && batch.bytes < BATCH_BYTES
                && next.is_some()
                && let Ok(fetched) = waiting.try_recv()
            {
                match fetched {
                    Ok(page) => {
                        batch.append(page.prepared);
                        next = page.next;
                    }
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            if run.target.kind == SyncKind::Full {
                self.delta_priority.let_deltas_go_first().await;
            }
            let onward = self.commit(lease, run, batch, next).await?;
            if let Some(error) = failure {
                return Err(error.into());
            }
            beat.reset();
            if onward == Onward::GiveWay || stop.is_cancelled() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A page that waits to be written.
struct Page {
    prepared: Prepared,
    next: Option<PageCursor>,
    /// When the fetch began, if this is its first page and Kombo's clock is known.
    began: Option<Timestamp>,
    /// The permit for its memory while it waits.
    place: Option<OwnedSemaphorePermit>,
}

/// A fetched page, or the error.
type Fetched = Result<Page, SourceError>;

/// Whether a failure may have been caused by the page cursor.
enum Suspicion {
    None,
    /// It may have been chance: request the same page once more.
    Once,
    /// It may be the cursor, provided that the first page can be fetched without one.
    Cursor,
}

/// Whether a page cursor that Kombo no longer accepts may have caused a failure. A rejected request always may. Other
/// answers of Kombo or a gateway may if they are repeated, and temporary failures only if several attempts made no
/// progress.
fn suspicion(class: FailureClass, got_somewhere: bool, attempts: i32) -> Suspicion {
    const PATIENCE: i32 = 3;
    match class {
        FailureClass::Unintelligible | FailureClass::IntegrationNotFound if got_somewhere => Suspicion::Once,
        FailureClass::RequestRefused | FailureClass::Unintelligible | FailureClass::IntegrationNotFound => {
            Suspicion::Cursor
        }
        FailureClass::Transient if !got_somewhere && attempts >= PATIENCE => Suspicion::Cursor,
        FailureClass::Transient
        | FailureClass::KeyRejected
        | FailureClass::IntegrationUnavailable
        | FailureClass::SetupPending
        | FailureClass::ModelUnavailable => Suspicion::None,
    }
}

/// Fetches pages and reads them into rows, while earlier ones are compared and written.
async fn fetch_pages(
    pages: &mut impl Pages,
    run: &Run,
    enabled: &BTreeSet<Endpoint>,
    ready: mpsc::Sender<Fetched>,
    delta_priority: Option<&DeltaPriority>,
    clock_lead: &ClockLead,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(usize::try_from(BYTES_AHEAD).unwrap_or(usize::MAX)));
    let mut repeats = Repeats::default();
    let fetch = async {
        loop {
            if let Some(delta_priority) = delta_priority {
                delta_priority.let_deltas_go_first().await;
            }
            let fetched = pages.next_page().await.and_then(|page| {
                page.ok_or_else(|| SourceError {
                    class: FailureClass::Unintelligible,
                    message: "the list ended without a last page".to_owned(),
                    retry_after: None,
                })
            });
            let fetched = match fetched {
                Ok(mut page) => {
                    clock_lead.note(page.requested_at, page.server_date);
                    let began = watermark::fetch_started_at(page.requested_at, page.server_date, page.elapsed);
                    let next = page.next.take();
                    let prepared = prepare(run, page, &mut repeats, enabled);
                    let bytes = u32::try_from(prepared.bytes).unwrap_or(u32::MAX).min(BYTES_AHEAD);
                    let place = Arc::clone(&room).acquire_many_owned(bytes).await.ok();
                    Ok(Page { prepared, next, began, place })
                }
                Err(error) => Err(error),
            };
            let last = fetched.as_ref().map_or(true, |page| page.next.is_none());
            if ready.send(fetched).await.is_err() || last {
                return;
            }
        }
    };
    // Also stops waiting for memory, which the writer no longer releases once it has stopped.
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = fetch => {}
    }
}
