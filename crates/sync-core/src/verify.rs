//! Compares Kombo with the store, without writing.
//!
//! A difference is a change that a full fetch would make. The same functions find both: [`crate::rows::assess`].

mod difference;
mod sketch;
mod strays;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::error::SyncError;
use crate::jobs::request::SyncKind;
use crate::ports::source::{FailureClass, Fetch, FetchSpec, Pages, RecordPage, Rejected, Source, SourceError};
use crate::ports::store::Store;
use crate::pull::listing::Listing;
use crate::pull::lookup::{LookUp, LookUpSize, SingleId, Verdict, can_be_sent};
use crate::rows::Model;
use crate::rows::assess::{Assessing, Finding, Lists, assess, assess_removal, assess_removal_of};
use crate::rows::batch::{Batch, Provenance};
use crate::rows::change::ChangeCause;
use crate::rows::compare::Tombstones;
use crate::rows::compare::{Reading, latest_credible};
use crate::rows::decompose::decompose;
use crate::rows::json::clean_text;
use crate::rows::row::Key;
use crate::rows::unlisted::{self, Search};
use crate::stable_hash::stable_hash;

use difference::ReportedDifference;
pub use difference::{Difference, What};
use sketch::Sketch;
pub use strays::strays;

/// Number of stored ids to read at a time.
const STORED_IDS: usize = 10_000;

/// Settings of a verification.
#[derive(Debug, Clone)]
pub struct VerifyPolicy {
    /// The endpoints to compare. Partial copies of rows that one of them lists in full are skipped.
    pub endpoints: BTreeSet<Endpoint>,
    /// The enabled endpoints, which include those to compare.
    pub enabled: BTreeSet<Endpoint>,
    /// Treatment of the values of deleted records.
    pub tombstones: Tombstones,
    /// Maximum number of ids in a look-up.
    pub ids_per_lookup: usize,
}

/// Compares one integration at Kombo with the store.
///
/// Memory does not grow with the number of records, except by a few bytes, at least eight, for each row that no
/// endpoint lists. Differences are reported when they are found, those of such rows at the end. Each difference is
/// reported once, even if many records show it, up to about a million. Changes during the comparison may appear as
/// differences.
///
/// ```
/// # use std::time::Duration;
/// # use kombo_model::{Endpoint, IntegrationId};
/// # use sync_core::SyncError;
/// # use sync_testkit::{FakeKombo, ManualClock, MemoryStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), SyncError> {
/// # let (clock, store) = (ManualClock::default(), MemoryStore::new());
/// # let kombo = FakeKombo::new(clock.clone());
/// # kombo.edit(|lms| lms.add_user("u"));
/// # clock.advance(Duration::from_secs(3_600));
/// # let integration = IntegrationId::from("sandbox:a");
/// use sync_core::rows::compare::Tombstones;
/// use sync_core::verify::{Verifier, VerifyPolicy};
///
/// let policy = VerifyPolicy {
///     endpoints: [Endpoint::LmsUsers].into(),
///     enabled: [Endpoint::LmsUsers].into(),
///     tombstones: Tombstones::Mirror,
///     ids_per_lookup: 100,
/// };
/// let mut verifier = Verifier::new(&store, &kombo, policy, integration);
/// let mut differences = Vec::new();
/// let compared = verifier
///     .endpoint(Endpoint::LmsUsers, |difference| {
///         differences.push(difference);
///         Ok::<_, SyncError>(())
///     })
///     .await?;
/// // Kombo has a user, and nothing was ever fetched.
/// assert_eq!((compared, differences.len()), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Verifier<'a, St, So> {
    store: &'a St,
    source: &'a So,
    policy: VerifyPolicy,
    integration: IntegrationId,
    told: ReportedDifference,
}

