//! Classes of database errors, on a server with another language.

use std::collections::BTreeSet;
use std::sync::Arc;

use kombo_model::{Endpoint, IntegrationId, Timestamp};
use store_diesel::{DieselStore, MigrateError, StoreUrl};
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::{LeaseToken, RequestCause, SyncKind, Target};
use sync_core::outbox::Undelivered;
use sync_core::ports::{Clock as _, QuarantinePart, Scope, Silent, Store as _, StoreError, Tx};
use sync_core::pull::{Engine, SyncPolicy};
use sync_core::pull::{Quarantined, Run, RunOutcome};
use sync_core::rows::{Key, MirrorRow, Model, StoredRow, Value};
use sync_testkit::postgres::{Options, PrivatePostgres, TestDatabase, test_database};
use sync_testkit::{FakeKombo, ManualClock};
use tokio_util::sync::CancellationToken;

fn alpha() -> IntegrationId {
    IntegrationId::from("sandbox:a")
}

async fn open(url: &str) -> DieselStore {
    let url: StoreUrl = url.parse().unwrap();
    let store = DieselStore::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    store
}

fn user(id: &str, column: &str, value: &Value) -> StoredRow {
    let values = Model::LmsUsers.columns().iter().map(|it| if it.name == column { value.clone() } else { Value::Null });
    let row = MirrorRow::new(Model::LmsUsers, Key::Id(id.to_owned()), values.collect());
    StoredRow { row, removed_at: None, synced_at: Timestamp::MIN }
}

async fn put(store: &DieselStore, row: StoredRow) -> Result<(), StoreError> {
    let scope = Scope::Integration(alpha());
    store.transact(scope, move |tx| tx.put_rows(Model::LmsUsers, &alpha(), &[row])).await
}

/// Runs SQL on a database with psql.
async fn sql(database: &Arc<TestDatabase>, sql: &str) -> String {
    let (database, sql) = (Arc::clone(database), sql.to_owned());
    tokio::task::spawn_blocking(move || database.execute(&sql).unwrap()).await.unwrap()
}

async fn database() -> Arc<TestDatabase> {
    Arc::new(tokio::task::spawn_blocking(|| test_database().unwrap()).await.unwrap())
}

/// The language of the server has no effect on the class of an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_mean_the_same_in_german() {
    let (server, url) = tokio::task::spawn_blocking(|| {
        let options = Options { language: Some("de_DE".to_owned()), ..Options::default() };
        let server = PrivatePostgres::start_with(options).unwrap();
        let url = server.create_database("german").unwrap();
        (server, url)
    })
    .await
    .unwrap();
    let store = open(&url).await;
    let refused = put(&store, user("a", "custom_fields", &Value::Json(r#"{"a":"\u0000"}"#.to_owned()))).await;
    let Err(StoreError::Refused { message }) = refused else { panic!("{refused:?}") };
    assert!(message.ends_with("(SQLSTATE 22P05)"), "{message}");

    // Another session ends this one while its transaction runs.
    let terminated = store.transact(Scope::Integration(alpha()), move |tx: &mut dyn Tx| {
        let client = std::thread::spawn(move || {
            let (runtime, all) = (
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
                "
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
                let connection = tokio::spawn(connection);
                client.batch_execute(all).await.unwrap();
                drop(client);
                connection.await.unwrap().unwrap();
            });
        });
        client.join().unwrap();
        tx.put_rows(Model::LmsUsers, &alpha(), &[user("a", "status", &Value::Null)])
    });
    let terminated = terminated.await;
    assert!(matches!(&terminated, Err(error) if error.is_transient()), "{terminated:?}");
    put(&store, user("a", "status", &Value::Null)).await.unwrap();
    drop(server);
}

/// A change of a table makes prepared statements unusable. One transaction fails because of it; then all sessions work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_table_costs_one_transaction() {
    let database = database().await;
    let store = Arc::new(open(database.url()).await);
    put(&store, user("a", "status", &Value::Null)).await.unwrap();
    let read = |store: &Arc<DieselStore>, meet: Option<Arc<std::sync::Barrier>>| {
        let store = Arc::clone(store);
        let keys = vec![Key::Id("a".to_owned())];
        tokio::spawn(async move {
            let transaction = move |tx: &mut dyn Tx| {
                let rows = tx.rows(Model::LmsUsers, &alpha(), &keys);
                meet.map(|meet| meet.wait());
                rows
            };
            store.read(transaction).await
        })
    };
    // Four sessions prepare the statement at the same time.
    let meet = Arc::new(std::sync::Barrier::new(4));
    let mut reads = Vec::new();
    for _ in 0..4 {
        reads.push(read(&store, Some(Arc::clone(&meet))));
    }
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap().len(), 1);
    }
    sql(&database, "ALTER TABLE kombo.lms_users ALTER COLUMN remote_id TYPE varchar(200)").await;
    let noticed = read(&store, None).await.unwrap();
    assert!(matches!(&noticed, Err(error) if error.is_transient()), "{noticed:?}");
    for _ in 0..4 {
        assert_eq!(read(&store, None).await.unwrap().unwrap().len(), 1);
    }
}

