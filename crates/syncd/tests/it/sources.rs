//! Distortions of lists by sources and gateways: the copy is still right, or the error names the cause.

use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, Model, SandboxConfig, Struck};

use crate::database::Backend;
use crate::mirror::{Skills, assert_faithful};
use crate::world::World;

on_both_databases!(
    a_cursor_that_is_refused_restarts_the_fetch,
    a_refusal_of_one_endpoint_leaves_the_others_alone,
    look_ups_adapt_to_what_the_source_takes,
    a_value_that_is_no_json_costs_its_record_only,
);

fn world(backend: Backend) -> World {
    let generator = GeneratorConfig { users: 1_200, courses: 300, progressions: 600, ..GeneratorConfig::default() };
    World::new(backend, SandboxConfig { generator, ..SandboxConfig::default() })
}

/// Returns the error of a sync of users, and its number of requests.
fn failure(world: &World) -> (String, usize) {
    world.sandbox.clear_requests();
    let finished = world.syncd(&["sync", "--endpoint", "users"]).expect_code(1);
    let complaint = finished.complaint();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    (complaint, world.requests(Endpoint::LmsUsers).len())
}

fn a_cursor_that_is_refused_restarts_the_fetch(backend: Backend) {
    let html = |status| FaultKind::Foreign { status, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    // A rejected request restarts the fetch at once. Other answers of a gateway do so when they are repeated.
    for (status, times) in [(400, 1), (404, 2), (409, 2), (410, 2), (422, 1)] {
        let world = world(backend);
        let refusal = Fault::once(html(status)).at(Endpoint::LmsUsers).only(Struck::WithCursor);
        world.sandbox.inject(refusal.after(1).times(times));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
    for (number, status) in (0_u32..).zip([400, 404, 409, 403]) {
        let world = world(backend);
        let refusal = FaultKind::error_without_code(status);
        world.sandbox.inject(Fault::once(refusal).at(Endpoint::LmsUsers).only(Struck::WithCursor).after(number % 3));
        world.sync();
        assert_eq!(world.sandbox.faults(), [], "{status}");
        assert_faithful(&world, Skills::FromCourses);
    }
    // Kombo's errors about the integration do not concern the cursor.
    let world = world(backend);
    let pending = FaultKind::error(409, "INTEGRATION.SETUP_SYNC_PENDING");
    world.sandbox.inject(Fault::always(pending).at(Endpoint::LmsUsers).only(Struck::WithCursor));
    let (complaint, requests) = failure(&world);
    assert!(complaint.contains("SETUP_SYNC_PENDING"), "{complaint}");
    assert_eq!(requests, 2);
}

fn a_refusal_of_one_endpoint_leaves_the_others_alone(backend: Backend) {
    let mut world = World::new(backend, SandboxConfig { integrations: 3, ..SandboxConfig::default() });
    // One worker, so that the integration that is rejected comes first.
    world.set_toml("sync.workers", "1");
    let refused = world.sandbox.integrations()[0].clone();
    let html = |status| FaultKind::Foreign { status, content_type: "text/html".to_owned(), body: "<html>".to_owned() };
    for fault in [FaultKind::error_without_code(401), html(403), FaultKind::error(403, "ADDED.LATER")] {
        world.sandbox.inject(Fault::always(fault).at(Endpoint::LmsUsers).of(&refused));
        let finished = world.syncd(&["sync", "--json"]).expect_code(1);
        let report = finished.json();
        let failed = report["runs"].as_array().unwrap().iter().filter(|run| run["outcome"] != "completed").count();
        assert_eq!((report["runs"].as_array().unwrap().len(), failed), (9, 1), "{report}");
        assert!(finished.complaint().contains("does not reject the key"), "{}", finished.stderr);
        world.sandbox.clear_faults();
    }
}

fn look_ups_adapt_to_what_the_source_takes(backend: Backend) {
    let world = world(backend);
    world.sync();
    let integration = world.sandbox.integrations()[0].clone();
    let gone = world.sandbox.ids(&integration, Model::Users).unwrap();
    for user in gone.iter().take(40) {
        world.sandbox.mutate(&integration, kombo_sandbox::Mutation::Purge { model: Model::Users, id: *user }).unwrap();
    }
    let refusal = FaultKind::error(400, "PLATFORM.INPUT_INVALID");
    world.sandbox.inject(Fault::always(refusal).at(Endpoint::LmsUsers).only(Struck::MoreIdsThan(10)));
    world.syncd(&["sync", "--full"]).expect_code(0);
    assert_faithful(&world, Skills::FromCourses);
    world.syncd(&["verify"]).expect_code(0);
}

fn a_value_that_is_no_json_costs_its_record_only(backend: Backend) {
    for (field, text, aside) in [
        ("custom_fields", r#"{"score": NaN}"#, "custom_fields"),
        ("changed_at", "01", "changed_at"),
        ("last_name", r#""Ada "the first" L""#, "."),
        ("last_name", r#""Ada ",x"#, "."),
    ] {
        let mut world = world(backend);
        // One worker: a look-up by another endpoint's fetch must not meet the fault, or mend what it quarantined.
        world.set_toml("sync.workers", "1");
        let no_json = FaultKind::NoJson { index: 0, field: field.to_owned(), text: text.to_owned() };
        world.sandbox.inject(Fault::once(no_json.clone()).at(Endpoint::LmsUsers).times(if aside == "." {
            12
        } else {
            1
        }));
        let finished = world.syncd(&["sync"]).expect_code(0);
        assert!(finished.stdout.contains("could not be read, stored or looked up"), "{text}: {}", finished.stdout);
        let listed = world.syncd(&["quarantine", "list"]).expect_code(0).stdout;
        assert!(listed.contains(aside) && (listed.contains("no JSON") || listed.contains("not JSON")), "{listed}");
        world.sandbox.clear_faults();
        world.syncd(&["sync", "--full"]).expect_code(0);
        assert_faithful(&world, Skills::FromCourses);
    }
}

#[test]
fn a_page_is_asked_for_smaller_until_the_gateway_answers() {
    for status in [413, 500, 502, 504] {
        let world = world(Backend::Sqlite);
        let heavy = FaultKind::Foreign { status, content_type: "text/plain".to_owned(), body: String::new() };
        world.sandbox.inject(Fault::always(heavy).at(Endpoint::LmsUsers).only(Struck::PageLargerThan(3)));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

#[test]
fn pages_too_heavy_are_asked_for_in_smaller_ones() {
    for status in [413, 500] {
        let world = world(Backend::Sqlite);
        let heavy = FaultKind::Foreign { status, content_type: "text/plain".to_owned(), body: String::new() };
        world.sandbox.inject(Fault::always(heavy).at(Endpoint::LmsUsers).only(Struck::PageLargerThan(150)));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

#[test]
fn what_is_too_large_names_the_limit() {
    let world = world(Backend::Sqlite);
    world.sandbox.inject(Fault::always(FaultKind::Padded { bytes: 40_000_000 }).at(Endpoint::LmsUsers));
    let (complaint, requests) = failure(&world);
    assert!(complaint.contains("a body of more than 33554432 bytes"), "{complaint}");
    assert!(complaint.contains("page size 1)") && complaint.contains("kombo.page_size does not help"), "{complaint}");
    assert_eq!(requests, 8, "down to one record");
    world.sandbox.clear_faults();
    world.sandbox.inject(Fault::always(FaultKind::ManyRecords { records: 20_000 }).at(Endpoint::LmsUsers));
    let (complaint, _) = failure(&world);
    assert!(complaint.contains("a page of more than 10000 records"), "{complaint}");
}

#[test]
fn lists_that_never_end_are_given_up() {
    for (empty, says) in [(false, "100 pages showed almost only records"), (true, "1000 pages in a row were empty")] {
        let world = world(Backend::Sqlite);
        world.sandbox.inject(Fault::always(FaultKind::EndlessPages { empty }).at(Endpoint::LmsUsers));
        let (complaint, requests) = failure(&world);
        assert!(complaint.contains("the list of lms/users does not end") && complaint.contains(says), "{complaint}");
        assert!(requests <= 2_002, "{requests}");
        world.sandbox.clear_faults();
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}

#[test]
fn a_maintenance_page_of_some_seconds_is_lived_through() {
    let world = world(Backend::Sqlite);
    let page = || FaultKind::Foreign {
        status: 200,
        content_type: "text/html".to_owned(),
        body: "<html>We are back in a minute</html>".to_owned(),
    };
    world.sandbox.inject(Fault::once(page()).at(Endpoint::LmsUsers).after(1).times(3));
    world.sandbox.inject(Fault::once(FaultKind::error_without_code(408)).at(Endpoint::LmsCourses));
    world.sandbox.inject(Fault::once(FaultKind::error(500, "PLATFORM.ADDED_LATER")).at(Endpoint::LmsCourses));
    world.sync();
    assert_eq!(world.sandbox.faults(), []);
    assert_faithful(&world, Skills::FromCourses);
}

#[test]
fn compressed_pages_are_read() {
    for coding in ["gzip", "GZIP", "x-gzip"] {
        let world = world(Backend::Sqlite);
        world.sandbox.inject(Fault::always(FaultKind::Encoded { coding: coding.to_owned(), members: 3 }));
        world.sync();
        assert_faithful(&world, Skills::FromCourses);
    }
}
