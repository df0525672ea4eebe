//! The view of a reader who may see one tenant only.

use crate::postgres::fresh;

/// Row-level security of the tables also applies to the view of completions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_view_shows_one_tenant() {
    let (_store, database) = fresh().await;
    let seen = tokio::task::spawn_blocking(move || {
        let fill = "INSERT INTO kombo.lms_users (integration_id, id, synced_at) VALUES ('a', 'u', now()), ('b', 'u', now());
            INSERT INTO kombo.lms_course_revisions (integration_id, id, synced_at) VALUES ('a', 'r', now()), ('b', 'r', now());
            INSERT INTO kombo.lms_course_progressions (integration_id, id, user_id, course_revision_id, status, synced_at)
            VALUES ('a', 'p', 'u', 'r', 'COMPLETED', now()), ('b', 'p', 'u', 'r', 'COMPLETED', now())";
        database.execute(fill).unwrap();
        let role = format!("tenant_{}", database.execute("SELECT md5(current_database())").unwrap());
        let tables = ["lms_users", "lms_course_revisions", "lms_course_progressions"];
        let secure = tables.map(|table| {
            format!(
                "ALTER TABLE kombo.{table} ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY tenant ON kombo.{table} TO {role} USING (integration_id = 'a');"
            )
        });
        let rights = format!(
            "CREATE ROLE {role}; GRANT USAGE ON SCHEMA kombo TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA kombo TO {role};"
        );
        database.execute(&format!("{rights}{}", secure.concat())).unwrap();
        let look = "SELECT string_agg(integration_id, ',' ORDER BY integration_id) FROM kombo.lms_course_completions";
        let everyone = database.execute(look).unwrap();
        let tenant = database.execute(&format!("SET ROLE {role}; {look}")).unwrap();
        database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
        (everyone, tenant)
    });
    let (everyone, tenant) = seen.await.unwrap();
    assert_eq!(everyone, "a,b");
    assert_eq!(tenant.lines().last(), Some("a"), "{tenant}");
}
