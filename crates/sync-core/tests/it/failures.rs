use kombo_model::{Endpoint, Fault, Timestamp};
use sync_core::jobs::{EndpointStatus, IntegrationRecord, IntegrationStatus, SyncKind};
use sync_core::ports::{Clock, FailureClass, Lock, LockMode, QuarantinePart, Record, RecordPage, Rejected, StoreError};
use sync_core::pull::{Run, RunOutcome};
use sync_core::rows::Model;

use crate::bench::{Bench, USUAL, id, target};

const CLASSES: [(FailureClass, EndpointStatus, IntegrationStatus, u64); 8] = [
    (FailureClass::Transient, EndpointStatus::Retrying, IntegrationStatus::Active, 10),
    (FailureClass::KeyRejected, EndpointStatus::Failed, IntegrationStatus::Active, 3_600),
    (FailureClass::IntegrationNotFound, EndpointStatus::Failed, IntegrationStatus::NotFound, 3_600),
    (FailureClass::IntegrationUnavailable, EndpointStatus::Failed, IntegrationStatus::Paused, 3_600),
    (FailureClass::SetupPending, EndpointStatus::WaitingForSetup, IntegrationStatus::Active, 900),
    (FailureClass::ModelUnavailable, EndpointStatus::ModelUnavailable, IntegrationStatus::Active, 3_600),
    (FailureClass::RequestRefused, EndpointStatus::Failed, IntegrationStatus::Active, 10),
    (FailureClass::Unintelligible, EndpointStatus::Failed, IntegrationStatus::Active, 10),
];

#[tokio::test]
async fn the_result_of_an_attempt_holds_the_class_of_its_failure() {
    for (class, ..) in CLASSES {
        let bench = Bench::new(&USUAL);
        bench.kombo.refuse(Endpoint::LmsUsers, class);
        bench.ask(Endpoint::LmsUsers, SyncKind::Full);
        let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
        let attempt = bench.engine().work(&lease, &tokio_util::sync::CancellationToken::new()).await.unwrap();
        assert_eq!(attempt.run.outcome, RunOutcome::Failed);
        assert_eq!(attempt.failure.map(|failure| failure.class()), Some(class));
    }
    let bench = Bench::new(&USUAL);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let attempt = bench.engine().work(&lease, &tokio_util::sync::CancellationToken::new()).await.unwrap();
    assert!(attempt.run.outcome.is_complete() && attempt.failure.is_none());
}

#[tokio::test]
async fn a_failure_leaves_watermark_and_data_and_says_why() {
    for (class, status, integration_status, wait) in CLASSES {
        let bench = Bench::new(&USUAL);
        let registered_at = bench.clock.now();
        let record = IntegrationRecord {
            category: Some(kombo_model::Category::Lms),
            id: id(),
            tool: None,
            status: IntegrationStatus::Active,
            status_since: registered_at,
            reason: None,
            registered_at,
            state_updated_at: None,
        };
        bench.store.edit(|tx| tx.put_integration(&record)).unwrap();
        bench.furnish();
        bench.load().await;
        bench.pass(3_600);
        bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
        let (watermark, rows) = (bench.watermark(Endpoint::LmsUsers), bench.store.table(Model::LmsUsers, &id()));
        bench.kombo.refuse(Endpoint::LmsUsers, class);

        let run = bench.delta(Endpoint::LmsUsers).await;
        assert_eq!(run.outcome, RunOutcome::Failed, "{class:?}");
        assert!(run.error.is_some_and(|error| error.contains("users")));
        assert_eq!(bench.watermark(Endpoint::LmsUsers), watermark);
        assert!(rows == bench.store.table(Model::LmsUsers, &id()));
        let state = bench.state(Endpoint::LmsUsers);
        assert_eq!((state.status, state.reason.is_some()), (status, true), "{class:?}");
        let integration = bench.store.look(|tx| tx.integration(&id())).unwrap().unwrap();
        assert_eq!(integration.status, integration_status, "{class:?}");
        let request = bench
            .store
            .look(|tx| tx.request(&target(Endpoint::LmsUsers, SyncKind::Delta), LockMode::Wait).map(Lock::locked))
            .unwrap()
            .unwrap();
        let waits = request.not_before.since(bench.clock.now()).as_secs();
        assert!((wait..wait + wait / 4 + 1).contains(&waits), "{class:?} waits {waits} s");
        assert_eq!((request.attempts, request.lease), (1, None));

        bench.kombo.allow(Endpoint::LmsUsers);
        bench.pass(5_000);
        let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Delta).await.unwrap();
        assert_eq!(run.outcome, RunOutcome::Completed, "{class:?}");
        assert_eq!(bench.state(Endpoint::LmsUsers).status, EndpointStatus::Ok);
        bench.assert_mirrors();
    }
}

