//! Costs of the queries of docs/data-model.md on HRIS and ATS, in blocks that PostgreSQL counts.

use crate::postgres::fresh;
use crate::query_plans::assert_within;

/// A hundred integrations, with 500 employees, 5,000 absences, 100 jobs and 5,000 applications each.
const ROWS: &str = "
SET synchronous_commit = off;
INSERT INTO kombo.hris_employees (integration_id, id, first_name, last_name, manager_id, work_location_id, employment_status, synced_at)
SELECT 'tool:' || i, 'e' || e || '-' || i, 'Ada', 'Lovelace', 'e' || e / 10 || '-' || i, 'l' || e % 5 || '-' || i, 'ACTIVE', now()
FROM generate_series(1, 100) AS i, generate_series(1, 500) AS e;
INSERT INTO kombo.hris_locations (integration_id, id, name, synced_at)
SELECT 'tool:' || i, 'l' || l || '-' || i, 'Berlin', now() FROM generate_series(1, 100) AS i, generate_series(0, 4) AS l;
INSERT INTO kombo.hris_teams (integration_id, id, name, synced_at)
SELECT 'tool:' || i, 't' || t || '-' || i, 'Team ' || t, now() FROM generate_series(1, 100) AS i, generate_series(1, 20) AS t;
INSERT INTO kombo.hris_join_employees_teams (integration_id, employee_id, team_id, synced_at)
SELECT 'tool:' || i, 'e' || e || '-' || i, 't' || 1 + (e + n) % 20 || '-' || i, now()
FROM generate_series(1, 100) AS i, generate_series(1, 500) AS e, generate_series(0, 1) AS n;
INSERT INTO kombo.hris_absence_types (integration_id, id, name, synced_at)
SELECT 'tool:' || i, 'a' || a || '-' || i, 'Vacation', now() FROM generate_series(1, 100) AS i, generate_series(1, 5) AS a;
INSERT INTO kombo.hris_absences (integration_id, id, employee_id, type_id, status, start_date, end_date, synced_at)
SELECT 'tool:' || i, 'x' || x || '-' || i, 'e' || 1 + x % 500 || '-' || i, 'a' || 1 + x % 5 || '-' || i, 'APPROVED',
       current_date - 1000 + x / 5 + x % 7, current_date - 990 + x / 5 + x % 7, now()
