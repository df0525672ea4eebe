//! Tests of applying batches to a store, without an engine.

use std::collections::BTreeSet;

use kombo_model::{Endpoint, Timestamp};
use sync_core::jobs::SyncKind;
use sync_core::ports::Record;
use sync_core::pull::{Run, RunCounts, RunId, RunOutcome, RunPhase};
use sync_core::rows::apply::{Applying, Unlisted, apply};
use sync_core::rows::compare::Reading;
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{Batch, Model, decompose};

use sync_testkit::with_lease;

use crate::bench::{Bench, target};

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_767_225_600_000 + minutes * 60_000).unwrap()
}

struct Batches {
    bench: Bench,
    run: Run,
    quiet: BTreeSet<Model>,
    change_values: bool,
    settles: bool,
}

impl Batches {
    fn new(endpoint: Endpoint, kind: SyncKind) -> Self {
        let run = Run {
            id: RunId(1),
            target: target(endpoint, kind),
            outcome: RunOutcome::Running,
            started_at: at(0),
            finished_at: None,
            updated_after: (kind == SyncKind::Delta).then(|| at(0)),
            fetch_started_at: None,
            first_load: false,
            phase: RunPhase::Pages,
            page_cursor: None,
            batches: 0,
            counts: RunCounts::default(),
            error: None,
        };
        Self {
            bench: Bench::new(&Endpoint::LMS),
            run,
            quiet: BTreeSet::new(),
            change_values: false,
            settles: kind == SyncKind::Full,
        }
    }

    /// Applies records, each with the minute at which its page was requested.
    fn apply(&self, records: &[(i64, &str)]) -> RunCounts {
        let mut batch = Batch::default();
        for (minutes, json) in records {
            let record = Record::read(self.run.target.endpoint, json).unwrap();
            decompose(record, at(*minutes), &mut batch).unwrap();
        }
        let reading = Reading {
            kind: self.run.target.kind,
            tombstones: Tombstones::Mirror,
            known_until: self.run.updated_after,
            announced: false,
            now: at(1_000),
            settles: self.settles,
            latest: at(1_000),
        };
        let applying = Applying {
            run: &self.run,
            reading,
            quiet: self.quiet.clone(),
            change_values: self.change_values,
            unlisted: Unlisted::Remove,
            now: at(1_000),
        };
        let target = &self.run.target;
        self.bench.store.edit(|tx| with_lease(tx, target, at(1_000), |tx| Ok(apply(tx, &batch, &applying)?))).unwrap()
    }
}

