//! A test bench for an engine: a store and a Kombo in memory, and a clock that the test sets.
//!
//! Its methods panic where a test would fail anyway.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics says why it failed"
)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::SyncError;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{EndpointState, Lease, LeaseToken, RequestCause, SyncKind, Target};
use sync_core::ports::{Clock, Scope, Silent, Store, StoreError};
use sync_core::pull::Run;
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::rows::{Model, StoredRow, Value};
use tokio_util::sync::CancellationToken;

use crate::{FakeKombo, ManualClock, MemoryStore, lease_next_of};

/// Every endpoint.
pub const ALL: [Endpoint; 4] = Endpoint::LMS;
/// The endpoints that are enabled by default.
pub const USUAL: [Endpoint; 3] = [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions];

/// The integration that all tests use.
pub fn id() -> IntegrationId {
    IntegrationId::from("sandbox:a")
}

/// Returns a target of that integration.
pub fn target(endpoint: Endpoint, kind: SyncKind) -> Target {
    Target { integration_id: id(), endpoint, kind }
}

/// Store, source, clock and policy of one test.
#[derive(Debug)]
pub struct Bench {
    /// The store.
    pub store: MemoryStore,
    /// The source.
    pub kombo: FakeKombo,
    /// The clock.
    pub clock: ManualClock,
    /// The policy.
    pub policy: SyncPolicy,
    leases: AtomicU64,
}

impl Bench {
    /// Creates an empty bench with these endpoints enabled.
    pub fn new(endpoints: &[Endpoint]) -> Self {
        let clock = ManualClock::default();
        let mut policy = SyncPolicy::new(endpoints.iter().copied().collect());
        policy.batch_records = 1; // a transaction for every page
        Self {
            store: MemoryStore::new(),
            kombo: FakeKombo::new(clock.clone()),
            clock,
            policy,
            leases: AtomicU64::new(0),
        }
    }

    /// The enabled endpoints.
    pub fn endpoints(&self) -> BTreeSet<Endpoint> {
        self.policy.plan.endpoints.clone()
    }

    /// Returns an engine over the ports of the bench.
    pub fn engine(&self) -> Engine<MemoryStore, FakeKombo, ManualClock, Silent> {
        let (store, kombo) = (Arc::new(self.store.clone()), Arc::new(self.kombo.clone()));
        Engine::new(store, kombo, self.clock.clone(), Silent, self.policy.clone())
    }

    /// Moves the clock forward.
    pub fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Requests a fetch, with a webhook as the cause.
    pub fn ask(&self, endpoint: Endpoint, kind: SyncKind) {
        self.ask_because(RequestCause::Webhook, endpoint, kind);
    }

    /// Requests a fetch for the given cause.
    pub fn ask_because(&self, cause: RequestCause, endpoint: Endpoint, kind: SyncKind) {
        let now = self.clock.now();
        self.store.edit(|tx| queue::request(tx, target(endpoint, kind), cause, now, now)).unwrap();
    }

    /// Returns a claim with a new token.
    pub fn claim(&self) -> Claim {
        let number = self.leases.fetch_add(1, Ordering::SeqCst);
        Claim {
            owner: "bench".to_owned(),
            token: LeaseToken(format!("lease {number}")),
            ttl: self.policy.lease_ttl,
            longest_wait: self.policy.longest_wait(),
        }
    }

    /// Leases a requested fetch; `None` if there is none, or another worker has it.
    pub fn lease(&self, endpoint: Endpoint, kind: SyncKind) -> Option<Lease> {
        let (claim, now) = (self.claim(), self.clock.now());
        self.store.edit(|tx| queue::lease_target(tx, &target(endpoint, kind), &claim, now)).unwrap()
    }

    /// Works on a requested fetch. Panics if there is none.
    pub async fn attempt(&self, endpoint: Endpoint, kind: SyncKind) -> Result<Run, SyncError> {
        let lease = self.lease(endpoint, kind).expect("it was asked for");
        self.engine().work(&lease, &CancellationToken::new()).await.map(|attempt| attempt.run)
    }

    /// Requests a fetch and works on it.
    pub async fn fetch(&self, endpoint: Endpoint, kind: SyncKind) -> Run {
        self.ask(endpoint, kind);
        let kind = if self.state(endpoint).loaded_at.is_none() { SyncKind::Full } else { kind };
        self.attempt(endpoint, kind).await.unwrap()
    }

    /// Requests a delta and works on it.
    pub async fn delta(&self, endpoint: Endpoint) -> Run {
        self.fetch(endpoint, SyncKind::Delta).await
    }