FROM generate_series(0, 4999) AS x, generate_series(1, 100) AS i;
INSERT INTO kombo.ats_jobs (integration_id, id, name, status, synced_at)
SELECT 'tool:' || i, 'j' || j || '-' || i, 'Engineer', 'OPEN', now() FROM generate_series(1, 100) AS i, generate_series(1, 100) AS j;
INSERT INTO kombo.ats_application_stages (integration_id, id, name, synced_at)
SELECT 'tool:' || i, 's' || s || '-' || i, 'Stage ' || s, now() FROM generate_series(1, 100) AS i, generate_series(1, 6) AS s;
INSERT INTO kombo.ats_join_jobs_application_stages (integration_id, job_id, application_stage_id, \"index\", synced_at)
SELECT 'tool:' || i, 'j' || j || '-' || i, 's' || s || '-' || i, s, now()
FROM generate_series(1, 100) AS i, generate_series(1, 100) AS j, generate_series(1, 6) AS s;
INSERT INTO kombo.ats_candidates (integration_id, id, first_name, synced_at)
SELECT 'tool:' || i, 'c' || c || '-' || i, 'Grace', now() FROM generate_series(0, 4999) AS c, generate_series(1, 100) AS i;
INSERT INTO kombo.ats_applications
    (integration_id, id, candidate_id, job_id, current_stage_id, outcome, remote_updated_at, synced_at)
SELECT 'tool:' || i, 'p' || p || '-' || i, 'c' || p || '-' || i, 'j' || 1 + p % 100 || '-' || i, 's' || 1 + p % 6 || '-' || i,
       CASE WHEN p % 10 = 0 THEN 'PENDING' WHEN p % 10 = 1 THEN 'HIRED' ELSE 'DECLINED' END,
       now() - p * interval '1 hour', now()
FROM generate_series(0, 4999) AS p, generate_series(1, 100) AS i;
INSERT INTO kombo.ats_interviews (integration_id, id, application_id, starting_at, synced_at)
SELECT 'tool:' || i, 'i' || p || '-' || i, 'p' || p || '-' || i, now() + (p - 1900) * interval '1 hour', now()
FROM generate_series(0, 1999) AS p, generate_series(1, 100) AS i;
ANALYZE;
";

/// Queries, and the maximum number of blocks that each may read.
const QUERIES: &[(&str, &str, u64)] = &[
    (
        "who is away in the next 30 days",
        "SELECT first_name, last_name, absence_type, start_date, end_date FROM kombo.hris_upcoming_absences
         WHERE integration_id = 'tool:7' ORDER BY start_date",
        1_000,
    ),
    (
        "the employees of a customer, with manager, location and groups",
        "SELECT * FROM kombo.hris_employee_directory WHERE integration_id = 'tool:7' ORDER BY last_name, first_name",
        8_000,
    ),
    (
        "one employee",
        "SELECT * FROM kombo.hris_employee_directory WHERE integration_id = 'tool:7' AND employee_id = 'e9-7'",
        100,
    ),
    (
        "how many employees are in each group",
        "SELECT g.name, count(*) AS employees FROM kombo.hris_teams AS g
         JOIN kombo.hris_join_employees_teams AS m
           ON m.integration_id = g.integration_id AND m.team_id = g.id AND m.removed_at IS NULL
         JOIN kombo.hris_employees AS e ON e.integration_id = m.integration_id AND e.id = m.employee_id
          AND e.employment_status = 'ACTIVE' AND e.remote_deleted_at IS NULL AND e.removed_at IS NULL
         WHERE g.integration_id = 'tool:7' AND g.remote_deleted_at IS NULL AND g.removed_at IS NULL
         GROUP BY g.id, g.name ORDER BY employees DESC",
        8_000,
    ),
    (
        "how many open applications are in which stage",
        "SELECT job_name, stage_index, stage_name, count(*) AS applications FROM kombo.ats_open_applications
         WHERE integration_id = 'tool:7' GROUP BY job_id, job_name, stage_index, stage_name
         ORDER BY job_name, job_id, stage_index",
        10_000,
    ),
    (
        "the open applications for one job",
        "SELECT * FROM kombo.ats_open_applications WHERE integration_id = 'tool:7' AND job_id = 'j11-7'",
        2_000,
    ),
    (
        "who was hired in the last 30 days",
        "SELECT c.first_name, c.last_name, j.name AS job, a.remote_updated_at FROM kombo.ats_applications AS a
         JOIN kombo.ats_candidates AS c ON c.integration_id = a.integration_id AND c.id = a.candidate_id
         JOIN kombo.ats_jobs AS j ON j.integration_id = a.integration_id AND j.id = a.job_id
         WHERE a.integration_id = 'tool:7' AND a.outcome = 'HIRED' AND a.remote_updated_at >= now() - interval '30 days'
           AND a.remote_deleted_at IS NULL AND a.removed_at IS NULL ORDER BY a.remote_updated_at",
        1_000,
    ),
    (
        "the interviews of the next week",
        "SELECT i.starting_at, c.first_name, c.last_name, j.name AS job FROM kombo.ats_interviews AS i
         JOIN kombo.ats_applications AS a ON a.integration_id = i.integration_id AND a.id = i.application_id
         JOIN kombo.ats_candidates AS c ON c.integration_id = a.integration_id AND c.id = a.candidate_id
         JOIN kombo.ats_jobs AS j ON j.integration_id = a.integration_id AND j.id = a.job_id
         WHERE i.integration_id = 'tool:7' AND i.starting_at BETWEEN now() AND now() + interval '7 days'
           AND i.canceled IS NOT TRUE AND i.remote_deleted_at IS NULL AND i.removed_at IS NULL ORDER BY i.starting_at",
        2_500,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_query_on_hris_or_ats_reads_more_than_it_must() {
    let (_store, database) = fresh().await;
    tokio::task::spawn_blocking(move || {
        database.execute(ROWS).unwrap();
        assert_eq!(assert_within(&database, QUERIES), [""; 0], "each query finds something");
    })
    .await
    .unwrap();
}
