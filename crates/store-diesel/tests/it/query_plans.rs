//! Costs of the queries of docs/data-model.md with a million rows, in blocks that PostgreSQL counts.

use kombo_model::{Endpoint, IntegrationId};
use serde_json::Value;
use store_diesel::DieselStore;
use sync_core::jobs::{SyncKind, Target};
use sync_core::ports::{QuarantinePart, Store as _, Tx, TxResult};
use sync_core::pull::RunId;
use sync_testkit::postgres::TestDatabase;

use crate::costs::{Fleet, counting_server};
use crate::postgres::fresh;

/// A hundred integrations with 10,000 progressions each, of 200 users and 50 courses, and a million log entries.
const ROWS: &str = "
SET synchronous_commit = off;
INSERT INTO kombo.lms_users (integration_id, id, first_name, work_email, changed_at, synced_at)
SELECT 'sandbox:' || i, 'user' || u || '-' || i, 'Ada', u || '@' || i || '.example', now(), now()
FROM generate_series(1, 100) AS i, generate_series(1, 200) AS u;
INSERT INTO kombo.lms_course_revisions (integration_id, id, course_id, title, changed_at, synced_at)
SELECT 'sandbox:' || i, 'revision' || c || '-' || i, 'course' || c || '-' || i, 'Safety', now(), now()
FROM generate_series(1, 100) AS i, generate_series(1, 50) AS c;
INSERT INTO kombo.lms_course_progressions
    (integration_id, id, user_id, course_revision_id, status, enrolled_at, completed_at, changed_at, synced_at)
SELECT 'sandbox:' || i, 'progression' || p || '-' || i, 'user' || (1 + p % 200) || '-' || i,
       'revision' || (1 + p / 200) || '-' || i, CASE WHEN p % 2 = 0 THEN 'COMPLETED' END,
       now() - interval '90 days', now() - p % 60 * interval '1 day', now(), now()
FROM generate_series(0, 9999) AS p, generate_series(1, 100) AS i;
INSERT INTO kombo.sync_changes (transaction_id, run_id, at, integration_id, model, record_id, kind, cause, fields)
SELECT n / 5000, 1, now() - (1000000 - n) * interval '2 seconds', 'sandbox:' || (1 + n % 100), 'lms_users',
       'user' || (1 + n % 20000) || '-1', 'updated', 'direct', '[]'
FROM generate_series(1, 1000000) AS n;
ANALYZE kombo.lms_users, kombo.lms_course_revisions, kombo.lms_course_progressions, kombo.sync_changes;
";

