//! A Kombo in memory, without sockets, with configurable quirks.

mod edit;
mod lists;
mod lms;
mod pages;
mod truth;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationCategory, IntegrationId, ModelName, Timestamp};
use sync_core::ports::{Clock, FailureClass, FetchSpec, Source, SourceError};
use sync_core::rows::Model;

use crate::ManualClock;

pub use lms::Lms;
pub use pages::FakePages;
pub use truth::Truth;

/// Behaviour of the fake Kombo.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which changes of nested records `updated_after` detects.
    pub nesting: Nesting,
    /// Number of records on a page.
    pub page_size: usize,
    /// Milliseconds by which Kombo's clock is ahead of ours.
    pub skew_millis: i64,
    /// Duration of a response; our clock advances by it.
    pub latency: Duration,
    /// Meaning of a page cursor.
    pub paging: Paging,
    /// Maximum number of ids in a fetch. A fetch with more is refused.
    pub most_ids: usize,
    /// Whether an id is accepted. A fetch with any other id is refused.
    pub takes_id: fn(&str) -> bool,
    /// Whether answers have a `Date`.
    pub dated: bool,
}

/// Meaning of a page cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paging {
    /// A number of records: the next page skips one if an earlier record is purged meanwhile.
    Offset,
    /// The last returned record: nothing is skipped.
    After,
}

/// The two readings of `updated_after`, on which Kombo's guide and its API reference disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    /// By the guide: any change in a nested record returns the outer one.
    Guide,
    /// By the reference: a course is also returned if one of its revisions was added, removed or changed. No other
    /// nested change counts.
    Reference,
}

/// A [`Source`] that plays Kombo from records in memory. Clones share them.
///
/// It returns the same records for every integration, in the order of ids, page by page, with their content at the time
/// when the page is requested.
#[derive(Debug, Clone)]
pub struct FakeKombo {
    world: Arc<Mutex<World>>,
    clock: ManualClock,
}

type Hook = Box<dyn FnOnce(&mut Lms) + Send>;

struct World {
    lms: Lms,
    settings: Settings,
    asked: Vec<FetchSpec>,
    pages: u64,
    faults: BTreeMap<u64, FailureClass>,
    hooks: BTreeMap<u64, Vec<Hook>>,
    refused: BTreeMap<Endpoint, FailureClass>,
    spoiled: BTreeSet<(Endpoint, String)>,
    failing_ids: BTreeMap<String, FailureClass>,
    cursor_generation: u64,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("settings", &self.settings).field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl FakeKombo {
    /// Creates a Kombo without records, with pages of three, that shares our clock and answers within ten milliseconds.
    pub fn new(clock: ManualClock) -> Self {
        let settings = Settings {
            nesting: Nesting::Reference,
            page_size: 3,
            skew_millis: 0,
            latency: Duration::from_millis(10),
            paging: Paging::Offset,
            most_ids: usize::MAX,
            takes_id: |_| true,
            dated: true,
        };
        let world = World {
            lms: Lms::default(),
            settings,
            asked: Vec::new(),
            pages: 0,
            faults: BTreeMap::new(),
            hooks: BTreeMap::new(),
            refused: BTreeMap::new(),
            spoiled: BTreeSet::new(),
            failing_ids: BTreeMap::new(),
            cursor_generation: 0,
        };
        Self { world: Arc::new(Mutex::new(world)), clock }
    }

    /// Changes the settings.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.world().settings);
    }

