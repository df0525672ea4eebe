//! `syncd verify` lists exactly the differences that a full fetch corrects.

use std::collections::{BTreeMap, BTreeSet};

use kombo_sandbox::{GeneratorConfig, SandboxConfig};
use serde_json::Value;
use sync_core::rows::{Model, StoredRow};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, rows, snapshot};
use crate::world::World;

on_both_databases!(
    hand_edits_are_listed_and_mended,
    nothing_is_written_and_memory_of_deletions_is_no_difference,
    what_cannot_be_read_is_listed_and_mended,
    rows_that_no_endpoint_lists_are_listed_and_mended,
    one_bad_row_of_the_books_stops_nothing,
    rows_of_unknown_integrations_are_listed,
);

fn world(backend: Backend) -> World {
    let generator = GeneratorConfig { users: 300, courses: 60, progressions: 600, ..GeneratorConfig::default() };
    let mut world = World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() });
    // One worker, so that a partial copy is not logged before its own list shows the record.
    world.set_toml("sync.workers", "1");
    world
}

/// Formats a difference or a log entry as one line.
fn line(of: &Value, names: &[&str]) -> String {
    let words = names.iter().map(|name| of[*name].as_str().unwrap_or("-"));
    words.collect::<Vec<_>>().join(" ")
}

fn verify(world: &World, more: &[&str], code: i32) -> Vec<String> {
    let finished = world.syncd(&[&["verify", "--json"], more].concat()).expect_code(code);
    let report = finished.json();
    assert!(report["compared"].as_u64().unwrap() > 0);
    let differences = report["differences"].as_array().unwrap();
    let mut lines: Vec<String> =
        differences.iter().map(|it| line(it, &["model", "record_id", "field", "what"])).collect();
    lines.sort();
    lines
}