#[tokio::test]
async fn passing_failures_wait_longer_and_longer() {
    for class in [FailureClass::Transient, FailureClass::RequestRefused, FailureClass::Unintelligible] {
        waits_longer_and_longer(class).await;
    }
}

async fn waits_longer_and_longer(class: FailureClass) {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.kombo.refuse(Endpoint::LmsUsers, class);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let mut waits = Vec::new();
    for _ in 0..10 {
        bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
        let request = bench
            .store
            .look(|tx| tx.request(&target(Endpoint::LmsUsers, SyncKind::Full), LockMode::Wait).map(Lock::locked))
            .unwrap()
            .unwrap();
        waits.push(request.not_before.since(bench.clock.now()));
        bench.clock.set(request.not_before);
    }
    assert!(waits.windows(2).all(|two| two[0] <= two[1]), "{waits:?}");
    assert!(waits[0].as_secs() < 13 && waits[9].as_secs() >= 900 && waits[9].as_secs() <= 1_125, "{waits:?}");
}

#[tokio::test]
async fn what_was_fetched_before_a_failure_is_kept() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.kombo.fail_page(3, FailureClass::Transient);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.batches, run.counts.created), (RunOutcome::Failed, 2, 6));
    assert_eq!(bench.store.table(Model::LmsUsers, &id()).len(), 6);
    bench.kombo.asked();
    bench.pass(60);
    let again = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((again.id, again.counts.pages, again.counts.created), (run.id, 3, 8));
}

/// A person can then report the record to Kombo.
#[tokio::test]
async fn a_failure_names_the_last_record_before_it() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    let error = |run: Run| run.error.unwrap();
    bench.kombo.fail_page(1, FailureClass::Transient);
    let at_once = error(bench.full(Endpoint::LmsUsers).await);
    assert!(!at_once.contains("broke off"), "{at_once}");
    bench.pass(60);
    bench.kombo.fail_page(3, FailureClass::Transient);
    let midway = error(bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap());
    let last =
        bench.store.table(Model::LmsUsers, &id()).into_iter().map(|stored| stored.row.key.to_string()).max().unwrap();
    assert!(midway.ends_with(&format!("; the list broke off after record {last}")), "{midway}");
    bench.pass(60);
    bench.kombo.fail_page(1, FailureClass::Transient);
    let again = error(bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap());
    assert!(again.ends_with("; the list broke off where an earlier attempt did"), "{again}");
}

#[tokio::test]
async fn a_page_cursor_that_is_refused_restarts_the_fetch() {
    for kind in [SyncKind::Full, SyncKind::Delta] {
        let bench = Bench::new(&USUAL);
        bench.furnish();
        bench.load().await;
        bench.pass(3_600);
        bench.kombo.edit(|lms| (0..8).for_each(|user| lms.rename_user(&format!("u{user}"), "Grace")));
        bench.kombo.fail_page(3, FailureClass::Transient);
        let run = bench.fetch(Endpoint::LmsUsers, kind).await;
        assert!(run.page_cursor.is_some());
        bench.kombo.expire_cursors();
        bench.pass(60);
        let began = bench.clock.now();
        let again = bench.attempt(Endpoint::LmsUsers, kind).await.unwrap();
        assert_eq!((again.outcome, again.id), (RunOutcome::Completed, run.id), "{kind}");
        assert!(again.fetch_started_at.unwrap().saturating_add(std::time::Duration::from_secs(1)) >= began);
    }
}