/// Queries, and the maximum number of blocks that each may read.
const QUERIES: &[(&str, &str, u64)] = &[
    (
        "what one user completed",
        "SELECT * FROM kombo.lms_course_completions WHERE integration_id = 'sandbox:7' AND user_id = 'user9-7'",
        400,
    ),
    (
        "who completed one course",
        "SELECT * FROM kombo.lms_course_completions WHERE integration_id = 'sandbox:7' AND course_id = 'course9-7'",
        1_200,
    ),
    (
        "a page of keys in the middle, as verify reads them",
        "SELECT t.id FROM kombo.lms_course_progressions AS t WHERE t.removed_at IS NULL
         AND t.integration_id = 'sandbox:7' AND (t.id) > ('progression5-7') ORDER BY t.id LIMIT 1000",
        1_100,
    ),
    ("the progressions of one user", "SELECT * FROM kombo.lms_course_progressions WHERE user_id = 'user9-7'", 100),
    ("a user by mail address", "SELECT * FROM kombo.lms_users WHERE work_email = '9@7.example'", 10),
    (
        "what one customer's learners completed lately",
        "SELECT * FROM kombo.lms_course_completions
         WHERE integration_id = 'sandbox:7' AND completed_at >= now() - interval '7 days' ORDER BY completed_at",
        30_000,
    ),
    (
        "what changed yesterday",
        "SELECT at, integration_id, model, record_id, kind, cause, fields FROM kombo.sync_changes
         WHERE at >= date_trunc('day', now(), 'UTC') - interval '24 hours' AND at < date_trunc('day', now(), 'UTC')
         ORDER BY seq",
        2_500,
    ),
    (
        "the last ten completions of all",
        "SELECT first_name, last_name, course_title, completed_at FROM kombo.lms_course_completions
         ORDER BY completed_at DESC LIMIT 10",
        25_000,
    ),
    (
        "what learners of all customers completed lately",
        "SELECT integration_id, first_name, last_name, work_email, course_title, completed_at
         FROM kombo.lms_course_completions WHERE completed_at >= now() - interval '2 days' ORDER BY completed_at",
        100_000,
    ),
    (
        "what is open for more than 30 days",
        "SELECT r.title AS course, u.first_name, u.last_name, u.work_email, p.status, p.enrolled_at
         FROM kombo.lms_course_progressions AS p
         JOIN kombo.lms_users AS u ON u.integration_id = p.integration_id AND u.id = p.user_id
          AND u.remote_deleted_at IS NULL AND u.removed_at IS NULL
         JOIN kombo.lms_course_revisions AS r ON r.integration_id = p.integration_id AND r.id = p.course_revision_id
          AND r.remote_deleted_at IS NULL AND r.removed_at IS NULL
         WHERE p.remote_deleted_at IS NULL AND p.removed_at IS NULL
           AND coalesce(p.status, '') NOT IN ('COMPLETED', 'DROPPED') AND p.enrolled_at < now() - interval '30 days'
         ORDER BY course, p.enrolled_at",
        27_000,
    ),
    (
        "which completions changed",
        "SELECT at, integration_id, record_id FROM kombo.sync_changes
         WHERE model = 'lms_course_progressions' AND fields ? 'completed_at' ORDER BY seq",
        19_000,
    ),
    (
        "the history of one record",
        "SELECT * FROM kombo.sync_changes
         WHERE integration_id = 'sandbox:10' AND record_id = 'user10-1' ORDER BY seq",
        120,
    ),
    (
        "a follower's next entries",
        "SELECT * FROM kombo.sync_changes_settled WHERE (transaction_id, seq) > (150, 752000)
         ORDER BY transaction_id, seq LIMIT 1000",
        100,
    ),
    (
        "the next entries of an integration",
        "SELECT * FROM kombo.sync_changes WHERE integration_id = 'sandbox:7' AND seq > 500000 ORDER BY seq LIMIT 100",
        200,
    ),
];

