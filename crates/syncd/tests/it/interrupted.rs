//! Processes that are interrupted: committed data count, and the next process continues from there.

use std::collections::HashMap;

use kombo_model::Endpoint as Listed;
use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, LoggedRequest, Mutation, SandboxConfig};
use sync_core::jobs::{SyncKind, Target};
use sync_core::pull::{Run, RunOutcome};
use sync_core::rows::Model;

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, rows};
use crate::program::{Running, wait_until};
use crate::world::World;

on_both_databases!(
    a_killed_fetch_is_resumed_at_once,
    ctrl_c_stops_after_the_batch,
    what_changed_after_a_killed_fetch_arrives_with_the_next,
    a_second_process_waits_for_the_first
);

const RECORDS: usize = 50_000;
const PAGES: usize = RECORDS / 250;
/// Maximum number of pages that wait to be written, or are in transit, when a process ends.
const AHEAD: usize = 40;

/// Creates a large world. No lease expires within a test, so nothing continues because of an expiry.
fn large(backend: Backend, progressions: usize) -> World {
    let generator = GeneratorConfig { users: 200, courses: 50, progressions, ..GeneratorConfig::default() };
    let mut world = World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() });
    world.set("sync.lease", "1h");
    world
}

/// Kombo answers `pages` pages of progressions, and does not answer the next request.
fn hang_after(world: &World, pages: u32) {
    let hang = Fault::once(FaultKind::Delay { pause_ms: 600_000 });
    world.sandbox.inject(hang.at(Endpoint::LmsCourseProgressions).after(pages));
}

/// Returns the requests of full fetches.
fn progressions(world: &World) -> Vec<LoggedRequest> {
    let requests = world.requests(Endpoint::LmsCourseProgressions).into_iter();
    requests.filter(|request| request.param("updated_after").is_none()).collect()
}

fn cursors(requests: &[LoggedRequest]) -> Vec<Option<String>> {
    requests.iter().map(|request| request.param("cursor").map(str::to_owned)).collect()
}

fn latest_run(world: &World) -> Run {
    let integration_id = world.integrations().remove(0);
    let target = Target { integration_id, endpoint: Listed::LmsCourseProgressions, kind: SyncKind::Full };
    world.read(move |tx| tx.latest_run(&target)).expect("a run began")
}

/// Waits until Kombo does not answer a page while earlier pages are committed.
fn is_midway(world: &World, process: &mut Running, pages: u64) {
    wait_until("the fetch is midway", || {
        assert!(process.is_running(), "it must not end before");
        world.sandbox.request_count(Endpoint::LmsCourseProgressions) >= pages && latest_run(world).page_cursor.is_some()
    });
}

/// Fails unless `second` continues from the checkpoint of `first`, and requests no page that was committed.
fn assert_goes_on(first: &[Option<String>], second: &[Option<String>], checkpoint: &Run, pages: usize) {
    let page = checkpoint.page_cursor.as_ref().expect("some pages were committed").0.clone();
    assert_eq!(second[0].as_ref(), Some(&page), "the first page asked for is that of the checkpoint");
    let committed = usize::try_from(checkpoint.counts.pages).unwrap();
    assert!(first.len() - committed <= AHEAD, "{} of {} pages were committed", committed, first.len());
    assert!(first[..committed].iter().all(|cursor| !second.contains(cursor)), "no committed page is asked for again");
    assert_eq!(committed + second.len(), pages, "each page is committed once");
    let mut times: HashMap<&Option<String>, usize> = HashMap::new();
    for cursor in first.iter().chain(second) {
        *times.entry(cursor).or_default() += 1;
    }
    assert!(times.values().all(|times| *times <= 2), "no page is asked for more than twice");
}