/// Returns the expected lines, with ids instead of the names of rows.
fn expectation(ids: &BTreeMap<&str, String>, lines: &[&str]) -> Vec<String> {
    let fill = |line: &&str| {
        let words = line.split(' ').map(|word| {
            let parts: Vec<&str> = word.split('/').map(|part| ids.get(part).map_or(part, String::as_str)).collect();
            parts.join("/")
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = lines.iter().map(fill).collect();
    lines.sort();
    lines
}

/// Rows of one integration that the test edits by hand.
fn victims(world: &World) -> BTreeMap<&'static str, String> {
    let integration = &world.integrations()[0];
    let live = |model| rows(world, integration, model).into_iter().filter(StoredRow::is_live).collect::<Vec<_>>();
    let text = |model, row: &StoredRow, name| row.row.get(model, name).unwrap().text().unwrap_or_default().to_owned();
    let key = |row: &StoredRow| row.row.key.to_string();
    let (users, courses, revisions) = (live(Model::LmsUsers), live(Model::LmsCourses), live(Model::LmsCourseRevisions));
    let (joins, progressions) = (live(Model::LmsJoinRevisionsSkills), live(Model::LmsCourseProgressions));
    let mut ids = BTreeMap::new();
    for (name, user) in ["RENAMED", "TOUCHED", "BURIED", "LOST"].into_iter().zip(&users) {
        ids.insert(name, key(user));
    }
    ids.insert("DROPPED", key(&progressions[0]));
    ids.insert("UNLINKED", key(&progressions[1]));
    // One of several revisions of a course, so that its list still has others.
    ids.insert("MOVED", key(&revisions[0]));
    let home = text(Model::LmsCourseRevisions, &revisions[0], "course_id");
    let elsewhere = courses.iter().find(|course| key(course) != home).unwrap();
    ids.insert("ELSEWHERE", key(elsewhere));
    let assigned: Vec<&str> = joins.iter().map(|join| join.row.key.first()).collect();
    let bare = revisions.iter().skip(1).find(|revision| !assigned.contains(&key(revision).as_str())).unwrap();
    ids.insert("TORN", key(bare));
    ids.insert("LONELY", key(&courses[0]));
    let skill_of = |join: &StoredRow| join.row.key.second().to_owned();
    ids.insert("ASSIGNMENT", joins[0].row.key.first().to_owned());
    ids.insert("ASSIGNED", skill_of(&joins[0]));
    let other = joins.iter().map(skill_of).find(|skill| *skill != skill_of(&joins[0])).unwrap();
    ids.insert("SKILL", other);
    let third = joins.iter().map(skill_of).find(|skill| ids.values().all(|id| id != skill)).unwrap();
    ids.insert("UNSKILLED", third);
    let mut providers = courses.iter().map(|course| text(Model::LmsCourses, course, "provider_id"));
    let first = providers.by_ref().find(|id| !id.is_empty()).unwrap();
    ids.insert("RIVAL", providers.find(|id| !id.is_empty() && *id != first).unwrap());
    ids.insert("PROVIDER", first);
    ids
}

/// Statements for both databases. The names of rows are replaced by their ids.
const EDITS: [&str; 18] = [
    "UPDATE lms_users SET first_name = 'by hand', work_email = NULL WHERE id = 'RENAMED'",
    "UPDATE lms_users SET changed_at = '2001-01-01T00:00:00.000Z' WHERE id = 'TOUCHED'",
    "UPDATE lms_users SET remote_deleted_at = '2001-01-01T00:00:00.000Z' WHERE id = 'BURIED'",
    "DELETE FROM lms_users WHERE id = 'LOST'",
    "UPDATE lms_course_progressions SET removed_at = '2001-01-01T00:00:00.000Z' WHERE id = 'DROPPED'",
    "UPDATE lms_course_progressions SET user_id = 'nobody' WHERE id = 'UNLINKED'",
    "UPDATE lms_course_revisions SET course_id = 'ELSEWHERE' WHERE id = 'MOVED'",
    "DELETE FROM lms_course_revisions WHERE id = 'TORN'",
    "DELETE FROM lms_join_revisions_skills WHERE course_revision_id = 'ASSIGNMENT' AND skill_id = 'ASSIGNED'",
    "UPDATE lms_skills SET name = 'by hand' WHERE id = 'SKILL'",
    "DELETE FROM lms_skills WHERE id = 'UNSKILLED'",
    "UPDATE lms_course_providers SET name = 'by hand' WHERE id = 'PROVIDER'",
    "DELETE FROM lms_course_providers WHERE id = 'RIVAL'",
    "INSERT INTO lms_users (integration_id, id, synced_at) VALUES ('OURS', 'made-up-user', '2001-01-01T00:00:00.000Z')",
    "INSERT INTO lms_courses (integration_id, id, synced_at) VALUES ('OURS', 'made-up-course', '2001-01-01T00:00:00.000Z')",
    "INSERT INTO lms_course_revisions (integration_id, id, course_id, synced_at) VALUES \
     ('OURS', 'made-up-revision', 'made-up-course', '2001-01-01T00:00:00.000Z'), \
     ('OURS', 'made-up-member', 'LONELY', '2001-01-01T00:00:00.000Z')",
    "INSERT INTO lms_join_revisions_skills (integration_id, course_revision_id, skill_id, synced_at) VALUES \
     ('OURS', 'made-up-revision', 'SKILL', '2001-01-01T00:00:00.000Z'), \
     ('OURS', 'ASSIGNMENT', 'made-up-skill', '2001-01-01T00:00:00.000Z')",
    "INSERT INTO lms_course_progressions (integration_id, id, synced_at) VALUES \
     ('OURS', 'made-up-progression', '2001-01-01T00:00:00.000Z')",
];

/// The differences that `verify` lists.
const DIFFERENCES: [&str; 22] = [
    "lms_users RENAMED first_name differs",
    "lms_users RENAMED work_email differs",
    "lms_users TOUCHED changed_at differs",
    "lms_users BURIED remote_deleted_at differs",
    "lms_users LOST - missing",
    "lms_course_progressions DROPPED - removed",
    "lms_course_progressions UNLINKED user_id differs",
    "lms_course_revisions MOVED course_id differs",
    "lms_course_revisions TORN - missing",
    "lms_join_revisions_skills ASSIGNMENT/ASSIGNED - missing",
    "lms_skills SKILL name differs",
    "lms_skills UNSKILLED - missing",
    "lms_course_providers PROVIDER name differs",
    "lms_course_providers RIVAL - missing",
    "lms_users made-up-user - extra",
    "lms_courses made-up-course - extra",
    "lms_course_revisions made-up-revision - extra",
    "lms_join_revisions_skills made-up-revision/SKILL - extra",
    "lms_course_revisions made-up-member - extra",
    "lms_join_revisions_skills ASSIGNMENT/made-up-skill - extra",
    "lms_course_progressions made-up-progression - extra",
    "lms_course_progressions OTHER status differs",
];

/// The entries that a full fetch logs. A change of `changed_at` alone is not logged.
const LOGGED: [&str; 20] = [
    "lms_users RENAMED updated drift first_name,work_email",
    "lms_users BURIED restored drift remote_deleted_at",
    "lms_users LOST created drift",
    "lms_course_progressions DROPPED restored drift removed_at",
    "lms_course_progressions UNLINKED updated drift user_id",
    "lms_course_progressions OTHER updated drift status",
    "lms_course_revisions MOVED updated drift course_id",
    "lms_course_revisions TORN created drift",
    "lms_join_revisions_skills ASSIGNMENT/ASSIGNED created drift",
    "lms_skills SKILL updated drift name",
    "lms_skills UNSKILLED created drift",
    "lms_course_providers PROVIDER updated drift name",
    "lms_course_providers RIVAL created drift",
    "lms_users made-up-user deleted sweep removed_at",
    "lms_courses made-up-course deleted sweep removed_at",
    "lms_course_revisions made-up-revision deleted sweep removed_at",
    "lms_join_revisions_skills made-up-revision/SKILL deleted sweep removed_at",
    "lms_course_revisions made-up-member deleted drift removed_at",
    "lms_join_revisions_skills ASSIGNMENT/made-up-skill deleted drift removed_at",
    "lms_course_progressions made-up-progression deleted sweep removed_at",
];

fn hand_edits_are_listed_and_mended(backend: Backend) {
    let world = world(backend);
    world.sync();
    assert_eq!(verify(&world, &[], 0), [""; 0]);
    let before = snapshot(&world);

    let mut ids = victims(&world);
    ids.insert("OURS", world.integrations()[0].to_string());
    for edit in EDITS {
        let names = ids.iter().map(|(name, id)| (format!("'{name}'"), format!("'{id}'")));
        world.database.execute(&names.fold(edit.to_owned(), |sql, (name, id)| sql.replace(&name, &id)));
    }
    // A change at Kombo without a new changed_at is a difference as well.
    let other = rows(&world, &world.integrations()[0], Model::LmsCourseProgressions)
        .into_iter()
        .find(|row| row.is_live() && ids.values().all(|id| *id != row.row.key.to_string()))
        .unwrap();
    ids.insert("OTHER", other.row.key.to_string());
    world
        .database
        .execute(&format!("UPDATE lms_course_progressions SET status = 'BY_HAND' WHERE id = '{}'", other.row.key));

    let differences = expectation(&ids, &DIFFERENCES);
    assert_eq!(verify(&world, &[], 3), differences);
    assert_eq!(verify(&world, &["--endpoint", "users"], 3), {
        let of_users = differences.iter().filter(|line| line.starts_with("lms_users "));
        of_users.cloned().collect::<Vec<_>>()
    });
    let text = world.syncd(&["verify"]).expect_code(3).stdout;
    assert!(text.contains("22 differences, "), "{text}");
    assert!(!text.contains("by hand"), "values only on demand: {text}");
    assert!(world.syncd(&["verify", "--values"]).expect_code(3).stdout.contains("\"by hand\""));
    let listed = world.syncd(&["verify", "--json", "--values"]).expect_code(3).json();
    let listed = listed["differences"].as_array().unwrap();
    let renamed = listed.iter().find(|it| it["field"] == "first_name").unwrap();
    assert_eq!(renamed["store"], "by hand");
    assert!(renamed["kombo"].as_str().is_some_and(|name| name != "by hand"));

    let last = world.read(|tx| tx.last_change());
    world.syncd(&["sync", "--full"]).expect_code(0);
    let mut log = world.syncd(&["changes", "--json", "--since", &last.to_string()]).expect_code(0);
    let logged = std::mem::take(&mut log.stdout);
    let mut logged: Vec<String> = logged
        .lines()
        .map(|entry| {
            let entry: Value = serde_json::from_str(entry).unwrap();
            let fields = entry["fields"].as_array().unwrap().iter().filter_map(Value::as_str).collect::<Vec<_>>();
            // The columns of a new row do not matter here.
            let fields = if entry["kind"] == "created" { String::new() } else { fields.join(",") };
            format!("{} {fields}", line(&entry, &["model", "record_id", "kind", "cause"])).trim_end().to_owned()
        })
        .collect();
    logged.sort();
    assert_eq!(logged, expectation(&ids, &LOGGED));

    assert_eq!(verify(&world, &[], 0), [""; 0]);
    assert_faithful(&world, Skills::FromCourses);
    let mut after = snapshot(&world);
    after.retain(|(_, _, key), _| !key.to_string().contains("made-up-"));
    assert!(after.keys().eq(before.keys()), "every row is back, and none is new");
}

fn nothing_is_written_and_memory_of_deletions_is_no_difference(backend: Backend) {
    let world = world(backend);
    world.sync();
    let integration = world.sandbox.integrations()[0].clone();
    for seed in 0..300 {
        world.sandbox.mutate_random(&integration, seed).unwrap();
    }
    let (rows, log) = (snapshot(&world), world.read(|tx| tx.last_change()));
    let differences = verify(&world, &[], 3);
    assert!(differences.len() > 50, "{}", differences.len());
    assert!(snapshot(&world) == rows && world.read(|tx| tx.last_change()) == log, "nothing was written");

    // So many rows are gone that the first full fetch stops and requires approval.
    world.syncd(&["sync", "--full"]).expect_code(1);
    world.syncd(&["sync", "--full", "--allow-mass-removal"]).expect_code(0);
    let told: BTreeSet<(String, String)> = world
        .read(move |tx| tx.changes(None, log, 100_000))
        .into_iter()
        .map(|change| (change.model.to_string(), change.record_id))
        .collect();
    // A change of `changed_at` alone is not logged.
    let listed: BTreeSet<(String, String)> = differences
        .iter()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|words| words[2] != "changed_at")
        .map(|words| (words[0].to_owned(), words[1].to_owned()))
        .collect();
    let odd: Vec<_> = listed.symmetric_difference(&told).collect();
    assert!(odd.is_empty(), "what was listed is what changed: {odd:?}");

    world.sandbox.clear_requests();
    assert_eq!(verify(&world, &[], 0), [""; 0]);
    let look_ups = world.sandbox.requests().into_iter().filter(|request| request.param("ids").is_some()).count();
    assert_eq!(look_ups, 0, "tombstones and removed rows are not looked up");
}

/// Values that no fetch writes, some of them unreadable.
fn what_cannot_be_read_is_listed_and_mended(backend: Backend) {
    let world = world(backend);
    world.sync();
    let before = snapshot(&world);
    let integration = &world.integrations()[0];
    let ids: Vec<String> = rows(&world, integration, Model::LmsUsers)
        .into_iter()
        .filter(|row| row.is_live() && row.row.get(Model::LmsUsers, "custom_fields").is_some_and(|it| !it.is_null()))
        .map(|row| row.row.key.to_string())
        .collect();
    let values: &[(&str, &str)] = match backend {
        Backend::Postgres => &[
            ("remote_created_at", "'infinity'"),
            ("remote_created_at", "'-infinity'"),
            ("changed_at", "'0044-03-15 12:00:00+00 BC'"),
            ("changed_at", "'12026-01-01 12:00:00+00'"),
            ("remote_deleted_at", "'infinity'"),
            ("remote_created_at", "'2022-08-07 14:01:29.196123+00'"),
            ("status", "'BY_HAND'"),
        ],
        Backend::Sqlite => &[
            ("remote_created_at", "datetime('now')"),
            ("changed_at", "'infinity'"),
            ("remote_deleted_at", "'2022-08-07T14:01:29.196123Z'"),
            ("remote_created_at", "unixepoch()"),
            ("custom_fields", "'{no json'"),
            ("first_name", "CAST(x'ff' AS TEXT)"),
            ("status", "'BY_HAND'"),
        ],
    };
    let edit = |synced_at: &str| {
        for ((column, value), id) in values.iter().zip(&ids) {
            world.database.execute(&format!("UPDATE lms_users SET {column} = {value}{synced_at} WHERE id = '{id}'"));
        }
    };
    let mut expected: Vec<String> =
        values.iter().zip(&ids).map(|((column, _), id)| format!("lms_users {id} {column} differs")).collect();
    expected.sort();
    // With their own time of writing, and with one far ahead of all clocks.
    for synced_at in ["", ", synced_at = '2999-01-01T00:00:00.000Z'"] {
        edit(synced_at);
        assert_eq!(verify(&world, &[], 3), expected);
        world.syncd(&["sync", "--full"]).expect_code(0);
        assert_eq!(verify(&world, &[], 0), [""; 0]);
        assert_faithful(&world, Skills::FromCourses);
    }
    assert!(snapshot(&world).keys().eq(before.keys()));
}

fn rows_that_no_endpoint_lists_are_listed_and_mended(backend: Backend) {
    let mut world = world(backend);
    world.sync();
    let integration = world.integrations()[0].clone();
    let skill = rows(&world, &integration, Model::LmsSkills).remove(0).row.key;
    let by_hand = |now: &str| {
        let ours = |columns: &str, table: &str, values: &str| {
            world.database.execute(&format!(
                "INSERT INTO {table} (integration_id, synced_at, {columns}) VALUES ('{integration}', {now}, {values}) \
                 ON CONFLICT DO NOTHING"
            ));
        };
        ours("id", "lms_skills", "'made-up'");
        ours("id, name", "lms_course_providers", "'made-up', 'by hand'");
        ours("id, course_id", "lms_course_revisions", "'made-up', 'nowhere'");
        ours("course_revision_id, skill_id", "lms_join_revisions_skills", "'nowhere', 'nothing'");
        for id in ["hand,made", " ", "", "tab\tbed"] {
            ours("id", "lms_users", &format!("'{id}'"));
        }
        world.database.execute(&format!("UPDATE lms_skills SET removed_at = {now} WHERE id = '{skill}'"));
    };
    by_hand("'2026-01-01T00:00:00.000Z'");
    let mut expected: Vec<String> = [
        "lms_skills made-up - extra",
        "lms_course_providers made-up - extra",
        "lms_course_revisions made-up - extra",
        "lms_join_revisions_skills nowhere/nothing - extra",
        "lms_users hand,made - extra",
        "lms_users   - extra",
        "lms_users  - extra",
        "lms_users tab\tbed - extra",
    ]
    .map(str::to_owned)
    .to_vec();
    expected.push(format!("lms_skills {skill} - removed"));
    expected.sort();
    assert_eq!(verify(&world, &[], 3), expected);
    world.syncd(&["sync", "--full"]).expect_code(0);
    assert_eq!(verify(&world, &[], 0), [""; 0]);
    let left = |id: &str| {
        rows(&world, &integration, Model::LmsSkills).iter().any(|row| row.is_live() && row.row.key.first() == id)
    };
    assert!(!left("made-up") && left(skill.first()));

    // With the skills' own list, without it, and with it again.
    for endpoints in ["skills", "users", "skills"] {
        world.set_toml(
            "sync.endpoints",
            &format!(r#"["users", "courses", "course-progressions", "{endpoints}"]"#).replace(r#", "users"]"#, "]"),
        );
        world.syncd(&["sync", "--full"]).expect_code(0);
        world
            .database
            .execute(&format!("UPDATE lms_skills SET removed_at = '2026-01-01T00:00:00.000Z' WHERE id = '{skill}'"));
        world.syncd(&["sync", "--full"]).expect_code(0);
        assert_eq!(verify(&world, &[], 0), [""; 0]);
        assert!(rows(&world, &integration, Model::LmsSkills).iter().any(|row| row.is_live() && row.row.key == skill));
    }
    assert_faithful(&world, Skills::FromTheirEndpoint);
}

fn one_bad_row_of_the_books_stops_nothing(backend: Backend) {
    let world = world(backend);
    world.sync();
    let time = if backend == Backend::Postgres { "'infinity'" } else { "'at noon'" };
    for edit in [
        format!("UPDATE sync_watermarks SET watermark = {time}, next_full_at = {time} WHERE endpoint = 'lms/users'"),
        format!("UPDATE sync_watermarks SET loaded_at = {time} WHERE endpoint = 'lms/courses'"),
        "UPDATE sync_watermarks SET status = 'by hand' WHERE endpoint = 'lms/course-progressions'".to_owned(),
        format!("UPDATE sync_runs SET finished_at = {time} WHERE endpoint = 'lms/users'"),
        "UPDATE sync_runs SET outcome = 'by hand', phase = 'by hand' WHERE endpoint = 'lms/courses'".to_owned(),
        "UPDATE sync_integrations SET status = 'by hand'".to_owned(),
    ] {
        world.database.execute(&edit);
        world.syncd(&["status"]).expect_code(0);
        world.syncd(&["sync"]).expect_code(0);
        world.syncd(&["status"]).expect_code(0);
        assert_faithful(&world, Skills::FromCourses);
    }
    let states = world.read(|tx| tx.endpoints(None));
    assert!(states.iter().all(|state| state.watermark.is_some() && state.loaded_at.is_some()), "{states:?}");
}

/// No fetch reaches rows of an integration that is not registered, so a person has to decide.
fn rows_of_unknown_integrations_are_listed(backend: Backend) {
    let world = world(backend);
    world.sync();
    let user = rows(&world, &world.integrations()[0], Model::LmsUsers)[0].row.key.to_string();
    for edit in [
        format!("UPDATE lms_users SET integration_id = 'nobody:1' WHERE id = '{user}'"),
        "INSERT INTO lms_join_revisions_skills (integration_id, course_revision_id, skill_id, synced_at) VALUES \
         ('nobody:2', 'r', 's', '2001-01-01T00:00:00.000Z')"
            .to_owned(),
        "INSERT INTO lms_users (integration_id, id, synced_at, removed_at) VALUES \
         ('nobody:2', 'gone', '2001-01-01T00:00:00.000Z', '2001-01-01T00:00:00.000Z')"
            .to_owned(),
    ] {
        world.database.execute(&edit);
    }
    let warning = "rows of an integration that is not registered";
    let full = world.syncd(&["sync", "--full"]).expect_code(0);
    assert_eq!(full.stderr.matches(warning).count(), 2, "{}", full.stderr);
    assert!(
        !world.syncd(&["sync"]).expect_code(0).stderr.contains(warning),
        "reading whole tables is for full fetches"
    );

    let strays = [format!("lms_users {user} - extra"), "lms_join_revisions_skills r/s - extra".to_owned()];
    let mut sorted = strays.to_vec();
    sorted.sort();
    assert_eq!(verify(&world, &[], 3), sorted);
    assert_eq!(verify(&world, &["--endpoint", "users"], 3), strays[..1]);
    let integration = world.integrations()[0].to_string();
    assert_eq!(verify(&world, &["--integration", &integration], 0), [""; 0]);
    let text = world.syncd(&["verify"]).expect_code(3);
    assert!(text.stdout.contains("nobody:1") && text.stderr.contains(warning), "{}{}", text.stdout, text.stderr);

    world.database.execute("DELETE FROM lms_users WHERE integration_id IN ('nobody:1', 'nobody:2')");
    world.database.execute("DELETE FROM lms_join_revisions_skills WHERE integration_id = 'nobody:2'");
    assert_eq!(verify(&world, &[], 0), [""; 0]);
}
