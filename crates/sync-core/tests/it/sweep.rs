use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::jobs::{EndpointStatus, SyncKind};
use sync_core::ports::{Clock, FailureClass, Fetch, LockMode, StoreError};
use sync_core::pull::{RunOutcome, RunPhase};
use sync_core::rows::{Key, MirrorRow, Model, StoredRow, Value};

use crate::bench::{ALL, Bench, USUAL, id, target};

async fn loaded(users: usize) -> Bench {
    let bench = Bench::new(&USUAL);
    bench.kombo.edit(|lms| (0..users).for_each(|user| lms.add_user(&format!("u{user:03}"))));
    bench.pass(3_600);
    bench.load().await;
    bench.pass(3_600);
    bench
}

fn purge(bench: &Bench, users: std::ops::Range<usize>) {
    bench.kombo.edit(|lms| users.for_each(|user| lms.purge(Model::LmsUsers, &format!("u{user:03}"))));
}

fn live(bench: &Bench) -> u64 {
    bench.store.look::<_, StoreError>(|tx| tx.live_rows(Model::LmsUsers, &id())).unwrap()
}

#[tokio::test]
async fn members_go_with_their_record_whatever_their_clock_said() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    // Their `synced_at` comes from a replica with a clock that was ahead.
    for (model, key) in [(Model::LmsCourseRevisions, "r1"), (Model::LmsJoinRevisionsSkills, "r2/s1")] {
        let mut row = bench.row(model, key);
        row.synced_at = bench.clock.now().saturating_add(Duration::from_secs(5));
        bench.put(model, row);
    }
    bench.kombo.edit(|lms| {
        lms.purge(Model::LmsCourses, "c1");
        lms.purge(Model::LmsCourses, "c2");
    });
    bench.full(Endpoint::LmsCourses).await;
    bench.assert_mirrors();
}

#[tokio::test]
async fn what_a_copy_changed_while_its_page_was_on_its_way_is_looked_up() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    // Nothing announces the change, so only a full fetch shows it.
    bench.kombo.edit_silently(|lms| {
        lms.update_user("u0", |user| user.status = None);
        lms.update_revision("r0", |revision| revision.status = None);
    });
    for (endpoint, model, key, column) in [
        (Endpoint::LmsUsers, Model::LmsUsers, "u0", "first_name"),
        (Endpoint::LmsCourses, Model::LmsCourseRevisions, "r0", "title"),
    ] {
        // Simulates a page of progressions that is requested after this list's first page and written before it.
        bench.write_by_hand(model, key, column, "from a copy");
        let mut row = bench.row(model, key);
        row.synced_at = bench.clock.now().saturating_add(Duration::from_millis(5));
        let copied_at = row.synced_at;
        bench.put(model, row);
        bench.full(endpoint).await;
        assert!(bench.row(model, key).synced_at > copied_at, "{model}");
    }
    bench.assert_mirrors();
}

#[tokio::test]
async fn records_that_are_gone_without_a_trace_are_removed() {
    let bench = loaded(50).await;
    purge(&bench, 0..5);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 5));
    assert_eq!(live(&bench), 45);
    assert_eq!(bench.log()[0], "lms_users u000 deleted sweep [removed_at]");
    bench.assert_mirrors();
    // Removed rows are not looked up again. They are restored if Kombo shows them again.
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!(run.counts.deleted, 0);
    bench.kombo.edit(|lms| lms.add_user("u000"));
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!(run.counts.restored, 1);
    bench.assert_mirrors();
}

