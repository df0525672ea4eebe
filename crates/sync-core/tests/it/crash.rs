//! Tests of crashes: a process may die at any moment. Committed batches stay, the rest is repeated, and the result is
//! the same.

use kombo_model::{Endpoint, ProgressionStatus};
use sync_core::jobs::SyncKind;
use sync_core::jobs::queue;
use sync_core::ports::{Clock, Fetch, Lock, LockMode, StoreError};
use sync_core::pull::RunOutcome;
use sync_core::rows::{Model, StoredRow};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, USUAL, id, target};
use crate::engine::futures_poll;

/// The final state: rows without `synced_at`, and the change log.
#[derive(Debug, PartialEq)]
struct End {
    rows: Vec<(Model, StoredRow)>,
    log: Vec<String>,
}

impl End {
    fn of(bench: &Bench) -> Self {
        let mut rows = Vec::new();
        for model in Model::LMS {
            for mut row in bench.store.table(model, &id()) {
                row.synced_at = kombo_model::Timestamp::MIN;
                row.removed_at = row.removed_at.map(|_| kombo_model::Timestamp::MIN);
                rows.push((model, row));
            }
        }
        Self { rows, log: bench.log() }
    }
}

/// Returns a loaded mirror, with later changes of every kind at Kombo.
async fn changed() -> Bench {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    bench.load().await;
    bench.pass(3_600);
    bench.kombo.edit(|lms| {
        for user in ["u0", "u3", "u4", "u7"] {
            lms.rename_user(user, "Grace");
        }
        lms.add_user("u9");
        lms.delete(Model::LmsUsers, "u2");
        lms.purge(Model::LmsUsers, "u5");
        lms.set_title("r0", "Course 0, revised");
        lms.set_title("r4", "Course 4, revised");
        lms.purge(Model::LmsCourseRevisions, "r0b");
        lms.unassign("r3", "s1");
        lms.progress("g1", ProgressionStatus::Completed);
    });
    bench
}

/// Completes a fetch after a crash, once the lease of the dead worker has expired.
async fn finish(bench: &Bench, endpoint: Endpoint, kind: SyncKind) {
    bench.pass(3_600);
    for _ in 0..3 {
        if bench
            .store
            .look(|tx| tx.request(&target(endpoint, kind), LockMode::Wait).map(Lock::locked))
            .unwrap()
            .is_none()
        {
            return;
        }
        let run = bench.attempt(endpoint, kind).await.unwrap();
        assert!(run.outcome.is_complete(), "{run:?}");
    }
    panic!("the request is still there");
}

#[tokio::test]
async fn dropping_the_engine_at_any_moment_changes_nothing() {
    for (endpoint, kind) in [
        (Endpoint::LmsUsers, SyncKind::Delta),
        (Endpoint::LmsUsers, SyncKind::Full),
        (Endpoint::LmsCourses, SyncKind::Delta),
        (Endpoint::LmsCourses, SyncKind::Full),
    ] {
        let undisturbed = changed().await;
        let whole = undisturbed.fetch(endpoint, kind).await;
        let expected = End::of(&undisturbed);
        let mut polls = 0;
        loop {
            polls += 1;
            let bench = changed().await;
            bench.ask(endpoint, kind);
            let lease = bench.lease(endpoint, kind).unwrap();
            let done = {
                let (engine, stop) = (bench.engine(), CancellationToken::new());
                let mut work = std::pin::pin!(engine.work(&lease, &stop));
                let mut done = false;
                for _ in 0..polls {
                    if futures_poll(work.as_mut()).await.is_some() {
                        done = true;
                        break;
                    }
                }
                done
            };
            let before = bench.kombo.pages();
            finish(&bench, endpoint, kind).await;
            let again = bench.kombo.pages() - before;
            assert!(again <= whole.counts.pages + 1, "a crash at {polls} makes {again} pages be fetched again");
            assert_eq!(End::of(&bench), expected, "{kind} of {endpoint} dropped after {polls} polls");
            if done {
                break;
            }
        }
        assert!(polls > 5, "the work has {polls} moments to be dropped at");
    }
}