    /// Changes records now, by Kombo's clock.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Lms) -> T) -> T {
        self.edit_late(Duration::ZERO, change)
    }

    /// Changes records with a `changed_at` that is `late` in the past: rows may become visible some time after it.
    pub fn edit_late<T>(&self, late: Duration, change: impl FnOnce(&mut Lms) -> T) -> T {
        let mut world = self.world();
        let now = world.server_time(self.clock.now()).saturating_sub(late);
        world.lms.stamp = Some(now);
        change(&mut world.lms)
    }

    /// Changes records without moving `changed_at`, and without naming them in a webhook.
    pub fn edit_silently<T>(&self, change: impl FnOnce(&mut Lms) -> T) -> T {
        let mut world = self.world();
        world.lms.stamp = None;
        change(&mut world.lms)
    }

    /// Returns the models that changed since the last call, as in the `data-changed` webhook.
    pub fn changed_models(&self) -> Vec<ModelName> {
        std::mem::take(&mut self.world().lms.changed).into_iter().map(ModelName::from).collect()
    }

    /// Returns the records that got a new `changed_at` since the last call, with that time.
    pub fn touched(&self) -> Vec<(Model, String, Timestamp)> {
        std::mem::take(&mut self.world().lms.journal)
    }

    /// Returns the ids of all records of a model, deleted ones included.
    pub fn ids(&self, model: Model) -> Vec<String> {
        self.world().lms.ids(model)
    }

    /// Makes the `n`-th page from now fail once. The first one is number 1.
    pub fn fail_page(&self, n: u64, class: FailureClass) {
        let mut world = self.world();
        let page = world.pages + n;
        world.faults.insert(page, class);
    }

    /// Cancels requested failures that have not happened yet.
    pub fn fail_no_more(&self) {
        self.world().faults.clear();
    }

    /// Changes records just before the `n`-th page from now is served.
    pub fn before_page(&self, n: u64, change: impl FnOnce(&mut Lms) + Send + 'static) {
        let mut world = self.world();
        let page = world.pages + n;
        world.hooks.entry(page).or_default().push(Box::new(change));
    }

    /// Makes the pending changes of [`FakeKombo::before_page`], for pages that nobody requested.
    pub fn catch_up(&self) {
        let mut world = self.world();
        for hook in std::mem::take(&mut world.hooks).into_values().flatten() {
            hook(&mut world.lms);
        }
    }

    /// Returns Kombo's time.
    pub fn now(&self) -> Timestamp {
        self.world().server_time(self.clock.now())
    }

    /// Fails every page of an endpoint, until [`FakeKombo::allow`].
    pub fn refuse(&self, endpoint: Endpoint, class: FailureClass) {
        self.world().refused.insert(endpoint, class);
    }

    /// Serves the endpoint again, after [`FakeKombo::refuse`].
    pub fn allow(&self, endpoint: Endpoint) {
        self.world().refused.remove(&endpoint);
    }

    /// Makes every look-up that names this id fail.
    pub fn fail_id(&self, id: &str, class: FailureClass) {
        self.world().failing_ids.insert(id.to_owned(), class);
    }

    /// Answers look-ups of all ids again.
    pub fn fail_no_id(&self) {
        self.world().failing_ids.clear();
    }

    /// Invalidates all page cursors.
    pub fn expire_cursors(&self) {
        self.world().cursor_generation += 1;
    }

    /// Sends this record in an unreadable form, until [`FakeKombo::mend`].
    pub fn spoil(&self, endpoint: Endpoint, id: &str) {
        self.world().spoiled.insert((endpoint, id.to_owned()));
    }

    /// Sends this record correctly again.
    pub fn mend(&self, endpoint: Endpoint, id: &str) {
        self.world().spoiled.remove(&(endpoint, id.to_owned()));
    }

    /// Returns the fetches that began since the last call.
    pub fn asked(&self) -> Vec<FetchSpec> {
        std::mem::take(&mut self.world().asked)
    }

    /// Returns the number of pages requested so far.
    pub fn pages(&self) -> u64 {
        self.world().pages
    }

    /// Returns the expected content of a mirror of these endpoints.
    pub fn truth(&self, endpoints: &BTreeSet<Endpoint>) -> Truth {
        Truth::of(&self.world().lms, endpoints)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    fn server_time(&self, ours: Timestamp) -> Timestamp {
        Timestamp::from_unix_millis(ours.unix_millis().saturating_add(self.settings.skew_millis)).unwrap_or(ours)
    }
}

impl Source for FakeKombo {
    type Pages = FakePages;

    fn open(&self, spec: FetchSpec) -> FakePages {
        self.world().asked.push(spec.clone());
        FakePages::new(self.clone(), spec)
    }

    async fn category(&self, _: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        Ok(IntegrationCategory::Lms)
    }
}