impl<'a, St: Store, So: Source> Verifier<'a, St, So> {
    /// Creates a verifier of one integration.
    pub fn new(store: &'a St, source: &'a So, policy: VerifyPolicy, integration: IntegrationId) -> Self {
        Self { store, source, policy, integration, told: ReportedDifference::default() }
    }

    /// Compares the records of one endpoint, calls `tell` with each difference, and returns the number of listed
    /// records. Stops at an error of `tell`.
    pub async fn endpoint<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        mut tell: impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (mut compared, mut shown, mut beside) = (0, Sketch::new(), Beside::default());
        let mut pages = self.open(endpoint, Fetch::List { updated_after: None, from: None });
        let mut next = listed(pages.next_page().await.map_err(SyncError::from)?)?;
        let began_at = next.requested_at;
        loop {
            let page = next;
            let last = page.next.is_none();
            let following = async { if last { Ok(None) } else { pages.next_page().await.map_err(SyncError::from) } };
            let (seen, following) = tokio::try_join!(self.compare(endpoint, page, Settles::Later), following)?;
            compared += seen.records;
            for id in &seen.held {
                shown.add(id);
            }
            let seen = beside.add(seen);
            self.tell_seen(endpoint, seen, &mut tell)?;
            if last {
                break;
            }
            next = listed(following)?;
        }
        self.unseen(endpoint, &shown, &mut beside, began_at, &mut tell).await?;
        self.tell(std::mem::take(&mut beside.contested).into_values().flatten().collect(), &mut tell)?;
        self.unlisted(endpoint, beside, began_at, &mut tell).await?;
        Ok(compared)
    }

    /// Reports rows of other models that nothing shows any more.
    async fn unlisted<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        beside: Beside,
        began_at: Timestamp,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        if beside.is_nameless {
            return Ok(());
        }
        let (integration, enabled, reading) =
            (self.integration.clone(), self.policy.enabled.clone(), self.reading(began_at, None));
        let findings = self
            .store
            .read(move |tx| {
                let assessing =
                    Assessing { integration: &integration, endpoint, reading, lists: Lists::Remove, notes: None };
                let search = Search {
                    assessing,
                    enabled: &enabled,
                    notes: None,
                    began_at,
                    first_load: false,
                    gone: BTreeSet::new(),
                };
                let mut undecided = unlisted::nothing_shown(endpoint, &enabled);
                unlisted::add_stored_with(tx, &integration, endpoint, &beside.undecided, &mut undecided)?;
                let is_undecided = |model, key: &Key| undecided.get(&model).is_some_and(|keys| keys.contains(key));
                let mut findings = Vec::new();
                for found in
                    search.find(tx, |model, key| beside.keys.contains(&name(model, key)) || is_undecided(model, key))?
                {
                    for (cause, keys) in &found.keys {
                        let removed = assess_removal_of(tx, found.model, keys, began_at, *cause, assessing)?;
                        findings.extend(removed.findings);
                    }
                }
                Ok::<_, SyncError>(findings)
            })
            .await?;
        self.tell(findings, tell)
    }

    fn open(&self, endpoint: Endpoint, fetch: Fetch) -> Listing<So::Pages> {
        let integration_id = self.integration.clone();
        // A person waits for the result.
        let spec = FetchSpec { integration_id, endpoint, fetch, priority: SyncKind::Delta };
        Listing::new(self.source.open(spec), endpoint)
    }

    fn tell_seen<E>(
        &mut self,
        endpoint: Endpoint,
        seen: Seen,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        self.tell(seen.findings, tell)?;
        self.tell_not_compared(endpoint, seen.unreadable, tell)
    }

    fn tell_not_compared<E>(
        &mut self,
        endpoint: Endpoint,
        ids: Vec<String>,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let (model, integration) = (endpoint.lists(), self.integration.clone());
        let unreadable = ids.into_iter().map(|id| difference::unreadable(&integration, model, id));
        self.tell_each(unreadable, tell)
    }

    fn tell<E>(&mut self, findings: Vec<Finding>, tell: &mut impl FnMut(Difference) -> Result<(), E>) -> Result<(), E> {
        let integration = self.integration.clone();
        self.tell_each(findings.into_iter().flat_map(|finding| difference::of(&integration, finding)), tell)
    }

    fn tell_each<E>(
        &mut self,
        mut differences: impl Iterator<Item = Difference>,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        differences.try_for_each(|difference| if self.told.is_new(&difference) { tell(difference) } else { Ok(()) })
    }

    async fn compare(&self, endpoint: Endpoint, page: RecordPage, settles: Settles) -> Result<Seen, SyncError> {
        let (mut batch, mut records) = (Batch::default(), 0);
        let mut unreadable: Vec<String> = page.rejected.iter().map(Rejected::name).collect();
        let answered_at = page.requested_at.saturating_add(page.elapsed);
        // Records that could be read in part are removed below.
        let mut not_shown = unreadable.clone();
        for record in page.records {
            let id = clean_text(record.id().to_owned());
            if let Ok(faults) = decompose(record, page.requested_at, &mut batch) {
                not_shown.retain(|name| *name != id);
                // A record that was read in part was only partly compared.
                if unreadable.contains(&id) {
                    continue;
                }
                if faults.is_empty() {
                    records += 1;
                } else {
                    unreadable.push(id);
                }
            } else {
                unreadable.push(id.clone());
                not_shown.push(id);
            }
        }
        // Kombo shows these records, so they are not gone.
        let in_quarantine: Vec<Key> = not_shown.into_iter().map(Key::Id).collect();
        let is_nameless = unreadable.iter().any(|id| id.is_empty() || id.starts_with('#'));
        batch.mark_sole_copies(&self.policy.enabled);
        let mut shown = unlisted::shown_in(&batch, endpoint, &self.policy.enabled);
        // A model that a compared endpoint lists in full is compared there. Copies contain less, and many are repeated.
        let endpoints = &self.policy.endpoints;
        batch.rows.retain(|row| row.provenance != Provenance::Copy || !endpoints.contains(&row.model.owner()));
        let integration = self.integration.clone();
        let reading = Reading { settles: settles == Settles::Now, ..self.reading(answered_at, page.server_date) };
        self.store
            .read(move |tx| {
                let assessing =
                    Assessing { integration: &integration, endpoint, reading, lists: Lists::Leave, notes: None };
                let found = assess(tx, &batch, assessing)?;
                unlisted::add_stored_with(tx, &integration, endpoint, &unreadable, &mut shown)?;
                unlisted::add_members(tx, &integration, endpoint, &batch.unsaid, &mut shown)?;
                unlisted::remove_outdated(&mut shown, &found.outdated);
                let mut held = found.shown;
                held.retain(|id| !found.stale.contains(id));
                let stored = tx.rows(endpoint.lists(), &integration, &in_quarantine)?;
                held.extend(
                    stored.into_iter().filter(|row| row.removed_at.is_none()).map(|row| row.row.key.first().to_owned()),
                );
                let beside = shown.iter().flat_map(|(model, keys)| keys.iter().map(|key| name(*model, key)));
                let beside = beside.collect();
                Ok::<_, SyncError>(Seen { findings: found.findings, unreadable, is_nameless, held, beside, records })
            })
            .await
    }

    /// Returns the context of a full fetch.
    fn reading(&self, now: Timestamp, server_date: Option<Timestamp>) -> Reading {
        Reading {
            kind: SyncKind::Full,
            tombstones: self.policy.tombstones,
            known_until: None,
            announced: false,
            now,
            settles: true,
            latest: latest_credible(now, server_date),
        }
    }

    /// Looks up the rows that the list may not have shown.
    async fn unseen<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        shown: &Sketch,
        beside: &mut Beside,
        began_at: Timestamp,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut stored, mut after) = (Sketch::new(), None);
        while let Some(ids) = self.held_ids(endpoint, &mut after).await? {
            for id in &ids {
                stored.add(id);
            }
        }
        if stored.agrees(shown) {
            return Ok(());
        }
        let (mut suspects, mut after) = (Vec::new(), None);
        let (mut size, mut single) = (LookUpSize::new(self.policy.ids_per_lookup), SingleId::default());
        while let Some(mut ids) = self.held_ids(endpoint, &mut after).await? {
            ids.retain(|id| !stored.agrees_on(shown, id));
            // These ids cannot be looked up, but the list would have shown their records.
            let odd: Vec<String> =
                ids.extract_if(.., |id| !can_be_sent(id)).filter(|id| !beside.odd.contains(id)).collect();
            if !odd.is_empty() {
                self.gone(endpoint, odd, began_at, tell).await?;
            }
            suspects.append(&mut ids);
            while suspects.len() >= size.get() {
                self.look_up_some(endpoint, &mut suspects, (&mut size, &mut single), beside, began_at, tell).await?;
            }
        }
        while !suspects.is_empty() {
            self.look_up_some(endpoint, &mut suspects, (&mut size, &mut single), beside, began_at, tell).await?;
        }
        Ok(())
    }

    /// Looks up some of the suspects and removes them from the list, or reduces the size of look-ups after a failure.
    async fn look_up_some<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        suspects: &mut Vec<String>,
        (size, single): (&mut LookUpSize, &mut SingleId),
        beside: &mut Beside,
        began_at: Timestamp,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let asked = size.get().min(suspects.len());
        let ids: Vec<String> = suspects.iter().take(asked).cloned().collect();
        match self.look_up(endpoint, &ids, beside, tell).await? {
            Ok(()) => {
                size.accept();
                suspects.drain(..asked);
                Ok(())
            }
            Err(error) if size.reduce(asked, &error) => Ok(()),
            Err(error) => {
                let [id] = ids.as_slice() else { return Err(SyncError::from(error).into()) };
                let later = suspects.get(1..).unwrap_or_default();
                let target = (&self.integration, endpoint, SyncKind::Delta);
                match single.judge(self.source, target, (id, later), error).await.map_err(SyncError::from)? {
                    Verdict::TryAgain => return Ok(()),
                    // The list would have shown the record.
                    Verdict::NoSuchRecord => self.gone(endpoint, ids, began_at, tell).await?,
                    Verdict::Undecided(_) => {
                        self.tell_not_compared(endpoint, vec![id.clone()], tell)?;
                        beside.undecided.push(id.clone());
                    }
                }
                suspects.drain(..asked);
                Ok(())
            }
        }
    }

    /// Returns the next ids after `after`, which advances, of rows that are not removed. `None` at the end.
    async fn held_ids(&self, endpoint: Endpoint, after: &mut Option<String>) -> Result<Option<Vec<String>>, SyncError> {
        let (integration, from) = (self.integration.clone(), after.take().map(Key::Id));
        let model = endpoint.lists();
        let read = self.store.read(move |tx| tx.keys_after(model, &integration, from.as_ref(), STORED_IDS));
        let keys = read.await.map_err(|error: crate::ports::error::StoreError| SyncError::from(error))?;
        let ids: Vec<String> = keys.into_iter().map(|key| key.first().to_owned()).collect();
        *after = ids.last().cloned();
        Ok(Some(ids).filter(|ids| !ids.is_empty()))
    }

    async fn look_up<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        ids: &[String],
        beside: &mut Beside,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<Result<(), SourceError>, E> {
        let mut look_up = LookUp::new(ids.iter().cloned());
        let mut pages = self.open(endpoint, Fetch::Ids(ids.to_vec()));
        loop {
            let page = match pages.next_page().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            let last = page.next.is_none();
            look_up.note(&page);
            let seen = self.compare(endpoint, page, Settles::Now).await?;
            let seen = beside.add(seen);
            self.tell_seen(endpoint, seen, tell)?;
            if last {
                break;
            }
        }
        let Some((looked_up_at, gone)) = look_up.gone() else { return Ok(Ok(())) };
        self.gone(endpoint, gone, looked_up_at, tell).await.map(Ok)
    }

    /// Reports listed rows that are gone.
    async fn gone<E: From<SyncError>>(
        &mut self,
        endpoint: Endpoint,
        gone: Vec<String>,
        looked_up_at: Timestamp,
        tell: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let (integration, reading) = (self.integration.clone(), self.reading(looked_up_at, None));
        let findings = self
            .store
            .read(move |tx| {
                let assessing =
                    Assessing { integration: &integration, endpoint, reading, lists: Lists::Remove, notes: None };
                Ok::<_, SyncError>(assess_removal(tx, &gone, looked_up_at, assessing)?.findings)
            })
            .await?;
        self.tell(findings, tell)
    }
}