#[tokio::test]
async fn a_store_that_fails_at_any_statement_changes_nothing() {
    for (endpoint, kind) in [
        (Endpoint::LmsUsers, SyncKind::Delta),
        (Endpoint::LmsUsers, SyncKind::Full),
        (Endpoint::LmsCourses, SyncKind::Delta),
        (Endpoint::LmsCourses, SyncKind::Full),
    ] {
        let undisturbed = changed().await;
        let before = undisturbed.store.statements();
        undisturbed.fetch(endpoint, kind).await;
        let statements = undisturbed.store.statements() - before;
        let expected = End::of(&undisturbed);
        for n in 1..=statements {
            let bench = changed().await;
            bench.ask(endpoint, kind);
            let watermark = bench.watermark(endpoint);
            let lost = StoreError::Unavailable { message: "the connection is lost".to_owned(), source: None };
            bench.store.fail_statement(n, lost);
            let lease = bench.lease(endpoint, kind).unwrap();
            // If starting the run fails, the error cannot be stored in the run.
            if let Ok(attempt) = bench.engine().work(&lease, &CancellationToken::new()).await {
                assert_eq!(attempt.run.outcome, RunOutcome::Failed, "statement {n}");
                assert_eq!(bench.watermark(endpoint), watermark, "a failed fetch leaves the watermark");
            }
            finish(&bench, endpoint, kind).await;
            assert_eq!(End::of(&bench), expected, "{kind} of {endpoint} with statement {n} failing");
        }
    }
}

#[tokio::test]
async fn a_crash_repeats_at_most_one_batch() {
    let bench = changed().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let (engine, stop) = (bench.engine(), CancellationToken::new());
    let runs = || bench.store.look(|tx| tx.latest_run(&target(Endpoint::LmsUsers, SyncKind::Full))).unwrap().unwrap();
    let loaded = runs().id;
    {
        let mut work = std::pin::pin!(engine.work(&lease, &stop));
        while runs().id == loaded || runs().batches < 2 {
            assert!(futures_poll(work.as_mut()).await.is_none());
        }
    }
    let stopped = runs();
    assert_eq!((stopped.batches, stopped.outcome), (2, RunOutcome::Running));
    bench.pass(60);
    let run = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!(run.id, stopped.id, "the run is resumed");
    assert_eq!(run.started_at, stopped.started_at);
    assert_eq!(run.counts.pages, 3, "every page was committed once");
    assert_eq!(run.fetch_started_at, stopped.fetch_started_at, "the watermark is made of the first start");
    let watermark = bench.watermark(Endpoint::LmsUsers).unwrap();
    assert_eq!(watermark.saturating_add(bench.policy.overlap), run.fetch_started_at.unwrap());
}

/// A crash of the database may lose the last batches of a fetch. A worker that continues the fetch, and does not know
/// of the crash, must not skip them.
#[tokio::test]
async fn a_checkpoint_that_the_database_lost_is_gone_back_to() {
    let bench = Bench::new(&[Endpoint::LmsUsers]);
    bench.kombo.edit(|lms| (0..30).for_each(|user| lms.add_user(&format!("u{user}"))));
    bench.pass(3_600);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let (engine, stop) = (bench.engine(), CancellationToken::new());
    let batches = || {
        let run = bench.store.look(|tx| tx.latest_run(&target(Endpoint::LmsUsers, SyncKind::Full))).unwrap();
        run.map_or(0, |run| run.batches)
    };
    let mut work = std::pin::pin!(engine.work(&lease, &stop));
    while batches() < 3 {
        assert!(futures_poll(work.as_mut()).await.is_none());
    }
    bench.store.crash();
    assert_eq!((batches(), bench.store.table(Model::LmsUsers, &id()).len()), (0, 0), "they are lost");
    let run = work.await.unwrap().run;
    assert_eq!(run.outcome, RunOutcome::Failed);
    assert!(run.error.as_ref().unwrap().contains("lost a checkpoint"), "{run:?}");
    assert_eq!((run.batches, &run.page_cursor), (0, &None), "it goes on from what is there");
    finish(&bench, Endpoint::LmsUsers, SyncKind::Full).await;
    assert_eq!(bench.store.table(Model::LmsUsers, &id()).len(), 30);
}

