use kombo_model::{Endpoint, ProgressionStatus};
use sync_core::jobs::{RequestCause, SyncKind};
use sync_core::pull::RunOutcome;
use sync_core::rows::Model;
use sync_testkit::Nesting;

use crate::bench::{ALL, Bench, USUAL, id, target};

#[tokio::test]
async fn a_first_load_mirrors_everything_and_logs_nothing() {
    let bench = Bench::new(&ALL);
    bench.furnish();
    bench.load().await;
    bench.assert_mirrors();
    assert_eq!(bench.log(), [""; 0]);
    assert!(ALL.iter().all(|endpoint| bench.state(*endpoint).loaded_at.is_some()));
    assert!(bench.store.look(|tx| tx.requests()).unwrap().is_empty());
}

#[tokio::test]
async fn a_delta_before_the_first_load_is_a_full_fetch() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    let runs = bench.drain().await;
    assert_eq!(
        runs.iter().map(|run| run.target.clone()).collect::<Vec<_>>(),
        [target(Endpoint::LmsUsers, SyncKind::Full)]
    );
    assert!(runs[0].first_load);
}

#[tokio::test]
async fn a_quiet_delta_reads_nothing_and_a_quiet_full_fetch_writes_nothing() {
    let bench = Bench::new(&ALL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    for endpoint in ALL {
        let run = bench.delta(endpoint).await;
        assert_eq!((run.counts.records, run.counts.pages), (0, 1), "{endpoint}");
        let before = bench.store.table(endpoint.lists(), &id());
        let run = bench.full(endpoint).await;
        assert_eq!(run.counts.unchanged, run.counts.records, "{endpoint}");
        assert!(before == bench.store.table(endpoint.lists(), &id()), "synced_at stays, too");
    }
    assert_eq!(bench.log(), [""; 0]);
}

#[tokio::test]
async fn an_empty_integration_is_loaded() {
    let bench = Bench::new(&ALL);
    bench.load().await;
    bench.assert_mirrors();
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.target.kind), (RunOutcome::Completed, SyncKind::Delta));
}

/// The pages are small, so a revision that moves to a later course is removed by one batch and restored by the next.
#[tokio::test]
async fn a_delta_brings_what_changed() {
    let bench = Bench::new(&ALL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| {
        lms.rename_user("u1", "Grace");
        lms.add_user("u9");
        lms.delete(Model::LmsUsers, "u2");
        lms.progress("g3", ProgressionStatus::Completed);
        lms.set_title("r1", "Course 1, revised");
        lms.add_revision("c2", "r2b", "Course 2, second edition");
        lms.move_revision("r0b", "c3");
        lms.rename_skill("s1", "Welding");
    });
    for endpoint in ALL {
        let run = bench.delta(endpoint).await;
        assert_eq!(run.outcome, RunOutcome::Completed);
    }
    bench.assert_mirrors();
    insta::assert_snapshot!(bench.log().join("\n"), @r"
    lms_users u1 updated direct [first_name]
    lms_users u2 deleted direct [remote_deleted_at]
    lms_users u9 created direct [remote_id first_name last_name work_email status]
    lms_course_revisions r1 updated direct [title]
    lms_course_revisions r2b created direct [remote_id course_id title status]
    lms_skills s1 updated nested [name]
    lms_course_revisions r0b deleted direct [removed_at]
    lms_course_revisions r0b restored direct [course_id removed_at]
    lms_course_progressions g3 updated direct [status]
    ");
    bench.pass(3_600);
    let seq = bench.last_change();
    bench.kombo.edit(|lms| lms.restore(Model::LmsUsers, "u2"));
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!((run.counts.restored, run.counts.updated), (1, 0));
    assert_eq!(bench.log_since(seq), ["lms_users u2 restored direct [remote_deleted_at]"]);
    bench.assert_mirrors();
}

/// The scenario of Kombo's guide: a course's title changes, and its progressions come back although they did not
/// change.
#[tokio::test]
async fn progressions_that_come_back_for_their_course_are_counted_and_not_written() {
    let bench = Bench::new(&[Endpoint::LmsCourseProgressions]);
    bench.furnish();
    bench.kombo.configure(|settings| settings.nesting = Nesting::Guide);
    bench.load().await;
    bench.pass(3_600);
    let before = bench.store.table(Model::LmsCourseProgressions, &id());
    bench.kombo.edit(|lms| lms.set_title("r0", "Course 0, revised"));
    let run = bench.delta(Endpoint::LmsCourseProgressions).await;
    assert_eq!((run.counts.records, run.counts.indirect, run.counts.updated), (2, 2, 1), "{:?}", run.counts);
    assert_eq!(bench.log(), ["lms_course_revisions r0 updated nested [title]"]);
    assert!(before == bench.store.table(Model::LmsCourseProgressions, &id()));
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_change_that_was_seen_nested_is_not_logged_again_by_its_own_endpoint() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.kombo.configure(|settings| settings.nesting = Nesting::Guide);
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| lms.set_title("r0", "Course 0, revised"));
    bench.delta(Endpoint::LmsCourseProgressions).await;
    let run = bench.delta(Endpoint::LmsCourses).await;
    assert_eq!(bench.log(), ["lms_course_revisions r0 updated nested [title]"]);
    assert_eq!((run.counts.updated, run.counts.created), (0, 0));
    bench.assert_mirrors();
}