/// A cursor may also expire within an attempt, if writing takes longer than cursors are valid.
#[tokio::test]
async fn a_page_cursor_that_dies_under_way_restarts_the_fetch_once() {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.kombo.fail_page(2, FailureClass::RequestRefused);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!(run.outcome, RunOutcome::Completed);
    bench.kombo.fail_page(2, FailureClass::RequestRefused);
    bench.kombo.fail_page(4, FailureClass::RequestRefused);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!(run.outcome, RunOutcome::Failed, "no more than one restart in an attempt");
}

/// Kombo does not document how it rejects a cursor. An attempt that starts with a cursor and makes no progress restarts
/// the fetch.
#[tokio::test]
async fn a_page_cursor_that_is_refused_in_other_words_restarts_the_fetch() {
    for class in [FailureClass::Unintelligible, FailureClass::IntegrationNotFound] {
        let bench = Bench::new(&USUAL);
        bench.furnish();
        bench.kombo.fail_page(3, FailureClass::Transient);
        let run = bench.full(Endpoint::LmsUsers).await;
        assert!(run.outcome == RunOutcome::Failed && run.page_cursor.is_some());
        bench.pass(60);
        bench.kombo.fail_page(1, class);
        let again = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
        assert_eq!((again.outcome, again.id), (RunOutcome::Completed, run.id), "{class:?}");
    }
}

/// The cursor may expire within an attempt, and `syncd sync` has no second attempt.
#[tokio::test]
async fn a_page_cursor_that_dies_in_other_words_restarts_the_fetch_within_the_attempt() {
    for class in [FailureClass::Unintelligible, FailureClass::IntegrationNotFound] {
        let bench = Bench::new(&USUAL);
        bench.furnish();
        bench.kombo.fail_page(3, class);
        bench.kombo.fail_page(4, class);
        let run = bench.full(Endpoint::LmsUsers).await;
        assert_eq!(
            (run.outcome, bench.store.table(Model::LmsUsers, &id()).len()),
            (RunOutcome::Completed, 8),
            "{class:?}"
        );
    }
}

/// A failure of every page is not caused by the cursor. The next attempt continues where this one ended.
#[tokio::test]
async fn what_the_first_page_meets_too_is_not_the_cursors_fault() {
    for class in [FailureClass::Unintelligible, FailureClass::RequestRefused] {
        let bench = Bench::new(&USUAL);
        bench.furnish();
        (3..=5).for_each(|page| bench.kombo.fail_page(page, class));
        let run = bench.full(Endpoint::LmsUsers).await;
        assert!(run.outcome == RunOutcome::Failed && run.page_cursor.is_some(), "{class:?}");
        assert_eq!(run.batches, 2);
        bench.kombo.fail_no_more();
        bench.pass(3_600);
        let again = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
        assert_eq!((again.outcome, again.id, again.counts.pages), (RunOutcome::Completed, run.id, 3), "{class:?}");
    }
}

#[tokio::test]
async fn an_unreadable_record_is_quarantined_and_taken_back() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| (0..8).for_each(|user| lms.rename_user(&format!("u{user}"), "Grace")));
    bench.kombo.spoil(Endpoint::LmsUsers, "u4");
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!(run.outcome, RunOutcome::CompletedWithQuarantine);
    assert_eq!((run.counts.records, run.counts.quarantined, run.counts.updated), (8, 1, 7));
    let quarantined = bench.store.look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap();
    assert_eq!(quarantined.len(), 1);
    let of = (quarantined[0].record_id.as_str(), quarantined[0].path.as_str());
    assert_eq!(of, ("u4", "changed_at"));
    assert!(quarantined[0].json.contains("never"), "the record as it came");
    assert_eq!(bench.text(Model::LmsUsers, "u4", "first_name").as_deref(), Some("Ada"));

    // A full fetch that cannot read a record does not treat it as gone.
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::CompletedWithQuarantine, 0));
    assert!(bench.row(Model::LmsUsers, "u4").is_live());

    bench.kombo.mend(Endpoint::LmsUsers, "u4");
    bench.full(Endpoint::LmsUsers).await;
    assert!(bench.store.look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap().is_empty());
    bench.assert_mirrors();
}