fn course(id: &str, changed: i64, revisions: &[(&str, &[&str])]) -> String {
    let revision = |(revision, skills): &(&str, &[&str])| {
        let skills: Vec<String> =
            skills.iter().map(|skill| format!(r#"{{"skill":{{"id":"{skill}","name":"{skill}"}}}}"#)).collect();
        format!(
            r#"{{"id":"{revision}","course_id":"{id}","title":"{revision}","changed_at":"{}","skill_assignments":[{}]}}"#,
            at(1),
            skills.join(",")
        )
    };
    let revisions: Vec<String> = revisions.iter().map(revision).collect();
    format!(r#"{{"id":"{id}","changed_at":"{}","revisions":[{}]}}"#, at(changed), revisions.join(","))
}

fn user(id: &str, name: &str, changed: i64) -> String {
    format!(r#"{{"id":"{id}","first_name":"{name}","changed_at":"{}"}}"#, at(changed))
}

fn progression(id: &str, user: &str, changed: i64) -> String {
    format!(
        r#"{{"id":"{id}","user_id":"u","course_revision_id":"r","status":"ENROLLED","changed_at":"{}","user":{user}}}"#,
        at(changed)
    )
}

#[test]
fn members_that_are_no_longer_listed_are_removed_with_their_own_members() {
    let batches = Batches::new(Endpoint::LmsCourses, SyncKind::Delta);
    batches.apply(&[(10, &course("c", 1, &[("r1", &["s1", "s2"]), ("r2", &["s1"])]))]);
    let seq = batches.bench.last_change();
    let counts = batches.apply(&[(20, &course("c", 1, &[("r1", &["s2"])]))]);
    assert_eq!(counts.deleted, 3);
    let mut log = batches.bench.log_since(seq);
    log.sort();
    assert_eq!(
        log,
        [
            "lms_course_revisions r2 deleted direct [removed_at]",
            "lms_join_revisions_skills r1/s1 deleted direct [removed_at]",
            "lms_join_revisions_skills r2/s1 deleted direct [removed_at]",
        ]
    );
    assert!(batches.bench.row(Model::LmsSkills, "s1").is_live(), "a skill that no course shows is unknown, not gone");
    let counts = batches.apply(&[(30, &course("c", 1, &[("r1", &["s2"]), ("r2", &["s1"])]))]);
    assert_eq!(counts.restored, 2);
}

#[test]
fn a_list_that_is_not_there_says_nothing_and_an_older_one_removes_nothing_newer() {
    let batches = Batches::new(Endpoint::LmsCourses, SyncKind::Full);
    batches.apply(&[(10, &course("c", 1, &[("r1", &["s1"])]))]);
    let bare = format!(r#"{{"id":"c","changed_at":"{}"}}"#, at(1));
    assert_eq!(batches.apply(&[(20, &bare)]).deleted, 0);
    assert_eq!(batches.apply(&[(9, &course("c", 1, &[]))]).deleted, 0, "the list is older than the row");
    assert_eq!(batches.apply(&[(20, &course("c", 1, &[]))]).deleted, 2);
}

#[test]
fn a_revision_that_moves_within_a_batch_is_moved_whatever_the_order() {
    for flip in [false, true] {
        let batches = Batches::new(Endpoint::LmsCourses, SyncKind::Delta);
        let (a, b) = (course("a", 1, &[("r", &["s"])]), course("b", 1, &[]));
        batches.apply(&[(10, &a), (10, &b)]);
        let seq = batches.bench.last_change();
        let (a, b) = (course("a", 1, &[]), course("b", 1, &[("r", &["s"])]));
        let moved = if flip { [(20, b.as_str()), (20, a.as_str())] } else { [(20, a.as_str()), (20, b.as_str())] };
        let counts = batches.apply(&moved);
        assert_eq!((counts.updated, counts.deleted), (1, 0));
        assert_eq!(batches.bench.log_since(seq), ["lms_course_revisions r updated direct [course_id]"]);
        assert!(batches.bench.row(Model::LmsJoinRevisionsSkills, "r/s").is_live());
    }
}

#[test]
fn the_newest_of_several_versions_of_a_record_wins() {
    for order in [[0, 1], [1, 0]] {
        let batches = Batches::new(Endpoint::LmsUsers, SyncKind::Delta);
        let versions = [(10, user("u", "old", 1)), (11, user("u", "new", 2))];
        let records = order.map(|place: usize| (versions[place].0, versions[place].1.as_str()));
        let counts = batches.apply(&records);
        assert_eq!((counts.created, counts.unchanged), (1, 1), "every record is counted once");
        assert_eq!(batches.bench.text(Model::LmsUsers, "u", "first_name").as_deref(), Some("new"));
    }
}

#[test]
fn copies_say_together_what_each_of_them_says() {
    let batches = Batches::new(Endpoint::LmsCourseProgressions, SyncKind::Delta);
    batches.apply(&[
        (10, &progression("a", r#"{"id":"u","first_name":"Ada"}"#, 1)),
        (10, &progression("b", r#"{"id":"u","last_name":"Lovelace"}"#, 1)),
        (11, &progression("c", r#"{"id":"u","first_name":"Augusta"}"#, 1)),
    ]);
    let text = |column| batches.bench.text(Model::LmsUsers, "u", column);
    assert_eq!((text("first_name").as_deref(), text("last_name").as_deref()), (Some("Augusta"), Some("Lovelace")));
    assert_eq!(text("work_email"), None);
    assert!(batches.bench.row(Model::LmsUsers, "u").row.changed_at().is_none());
}

#[test]
fn a_batch_that_is_repeated_changes_and_logs_nothing() {
    for (endpoint, record) in [
        (Endpoint::LmsUsers, user("u", "Ada", 1)),
        (Endpoint::LmsCourses, course("c", 1, &[("r1", &["s1", "s2"]), ("r2", &[])])),
        (Endpoint::LmsCourseProgressions, progression("g", r#"{"id":"u","first_name":"Ada"}"#, 1)),
    ] {
        for kind in [SyncKind::Delta, SyncKind::Full] {
            let batches = Batches::new(endpoint, kind);
            batches.apply(&[(10, &record)]);
            let (log, rows) =
                (batches.bench.log(), Model::LMS.map(|model| batches.bench.store.table(model, &crate::bench::id())));
            let counts = batches.apply(&[(10, &record)]);
            let expected = RunCounts { unchanged: 1, ..RunCounts::default() };
            assert_eq!(counts, expected, "{kind} of {endpoint}");
            assert_eq!(batches.bench.log(), log);
            assert!(rows == Model::LMS.map(|model| batches.bench.store.table(model, &crate::bench::id())));
        }
    }
}

#[test]
fn quiet_models_are_written_and_not_logged() {
    let mut batches = Batches::new(Endpoint::LmsCourseProgressions, SyncKind::Full);
    batches.quiet = BTreeSet::from([Model::LmsCourseProgressions]);
    let counts = batches.apply(&[(10, &progression("g", r#"{"id":"u","first_name":"Ada"}"#, 1))]);
    assert_eq!(counts.created, 2);
    assert_eq!(batches.bench.log(), ["lms_users u created drift [first_name]"]);
}

#[test]
fn the_log_holds_values_if_it_is_reported_to() {
    let mut batches = Batches::new(Endpoint::LmsUsers, SyncKind::Delta);
    batches.change_values = true;
    batches.apply(&[(10, &user("u", "Ada", 1))]);
    batches.apply(&[(20, &user("u", "Grace", 2))]);
    let changes = batches.bench.store.look(|tx| tx.changes(None, 0, 9)).unwrap();
    assert_eq!(changes[0].fields, serde_json::json!({ "first_name": { "old": null, "new": "Ada" } }));
    assert_eq!(changes[1].fields, serde_json::json!({ "first_name": { "old": "Ada", "new": "Grace" } }));
    let about = (changes[1].run_id, changes[1].at, changes[1].model, changes[1].record_id.as_str());
    assert_eq!(about, (RunId(1), at(1_000), Model::LmsUsers, "u"));
}

#[test]
fn records_that_came_back_for_another_are_indirect_only_in_a_delta() {
    for (kind, changed, indirect) in
        [(SyncKind::Delta, -5, 1), (SyncKind::Delta, 0, 1), (SyncKind::Delta, 5, 0), (SyncKind::Full, -5, 0)]
    {
        let batches = Batches::new(Endpoint::LmsUsers, kind);
        batches.apply(&[(10, &user("u", "Ada", changed))]);
        let counts = batches.apply(&[(20, &user("u", "Ada", changed))]);
        assert_eq!((counts.indirect, counts.unchanged), (indirect, 1 - indirect), "{kind} {changed}");
    }
}

#[test]
fn of_a_record_that_comes_twice_the_newer_content_counts() {
    for kind in [SyncKind::Delta, SyncKind::Full] {
        for flip in [false, true] {
            let mut both = [
                course("c", 5, &[("r1", &["s1"]), ("r2", &[])]),
                course("c", 3, &[("r1", &["s2"])]).replace(r#""title":"r1""#, r#""title":"older""#),
            ];
            both[1] = both[1].replace(&at(1).to_string(), &at(0).to_string());
            if flip {
                both.reverse();
            }
            let [first, second] = both;
            // In one batch.
            let batches = Batches::new(Endpoint::LmsCourses, kind);
            batches.apply(&[(10, &first), (11, &second)]);
            // One after the other.
            let after = Batches { settles: false, ..Batches::new(Endpoint::LmsCourses, kind) };
            after.apply(&[(10, &first)]);
            after.apply(&[(11, &second)]);
            for batches in [batches, after] {
                let bench = &batches.bench;
                let row = |key: &str| bench.row(Model::LmsCourseRevisions, key);
                assert_eq!(bench.row(Model::LmsCourses, "c").row.changed_at(), Some(at(5)));
                assert_eq!(
                    bench.text(Model::LmsCourseRevisions, "r1", "title").as_deref(),
                    Some("r1"),
                    "{kind:?} {flip}"
                );
                assert!(row("r2").is_live(), "{kind:?} {flip}: the older list does not count");
                assert!(bench.row(Model::LmsJoinRevisionsSkills, "r1/s1").is_live(), "{kind:?} {flip}");
            }
        }
    }
}

#[test]
fn a_record_from_the_future_is_overtaken_by_what_comes_later() {
    for kind in [SyncKind::Delta, SyncKind::Full] {
        let batches = Batches { settles: false, ..Batches::new(Endpoint::LmsUsers, kind) };
        batches.apply(&[(10, &user("u", "frozen", 500_000)), (20, &user("u", "thawed", 15))]);
        assert_eq!(batches.bench.text(Model::LmsUsers, "u", "first_name").as_deref(), Some("thawed"));
        batches.apply(&[(30, &user("u", "frozen", 500_000))]);
        batches.apply(&[(40, &user("u", "again", 35))]);
        assert_eq!(batches.bench.text(Model::LmsUsers, "u", "first_name").as_deref(), Some("again"));
        let deleted = user("u", "again", 36).replace('}', &format!(r#","remote_deleted_at":"{}"}}"#, at(36)));
        assert_eq!(batches.apply(&[(50, &deleted)]).deleted, 1);
    }
}