/// Records that are created or move while the pages are read may be on no page. They are looked up by id.
#[tokio::test]
async fn records_that_no_page_showed_are_looked_up_before_they_are_taken_for_gone() {
    let bench = loaded(50).await;
    // After three pages of three, two records before the position are removed, so the offset skips two later ones.
    bench.kombo.before_page(4, |lms| {
        lms.purge(Model::LmsUsers, "u000");
        lms.purge(Model::LmsUsers, "u001");
    });
    bench.kombo.asked();
    let run = bench.full(Endpoint::LmsUsers).await;
    let looked_up: Vec<_> = bench
        .kombo
        .asked()
        .into_iter()
        .filter_map(|spec| match spec.fetch {
            Fetch::Ids(ids) => Some(ids),
            Fetch::List { .. } => None,
        })
        .collect();
    assert_eq!(looked_up, [["u009", "u010"]]);
    assert_eq!(run.counts.deleted, 0, "both are there");
    // The two removed records had been shown. The next full fetch misses them.
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!(run.counts.deleted, 2);
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_course_that_is_gone_takes_its_revisions_and_assignments_along() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| lms.purge(Model::LmsCourses, "c0"));
    bench.full(Endpoint::LmsCourses).await;
    let mut log = bench.log();
    log.sort();
    insta::assert_snapshot!(log.join("\n"), @r"
    lms_course_revisions r0 deleted sweep [removed_at]
    lms_course_revisions r0b deleted sweep [removed_at]
    lms_courses c0 deleted sweep [removed_at]
    lms_join_revisions_skills r0/s1 deleted sweep [removed_at]
    lms_join_revisions_skills r0/s2 deleted sweep [removed_at]
    lms_skills s2 deleted sweep [removed_at]
    ");
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_mass_removal_stops_and_asks() {
    let bench = loaded(100).await;
    purge(&bench, 0..20);
    let watermark = bench.watermark(Endpoint::LmsUsers);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Stopped, 0));
    assert!(run.error.unwrap().contains("--allow-mass-removal"));
    assert_eq!((live(&bench), bench.log()), (100, Vec::<String>::new()));
    let state = bench.state(Endpoint::LmsUsers);
    assert_eq!((state.status, state.pending_removals), (EndpointStatus::MassRemoval, Some(20)));
    assert!(bench.watermark(Endpoint::LmsUsers) > watermark, "what came is in");
    assert!(bench.store.look(|tx| tx.requests()).unwrap().is_empty());

    // A delta still works, but does not end the state.
    bench.kombo.edit(|lms| lms.rename_user("u050", "Grace"));
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.updated), (RunOutcome::Completed, 1));
    assert_eq!(bench.state(Endpoint::LmsUsers).status, EndpointStatus::MassRemoval);
}

