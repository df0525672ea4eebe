//! A `sync` without changes at Kombo requests little and writes nothing.

use kombo_sandbox::{GeneratorConfig, SandboxConfig, Stamp};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful, snapshot};
use crate::world::{LISTS, World};

on_both_databases!(nothing_new_is_asked_for_narrowly_and_writes_no_row, a_full_fetch_of_what_is_known_writes_no_row,);

fn loaded(backend: Backend) -> World {
    let generator = GeneratorConfig { users: 300, courses: 60, progressions: 600, ..GeneratorConfig::default() };
    let world = World::new(backend, SandboxConfig { integrations: 2, generator, ..SandboxConfig::default() });
    world.sync();
    world
}

fn assert_second_writes_nothing(world: &World, arguments: &[&str]) {
    let (rows, written) = (snapshot(world), world.database.rows_written());
    world.sandbox.clear_requests();
    let report = world.syncd(arguments).expect_code(0).json();
    for run in report["runs"].as_array().unwrap() {
        for count in ["created", "updated", "deleted", "restored", "indirect", "stale", "quarantined"] {
            assert_eq!(run[count], 0, "{count}: {run}");
        }
    }
    assert_eq!(world.database.rows_written(), written);
    assert!(snapshot(world) == rows, "rows, synced_at included, are as they were");
    assert_faithful(world, Skills::FromCourses);
}

fn nothing_new_is_asked_for_narrowly_and_writes_no_row(backend: Backend) {
    let world = loaded(backend);
    assert_second_writes_nothing(&world, &["sync", "--json"]);
    for endpoint in LISTS {
        let requests = world.requests(endpoint);
        assert_eq!(requests.len(), 2, "one for each integration");
        for request in requests {
            let after = request.param("updated_after").expect("a delta names its watermark");
            assert!(Stamp::parse_request(after).is_some() && after.ends_with('Z'), "{after} has no offset");
            assert_eq!(request.param("include_deleted"), Some("true"));
            assert_eq!(request.param("page_size"), Some("250"));
            assert_eq!(request.param("cursor"), None);
        }
    }
}

fn a_full_fetch_of_what_is_known_writes_no_row(backend: Backend) {
    let world = loaded(backend);
    assert_second_writes_nothing(&world, &["sync", "--full", "--json"]);
    for endpoint in LISTS {
        for request in world.requests(endpoint) {
            assert_eq!(request.param("updated_after"), None);
            assert_eq!(request.param("include_deleted"), Some("true"));
        }
    }
}
