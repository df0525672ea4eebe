use std::sync::Arc;
use std::time::Duration;

use kombo_model::Endpoint;
use sync_core::jobs::{SyncKind, Target};
use sync_core::ports::{Clock, FailureClass};
use sync_runtime::{FinishedRun, Runtime, RuntimePolicy};
use sync_testkit::bench::{Bench, USUAL, target};
use sync_testkit::{FakeKombo, ManualClock, MemoryStore};
use tokio_util::sync::CancellationToken;

use crate::host::{TestHost, TestRuntime};

fn runtime(bench: &Bench, workers: usize) -> Arc<TestRuntime<MemoryStore, FakeKombo, ManualClock>> {
    let policy = RuntimePolicy::new("job".to_owned(), workers);
    let (host, stop) = (Arc::new(TestHost::default()), CancellationToken::new());
    Arc::new(Runtime::new(bench.engine(), host, policy, Arc::default(), Arc::default(), stop))
}

fn bench() -> (Bench, Vec<Target>) {
    let bench = Bench::new(&USUAL);
    bench.furnish();
    let targets: Vec<Target> = bench.endpoints().into_iter().map(|endpoint| target(endpoint, SyncKind::Full)).collect();
    for target in &targets {
        bench.ask(target.endpoint, SyncKind::Full);
    }
    (bench, targets)
}

fn outline(finished: &[FinishedRun]) -> Vec<(Endpoint, bool, Option<FailureClass>)> {
    let outline = |it: &FinishedRun| (it.run.target.endpoint, it.run.outcome.is_complete(), it.failure);
    finished.iter().map(outline).collect()
}

#[tokio::test(start_paused = true)]
async fn a_runtime_ends_when_its_jobs_are_done_and_does_nothing_else() {
    let (bench, mut targets) = bench();
    let left = targets.pop().unwrap();
    let finished = runtime(&bench, 2).complete(targets.clone()).await.unwrap();
    let expected: Vec<_> = targets.iter().map(|target| (target.endpoint, true, None)).collect();
    assert_eq!(outline(&finished), expected);
    assert!(finished.iter().all(|it| it.watermark.is_some()));
    let requests = bench.store.look(|tx| tx.requests()).unwrap();
    assert_eq!(requests.into_iter().map(|request| request.target).collect::<Vec<_>>(), [left]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_key_ends_the_jobs_and_is_in_their_result() {
    let (bench, targets) = bench();
    for target in &targets {
        bench.kombo.refuse(target.endpoint, FailureClass::KeyRejected);
    }
    let finished = runtime(&bench, 1).complete(targets.clone()).await.unwrap();
    assert_eq!(outline(&finished), [(targets[0].endpoint, false, Some(FailureClass::KeyRejected))]);
}

/// The pages that an earlier process fetched do not include later changes.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_resumed_is_followed_by_another() {
    let (bench, _) = bench();
    bench.load().await;
    bench.pass(60);
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    bench.kombo.fail_page(2, FailureClass::Transient);
    bench.attempt(Endpoint::LmsUsers, SyncKind::Full).await.unwrap();
    bench.kombo.fail_no_more();
    bench.pass(3_600);
    bench.kombo.edit(|lms| lms.rename_user("u1", "Grace"));
    bench.ask(Endpoint::LmsUsers, SyncKind::Full);
    let finished = runtime(&bench, 1).complete(vec![target(Endpoint::LmsUsers, SyncKind::Full)]).await.unwrap();
    assert_eq!(finished.len(), 2, "{finished:?}");
    bench.assert_mirrors();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_another_process_works_on_is_waited_for() {
    let (bench, _) = bench();
    let lease = bench.lease(Endpoint::LmsUsers, SyncKind::Full).unwrap();
    let job = tokio::spawn(runtime(&bench, 1).complete(vec![target(Endpoint::LmsUsers, SyncKind::Full)]));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!job.is_finished());
    let attempt = bench.engine().work(&lease, &CancellationToken::new()).await.unwrap();
    let finished = job.await.unwrap().unwrap();
    assert_eq!(finished.iter().map(|it| it.run.id).collect::<Vec<_>>(), [attempt.run.id]);
    assert!(bench.clock.now() > attempt.run.started_at);
}
