//! An engine between records that a test writes as JSON and a real database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationCategory, IntegrationId};
use store_diesel::{DieselStore, StoreUrl};
use sync_core::SyncError;
use sync_core::changes::Change;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
use sync_core::ports::{
    Clock as _, Fetch, FetchSpec, Pages, Record, RecordPage, Rejected, Scope, Silent, Source, SourceError, Store as _,
    StoreError,
};
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::pull::{PageCursor, Run};
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{Model, StoredRow};
use sync_core::verify::{Difference, Verifier, VerifyPolicy};
use sync_testkit::ManualClock;
use sync_testkit::postgres::{TestDatabase, test_database};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Expands each function to two tests: one with an SQLite database, one with a PostgreSQL database.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::bench::Bench::on_sqlite().await).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::bench::Bench::on_postgres().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_databases;

pub(crate) fn alpha() -> IntegrationId {
    IntegrationId::from("sandbox:a")
}

/// The database of the test, for hand-written statements.
pub(crate) enum Database {
    Sqlite { path: String, _folder: TempDir },
    Postgres(Arc<TestDatabase>),
}

pub(crate) struct Bench {
    pub(crate) store: Arc<DieselStore>,
    pub(crate) database: Database,
    pub(crate) said: Said,
    pub(crate) clock: ManualClock,
    pub(crate) endpoints: BTreeSet<Endpoint>,
}

impl Bench {
    pub(crate) async fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mirror.db").display().to_string();
        Self::new(&format!("sqlite://{path}"), Database::Sqlite { path: path.clone(), _folder: folder }).await
    }

    pub(crate) async fn on_postgres() -> Self {
        let database = Arc::new(tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap());
        let url = database.url().to_owned();
        Self::new(&url, Database::Postgres(database)).await
    }

    async fn new(url: &str, database: Database) -> Self {
        let url: StoreUrl = url.parse().unwrap();
        let store = Arc::new(DieselStore::open(&url).await.unwrap());
        store.migrate().await.unwrap();
        let clock = ManualClock::default();
        let said = Said { lists: Arc::default(), clock: clock.clone(), page_size: 1 };
        Self { store, database, said, clock, endpoints: Endpoint::LMS.into() }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.database, Database::Sqlite { .. })
    }

    /// Runs SQL by hand.
    pub(crate) async fn sql(&self, sql: &str) {
        use diesel::Connection as _;
        use diesel::connection::SimpleConnection as _;
        match &self.database {
            Database::Sqlite { path, .. } => {
                let mut conn = diesel::SqliteConnection::establish(path).unwrap();
                conn.batch_execute("PRAGMA busy_timeout = 30000").unwrap();
                conn.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            }
            Database::Postgres(database) => {
                let (database, sql) = (Arc::clone(database), format!("SET search_path TO kombo, public; {sql}"));
                tokio::task::spawn_blocking(move || drop(database.execute(&sql).unwrap())).await.unwrap();
            }
        }
    }

    /// Sets the records that an endpoint lists from now on.
    pub(crate) fn lists(&self, endpoint: Endpoint, records: impl IntoIterator<Item = impl Into<String>>) {
        let records = records.into_iter().map(Into::into).collect();
        self.said.lists.lock().unwrap().insert(endpoint, records);
    }

    pub(crate) fn policy(&self) -> SyncPolicy {
        let mut policy = SyncPolicy::new(self.endpoints.clone());
        policy.batch_records = 1;
        policy
    }

    pub(crate) async fn fetch(&self, endpoint: Endpoint, kind: SyncKind) -> Run {
        self.clock.advance(Duration::from_secs(3_600));
        let target = Target { integration_id: alpha(), endpoint, kind };
        let policy = self.policy();
        let claim = Claim {
            owner: "bench".to_owned(),
            token: LeaseToken("1".to_owned()),
            ttl: policy.lease_ttl,
            longest_wait: policy.longest_wait(),
        };
        let now = self.clock.now();
        let lease = self.store.transact(Scope::Shared, move |tx| {
            queue::request(tx, target.clone(), RequestCause::Command, now, now)?;
            queue::lease_target(tx, &target, &claim, now)
        });
        let lease = lease.await.unwrap_or_else(|error: StoreError| panic!("{error}")).unwrap();
        let source = Arc::new(self.said.clone());
        let engine = Engine::new(Arc::clone(&self.store), source, self.clock.clone(), Silent, policy);
        engine.work(&lease, &CancellationToken::new()).await.unwrap().run
    }

    pub(crate) async fn full(&self, endpoint: Endpoint) -> Run {
        self.fetch(endpoint, SyncKind::Full).await
    }

    /// Runs a full fetch of every endpoint.
    pub(crate) async fn full_of_all(&self) {
        for endpoint in self.endpoints.clone() {
            let run = self.full(endpoint).await;
            assert!(run.outcome.is_complete(), "{run:?}");
        }
    }

    pub(crate) async fn rows(&self, model: Model) -> Vec<StoredRow> {
        self.store
            .read(move |tx| tx.rows_after(model, &alpha(), None, 9_999))
            .await
            .unwrap_or_else(|error: StoreError| panic!("{error}"))
    }

    /// Returns the ids of the live rows.
    pub(crate) async fn live(&self, model: Model) -> Vec<String> {
        let rows = self.rows(model).await.into_iter().filter(StoredRow::is_live);
        rows.map(|row| row.row.key.to_string()).collect()
    }

    /// Returns a column of a row, as JSON.
    pub(crate) async fn value(&self, model: Model, key: &str, column: &str) -> serde_json::Value {
        let rows = self.rows(model).await;
        let row = rows.iter().find(|row| row.row.key.to_string() == key).unwrap_or_else(|| panic!("no {model} {key}"));
        row.row.get(model, column).unwrap().to_json()
    }

    pub(crate) async fn changes(&self) -> Vec<Change> {
        self.store.read(|tx| tx.changes(None, 0, 9_999)).await.unwrap_or_else(|error: StoreError| panic!("{error}"))
    }

    pub(crate) async fn verify(&self) -> Vec<Difference> {
        let policy = VerifyPolicy {
            endpoints: self.endpoints.clone(),
            enabled: self.endpoints.clone(),
            tombstones: Tombstones::Mirror,
            ids_per_lookup: 2,
        };
        let mut verifier = Verifier::new(&*self.store, &self.said, policy, alpha());
        let mut differences = Vec::new();
        for endpoint in self.endpoints.clone() {
            let tell = |difference| {
                differences.push(difference);
                Ok::<_, SyncError>(())
            };
            verifier.endpoint(endpoint, tell).await.unwrap();
        }
        differences
    }

    /// Panics unless further full fetches write and log nothing, and verification finds no difference.
    pub(crate) async fn assert_settled(&self) {
        let differences = self.verify().await;
        assert!(differences.is_empty(), "{differences:?}");
        let (before, logged) = (self.all_rows().await, self.changes().await.len());
        for _ in 0..2 {
            self.full_of_all().await;
        }
        let changes = self.changes().await.split_off(logged);
        assert!(changes.is_empty(), "{changes:?}");
        for (before, after) in before.iter().zip(&self.all_rows().await) {
            assert_eq!(before, after, "written again");
        }
    }

    async fn all_rows(&self) -> Vec<Vec<StoredRow>> {
        let mut rows = Vec::new();
        for model in Model::LMS {
            rows.push(self.rows(model).await);
        }
        rows
    }
}