#[tokio::test]
async fn an_approval_is_a_ceiling() {
    let bench = loaded(100).await;
    purge(&bench, 0..20);
    bench.full(Endpoint::LmsUsers).await;
    let approve = |removals: i64| {
        bench.ask(Endpoint::LmsUsers, SyncKind::Full);
        bench
            .store
            .edit(|tx| {
                let mut request =
                    tx.request(&target(Endpoint::LmsUsers, SyncKind::Full), LockMode::Wait)?.locked().unwrap();
                request.approved_removals = Some(removals);
                tx.put_request(&request)
            })
            .unwrap();
    };
    // There is now one more removal than was approved.
    purge(&bench, 20..21);
    approve(20);
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((run.outcome, live(&bench)), (RunOutcome::Stopped, 100));
    assert_eq!(bench.state(Endpoint::LmsUsers).pending_removals, Some(21));
    approve(21);
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((run.outcome, run.counts.deleted, live(&bench)), (RunOutcome::Completed, 21, 79));
    let state = bench.state(Endpoint::LmsUsers);
    assert_eq!((state.status, state.pending_removals), (EndpointStatus::Ok, None));
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_stop_clears_by_itself_when_the_records_are_back() {
    let bench = loaded(30).await;
    purge(&bench, 0..30);
    assert_eq!(bench.full(Endpoint::LmsUsers).await.outcome, RunOutcome::Stopped);
    bench.kombo.edit(|lms| (0..30).for_each(|user| lms.add_user(&format!("u{user:03}"))));
    bench.pass(86_400);
    assert_eq!(bench.full(Endpoint::LmsUsers).await.outcome, RunOutcome::Completed);
    assert_eq!(bench.state(Endpoint::LmsUsers).status, EndpointStatus::Ok);
    bench.assert_mirrors();
}

#[tokio::test]
async fn small_tables_are_guarded() {
    for (users, gone, outcome) in [
        (1, 1, RunOutcome::Stopped),
        (2, 1, RunOutcome::Completed),
        (4, 3, RunOutcome::Stopped),
        (8, 4, RunOutcome::Completed),
    ] {
        let bench = loaded(users).await;
        purge(&bench, 0..gone);
        assert_eq!(bench.full(Endpoint::LmsUsers).await.outcome, outcome, "{gone} of {users}");
    }
}

#[tokio::test]
async fn lost_notes_make_the_fetch_begin_again() {
    let bench = loaded(20).await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    // The process dies after the last page.
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    {
        let (engine, stop) = (bench.engine(), tokio_util::sync::CancellationToken::new());
        let mut work = std::pin::pin!(engine.work(&lease, &stop));
        let in_sweep = || {
            let run = bench.store.look(|tx| tx.latest_run(&target(Endpoint::LmsUsers, SyncKind::Full))).unwrap();
            run.is_some_and(|run| run.phase == sync_core::pull::RunPhase::Sweep)
        };
        while !in_sweep() {
            assert!(crate::engine::futures_poll(work.as_mut()).await.is_none());
        }
    }
    bench.store.crash();
    bench.pass(60);
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((run.outcome, run.counts.deleted, live(&bench)), (RunOutcome::Completed, 0, 20));
}

/// The database crashes between the check of the notes and the removal.
#[tokio::test]
async fn notes_lost_while_rows_are_looked_up_remove_nothing() {
    let bench = Bench::new(&[Endpoint::LmsCourses]);
    bench.furnish();
    bench.load().await;
    let revisions = |bench: &Bench| {
        let rows = bench.store.table(Model::LmsCourseRevisions, &id());
        rows.iter()
            .filter(|row| row.row.get(Model::LmsCourseRevisions, "course_id").is_some())
            .filter(|row| row.removed_at.is_none())
            .count()
    };
    let (before, pages) = (revisions(&bench), bench.kombo.pages());
    bench.full(Endpoint::LmsCourses).await;
    let pages = bench.kombo.pages() - pages;
    // The record is looked up after the pages.
    bench.kombo.edit(|lms| lms.add_course("extra", "extra-r", "Extra"));
    bench.delta(Endpoint::LmsCourses).await;
    bench.kombo.edit(|lms| lms.purge(Model::LmsCourses, "extra"));
    let store = bench.store.clone();
    bench.kombo.before_page(pages + 1, move |_| store.crash());
    let run = bench.full(Endpoint::LmsCourses).await;
    assert_eq!((run.outcome, revisions(&bench)), (RunOutcome::Completed, before));
}

/// Returns the number of ids in each look-up.
fn ids_named(bench: &Bench) -> Vec<usize> {
    let asked = bench.kombo.asked();
    asked.iter().filter_map(|spec| if let Fetch::Ids(ids) = &spec.fetch { Some(ids.len()) } else { None }).collect()
}

/// The number of ids that a source accepts is not documented.
#[tokio::test]
async fn look_ups_name_as_many_ids_as_the_source_takes() {
    let bench = loaded(400).await;
    bench.kombo.configure(|settings| settings.most_ids = 4);
    purge(&bench, 0..30);
    bench.kombo.asked();
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 30));
    let named = ids_named(&bench);
    assert_eq!(named[..4], [30, 15, 7, 3], "halved until it goes");
    assert!(named[3..].iter().all(|ids| *ids == 3), "{named:?}");
    assert_eq!(named.len(), 3 + 10);
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_source_that_takes_no_id_at_all_fails_the_run_and_removes_nothing() {
    let bench = loaded(400).await;
    bench.kombo.configure(|settings| settings.most_ids = 0);
    purge(&bench, 0..30);
    bench.kombo.asked();
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Failed, 0));
    // The last three are look-ups of listed records.
    assert_eq!(ids_named(&bench), [30, 15, 7, 3, 1, 1, 1, 1]);
}

/// Returns a bench with sixty courses, each with a revision, and a skill on each revision.
async fn catalogue() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.kombo.edit(|lms| {
        lms.add_skill("s", "skill");
        for number in 0..60 {
            lms.add_course(&format!("c{number}"), &format!("r{number}"), "A course");
            lms.assign(&format!("r{number}"), "s");
        }
    });
    bench.pass(3_600);
    bench.load().await;
    bench.pass(3_600);
    bench
}

