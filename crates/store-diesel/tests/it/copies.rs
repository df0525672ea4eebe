//! A record that Kombo shows in several places with different contents.

use kombo_model::Endpoint;
use sync_core::jobs::SyncKind;
use sync_core::rows::Model;

use crate::bench::{Bench, on_both_databases};

on_both_databases!(
    the_list_of_a_record_decides,
    among_copies_the_first_one_of_a_fetch_decides,
    a_revision_in_two_courses_has_one_content,
    the_newer_of_two_revisions_counts,
    a_provider_with_two_names_keeps_one,
    a_record_that_is_listed_twice_has_one_content,
);

const AT: &str = "2025-06-01T00:00:00.000Z";

fn course(id: &str, more: &str) -> String {
    format!(r#"{{"id":"{id}","remote_id":"r","changed_at":"{AT}",{more}}}"#)
}

fn progression(id: &str, user: &str, title: &str) -> String {
    format!(
        r#"{{"id":"{id}","user_id":"u","course_revision_id":"r","changed_at":"{AT}",
            "user":{{"id":"u","remote_id":"ru","first_name":"{user}"}},
            "course_revision":{{"id":"r","remote_id":"rr","title":"{title}","course":{{"id":"c","remote_id":"{title}"}}}}}}"#
    )
}

fn revision(course: &str, title: &str, at: &str) -> String {
    format!(
        r#""revisions":[{{"id":"r","remote_id":"rr","course_id":"{course}","title":"{title}","changed_at":"{at}",
            "skill_assignments":[{{"skill":{{"id":"s","remote_id":"rs","name":"{title}"}}}}]}}]"#
    )
}

async fn the_list_of_a_record_decides(bench: Bench) {
    bench.lists(
        Endpoint::LmsUsers,
        [format!(r#"{{"id":"u","remote_id":"ru","first_name":"Ada","changed_at":"{AT}"}}"#)],
    );
    bench.lists(Endpoint::LmsCourses, [course("c", &revision("c", "Listed", AT))]);
    bench.lists(Endpoint::LmsSkills, [format!(r#"{{"id":"s","remote_id":"rs","name":"Listed","changed_at":"{AT}"}}"#)]);
    bench.lists(
        Endpoint::LmsCourseProgressions,
        [progression("g1", "Copy", "Copy"), progression("g2", "Other", "Other")],
    );
    bench.full_of_all().await;
    bench.full_of_all().await;
    assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "Ada");
    assert_eq!(bench.value(Model::LmsCourseRevisions, "r", "title").await, "Listed");
    assert_eq!(bench.value(Model::LmsCourses, "c", "remote_id").await, "r");
    assert_eq!(bench.value(Model::LmsSkills, "s", "name").await, "Listed");
    bench.assert_settled().await;
}

async fn among_copies_the_first_one_of_a_fetch_decides(mut bench: Bench) {
    bench.endpoints = [Endpoint::LmsCourseProgressions].into();
    let all = [progression("g1", "One", "One"), progression("g2", "Two", "Two"), progression("g3", "One", "One")];
    for page_size in [1, 2, 9] {
        bench.said.page_size = page_size;
        bench.lists(Endpoint::LmsCourseProgressions, all.clone());
        bench.full_of_all().await;
        bench.full_of_all().await;
        assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "One", "{page_size}");
        assert_eq!(bench.value(Model::LmsCourseRevisions, "r", "title").await, "One", "{page_size}");
        assert_eq!(bench.value(Model::LmsCourses, "c", "remote_id").await, "One", "{page_size}");
        bench.assert_settled().await;
    }
    // A delta with a different copy changes the row.
    bench.lists(Endpoint::LmsCourseProgressions, [progression("g2", "Three", "Three")]);
    bench.fetch(Endpoint::LmsCourseProgressions, SyncKind::Delta).await;
    assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "Three");
}

async fn a_revision_in_two_courses_has_one_content(mut bench: Bench) {
    bench.endpoints = [Endpoint::LmsCourses].into();
    let courses = [course("c1", &revision("c1", "One", AT)), course("c2", &revision("c2", "Two", AT))];
    bench.lists(Endpoint::LmsCourses, courses);
    for page_size in [1, 9] {
        bench.said.page_size = page_size;
        bench.full_of_all().await;
        bench.full_of_all().await;
        assert_eq!(bench.value(Model::LmsCourseRevisions, "r", "title").await, "One", "{page_size}");
        assert_eq!(bench.value(Model::LmsCourseRevisions, "r", "course_id").await, "c1", "{page_size}");
        bench.assert_settled().await;
    }
}

async fn the_newer_of_two_revisions_counts(mut bench: Bench) {
    bench.endpoints = [Endpoint::LmsCourses].into();
    let later = "2025-07-01T00:00:00.000Z";
    let old_first = [course("c1", &revision("c1", "Old", AT)), course("c2", &revision("c2", "New", later))];
    let new_first = [course("c1", &revision("c1", "New", later)), course("c2", &revision("c2", "Old", AT))];
    for courses in [old_first, new_first] {
        bench.lists(Endpoint::LmsCourses, courses);
        bench.full_of_all().await;
        bench.full_of_all().await;
        assert_eq!(bench.value(Model::LmsCourseRevisions, "r", "title").await, "New");
        bench.assert_settled().await;
    }
}

async fn a_provider_with_two_names_keeps_one(bench: Bench) {
    let provided = |id: &str, name: &str| {
        course(
            id,
            &format!(r#""provider_id":"p","provider":{{"id":"p","remote_id":"rp","name":"{name}"}},"revisions":[]"#),
        )
    };
    bench.lists(Endpoint::LmsCourses, [provided("c1", "One"), provided("c2", "Two")]);
    bench.full_of_all().await;
    bench.full_of_all().await;
    assert_eq!(bench.value(Model::LmsCourseProviders, "p", "name").await, "One");
    bench.assert_settled().await;
}

async fn a_record_that_is_listed_twice_has_one_content(bench: Bench) {
    let user = |name: &str, at: &str| format!(r#"{{"id":"u","first_name":"{name}","changed_at":"{at}"}}"#);
    bench.lists(Endpoint::LmsUsers, [user("One", AT), user("Two", AT)]);
    bench.full_of_all().await;
    let logged = bench.changes().await.len();
    bench.full_of_all().await;
    assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "One");
    assert_eq!(bench.changes().await.len(), logged);
    bench.lists(Endpoint::LmsUsers, [user("Newer", "2025-07-01T00:00:00.000Z"), user("Older", AT)]);
    bench.full_of_all().await;
    assert_eq!(bench.value(Model::LmsUsers, "u", "first_name").await, "Newer");
    bench.assert_settled().await;
}
