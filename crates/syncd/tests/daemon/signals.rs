//! Signals: stop, stop at once, reload the configuration.

use std::io::Write as _;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, GeneratorConfig, Latency, SandboxConfig};
use sync_core::jobs::{SyncKind, Target};
use sync_core::pull::RunOutcome;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, SECRET, data_changed, post_webhook, status, status_of, world_for};
use crate::http::{connect, read_answer};
use crate::program::wait_until;
use crate::world::World;

#[test]
fn what_is_under_way_goes_on_after_a_stop() {
    let place = Place::new();
    let generator = GeneratorConfig { users: 300, courses: 5, progressions: 10, ..GeneratorConfig::default() };
    let mut world = world_for(Backend::Sqlite, SandboxConfig { generator, ..SandboxConfig::default() }, place);
    world.set_toml("kombo.page_size", "10");
    let hang = Fault::once(FaultKind::Delay { pause_ms: 600_000 });
    world.sandbox.inject(hang.at(Endpoint::LmsUsers).after(10));
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    let target = Target {
        integration_id: FIRST_INTEGRATION.into(),
        endpoint: kombo_model::Endpoint::LmsUsers,
        kind: SyncKind::Full,
    };
    let latest_run = |look: &Look| {
        let target = target.clone();
        look.read(move |tx| tx.latest_run(&target))
    };
    wait_until("the first load is midway", || {
        let committed = latest_run(&look).is_some_and(|run| run.page_cursor.is_some());
        committed && world.sandbox.request_count(Endpoint::LmsUsers) >= 10
    });
    daemon.process.signal("TERM");
    let stopped = daemon.process.wait().expect_code(0);
    eprintln!("ended after {:?} of life, with SIGTERM under a fetch", stopped.took);
    drop(look);
    assert_eq!(files_of_the_database(&world), ["mirror.db"], "the file alone is the database");
    let look = Look::new(&world);
    let run = latest_run(&look).unwrap();
    assert_eq!(run.outcome, RunOutcome::Interrupted);
    let cursor = run.page_cursor.expect("some pages are in").0;
    assert!(look.requests().iter().all(|request| request.lease.is_none()), "nothing is held any more");

    world.sandbox.clear_requests();
    world.sandbox.clear_faults();
    let daemon = Daemon::start(&world, place);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    let first = world.requests(Endpoint::LmsUsers).remove(0);
    assert_eq!(first.param("cursor"), Some(cursor.as_str()), "it goes on where it ended");
    daemon.stop();
}

fn files_of_the_database(world: &World) -> Vec<String> {
    let names = std::fs::read_dir(world.folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("mirror.db")).collect()
}

/// A stop does not wait for Kombo's answers to any requests since the start.
#[test]
fn a_stop_does_not_wait_for_kombo() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    world.sync();
    world.sandbox.edit(|state| state.latency = Latency { fixed_ms: 600_000, jitter_ms: 0 });
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    wait_until("it works on something", || look.requests().iter().any(|request| request.lease.is_some()));
    let stopped = daemon.stop();
    assert!(!stopped.stderr.contains("did not stop in time"), "{}", stopped.stderr);
    assert!(look.requests().iter().all(|request| request.lease.is_none()), "nothing is held any more");
}

/// The first signal waits for a slow client, the second waits for nothing.
#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let mut daemon = Daemon::start(&world, place);
    let mut slow = connect(place.webhooks).unwrap();
    slow.write_all(
        b"POST /webhooks/kombo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nX-Kombo-Signature: a\r\nContent-Length: 100\r\n\r\n",
    )
    .unwrap();
    // The daemon requests the body, so the request is being served.
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut slow, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    daemon.process.signal("TERM");
    wait_until("it takes no more connections", || connect(place.operations).is_err());
    assert!(daemon.process.is_running(), "it waits for the one that it serves");
    daemon.process.signal("TERM");
    daemon.process.wait().expect_code(130);
    assert_eq!(files_of_the_database(&world), ["mirror.db"], "the file alone is the database");
    assert_eq!(read_answer(&mut slow).unwrap_or(None).map(|answer| answer.status), None);
}

#[test]
fn the_configuration_is_read_again() {
    let place = Place::new();
    let mut world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    world.set_toml("sync.accept_unknown", "false");
    let daemon = Daemon::start(&world, place);
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let new_secret = "another-secret-for-webhooks";
    let try_with =
        |secret: &str, id: &str| post_webhook(place, secret, &data_changed(id, FIRST_INTEGRATION, &[])).unwrap().status;
    assert_eq!((try_with(SECRET, "a"), try_with(new_secret, "b")), (200, 401));
    let another = "sandbox:another";
    world.sandbox.add_integration(another, &GeneratorConfig::default()).unwrap();
    assert_eq!(daemon.webhook(&data_changed("unknown", another, &["lms_users"])).status, 200);
    assert!(status_of(&status(&world), another).is_null(), "unknown ones are not accepted");

    // An invalid configuration changes nothing.
    world.write("syncd.toml", "[kombo]\nwebhook_secert = 1");
    daemon.process.signal("HUP");
    world.set("kombo.webhook_secret", new_secret);
    assert_eq!(try_with(SECRET, "c"), 200);
    world.set("changes.keep_for", "40d");
    let configuration = format!("{}\n[[integrations]]\nid = \"{another}\"\n", world.configuration());
    world.write("syncd.toml", &configuration);
    daemon.process.signal("HUP");
    wait_until("the new secret counts", || try_with(new_secret, "d") == 200);
    wait_until("it tells what waits", || {
        let said = daemon.process.stderr_so_far();
        said.contains("other settings changed: restart to apply them") && said.contains("\"sections\":\"changes\"")
    });
    assert_eq!(try_with(SECRET, "e"), 401, "the old one does not any more");
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