fn live_of(bench: &Bench, model: Model) -> u64 {
    bench.store.look::<_, StoreError>(|tx| tx.live_rows(model, &id())).unwrap()
}

fn approve(bench: &Bench, endpoint: Endpoint) {
    bench.ask(endpoint, SyncKind::Full);
    let pending = bench.state(endpoint).pending_removals;
    bench
        .store
        .edit(|tx| {
            let mut request = tx.request(&target(endpoint, SyncKind::Full), LockMode::Wait)?.locked().unwrap();
            request.approved_removals = pending;
            tx.put_request(&request)
        })
        .unwrap();
}

/// The source stops nesting the members, in lists and in look-ups.
#[tokio::test]
async fn members_that_vanish_in_masses_are_kept_until_a_person_approves() {
    for kind in [SyncKind::Full, SyncKind::Delta] {
        let bench = catalogue().await;
        bench.kombo.edit(|lms| {
            for number in 0..60 {
                lms.update_course(&format!("c{number}"), |course| course.origin_id = Some("moved".to_owned()));
                lms.purge(Model::LmsCourseRevisions, &format!("r{number}"));
            }
        });
        bench.pass(60);
        let run = bench.fetch(Endpoint::LmsCourses, kind).await;
        assert_eq!(run.outcome, RunOutcome::Stopped, "{kind}");
        assert!(run.error.unwrap().contains("--allow-mass-removal"));
        let state = bench.state(Endpoint::LmsCourses);
        assert_eq!(state.status, EndpointStatus::MassRemoval, "{kind}");
        // All batches of a delta together remove at most a tenth without approval.
        let kept = live_of(&bench, Model::LmsCourseRevisions);
        assert!(kept == 60 || kind == SyncKind::Delta && kept >= 50, "{kind}: {kept}");
        assert_eq!(bench.text(Model::LmsCourses, "c7", "origin_id").as_deref(), Some("moved"), "the rest is stored");

        bench.pass(60);
        approve(&bench, Endpoint::LmsCourses);
        let run = bench.attempt(Endpoint::LmsCourses, SyncKind::Full).await.unwrap();
        assert_eq!(run.outcome, RunOutcome::Completed, "{kind}: {:?}", run.error);
        assert_eq!(live_of(&bench, Model::LmsCourseRevisions), 0);
        assert_eq!(live_of(&bench, Model::LmsJoinRevisionsSkills), 0);
        assert_eq!(bench.state(Endpoint::LmsCourses).status, EndpointStatus::Ok);
        bench.assert_mirrors();
    }
}

#[tokio::test]
async fn assignments_that_vanish_in_masses_are_kept_too() {
    for kind in [SyncKind::Full, SyncKind::Delta] {
        let bench = catalogue().await;
        bench.kombo.edit(|lms| {
            for number in 0..60 {
                lms.update_course(&format!("c{number}"), |course| course.origin_id = Some("moved".to_owned()));
                lms.unassign(&format!("r{number}"), "s");
            }
        });
        bench.pass(60);
        let run = bench.fetch(Endpoint::LmsCourses, kind).await;
        let kept = live_of(&bench, Model::LmsJoinRevisionsSkills);
        assert!(kept == 60 || kind == SyncKind::Delta && kept >= 50, "{kind}: {kept}");
        assert_eq!(run.outcome, RunOutcome::Stopped, "{kind}");
    }
}

#[tokio::test]
async fn a_few_members_go_and_come_without_a_person() {
    for kind in [SyncKind::Full, SyncKind::Delta] {
        let bench = catalogue().await;
        bench.kombo.edit(|lms| {
            for number in 0..4 {
                lms.update_course(&format!("c{number}"), |course| course.origin_id = Some("moved".to_owned()));
                lms.purge(Model::LmsCourseRevisions, &format!("r{number}"));
            }
            lms.update_course("c9", |course| course.origin_id = Some("moved".to_owned()));
            lms.unassign("r9", "s");
        });
        bench.pass(60);
        let run = bench.fetch(Endpoint::LmsCourses, kind).await;
        assert_eq!(run.outcome, RunOutcome::Completed, "{kind}");
        let live = (live_of(&bench, Model::LmsCourseRevisions), live_of(&bench, Model::LmsJoinRevisionsSkills));
        assert_eq!(live, (56, 55), "{kind}");
        bench.assert_mirrors();
    }
}

