//! The mirror's tables, partitioned by integration.

use store_diesel::{DieselStore, Partitioning, StoreUrl, Trial};
use sync_core::rows::Model;
use sync_testkit::conformance_of_rows;
use sync_testkit::postgres::TestDatabase;

use crate::postgres::fresh as plain;

const PARTITIONS: usize = 3;

async fn fresh() -> (DieselStore, TestDatabase) {
    let (store, database) = plain().await;
    store.partition(PARTITIONS).await.unwrap();
    (store, database)
}

conformance_of_rows!(fresh);

fn execute(database: &TestDatabase, sql: &str) -> String {
    tokio::task::block_in_place(|| database.execute(&format!("SET search_path TO kombo; {sql}")).unwrap())
}

/// Everything about the tables but their partitions.
const SHAPE: &str = "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
    SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
           || ' ' || a.attcollation AS line
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = 'kombo'::regnamespace AND starts_with(c.relname, 'lms_') AND c.relkind IN ('r', 'p', 'v')
            AND NOT c.relispartition AND a.attnum > 0
    UNION ALL SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ')
      FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
      WHERE c.relnamespace = 'kombo'::regnamespace AND starts_with(c.relname, 'lms_') AND NOT c.relispartition
    UNION ALL SELECT c.relname || ' ' || coalesce(c.relacl::text, '') || ' ' || pg_get_userbyid(c.relowner)
      FROM pg_class c WHERE c.relnamespace = 'kombo'::regnamespace AND starts_with(c.relname, 'lms_')
      AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
    UNION ALL SELECT pg_get_viewdef('lms_course_completions'::regclass) || (
      SELECT coalesce(reloptions::text, '') FROM pg_class WHERE oid = 'lms_course_completions'::regclass)
) AS lines";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_indexes_rights_and_the_view_stay() {
    let (store, database) = plain().await;
    execute(
        &database,
        "INSERT INTO lms_users (integration_id, id, last_name, synced_at)
           SELECT 'it ' || n, 'u' || n, 'Ada', now() FROM generate_series(1, 500) n;
         INSERT INTO lms_courses (integration_id, id, synced_at) VALUES ('it 1', 'c1', now());
         DO $$ BEGIN CREATE ROLE partitions_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         GRANT SELECT ON lms_users, lms_course_completions TO partitions_reader WITH GRANT OPTION;
         GRANT SELECT ON lms_courses TO PUBLIC;
         SELECT 1",
    );
    let shape = execute(&database, SHAPE);
    assert_eq!(store.partitioning().await.unwrap(), Partitioning::Filled);
    assert_eq!(store.partition(PARTITIONS).await.unwrap().len(), Model::ALL.len());
    assert_eq!(store.partitioning().await.unwrap(), Partitioning::Done);
    assert_eq!(execute(&database, SHAPE), shape);
    assert_eq!(execute(&database, "SELECT count(*) FROM lms_users"), "500");
    assert_eq!(execute(&database, "SELECT count(DISTINCT tableoid) FROM lms_users"), "3");
    assert_eq!(store.faults(Trial::EveryTable).await.unwrap(), [""; 0]);
    let fill =
        "SELECT DISTINCT reloptions::text FROM pg_class WHERE relispartition AND starts_with(relname, 'lms_users_p')
                AND relkind = 'r'";
    assert_eq!(execute(&database, fill), "{fillfactor=85}");

    assert_eq!(store.partition(PARTITIONS).await.unwrap(), [""; 0], "nothing is left to do");
    assert_eq!(store.partition_plain(5).await.unwrap(), [""; 0], "none is plain");
    assert_eq!(store.partition(5).await.unwrap().len(), Model::ALL.len(), "another number replaces the partitions");
    assert_eq!(execute(&database, SHAPE), shape);
    assert_eq!(execute(&database, "SELECT count(DISTINCT tableoid) FROM lms_users"), "5");
    assert_eq!(store.migrate().await.unwrap(), [""; 0]);
}

/// What depends on a table and would be lost is named. The tables before it stay partitioned, and the next call
/// continues.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_without_a_word() {
    for (made, named, undone) in [
        ("CREATE POLICY tenant ON lms_courses USING (true)", "policy tenant", "DROP POLICY tenant ON lms_courses"),
        (
            "ALTER TABLE lms_courses ENABLE ROW LEVEL SECURITY",
            "row security",
            "ALTER TABLE lms_courses DISABLE ROW LEVEL SECURITY",
        ),
        ("CREATE VIEW titles AS SELECT id FROM lms_courses", "view titles", "DROP VIEW titles"),
        ("CREATE VIEW done AS SELECT * FROM lms_course_completions", "view done", "DROP VIEW done"),
        ("CREATE PUBLICATION out FOR TABLE lms_courses", "publication out", "DROP PUBLICATION out"),
        (
            "ALTER TABLE lms_courses REPLICA IDENTITY FULL",
            "replica identity",
            "ALTER TABLE lms_courses REPLICA IDENTITY DEFAULT",
        ),
        (
            "GRANT SELECT (id) ON lms_courses TO PUBLIC",
            "rights on column id",
            "REVOKE SELECT (id) ON lms_courses FROM PUBLIC",
        ),
        (
            "CREATE TABLE mine (a text, b text, FOREIGN KEY (a, b) REFERENCES lms_courses)",
            "constraint mine_a_b_fkey",
            "DROP TABLE mine",
        ),
        (
            "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER noted BEFORE INSERT ON lms_courses FOR EACH ROW EXECUTE FUNCTION noted()",
            "trigger noted",
            "DROP FUNCTION noted() CASCADE",
        ),
    ] {
        let (store, database) = plain().await;
        execute(&database, &format!("{made}; SELECT 1"));
        let refused = store.partition(PARTITIONS).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("its {named}")), "{made}: {refused}");
        execute(&database, &format!("{undone}; SELECT 1"));
        assert!(!store.partition(PARTITIONS).await.unwrap().is_empty());
        assert_eq!(store.partitioning().await.unwrap(), Partitioning::Done);
    }
}

#[tokio::test]
async fn sqlite_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = DieselStore::open(&StoreUrl::Sqlite(folder.path().join("db"))).await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(store.partitioning().await.unwrap(), Partitioning::Done);
    assert!(store.partition(4).await.unwrap_err().to_string().contains("SQLite has no partitions"));
}