#[tokio::test]
async fn a_record_that_the_database_refuses_is_quarantined() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.store.refuse_text("forbidden");
    bench.kombo.edit(|lms| lms.rename_user("u4", "forbidden"));
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1));
    assert_eq!(bench.store.table(Model::LmsUsers, &id()).len(), 7);
    let quarantined = bench.store.look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap();
    assert!(quarantined[0].record_id == "u4" && quarantined[0].json.contains("forbidden"));

    bench.pass(3_600);
    bench.kombo.edit(|lms| lms.rename_user("u4", "allowed"));
    let run = bench.delta(Endpoint::LmsUsers).await;
    assert_eq!(run.outcome, RunOutcome::Completed);
    assert!(bench.store.look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap().is_empty());
    bench.assert_mirrors();
}

/// An unknown error is traced to the row that causes it.
#[tokio::test]
async fn a_record_with_an_unknown_error_is_quarantined() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.furnish();
    bench.store.stumble_over_text("strange");
    bench.kombo.edit(|lms| lms.rename_user("u4", "strange"));
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1));
    assert_eq!(bench.store.table(Model::LmsUsers, &id()).len(), 7);
    let quarantined = bench.store.look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap();
    assert_eq!((quarantined[0].record_id.as_str(), quarantined[0].reason.as_str()), ("u4", "something went wrong"));
}

/// An unknown error of every row is not caused by the rows. A few statements detect that.
#[tokio::test]
async fn an_unknown_error_of_all_rows_puts_nothing_aside() {
    let mut bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.policy.batch_records = 10_000;
    bench.kombo.edit(|lms| (0..1_000).for_each(|user| lms.add_user(&format!("u{user}"))));
    bench.store.stumble_over_text("");
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let before = bench.store.statements();
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((run.outcome, run.error.as_deref()), (RunOutcome::Failed, Some("something went wrong")));
    let statements = bench.store.statements() - before;
    assert!(statements < 60, "{statements}");
    assert!(
        bench.store.look::<_, StoreError>(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap().is_empty()
    );
}

/// After a rejected row, the batch is split, and the meaning of its other rows does not change.
#[tokio::test]
async fn the_first_copy_counts_in_a_batch_that_is_taken_apart() {
    let source = sync_testkit::ScriptedSource::new();
    let bench = Bench::new(&[Endpoint::LmsCourseProgressions]);
    bench.store.refuse_text("forbidden");
    let progression = |id: &str, name: &str, status: &str| {
        let json = format!(
            r#"{{"id":"{id}","remote_id":"r","user_id":"u","course_revision_id":"r","status":"{status}",
                "changed_at":"2026-01-01T00:00:00.000Z","user":{{"id":"u","first_name":"{name}"}}}}"#
        );
        Record::read(Endpoint::LmsCourseProgressions, &json).unwrap()
    };
    let page = |seconds: i64, records: Vec<Record>, next: Option<&str>| {
        Ok(RecordPage {
            records,
            rejected: Vec::new(),
            next: next.map(|cursor| sync_core::pull::PageCursor(cursor.to_owned())),
            requested_at: Timestamp::from_unix_millis(bench.clock.now().unix_millis() + seconds * 1_000).unwrap(),
            elapsed: std::time::Duration::ZERO,
            server_date: None,
        })
    };
    let pages = [
        page(0, vec![progression("a", "first", "ENROLLED"), progression("b", "second", "forbidden")], Some("x")),
        page(1, vec![progression("c", "third", "ENROLLED"), progression("d", "last", "ENROLLED")], None),
    ];
    source.script(&id(), Endpoint::LmsCourseProgressions, sync_testkit::FetchKind::Full, pages);
    bench.ask(Endpoint::LmsCourseProgressions, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsCourseProgressions, SyncKind::Full).unwrap();
    let mut policy = bench.policy.clone();
    policy.batch_records = 1_000; // both pages in one batch
    let engine = sync_core::pull::Engine::new(
        std::sync::Arc::new(bench.store.clone()),
        std::sync::Arc::new(source),
        bench.clock.clone(),
        sync_core::ports::Silent,
        policy,
    );
    let run = engine.work(&lease, &tokio_util::sync::CancellationToken::new()).await.unwrap().run;
    assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1));
    assert_eq!(bench.text(Model::LmsUsers, "u", "first_name").as_deref(), Some("first"));
    let rows = bench.store.table(Model::LmsCourseProgressions, &id());
    assert_eq!(rows.iter().map(|row| row.row.key.to_string()).collect::<Vec<_>>(), ["a", "c", "d"]);
}