/// The result of comparing a page.
struct Seen {
    findings: Vec<Finding>,
    /// Names of the records that could not be read or stored.
    unreadable: Vec<String>,
    /// Whether an unreadable record has no readable id.
    is_nameless: bool,
    /// Ids of the listed records with a stored row that is not removed.
    held: Vec<String>,
    /// Names of the rows of other models on the page.
    beside: Vec<u64>,
    records: u64,
}

/// The part of a list that cannot be looked up by id.
#[derive(Default)]
struct Beside {
    /// Names of the rows of other models.
    keys: HashSet<u64>,
    /// Ids of listed rows that cannot be sent.
    odd: HashSet<String>,
    is_nameless: bool,
    /// Ids of listed rows on which the look-up fails.
    undecided: Vec<String>,
    /// Rows of other models that differ from all copies so far. If several records show a row, one equal copy suffices.
    contested: BTreeMap<u64, Vec<Finding>>,
}

impl Beside {
    /// Maximum number of contested rows to remember. Further ones are reported immediately.
    const MOST_CONTESTED: usize = 100_000;

    /// Adds the content of a page. Returns the differences to report now.
    fn add(&mut self, mut seen: Seen) -> Seen {
        let shown: HashSet<u64> = seen.beside.iter().copied().collect();
        let mut differing: BTreeMap<u64, Vec<Finding>> = BTreeMap::new();
        for finding in std::mem::take(&mut seen.findings) {
            let name = name(finding.model, &finding.key);
            // A later `changed_at` takes precedence over other records.
            if shown.contains(&name) && finding.cause == ChangeCause::Drift {
                differing.entry(name).or_default().push(finding);
            } else {
                seen.findings.push(finding);
            }
        }
        for name in shown.iter().filter(|name| !differing.contains_key(name)) {
            self.contested.remove(name);
        }
        for (name, findings) in differing {
            if self.keys.contains(&name) {
                continue; // reported, remembered, or equal in another record
            }
            if self.contested.len() < Self::MOST_CONTESTED {
                self.contested.insert(name, findings);
            } else {
                seen.findings.extend(findings);
            }
        }
        self.keys.extend(shown);
        self.odd.extend(seen.held.iter().filter(|id| !can_be_sent(id)).cloned());
        self.is_nameless |= seen.is_nameless;
        seen
    }
}

/// Whether a page is authoritative for the state of its records, like a look-up by id. A list is not, because it may
/// show a record twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settles {
    Now,
    Later,
}

/// Returns a number for a row. Two given rows have the same number with a probability of 1 in 2^64.
fn name(model: Model, key: &Key) -> u64 {
    stable_hash(&format!("{}\u{1f}{}", key.first(), key.second()), model.as_str())
}

fn listed(page: Option<RecordPage>) -> Result<RecordPage, SyncError> {
    page.ok_or_else(|| {
        SyncError::Source(SourceError {
            class: FailureClass::Unintelligible,
            message: "the list ended without a last page".to_owned(),
            retry_after: None,
        })
    })
}