/// A store, a Kombo in memory, and an engine that connects them.
struct Bench {
    store: Arc<DieselStore>,
    kombo: FakeKombo,
    clock: ManualClock,
}

impl Bench {
    async fn new(url: &str) -> Self {
        let clock = ManualClock::default();
        Self { store: Arc::new(open(url).await), kombo: FakeKombo::new(clock.clone()), clock }
    }

    async fn full(&self, endpoint: Endpoint) -> Run {
        let policy = SyncPolicy::new(BTreeSet::from([endpoint]));
        let target = Target { integration_id: alpha(), endpoint, kind: SyncKind::Full };
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
        let lease = lease.await.unwrap().unwrap();
        let kombo = Arc::new(self.kombo.clone());
        let engine = Engine::new(Arc::clone(&self.store), kombo, self.clock.clone(), Silent, policy);
        engine.work(&lease, &CancellationToken::new()).await.unwrap().run
    }

    async fn ids(&self, model: Model) -> Vec<String> {
        let rows = self.store.read(move |tx| tx.rows_after(model, &alpha(), None, 1_000)).await.unwrap();
        rows.into_iter().map(|row| row.row.key.to_string()).collect()
    }

    async fn quarantined(&self) -> Vec<Quarantined> {
        self.store.read(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).await.unwrap()
    }
}

/// The error of an operator's trigger has no known code. The row that it rejects goes to quarantine, with the trigger's
/// message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_objects_to_is_quarantined() {
    let database = database().await;
    let bench = Bench::new(database.url()).await;
    sql(
        &database,
        "CREATE FUNCTION public.object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.first_name = 'odd' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER object BEFORE INSERT OR UPDATE ON kombo.lms_users FOR EACH ROW EXECUTE FUNCTION public.object()",
    )
    .await;
    bench.kombo.edit(|lms| {
        (0..9).for_each(|user| lms.add_user(&format!("u{user}")));
        lms.rename_user("u4", "odd");
    });
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1));
    assert_eq!(bench.ids(Model::LmsUsers).await.len(), 8);
    let [aside] = bench.quarantined().await.try_into().unwrap();
    assert_eq!(aside.record_id, "u4");
    assert!(aside.reason.ends_with("(SQLSTATE P0001)"), "{}", aside.reason);
}