#[tokio::test]
async fn an_id_with_nul_is_one_record_under_one_name() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.kombo.edit(|lms| (0..9).for_each(|user| lms.add_user(&format!("u\0{user}"))));
    bench.pass(3_600);
    for _ in 0..2 {
        let run = bench.full(Endpoint::LmsUsers).await;
        assert_eq!((run.outcome, run.counts.deleted), (RunOutcome::Completed, 0));
        assert!(bench.store.table(Model::LmsUsers, &id()).iter().all(sync_core::rows::StoredRow::is_live));
    }
    assert_eq!(bench.log(), [""; 0]);
    assert!(
        bench.store.look::<_, StoreError>(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap().is_empty()
    );
}

/// Unreadable records are not a copy of what Kombo shows.
#[tokio::test]
async fn an_endpoint_that_is_mostly_unreadable_is_not_ok() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.kombo.edit(|lms| (0..20).for_each(|user| lms.add_user(&format!("u{user}"))));
    bench.pass(3_600);
    let spoil =
        |users: std::ops::Range<usize>| users.for_each(|it| bench.kombo.spoil(Endpoint::LmsUsers, &format!("u{it}")));
    let mend =
        |users: std::ops::Range<usize>| users.for_each(|it| bench.kombo.mend(Endpoint::LmsUsers, &format!("u{it}")));
    let status = || bench.state(Endpoint::LmsUsers).status;
    spoil(0..9);
    bench.full(Endpoint::LmsUsers).await;
    assert_eq!(status(), EndpointStatus::Ok, "9 of 20");
    spoil(9..10);
    let run = bench.full(Endpoint::LmsUsers).await;
    assert_eq!((run.outcome, status()), (RunOutcome::CompletedWithQuarantine, EndpointStatus::Unreadable));
    assert!(run.error.is_some_and(|error| error.contains("10 records")), "it says how many");
    // A small intact delta does not end the state.
    bench.kombo.edit(|lms| lms.rename_user("u15", "Grace"));
    bench.pass(3_600);
    bench.delta(Endpoint::LmsUsers).await;
    assert_eq!(status(), EndpointStatus::Unreadable);
    mend(0..1);
    bench.full(Endpoint::LmsUsers).await;
    assert_eq!(status(), EndpointStatus::Ok);

    // The records of small deltas add up.
    mend(1..10);
    bench.full(Endpoint::LmsUsers).await;
    for round in 0..20 {
        bench.pass(3_600);
        bench.kombo.edit(|lms| lms.rename_user(&format!("u{round}"), "Grace"));
        spoil(round..round + 1);
        bench.delta(Endpoint::LmsUsers).await;
    }
    assert_eq!(status(), EndpointStatus::Unreadable);
    mend(0..20);
    bench.full(Endpoint::LmsUsers).await;
    assert_eq!(status(), EndpointStatus::Ok);
    bench.assert_mirrors();
}