/// The stored members of an unreadable course stay, because it may still have them.
#[tokio::test]
async fn an_unreadable_course_keeps_its_members() {
    let bench = catalogue().await;
    bench.kombo.spoil(Endpoint::LmsCourses, "c3");
    let run = bench.full(Endpoint::LmsCourses).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::CompletedWithQuarantine, 0));
    assert!(
        bench.row(Model::LmsCourseRevisions, "r3").is_live()
            && bench.row(Model::LmsJoinRevisionsSkills, "r3/s").is_live()
    );
}

/// The ids of a look-up are one comma-separated value.
#[tokio::test]
async fn what_kombo_cannot_be_asked_for_is_gone_when_no_page_shows_it() {
    let bench = loaded(40).await;
    let odd = ["hand,made", " ", "", "a b", "line\nbreak", &"x".repeat(5_000)];
    for key in odd {
        let mut row = bench.row(Model::LmsUsers, "u001");
        row.row.key = Key::Id(key.to_owned());
        bench.put(Model::LmsUsers, row);
    }
    bench.kombo.asked();
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 6));
    assert!(bench.kombo.asked().iter().all(|spec| !matches!(spec.fetch, Fetch::Ids(_))), "nobody asked for them");
    for key in odd {
        assert!(!bench.row(Model::LmsUsers, key).is_live(), "{key:?}");
    }
    bench.assert_mirrors();
}

/// Kombo may check the format of ids.
#[tokio::test]
async fn an_id_that_kombo_refuses_is_gone_when_no_page_shows_it() {
    let bench = loaded(40).await;
    bench.kombo.configure(|settings| settings.takes_id = |id| id.starts_with('u'));
    for key in ["hand-made", "x"] {
        let mut row = bench.row(Model::LmsUsers, "u001");
        row.row.key = Key::Id(key.to_owned());
        bench.put(Model::LmsUsers, row);
    }
    purge(&bench, 0..1);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 3));
    for key in ["hand-made", "x"] {
        assert!(!bench.row(Model::LmsUsers, key).is_live(), "{key:?}");
    }
    bench.assert_mirrors();
}

/// Rows that their own endpoint listed before it was disabled are outdated, but not gone.
#[tokio::test]
async fn rows_that_only_copies_show_are_held_against_the_copies() {
    let mut bench = Bench::new(&ALL);
    bench.furnish();
    bench.kombo.edit(|lms| lms.add_skill("idle", "assigned to nothing"));
    bench.pass(3_600);
    bench.load().await;
    let off = |bench: &mut Bench| bench.policy.plan.endpoints.remove(&Endpoint::LmsSkills);
    let by_hand = |bench: &Bench| {
        let mut row = bench.row(Model::LmsSkills, "s1");
        row.row = MirrorRow::new(Model::LmsSkills, Key::Id("made-up".to_owned()), vec![Value::Null; 8]);
        bench.put(Model::LmsSkills, row);
        let mut removed = bench.row(Model::LmsSkills, "s1");
        removed.removed_at = Some(bench.clock.now());
        bench.put(Model::LmsSkills, removed);
    };
    off(&mut bench);
    by_hand(&bench);
    bench.pass(60);
    bench.full(Endpoint::LmsCourses).await;
    assert!(bench.row(Model::LmsSkills, "s1").is_live(), "it is assigned");
    assert!(!bench.row(Model::LmsSkills, "made-up").is_live(), "nothing shows it");
    assert!(bench.row(Model::LmsSkills, "idle").is_live(), "its own list showed it");
    by_hand(&bench);
    bench.policy.plan.endpoints.insert(Endpoint::LmsSkills);
    bench.pass(60);
    bench.full(Endpoint::LmsSkills).await;
    bench.assert_mirrors();
}