#[tokio::test]
async fn a_stop_ends_after_the_current_batch_and_the_next_run_goes_on() {
    let bench = changed().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let run = bench.engine().work(&lease, &stop).await.unwrap().run;
    assert_eq!(run.outcome, RunOutcome::Interrupted);
    let request = bench
        .store
        .look(|tx| tx.request(&target(Endpoint::LmsUsers, SyncKind::Full), LockMode::Wait).map(Lock::locked))
        .unwrap()
        .unwrap();
    assert_eq!((request.lease, request.attempts), (None, 0));
    assert!(request.not_before <= bench.clock.now(), "another worker may go on at once");
    let again = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((again.id, again.outcome), (run.id, RunOutcome::Completed));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_look_up() {
    let bench = changed().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let stop = CancellationToken::new();
    let looks_up = || bench.kombo.asked().iter().any(|spec| matches!(spec.fetch, Fetch::Ids(_)));
    let engine = bench.engine();
    let mut work = std::pin::pin!(engine.work(&lease, &stop));
    while !looks_up() {
        assert!(futures_poll(work.as_mut()).await.is_none());
    }
    let answered = bench.kombo.pages();
    stop.cancel();
    let run = work.await.unwrap().run;
    assert_eq!((run.outcome, bench.kombo.pages()), (RunOutcome::Interrupted, answered), "nobody waits for the answer");
    let again = bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    assert_eq!((again.id, again.outcome), (run.id, RunOutcome::Completed));
    assert!(bench.row(Model::LmsUsers, "u5").removed_at.is_some());
}

#[tokio::test]
async fn a_lost_lease_writes_nothing_more() {
    for steal_after in 1..12 {
        let bench = changed().await;
        bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
        let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Delta).unwrap();
        let (engine, stop) = (bench.engine(), CancellationToken::new());
        let mut work = std::pin::pin!(engine.work(&lease, &stop));
        let mut done = false;
        for _ in 0..steal_after {
            done = done || futures_poll(work.as_mut()).await.is_some();
        }
        if done {
            break;
        }
        bench.pass(31);
        let Some(taken) = bench.lease(Endpoint::LmsUsers, SyncKind::Delta) else {
            // The last transaction was committed, but its result did not arrive.
            let request = bench
                .store
                .look(|tx| tx.request(&target(Endpoint::LmsUsers, SyncKind::Delta), LockMode::Wait).map(Lock::locked))
                .unwrap();
            assert_eq!(request, None, "the lease expired");
            break;
        };
        let (rows, log) = (bench.store.table(Model::LmsUsers, &id()), bench.log());
        let runs = bench.store.look(|tx| tx.runs(None, None, 99)).unwrap();
        let error = work.await.unwrap_err();
        assert!(matches!(error, sync_core::SyncError::LeaseLost(_)), "{error:?}");
        assert!(rows == bench.store.table(Model::LmsUsers, &id()) && log == bench.log());
        assert_eq!(runs, bench.store.look(|tx| tx.runs(None, None, 99)).unwrap());
        let request = bench
            .store
            .look(|tx| tx.request(&taken.request.target, LockMode::Wait).map(Lock::locked))
            .unwrap()
            .unwrap();
        assert_eq!(request.lease.unwrap().token, taken.token);
        // The worker that took over completes the run.
        let run = bench.engine().work(&taken, &CancellationToken::new()).await.unwrap().run;
        assert_eq!(run.outcome, RunOutcome::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_does_not_cost_the_lease() {
    use sync_core::ports::{FetchSpec, Pages, RecordPage, Silent, Source, SourceError};
    use sync_core::pull::Engine;

    /// A source that takes a minute for each page, by all clocks.
    struct Slow(sync_testkit::FakeKombo, sync_testkit::ManualClock);
    struct SlowPages(sync_testkit::FakePages, sync_testkit::ManualClock);
    impl Source for Slow {
        type Pages = SlowPages;
        fn open(&self, spec: FetchSpec) -> SlowPages {
            SlowPages(self.0.open(spec), self.1.clone())
        }

        async fn category(
            &self,
            id: &kombo_model::IntegrationId,
        ) -> Result<kombo_model::IntegrationCategory, SourceError> {
            self.0.category(id).await
        }
    }
    impl Pages for SlowPages {
        async fn next_page(&mut self) -> Result<Option<RecordPage>, SourceError> {
            for _ in 0..60 {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                self.1.advance(std::time::Duration::from_secs(1));
            }
            self.0.next_page().await
        }
    }

    let bench = changed().await;
    bench.ask(Endpoint::LmsUsers, SyncKind::Delta);
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Delta).unwrap();
    let source = Slow(bench.kombo.clone(), bench.clock.clone());
    let (store, policy) = (std::sync::Arc::new(bench.store.clone()), bench.policy.clone());
    let engine = Engine::new(store, std::sync::Arc::new(source), bench.clock.clone(), Silent, policy);
    let stop = CancellationToken::new();
    let mut work = std::pin::pin!(engine.work(&lease, &stop));
    let run = loop {
        tokio::select! {
            run = &mut work => break run.unwrap().run,
            () = tokio::time::sleep(std::time::Duration::from_secs(5)) => {
                let claim = bench.claim();
                let now = bench.clock.now();
                let stolen = bench.store.edit(|tx| queue::lease_target(tx, &lease.request.target, &claim, now));
                assert_eq!(stolen.unwrap(), None, "nobody can take over");
            }
        }
    };
    assert_eq!(run.outcome, RunOutcome::Completed);
}