fn a_killed_fetch_is_resumed_at_once(backend: Backend) {
    let world = large(backend, RECORDS);
    hang_after(&world, 80);
    let mut process = world.spawn(&["sync"]);
    is_midway(&world, &mut process, 80);
    assert_eq!(process.kill().code, None);
    let first = cursors(&progressions(&world));
    assert!(first.len() < PAGES, "it was killed midway");
    let checkpoint = latest_run(&world);
    assert_eq!(checkpoint.outcome, RunOutcome::Running, "it had no time to say goodbye");

    world.sandbox.clear_requests();
    world.sandbox.clear_faults();
    let report = world.spawn(&["sync", "--json"]).wait().expect_code(0).json();
    let run =
        report["runs"].as_array().unwrap().iter().find(|run| run["endpoint"] == "lms/course-progressions").unwrap();
    assert_eq!(run["records"], RECORDS);
    assert_eq!(run["pages"], PAGES);

    assert_goes_on(&first, &cursors(&progressions(&world)), &checkpoint, PAGES);
    assert_faithful(&world, Skills::FromCourses);
}

/// The next fetch continues after the committed pages of the killed one, and then fetches what was requested now.
fn what_changed_after_a_killed_fetch_arrives_with_the_next(backend: Backend) {
    for again in [&["sync", "--full"][..], &["sync"]] {
        let world = large(backend, 5_000);
        if again.len() > 1 {
            world.sync();
        }
        world.sandbox.clear_requests();
        hang_after(&world, 10);
        let mut process = world.spawn(again);
        is_midway(&world, &mut process, 10);
        assert_eq!(process.kill().code, None);
        world.sandbox.clear_faults();
        let integration = &world.sandbox.integrations()[0];
        let first = rows(&world, &world.integrations()[0], Model::LmsCourseProgressions).remove(0);
        let id = first.row.key.first().parse().unwrap();
        let complete = Mutation::update(kombo_sandbox::Model::CourseProgressions, id, "status", "DROPPED");
        world.sandbox.mutate(integration, complete).unwrap();
        world.syncd(again).expect_code(0);
        assert_faithful(&world, Skills::FromCourses);
    }
}

fn ctrl_c_stops_after_the_batch(backend: Backend) {
    let world = large(backend, 10_000);
    hang_after(&world, 15);
    let mut process = world.spawn(&["sync"]);
    is_midway(&world, &mut process, 15);
    process.signal("INT");
    let stopped = process.wait().expect_code(1);
    assert!(stopped.complaint().contains("goes on from here"), "{}", stopped.stderr);
    let first = cursors(&progressions(&world));
    assert!(first.len() < 40, "it stopped midway");
    let checkpoint = latest_run(&world);
    assert_eq!(checkpoint.outcome, RunOutcome::Interrupted);
    let requests = world.read(|tx| tx.requests());
    assert!(requests.iter().all(|request| request.lease.is_none()), "it holds nothing any more");

    world.sandbox.clear_requests();
    world.sandbox.clear_faults();
    world.sync();
    assert_goes_on(&first, &cursors(&progressions(&world)), &checkpoint, 40);
    assert_faithful(&world, Skills::FromCourses);
}

fn a_second_process_waits_for_the_first(backend: Backend) {
    let world = large(backend, 5_000);
    let slow = Fault::always(FaultKind::Delay { pause_ms: 3_000 });
    world.sandbox.inject(slow.at(Endpoint::LmsCourseProgressions).after(5));
    let mut first = world.spawn(&["sync", "--json"]);
    is_midway(&world, &mut first, 5);
    let second = world.spawn(&["sync", "--json"]);
    wait_until("the second waits", || second.stderr_so_far().contains("another process is working on this"));
    world.sandbox.clear_faults();
    first.wait().expect_code(0);
    second.wait().expect_code(0);
    // Requests that arrive while the first process works lead to at most one more fetch.
    let whole = progressions(&world).iter().filter(|request| request.param("cursor").is_none()).count();
    assert!((1..=2).contains(&whole), "{whole}");
    assert_faithful(&world, Skills::FromCourses);
}