/// A source that lists the test's records in pages.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    lists: Arc<Mutex<BTreeMap<Endpoint, Vec<String>>>>,
    clock: ManualClock,
    pub(crate) page_size: usize,
}

pub(crate) struct SaidPages {
    endpoint: Endpoint,
    left: Vec<String>,
    page_size: usize,
    clock: ManualClock,
    is_over: bool,
}

fn id_of(record: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Value>(record).ok()?.get("id")?.as_str().map(str::to_owned)
}

impl Source for Said {
    type Pages = SaidPages;

    fn open(&self, spec: FetchSpec) -> SaidPages {
        let mut left = self.lists.lock().unwrap().get(&spec.endpoint).cloned().unwrap_or_default();
        if let Fetch::Ids(ids) = spec.fetch {
            left.retain(|record| id_of(record).is_some_and(|id| ids.contains(&id)));
        }
        let Self { page_size, clock, .. } = self.clone();
        SaidPages { endpoint: spec.endpoint, left, page_size, clock, is_over: false }
    }

    async fn category(&self, _: &IntegrationId) -> Result<IntegrationCategory, SourceError> {
        Ok(IntegrationCategory::Lms)
    }
}

impl Pages for SaidPages {
    async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
        tokio::task::yield_now().await;
        if self.is_over {
            return Ok(None);
        }
        let later = self.left.split_off(self.page_size.min(self.left.len()));
        let (mut records, mut rejected) = (Vec::new(), Vec::new());
        for json in std::mem::replace(&mut self.left, later) {
            match Record::read(self.endpoint, &json) {
                Ok(record) => records.push(record),
                Err(_) => match Record::read_in_part(self.endpoint, &json) {
                    Ok(read) => {
                        let id = Some(read.record.id().to_owned());
                        let faults = read.faults.into_iter();
                        rejected.extend(faults.map(|fault| Rejected {
                            id: id.clone(),
                            json: json.clone(),
                            path: fault.path,
                            reason: fault.reason,
                        }));
                        records.push(read.record);
                    }
                    Err(fault) => {
                        rejected.push(Rejected { id: id_of(&json), json, path: fault.path, reason: fault.reason });
                    }
                },
            }
        }
        self.is_over = self.left.is_empty();
        self.clock.advance(Duration::from_millis(20));
        let requested_at = self.clock.now();
        let next = (!self.is_over).then(|| PageCursor(self.left.len().to_string()));
        let server_date = Some(requested_at);
        Ok(Some(RecordPage { records, rejected, next, requested_at, elapsed: Duration::ZERO, server_date }))
    }
}