    /// Requests a full fetch and works on it.
    pub async fn full(&self, endpoint: Endpoint) -> Run {
        self.fetch(endpoint, SyncKind::Full).await
    }

    /// Loads every enabled endpoint.
    pub async fn load(&self) {
        for endpoint in self.endpoints() {
            let run = self.full(endpoint).await;
            assert!(run.outcome.is_complete(), "{run:?}");
        }
    }

    /// Works until nothing is due.
    pub async fn drain(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        loop {
            let (claim, now) = (self.claim(), self.clock.now());
            let lease = self
                .store
                .transact(Scope::Shared, move |tx| lease_next_of(tx, &id(), &claim, now).map_err(SyncError::from))
                .await
                .unwrap();
            let Some(lease) = lease else { return runs };
            runs.push(self.engine().work(&lease, &CancellationToken::new()).await.unwrap().run);
        }
    }

    /// Returns the state of an endpoint.
    pub fn state(&self, endpoint: Endpoint) -> EndpointState {
        self.store.look(|tx| queue::state(tx, &id(), endpoint)).unwrap()
    }

    /// The watermark of an endpoint.
    pub fn watermark(&self, endpoint: Endpoint) -> Option<Timestamp> {
        self.state(endpoint).watermark
    }

    /// Returns the stored row with this key. Panics if there is none.
    pub fn row(&self, model: Model, key: &str) -> StoredRow {
        let table = self.store.table(model, &id());
        table.into_iter().find(|row| row.row.key.to_string() == key).unwrap_or_else(|| panic!("no {model} {key}"))
    }

    /// Returns the text in a column.
    pub fn text(&self, model: Model, key: &str, column: &str) -> Option<String> {
        self.row(model, key).row.get(model, column).and_then(Value::text).map(str::to_owned)
    }

    /// Writes a text into a column, like an edit by hand.
    pub fn write_by_hand(&self, model: Model, key: &str, column: &str, text: &str) {
        let mut row = self.row(model, key);
        let place = model.columns().iter().position(|known| known.name == column).unwrap();
        row.row.values_mut()[place] = Value::Text(text.to_owned());
        self.put(model, row);
    }

    /// Writes a row.
    pub fn put(&self, model: Model, row: StoredRow) {
        self.store.edit(|tx| tx.put_rows(model, &id(), &[row])).unwrap();
    }

    /// Returns the change log after `seq`, one line for each entry.
    pub fn log_since(&self, seq: i64) -> Vec<String> {
        let changes = self.store.look(|tx| tx.changes(None, seq, usize::MAX)).unwrap();
        let line = |change: &sync_core::changes::Change| {
            let fields: Vec<&str> =
                change.fields.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
            let (model, record) = (change.model, &change.record_id);
            format!("{model} {record} {} {} [{}]", change.kind, change.cause, fields.join(" "))
        };
        changes.iter().map(line).collect()
    }

    /// Returns the whole change log, one line for each entry.
    pub fn log(&self) -> Vec<String> {
        self.log_since(0)
    }

    /// Returns the number of the last entry of the change log.
    pub fn last_change(&self) -> i64 {
        self.store.look::<_, StoreError>(|tx| tx.last_change()).unwrap()
    }

    /// Panics unless the store has the content of the source.
    #[track_caller]
    pub fn assert_mirrors(&self) {
        let differences = self.kombo.truth(&self.endpoints()).differences(&self.store, &id());
        assert!(differences.is_empty(), "{differences:#?}");
    }

    /// Adds users, courses and progressions at Kombo, more than a page of each.
    pub fn furnish(&self) {
        self.kombo.edit(|lms| {
            for number in 0..8 {
                lms.add_user(&format!("u{number}"));
            }
            lms.add_provider("p1", "Acme");
            for skill in ["s1", "s2"] {
                lms.add_skill(skill, &format!("skill {skill}"));
            }
            for number in 0..5 {
                let (course, revision) = (format!("c{number}"), format!("r{number}"));
                lms.add_course(&course, &revision, &format!("Course {number}"));
                lms.provide(&course, Some("p1"));
                lms.assign(&revision, "s1");
            }
            lms.add_revision("c0", "r0b", "Course 0, second edition");
            lms.assign("r0", "s2");
            for number in 0..10 {
                lms.add_progression(&format!("g{number}"), &format!("u{}", number % 8), &format!("r{}", number % 5));
            }
        });
        self.pass(3_600); // longer than the overlap of the next fetch
    }
}