/// Records are retried page by page. A record that the database rejects, or that cannot be read, stays in quarantine
/// alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_quarantine_are_tried_again() {
    let database = database().await;
    let on_postgres = open(database.url()).await;
    sql(
        &database,
        "CREATE FUNCTION public.object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.first_name = 'odd' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$;
         CREATE TRIGGER object BEFORE INSERT OR UPDATE ON kombo.lms_users FOR EACH ROW EXECUTE FUNCTION public.object()",
    )
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mirror.db").display().to_string();
    let on_sqlite = open(&format!("sqlite://{path}")).await;
    {
        use diesel::Connection as _;
        use diesel::connection::SimpleConnection as _;
        let mut conn = diesel::SqliteConnection::establish(&path).unwrap();
        let object = "CREATE TRIGGER object BEFORE INSERT ON lms_users WHEN NEW.first_name = 'odd'
                      BEGIN SELECT RAISE(ABORT, 'no'); END";
        conn.batch_execute(object).unwrap();
    }
    let now: Timestamp = "2026-03-01T12:00:00.000Z".parse().unwrap();
    for store in [on_postgres, on_sqlite] {
        let record = |number: usize| {
            let name = if number == 300 { "odd" } else { "even" };
            let json = format!(r#"{{"id":"u{number:03}","first_name":"{name}"}}"#);
            Quarantined {
                integration_id: alpha(),
                endpoint: Endpoint::LmsUsers,
                record_id: format!("u{number:03}"),
                json: if number == 7 { "[".to_owned() } else { json },
                path: "id".to_owned(),
                reason: "an older program".to_owned(),
                observed_at: now,
                run_id: sync_core::pull::RunId(1),
            }
        };
        let records: Vec<Quarantined> = (0..450).map(record).collect();
        let put = store.transact(Scope::Shared, move |tx| tx.put_quarantined(&records));
        put.await.unwrap_or_else(|error: StoreError| panic!("{error}"));
        let tombstones = SyncPolicy::new(BTreeSet::from([Endpoint::LmsUsers])).tombstones;
        let policy = sync_core::pull::quarantine::RetryPolicy { tombstones, change_values: false };
        let retried = sync_core::pull::quarantine::retry(&store, &alpha(), policy, now).await.unwrap();
        assert_eq!(retried.len(), 450);
        let kept: Vec<_> = retried.iter().filter(|retried| retried.applied.is_none()).collect();
        let kept: Vec<&str> = kept.iter().map(|retried| retried.record.record_id.as_str()).collect();
        assert_eq!(kept, ["u007", "u300"]);
        let left = store
            .read(|tx| tx.quarantined(QuarantinePart::All, usize::MAX))
            .await
            .unwrap_or_else(|error: StoreError| panic!("{error}"));
        assert_eq!(left.iter().map(|record| record.record_id.as_str()).collect::<Vec<_>>(), kept);
    }
}

/// Text that hardly compresses.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    };
    (0..length).map(|_| letter()).collect()
}

/// No index limits the length of a text. A record with an id that cannot be a key goes to quarantine, under a short
/// name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_stop_nobody() {
    let database = database().await;
    let bench = Bench::new(database.url()).await;
    put(&bench.store, user("mail", "work_email", &Value::Text(noise(12_000)))).await.unwrap();
    let plan = sql(
        &database,
        "SET enable_seqscan TO off; EXPLAIN SELECT * FROM kombo.lms_users WHERE work_email = 'a@example.com'",
    );
    let plan = plan.await;
    assert!(plan.contains("lms_users_work_email"), "{plan}");
    assert_long_values_stop_nobody(&bench).await;
}

/// SQLite's indexes accept keys of any length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_stop_nobody_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(&format!("sqlite://{}", folder.path().join("mirror.db").display())).await;
    put(&bench.store, user("mail", "work_email", &Value::Text(noise(12_000)))).await.unwrap();
    assert_long_values_stop_nobody(&bench).await;
}

async fn assert_long_values_stop_nobody(bench: &Bench) {
    let mail = bench.store.read(|tx| tx.rows(Model::LmsUsers, &alpha(), &[Key::Id("mail".to_owned())])).await.unwrap();
    assert_eq!(mail[0].row.get(Model::LmsUsers, "work_email").unwrap().text().unwrap().len(), 12_000);
    bench.kombo.edit(|lms| {
        (0..9).for_each(|user| lms.add_user(&format!("u{user}")));
        lms.add_user(&noise(6_000));
    });
    for _ in 0..2 {
        bench.clock.advance(std::time::Duration::from_secs(60));
        let run = bench.full(Endpoint::LmsUsers).await;
        assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1));
        let [aside] = bench.quarantined().await.try_into().unwrap();
        assert!(aside.record_id.len() < 200 && aside.path == "id", "{}: {}", aside.path, aside.reason);
    }
    assert_eq!(bench.ids(Model::LmsUsers).await.len(), 10);
}