/// While an endpoint is disabled, copies alone decide on rows that its interrupted first load has shown.
#[tokio::test]
async fn a_first_load_of_an_endpoint_that_was_disabled_meanwhile_starts_again() {
    let mut bench = Bench::new(&USUAL);
    bench.furnish();
    bench.kombo.edit(|lms| lms.add_user("idle"));
    bench.full(Endpoint::LmsCourseProgressions).await;
    let user = bench.store.table(Model::LmsUsers, &id()).remove(0);
    let made_up = MirrorRow::new(Model::LmsUsers, Key::Id("made-up".to_owned()), user.row.values().to_vec());
    bench.put(Model::LmsUsers, StoredRow { row: made_up, ..user });
    // The page succeeds, and the look-up of the row that it does not show fails.
    bench.kombo.configure(|settings| settings.page_size = 100);
    (2..9).for_each(|page| bench.kombo.fail_page(page, FailureClass::Transient));
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.phase), (RunOutcome::Failed, RunPhase::Sweep));
    assert!(bench.row(Model::LmsUsers, "idle").is_live());

    bench.kombo.fail_no_more();
    bench.policy.plan.endpoints.remove(&Endpoint::LmsUsers);
    bench.pass(60);
    bench.full(Endpoint::LmsCourseProgressions).await;
    assert!(!bench.row(Model::LmsUsers, "idle").is_live(), "no copy shows it");
    bench.policy.plan.endpoints.insert(Endpoint::LmsUsers);
    bench.pass(3_600);
    bench.full(Endpoint::LmsUsers).await;
    assert!(bench.row(Model::LmsUsers, "idle").is_live());
    bench.full(Endpoint::LmsCourses).await;
    bench.assert_mirrors();
}

/// No endpoint lists these rows, so only the content of a full fetch shows that they are gone.
#[tokio::test]
async fn rows_that_nothing_lists_are_held_against_what_a_full_fetch_shows() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    let put = |model: Model, from: &str, key: Key, course: Option<&str>| {
        let mut row = bench.row(model, from);
        row.row.key = key;
        if let (Some(course), Some(place)) = (course, model.columns().iter().position(|it| it.name == "course_id")) {
            row.row.values_mut()[place] = Value::Text(course.to_owned());
        }
        bench.put(model, row);
    };
    let id = |id: &str| Key::Id(id.to_owned());
    put(Model::LmsCourseRevisions, "r1", id("orphan"), Some("nowhere"));
    put(Model::LmsCourseProviders, "p1", id("nobody"), None);
    let pair = Key::Pair("no revision".to_owned(), "s1".to_owned());
    put(Model::LmsJoinRevisionsSkills, "r1/s1", pair, None);
    // The row was written while a clock was ahead of all others.
    let mut ahead = bench.row(Model::LmsCourses, "c2");
    ahead.synced_at = bench.clock.now().saturating_add(Duration::from_secs(86_400));
    bench.put(Model::LmsCourses, ahead);
    bench.write_by_hand(Model::LmsCourses, "c2", "origin_id", "by hand");
    bench.pass(60);
    bench.full(Endpoint::LmsCourses).await;
    bench.assert_mirrors();
    for (model, key) in [
        (Model::LmsCourseRevisions, "orphan"),
        (Model::LmsCourseProviders, "nobody"),
        (Model::LmsJoinRevisionsSkills, "no revision/s1"),
    ] {
        assert!(!bench.row(model, key).is_live(), "{model} {key}");
    }
}

/// A person marked the revision as removed, so it is not removed with the course.
#[tokio::test]
async fn assignments_of_a_revision_that_was_removed_by_hand_go_with_its_course() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    let mut revision = bench.row(Model::LmsCourseRevisions, "r1");
    revision.removed_at = Some(revision.synced_at);
    bench.put(Model::LmsCourseRevisions, revision);
    bench.kombo.edit(|lms| lms.purge(Model::LmsCourses, "c1"));
    bench.pass(60);
    bench.full(Endpoint::LmsCourses).await;
    assert!(!bench.row(Model::LmsJoinRevisionsSkills, "r1/s1").is_live());
}