#[tokio::test]
async fn users_enabled_after_progressions_complete_what_the_copies_began() {
    let mut bench = Bench::new(&[Endpoint::LmsCourseProgressions]);
    bench.furnish();
    bench.load().await;
    assert!(bench.row(Model::LmsUsers, "u1").row.changed_at().is_none(), "known from copies only");
    assert_eq!(bench.text(Model::LmsUsers, "u1", "first_name").as_deref(), Some("Ada"));
    assert_eq!(bench.text(Model::LmsUsers, "u1", "status"), None);

    bench.policy.plan.endpoints.insert(Endpoint::LmsUsers);
    bench.pass(60);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert!(run.first_load);
    bench.assert_mirrors();
    assert!(bench.row(Model::LmsUsers, "u1").row.changed_at().is_some());
    assert_eq!(bench.log(), [""; 0], "a first load is quiet");
}

#[tokio::test]
async fn hand_edits_are_mended_by_a_full_fetch() {
    let bench = Bench::new(&ALL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.write_by_hand(Model::LmsUsers, "u1", "work_email", "wrong@example.com");
    bench.write_by_hand(Model::LmsCourseRevisions, "r1", "title", "Wrong");
    bench.write_by_hand(Model::LmsCourseProviders, "p1", "name", "Wrong");
    let mut removed = bench.row(Model::LmsUsers, "u3");
    removed.removed_at = Some(removed.synced_at);
    bench.put(Model::LmsUsers, removed);
    bench.put(Model::LmsUsers, {
        let mut invented = bench.row(Model::LmsUsers, "u4");
        invented.row.key = sync_core::rows::Key::Id("invented".to_owned());
        invented
    });
    for endpoint in ALL {
        bench.delta(endpoint).await;
    }
    assert_eq!(bench.text(Model::LmsUsers, "u1", "work_email").as_deref(), Some("wrong@example.com"));
    for endpoint in ALL {
        bench.ask_because(RequestCause::Schedule, endpoint, SyncKind::Full);
        bench.attempt(endpoint, SyncKind::Full).await.unwrap();
    }
    bench.assert_mirrors();
    insta::assert_snapshot!(bench.log().join("\n"), @r"
    lms_users u1 updated drift [work_email]
    lms_users u3 restored drift [removed_at]
    lms_users invented deleted sweep [removed_at]
    lms_course_revisions r1 updated drift [title]
    lms_course_providers p1 updated drift [name]
    ");
}

#[tokio::test]
async fn two_endpoints_that_race_never_move_data_back() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    // The progressions are read before the rename, the users after it; the progressions are written last.
    bench.kombo.configure(|settings| settings.page_size = 100);
    bench.ask(Endpoint::LmsCourseProgressions, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsCourseProgressions, SyncKind::Full).unwrap();
    let engine = bench.engine();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut work = std::pin::pin!(engine.work(&lease, &stop));
    let pages = bench.kombo.pages();
    while bench.kombo.pages() == pages {
        let polled = futures_poll(work.as_mut()).await;
        assert!(polled.is_none(), "the page is read, not written");
    }
    bench.pass(1);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.delta(Endpoint::LmsUsers).await;
    assert_eq!(bench.text(Model::LmsUsers, "u1", "first_name").as_deref(), Some("Grace"));
    let run = work.await.unwrap().run;
    assert_eq!(run.outcome, RunOutcome::Completed);
    assert_eq!(bench.text(Model::LmsUsers, "u1", "first_name").as_deref(), Some("Grace"));
    bench.assert_mirrors();
    assert_eq!(bench.log(), ["lms_users u1 updated direct [first_name]"]);
}

#[tokio::test]
async fn a_stale_record_of_a_delta_is_counted_and_skipped() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.pass(60);
    // The stored row has a later `changed_at` than the returned one.
    let mut later = bench.row(Model::LmsUsers, "u1");
    let place = Model::LmsUsers.columns().len() - 2;
    later.row.values_mut()[place] = sync_core::rows::Value::Time(sync_core::ports::Clock::now(&bench.clock));
    bench.put(Model::LmsUsers, later.clone());
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!((run.counts.stale, run.counts.updated), (1, 0));
    assert!(bench.row(Model::LmsUsers, "u1") == later);
    // A full fetch looks the record up and stores Kombo's version.
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.counts.stale, run.counts.updated), (1, 1));
    bench.assert_mirrors();
}

#[tokio::test]
async fn changes_that_a_delta_may_not_show_are_found_by_a_full_fetch() {
    let bench = Bench::new(&ALL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| {
        lms.rename_provider("p1", "Apex");
        lms.unassign("r0", "s2");
        lms.assign("r1", "s2");
    });
    assert_eq!(bench.delta(Endpoint::LmsCourses).await.counts.records, 0);
    bench.full(Endpoint::LmsCourses).await;
    bench.assert_mirrors();
    insta::assert_snapshot!(bench.log().join("\n"), @r"
    lms_course_providers p1 updated direct [name]
    lms_join_revisions_skills r1/s2 created direct []
    lms_join_revisions_skills r0/s2 deleted direct [removed_at]
    ");
}

/// Polls once. Returns the value if the future is ready.
pub(crate) async fn futures_poll<F: Future>(mut work: std::pin::Pin<&mut F>) -> Option<F::Output> {
    tokio::task::yield_now().await; // a future that is polled by hand needs a new budget, too
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
