//! Transient failures are survived. Others keep the committed data.

use std::time::Duration;

use chrono::TimeDelta;
use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, RateLimit, SandboxConfig};
use sync_core::rows::Model;

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, rows, snapshot};
use crate::world::{LISTS, World};

fn world() -> World {
    let generator = GeneratorConfig { users: 1_500, courses: 300, progressions: 2_000, ..GeneratorConfig::default() };
    let mut world = World::new(Backend::Sqlite, SandboxConfig { generator, ..SandboxConfig::default() });
    world.set("kombo.timeout", "2s");
    world
}

#[test]
fn passing_faults_are_lived_through() {
    let world = world();
    let tool_is_busy = FaultKind::Error {
        status: 429,
        code: Some("REMOTE.RATE_LIMIT_EXCEEDED".to_owned()),
        retry_after: Some("1".to_owned()),
    };
    let faults = [
        (Endpoint::LmsUsers, tool_is_busy, 1),
        (Endpoint::LmsUsers, FaultKind::error_without_code(500), 2),
        (Endpoint::LmsUsers, FaultKind::DropConnection, 1),
        (Endpoint::LmsCourseProgressions, FaultKind::bad_gateway_html(), 1),
        (Endpoint::LmsCourseProgressions, FaultKind::TruncatedBody, 1),
        (Endpoint::LmsCourseProgressions, FaultKind::SlowBody { chunk: 1_000, pause_ms: 200 }, 1),
        (Endpoint::LmsCourses, FaultKind::HangingBody { pause_ms: 10_000 }, 1),
        (Endpoint::LmsCourses, FaultKind::CutJson, 1),
    ];
    let struck: u32 = faults.iter().map(|(_, _, times)| times).sum();
    for (number, (endpoint, fault, times)) in (1..).zip(faults) {
        world.sandbox.inject(Fault::once(fault).at(endpoint).after(number % 2 + 1).times(times));
    }
    set_second(&world, 60, 0);
    let finished = world.sync();
    assert!(finished.took < Duration::from_secs(40), "a busy tool is no reason to wait for the end of the minute");
    assert_eq!(world.sandbox.faults(), [], "all of them struck");
    let lists: usize = LISTS.into_iter().map(|endpoint| world.requests(endpoint).len()).sum();
    let needed = 6 + 2 + 8 + usize::try_from(struck).unwrap();
    // After two failures in a row the page may be too heavy, and a page of one record decides. A third failure counts
    // as too heavy, which costs some small pages. A busy machine may run into the time-out once more.
    assert!((needed..needed + 15).contains(&lists), "each fault costs few requests: {lists}, not {needed}");
    assert_faithful(&world, Skills::FromCourses);
}

/// Moves the sandbox's clock to this second of a rate limit window.
fn set_second(world: &World, window: i64, second: i64) {
    let now = world.sandbox.clock().now().micros().div_euclid(1_000_000);
    world.sandbox.advance(TimeDelta::seconds(second - now.rem_euclid(window)));
}

#[test]
fn a_rate_limit_is_waited_out() {
    let world = world();
    world.syncd(&["migrate"]).expect_code(0);
    // The window ends in a few seconds.
    set_second(&world, 60, 57);
    world.sandbox.edit(|state| state.rate_limit = RateLimit { requests: 10, ..RateLimit::default() });
    world.sync();
    let refused = world.sandbox.requests().iter().filter(|request| request.status == Some(429)).count();
    assert!(refused <= 3, "{refused} requests were refused");
    assert_faithful(&world, Skills::FromCourses);
}

/// A process takes a few requests at a time from Kombo's limit for a window, which is an hour here.
#[test]
fn what_one_sync_does_not_use_is_there_for_the_next() {
    let mut world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.set_toml("sync.endpoints", r#"["users"]"#);
    set_second(&world, 3_600, 0);
    world.sandbox.edit(|state| state.rate_limit = RateLimit { requests: 100, window: 3_600, retry_after: false });
    for _ in 0..45 {
        world.sync();
    }
    assert_eq!(world.requests(Endpoint::LmsUsers).len(), 45);
}

#[test]
fn a_failed_run_keeps_what_it_committed() {
    let world = world();
    // Foreign JSON is requested once more. If the first page then worked, the cursor would be the cause.
    world.sandbox.inject(Fault::always(FaultKind::ForeignJson).at(Endpoint::LmsUsers).after(3));
    let failed = world.syncd(&["sync", "--json"]).expect_code(1);
    let report = failed.json();
    let outcomes: Vec<_> = report["runs"].as_array().unwrap().iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "completed", "completed"]);
    assert!(failed.complaint().contains("users of sandbox:"), "{}", failed.stderr);
    assert_eq!(world.requests(Endpoint::LmsUsers).len(), 9, "three pages, the fourth in two tries, the first");

    let run = report["runs"][0].clone();
    let committed = run["records"].as_u64().unwrap();
    assert_eq!(run["watermark"], serde_json::Value::Null);
    assert!(committed <= 750 && committed.is_multiple_of(250), "{committed}");
    let users = rows(&world, &world.integrations()[0], Model::LmsUsers);
    let whole = users.iter().filter(|row| row.row.changed_at().is_some()).count();
    assert_eq!(u64::try_from(whole).unwrap(), committed, "rows of committed pages, and no others");

    world.sandbox.clear_requests();
    world.sandbox.clear_faults();
    world.sync();
    // A delta follows for changes since the start of the first run.
    let pages =
        world.requests(Endpoint::LmsUsers).into_iter().filter(|request| request.param("updated_after").is_none());
    assert_eq!(pages.count(), 6 - usize::try_from(committed / 250).unwrap(), "the checkpoint holds");
    assert_faithful(&world, Skills::FromCourses);
}

#[test]
fn a_failed_delta_keeps_the_watermark() {
    let world = world();
    world.sync();
    for seed in 0..50 {
        world.sandbox.mutate_random(&world.sandbox.integrations()[0], seed).unwrap();
    }
    let watermarks =
        || world.read(|tx| tx.endpoints(None)).into_iter().map(|state| state.watermark).collect::<Vec<_>>();
    let (before, rows) = (watermarks(), snapshot(&world));
    for endpoint in LISTS {
        world.sandbox.inject(Fault::always(FaultKind::error(400, "PLATFORM.INPUT_INVALID")).at(endpoint));
    }
    world.syncd(&["sync"]).expect_code(1);
    assert_eq!(watermarks(), before);
    assert!(snapshot(&world) == rows, "no row was touched");
    world.sandbox.clear_faults();
    world.syncd(&["sync", "--full"]).expect_code(0);
    assert_faithful(&world, Skills::FromCourses);
}
