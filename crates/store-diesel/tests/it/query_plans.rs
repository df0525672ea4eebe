//! Costs of the queries of docs/data-model.md with a million rows, in blocks that PostgreSQL counts.

use serde_json::Value;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_reads_more_than_it_must() {
    let (_store, database) = fresh().await;
    tokio::task::spawn_blocking(move || {
        database.execute(ROWS).unwrap();
        // Autovacuum would do this after as many entries. It summarizes the times in each range of blocks.
        database.execute("VACUUM kombo.sync_changes").unwrap();
        let mut too_many = Vec::new();
        for (name, query, most) in QUERIES {
            let plan = database.execute(&format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")).unwrap();
            let plan: Value = serde_json::from_str(&plan).unwrap();
            let count = |key: &str| plan[0]["Plan"][key].as_u64().unwrap();
            let blocks = count("Shared Hit Blocks") + count("Shared Read Blocks");
            eprintln!("{name}: {blocks} blocks, {} rows", plan[0]["Plan"]["Actual Rows"]);
            if blocks > *most {
                too_many.push(format!("{name}: {blocks} blocks, not {most}\n{plan:#}"));
            }
        }
        assert!(too_many.is_empty(), "{}", too_many.join("\n"));
    })
    .await
    .unwrap();
}