/// The same id may name one record of each model.
#[tokio::test]
async fn an_assignment_is_not_mixed_up_with_a_course_or_a_provider_of_its_revisions_id() {
    let bench = Bench::new(&USUAL);
    bench.kombo.edit(|lms| {
        lms.add_skill("s", "skill");
        for course in ["other", "provided"] {
            lms.add_course(course, &format!("{course} revision"), "title");
        }
        lms.add_course("gone", "last", "title");
        lms.add_provider("provider", "name");
        lms.provide("gone", Some("provider"));
        for (course, revision) in [("other", "gone"), ("provided", "provider")] {
            lms.add_revision(course, revision, "title");
            lms.assign(revision, "s");
        }
    });
    bench.pass(3_600);
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit_silently(|lms| {
        lms.purge(Model::LmsCourses, "gone");
        lms.unassign("gone", "s");
        lms.unassign("provider", "s");
    });
    bench.full(Endpoint::LmsCourses).await;
    for key in ["gone/s", "provider/s"] {
        assert!(!bench.row(Model::LmsJoinRevisionsSkills, key).is_live(), "{key}");
    }
}

/// The first load of a list is the first to say which records exist. What only copies showed before is no mass removal.
#[tokio::test]
async fn a_first_load_removes_what_only_copies_showed() {
    let bench = Bench::new(&ALL);
    bench.kombo.edit(|lms| {
        for number in 0..30 {
            let (course, revision) = (format!("c{number}"), format!("r{number}"));
            lms.add_course(&course, &revision, "A course");
            lms.add_skill(&format!("s{number}"), "A skill");
            lms.assign(&revision, &format!("s{number}"));
            lms.add_user(&format!("u{number}"));
            lms.add_progression(&format!("g{number}"), &format!("u{number}"), &revision);
        }
        lms.add_user("another");
    });
    bench.pass(3_600);
    bench.full(Endpoint::LmsCourseProgressions).await;
    bench.kombo.edit(|lms| {
        (0..30).for_each(|number| lms.purge(Model::LmsUsers, &format!("u{number}")));
        (0..28).for_each(|number| lms.purge(Model::LmsCourses, &format!("c{number}")));
    });
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 30), "{run:?}");
    let run = bench.full(Endpoint::LmsCourses).await;
    assert_eq!(run.outcome, RunOutcome::Completed, "{run:?}");
    assert_eq!((live_of(&bench, Model::LmsCourses), live_of(&bench, Model::LmsCourseRevisions)), (2, 2));
    bench.kombo.edit(|lms| (0..30).for_each(|number| lms.purge(Model::LmsSkills, &format!("s{number}"))));
    let run = bench.full(Endpoint::LmsSkills).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 2), "{run:?}");
    for endpoint in ALL {
        assert_eq!(bench.state(endpoint).status, EndpointStatus::Ok, "{endpoint}");
    }
}

/// Rows that a first load itself has shown are guarded: it may begin again at the first page.
#[tokio::test]
async fn a_first_load_that_is_stopped_is_a_load() {
    let bench = Bench::new(&USUAL);
    bench.kombo.edit(|lms| (0..30).for_each(|user| lms.add_user(&format!("u{user:03}"))));
    bench.pass(3_600);
    bench.kombo.fail_page(8, FailureClass::Transient);
    assert_eq!(bench.full(Endpoint::LmsUsers).await.outcome, RunOutcome::Failed);
    let shown = live(&bench);
    assert!(shown > 15, "{shown}");
    bench.pass(3_600);
    bench.kombo.expire_cursors();
    purge(&bench, 0..30);
    bench.kombo.edit(|lms| lms.add_user("another"));
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Stopped, 0), "{run:?}");
    assert_eq!(live(&bench), shown + 1);
    let state = bench.state(Endpoint::LmsUsers);
    assert!(state.loaded_at.is_some() && state.watermark.is_some());
    assert!(state.next_full_at > Some(bench.clock.now()), "the schedule does not ask again at once");
}