/// Fails if a query reads more blocks than it may. Returns the queries that find nothing.
pub(crate) fn assert_within<'a>(database: &TestDatabase, queries: &[(&'a str, &str, u64)]) -> Vec<&'a str> {
    let (mut too_many, mut empty) = (Vec::new(), Vec::new());
    for (name, query, most) in queries {
        let plan = database.execute(&format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")).unwrap();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let count = |key: &str| plan[0]["Plan"][key].as_u64().unwrap();
        let blocks = count("Shared Hit Blocks") + count("Shared Read Blocks");
        let rows = &plan[0]["Plan"]["Actual Rows"];
        eprintln!("{name}: {blocks} blocks, {rows} rows");
        if rows.as_f64() == Some(0.0) {
            empty.push(*name);
        }
        if blocks > *most {
            too_many.push(format!("{name}: {blocks} blocks, not {most}\n{plan:#}"));
        }
    }
    assert!(too_many.is_empty(), "{}", too_many.join("\n"));
    empty
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_reads_more_than_it_must() {
    let (_store, database) = fresh().await;
    tokio::task::spawn_blocking(move || {
        database.execute(ROWS).unwrap();
        // Autovacuum would do this after as many entries. It summarizes the times in each range of blocks.
        database.execute("VACUUM kombo.sync_changes").unwrap();
        assert_within(&database, QUERIES);
    })
    .await
    .unwrap();
}

/// A hundred integrations with a million entries of the log, a million runs, 100,000 records in quarantine, and a queue.
const BOOKS: &str = "
SET synchronous_commit = off;
INSERT INTO kombo.sync_integrations (id, status, status_since, registered_at)
SELECT 'sandbox:' || i, 'active', now(), now() FROM generate_series(1, 100) AS i;
INSERT INTO kombo.sync_changes (transaction_id, run_id, at, integration_id, model, record_id, kind, cause, fields)
SELECT n / 5000, 1, now() - (1000000 - n) * interval '2 seconds', 'sandbox:' || (1 + n % 100), 'lms_users',
       'user' || (1 + n % 20000) || '-1', 'updated', 'direct', '[]'
FROM generate_series(1, 1000000) AS n;
INSERT INTO kombo.sync_runs (integration_id, endpoint, kind, outcome, started_at, finished_at, first_load, phase, batches, pages,
    records, created, updated, deleted, restored, unchanged, indirect, stale, quarantined)
SELECT 'sandbox:' || (1 + n / 10000), 'lms/users', 'delta', 'completed', now(), now(), false, 'pages', 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0
FROM generate_series(0, 999999) AS n;
INSERT INTO kombo.sync_quarantine (integration_id, endpoint, record_id, json, path, reason, observed_at, run_id)
SELECT 'sandbox:' || (1 + n % 100), 'lms/users', n::text, '{}', 'id', 'not a text', now(), 1 FROM generate_series(1, 100000) AS n;
INSERT INTO kombo.sync_requests (integration_id, endpoint, kind, cause, requested_at, not_before, generation, attempts)
SELECT 'sandbox:' || i, endpoint, 'delta', 'poll', now(), now(), 1, 0
FROM generate_series(1, 100) AS i, (VALUES ('lms/users'), ('lms/courses'), ('lms/course-progressions')) AS targets (endpoint);
ANALYZE;
";

type Look = fn(&mut dyn Tx) -> TxResult<usize>;

fn id() -> IntegrationId {
    IntegrationId::from("sandbox:7")
}

/// Statements of the status page, `status`, `changes` and the metrics, and the most blocks that each may read.
const LOOKS: &[(&str, Look, i64)] = &[
    ("the last runs", |tx| Ok(tx.runs(None, None, 1_000)?.len()), 1_000),
    ("the last runs of one integration", |tx| Ok(tx.runs(Some(&id()), None, 20)?.len()), 60),
    ("older runs of one integration", |tx| Ok(tx.runs(Some(&id()), Some(RunId(65_000)), 100)?.len()), 160),
    ("a run", |tx| Ok(tx.run(RunId(500_000))?.into_iter().count()), 10),
    (
        "the latest run of a target",
        |tx| {
            let target = Target { integration_id: id(), endpoint: Endpoint::LmsUsers, kind: SyncKind::Delta };
            Ok(tx.latest_run(&target)?.into_iter().count())
        },
        10,
    ),
    ("the latest changes of one integration", |tx| Ok(tx.latest_changes(&id(), None, i64::MAX, 20)?.len()), 60),
    (
        "the latest changes of one record",
        |tx| Ok(tx.latest_changes(&IntegrationId::from("sandbox:10"), Some("user10-1"), i64::MAX, 20)?.len()),
        60,
    ),
    ("a page of the log", |tx| Ok(tx.changes(None, 500_000, 1_000)?.len()), 100),
    ("a page of quarantine", |tx| Ok(tx.quarantined(QuarantinePart::All, 20)?.len()), 60),
    ("the quarantine of one integration", |tx| Ok(tx.quarantined(QuarantinePart::Integration(&id()), 20)?.len()), 60),
    ("the requests of one integration", |tx| Ok(tx.requests_of(&[id()])?.len()), 20),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_look_of_an_operator_reads_more_than_it_must() {
    let server = counting_server().await;
    let fleet = Fleet::filled(&server, BOOKS).await;
    let mut too_many = Vec::new();
    for (name, look, most) in LOOKS {
        let work = async |store: &DieselStore| {
            let found = store.read(move |tx| look(tx)).await.unwrap();
            assert!(found > 0, "{name}");
        };
        let cost = fleet.cost(work).await;
        eprintln!("{name}: {cost:?}");
        if cost.blocks > *most {
            too_many.push(format!("{name}: {cost:?}, not {most} blocks"));
        }
    }
    assert!(too_many.is_empty(), "{}", too_many.join("\n"));
}