/// Rows that were moved without their counters: new entries get numbers above those in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_follow_the_rows() {
    let database = database().await;
    let store = open(database.url()).await;
    sql(
        &database,
        "INSERT INTO kombo.sync_changes (seq, integration_id, model, record_id, kind, cause, fields, run_id, at)
         VALUES (40, 'sandbox:a', 'lms_users', 'u', 'created', 'direct', '[]', 1, now());
         INSERT INTO kombo.sync_quarantine VALUES ('sandbox:a', 'lms/users', 'u', '', '', '', now(), 70)",
    )
    .await;
    store.migrate().await.unwrap();
    let next = "SELECT nextval('kombo.sync_changes_seq_seq'), nextval('kombo.sync_runs_id_seq')";
    assert_eq!(sql(&database, next).await, "41|71");
    // All entries are trimmed, and the counter is lost again.
    let trimmed = store.transact(Scope::Shared, |tx| tx.trim_changes(Timestamp::MAX, Undelivered::Remove)).await;
    assert_eq!(trimmed.unwrap_or_else(|error: StoreError| panic!("{error}")), 1);
    sql(&database, "ALTER SEQUENCE kombo.sync_changes_seq_seq RESTART").await;
    store.migrate().await.unwrap();
    assert_eq!(sql(&database, "SELECT nextval('kombo.sync_changes_seq_seq')").await, "41");
}

/// Rows that were moved without their counters, which SQLite keeps in a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_follow_the_rows_in_sqlite() {
    use diesel::connection::SimpleConnection as _;
    use diesel::{Connection as _, SqliteConnection};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mirror.db").display().to_string();
    let url = format!("sqlite://{path}");
    drop(open(&url).await);
    let mut conn = SqliteConnection::establish(&path).unwrap();
    let moved = "INSERT INTO sync_changes (seq, integration_id, model, record_id, kind, cause, fields, run_id, at)
         VALUES (40, 'sandbox:a', 'lms_users', 'u', 'created', 'direct', '[]', 1, '2026-03-01T12:00:00.000Z');
         INSERT INTO sync_quarantine VALUES ('sandbox:a', 'lms/users', 'u', '', '', '', '2026-03-01T12:00:00.000Z', 70);
         DELETE FROM sqlite_sequence";
    conn.batch_execute(moved).unwrap();
    drop(conn);
    let url: StoreUrl = url.parse().unwrap();
    let store = DieselStore::open(&url).await.unwrap();
    let lost = store.lost_counters().await.unwrap();
    assert!(lost.len() == 2 && lost[0].contains("up to 40 are taken"), "{lost:?}");
    store.migrate().await.unwrap();
    assert_eq!(store.lost_counters().await.unwrap(), [""; 0]);
    let trimmed = store.transact(Scope::Shared, |tx| tx.trim_changes(Timestamp::MAX, Undelivered::Remove)).await;
    assert_eq!(trimmed.unwrap_or_else(|error: StoreError| panic!("{error}")), 1);
    drop(store);
    let mut conn = SqliteConnection::establish(&path).unwrap();
    conn.batch_execute("DELETE FROM sqlite_sequence").unwrap();
    drop(conn);
    let store = DieselStore::open(&url).await.unwrap();
    assert_eq!(store.lost_counters().await.unwrap().len(), 2, "what was trimmed is taken too");
    store.migrate().await.unwrap();
    assert_eq!(store.lost_counters().await.unwrap(), [""; 0]);
}

/// A lost connection leaves the tables as they are: the same migration may succeed later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_during_a_migration_is_no_fault_of_the_migration() {
    for blocker in [
        // Before the first statement, during one of its own, and during one of a migration.
        "SELECT pg_advisory_lock(hashtextextended('syncd migration', 0))",
        "CREATE SCHEMA kombo",
        "CREATE SCHEMA kombo; COMMIT; BEGIN; CREATE TABLE kombo.sync_integrations (id text)",
    ] {
        let database = database().await;
        let store = DieselStore::open(&database.url().parse().unwrap()).await.unwrap();
        // Ends the session that the transaction blocks, and then the transaction.
        let block = format!(
            "BEGIN; {blocker};
            DO $$ BEGIN LOOP
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid));
                EXIT WHEN FOUND;
                PERFORM pg_stat_clear_snapshot();
            END LOOP; END $$; ROLLBACK"
        );
        let blocking = {
            let database = Arc::clone(&database);
            tokio::spawn(async move { sql(&database, &block).await })
        };
        let holds = "SELECT count(*) FROM pg_locks WHERE locktype IN ('advisory', 'transactionid') AND granted
                     AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())
                     AND pid <> pg_backend_pid()";
        while sql(&database, holds).await == "0" {}
        let lost = store.migrate().await;
        assert!(matches!(&lost, Err(MigrateError::Store(error)) if error.is_transient()), "{blocker}: {lost:?}");
        blocking.await.unwrap();
        store.migrate().await.unwrap();
    }
}