/// Each page names another one, without end.
#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let source = sync_testkit::ScriptedSource::new();
    let bench = Bench::new(&[Endpoint::LmsSkills]);
    let page = |number: u32| {
        let record = |id: u32| Record::read(Endpoint::LmsSkills, &format!(r#"{{"id":"s{id}"}}"#)).unwrap();
        Ok(RecordPage {
            records: (0..3).map(record).collect(),
            rejected: Vec::new(),
            next: Some(sync_core::pull::PageCursor(format!("page {number}"))),
            requested_at: bench.clock.now(),
            elapsed: std::time::Duration::ZERO,
            server_date: None,
        })
    };
    // Each attempt restarts once, after checking the first page.
    for _ in 0..3 {
        source.script(&id(), Endpoint::LmsSkills, sync_testkit::FetchKind::Full, (0..1_000).map(page));
    }
    bench.ask(Endpoint::LmsSkills, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsSkills, SyncKind::Full).unwrap();
    let engine = sync_core::pull::Engine::new(
        std::sync::Arc::new(bench.store.clone()),
        std::sync::Arc::new(source.clone()),
        bench.clock.clone(),
        sync_core::ports::Silent,
        bench.policy.clone(),
    );
    let run = engine.work(&lease, &tokio_util::sync::CancellationToken::new()).await.unwrap().run;
    assert_eq!(run.outcome, RunOutcome::Failed);
    let error = run.error.unwrap();
    assert_eq!(error, "the list of lms/skills does not end: 100 pages showed almost only records of earlier pages");
    assert_eq!(source.asked().len(), 3);
    assert!(run.counts.pages <= 201, "{}", run.counts.pages);
    assert_eq!(bench.state(Endpoint::LmsSkills).status, EndpointStatus::Failed);
}

#[tokio::test]
async fn what_is_read_in_part_is_stored_in_part_and_shown_in_quarantine() {
    let bench = Bench::new(&[Endpoint::LmsCourses]);
    let course = |revisions: &str| {
        format!(r#"{{"id":"c","remote_id":"rc","changed_at":"2026-01-01T00:00:00.000Z","revisions":{revisions}}}"#)
    };
    let page = |json: &str| {
        let read = Record::read_in_part(Endpoint::LmsCourses, json).unwrap();
        let rejected = Fault::join(read.faults).map(|fault| Rejected {
            id: Some("c".to_owned()),
            json: json.to_owned(),
            path: fault.path,
            reason: fault.reason,
        });
        Ok(RecordPage {
            records: vec![read.record],
            rejected: rejected.into_iter().collect(),
            next: None,
            requested_at: bench.clock.now(),
            elapsed: std::time::Duration::ZERO,
            server_date: None,
        })
    };
    let fetch = async |json: &str| {
        let source = sync_testkit::ScriptedSource::new();
        source.script(&id(), Endpoint::LmsCourses, sync_testkit::FetchKind::Full, [page(json)]);
        bench.ask(Endpoint::LmsCourses, SyncKind::Full);
        let lease = bench.lease(Endpoint::LmsCourses, SyncKind::Full).unwrap();
        let engine = sync_core::pull::Engine::new(
            std::sync::Arc::new(bench.store.clone()),
            std::sync::Arc::new(source),
            bench.clock.clone(),
            sync_core::ports::Silent,
            bench.policy.clone(),
        );
        engine.work(&lease, &tokio_util::sync::CancellationToken::new()).await.unwrap().run
    };
    fetch(&course(r#"[{"id":"r1","title":"One"},{"id":"r2","title":"Two"}]"#)).await;
    bench.pass(60);
    let run = fetch(&course(r#"[{"id":"r1","title":{"en":"Uno"},"status":"ACTIVE"},{"id":{}}]"#)).await;
    assert_eq!((run.outcome, run.counts.records, run.counts.quarantined), (RunOutcome::CompletedWithQuarantine, 1, 1));
    assert_eq!(bench.text(Model::LmsCourseRevisions, "r1", "title").as_deref(), Some("One"), "what is stored stays");
    assert_eq!(bench.text(Model::LmsCourseRevisions, "r1", "status").as_deref(), Some("ACTIVE"));
    assert!(bench.row(Model::LmsCourseRevisions, "r2").is_live(), "it may be the one without an id");
    let quarantined = bench.store.look::<_, StoreError>(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap();
    assert_eq!((quarantined[0].record_id.as_str(), quarantined[0].path.as_str()), ("c", "revisions[0].title"));
    assert!(quarantined[0].reason.ends_with("also at revisions[1].id"), "{}", quarantined[0].reason);

    bench.pass(60);
    let run = fetch(&course(r#"[{"id":"r1","title":"Uno","status":"ACTIVE"}]"#)).await;
    assert_eq!((run.outcome, run.counts.quarantined), (RunOutcome::Completed, 0));
    assert!(!bench.row(Model::LmsCourseRevisions, "r2").is_live(), "a whole list says who is gone");
    assert!(
        bench.store.look::<_, StoreError>(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).unwrap().is_empty()
    );
}
