//! Mistakes that only show while the program runs: it reports cause and remedy at once, without secrets.
//! `config_errors` has tables of the mistakes that are found at the start.

use std::net::TcpListener;
use std::time::Duration;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, SandboxConfig};

use crate::database::Backend;
use crate::program::Finished;
use crate::world::World;

fn world() -> World {
    World::new(Backend::Sqlite, SandboxConfig::default())
}

/// Fails unless standard error has exactly one line, with all of `words`.
#[track_caller]
fn assert_says(finished: Finished, code: i32, words: &[&str]) -> Finished {
    let finished = finished.expect_code(code);
    let complaint = finished.complaint();
    assert_eq!(complaint.lines().count(), 1, "one line: {complaint}");
    assert!(complaint.starts_with("syncd: "), "{complaint}");
    for word in words {
        assert!(complaint.contains(word), "it says {word:?}: {complaint}");
    }
    assert_eq!(finished.stdout, "", "nothing is reported");
    finished
}

/// Returns a port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_wrong_key_is_reported_once() {
    let mut world = World::new(Backend::Sqlite, SandboxConfig { integrations: 5, ..SandboxConfig::default() });
    world.set("kombo.api_key", "another-key");
    let finished = assert_says(world.syncd(&["sync"]), 1, &["kombo.api_key", "AUTHENTICATION_INVALID"]);
    assert!(!finished.stderr.contains("another-key"), "{}", finished.stderr);
    assert!(world.sandbox.requests().len() <= 3, "{} requests", world.sandbox.requests().len());
    let check = world.syncd(&["config", "check"]).expect_code(1);
    assert!(check.stdout.contains("FAILED  kombo.api_key"), "{}", check.stdout);
    assert!(!format!("{check:?}").contains("another-key"));
}

#[test]
fn a_key_that_is_withdrawn_midway_is_reported_once() {
    let world = World::new(Backend::Sqlite, SandboxConfig { integrations: 5, ..SandboxConfig::default() });
    for endpoint in [Endpoint::LmsUsers, Endpoint::LmsCourses, Endpoint::LmsCourseProgressions] {
        world.sandbox.inject(Fault::always(FaultKind::error(401, "PLATFORM.AUTHENTICATION_INVALID")).at(endpoint));
    }
    let finished = world.syncd(&["sync"]).expect_code(1);
    assert_eq!(finished.complaint().lines().count(), 1, "{}", finished.stderr);
    assert!(finished.complaint().contains("kombo.api_key"), "{}", finished.stderr);
    // Five of them ask for the categories.
    assert!(world.sandbox.requests().len() <= 15, "{} requests", world.sandbox.requests().len());
}

#[test]
fn an_integration_that_kombo_does_not_know() {
    let mut world = world();
    world.name_integrations(&[]);
    let finished = world.syncd(&["sync", "--integration", "sandbox:unknown", "--endpoint", "users"]).expect_code(1);
    let complaint = finished.complaint();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for word in ["sandbox:unknown", "INTEGRATION_NOT_FOUND", "check the integration's id"] {
        assert!(complaint.contains(word), "{complaint}");
    }
    assert_eq!(world.requests(Endpoint::LmsUsers).len(), 0, "nothing is fetched");
    assert_eq!(world.read(|tx| tx.integrations()), [], "it may be mistyped, so it is not registered");

    // An integration in the configuration is intentional.
    world.name_integrations(&["sandbox:unknown"]);
    let finished = world.syncd(&["sync", "--endpoint", "users"]).expect_code(1);
    assert!(finished.complaint().contains("INTEGRATION_NOT_FOUND"), "{}", finished.stderr);
    assert_eq!(world.requests(Endpoint::LmsUsers).len(), 0, "its category is unknown");
    let status = world.syncd(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["integrations"][0]["state"], "not_found");

    // The other integrations are not affected.
    let finished = world.syncd(&["sync", "--json", "--integration", FIRST_INTEGRATION]).expect_code(0);
    assert_eq!(finished.json()["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn nobody_listens() {
    let mut world = world();
    let port = closed_port();
    world.set("kombo.base_url", &format!("http://127.0.0.1:{port}/v1"));
    let address = format!("127.0.0.1:{port}");
    let finished = assert_says(world.syncd(&["sync"]), 1, &[&address, "kombo.base_url", "check the network"]);
    assert!(finished.took < Duration::from_secs(10), "took {:?}", finished.took);
    let check = world.syncd(&["config", "check"]).expect_code(1);
    assert!(check.stdout.contains("FAILED  kombo.api_key") && check.stdout.contains(&address), "{}", check.stdout);
}

#[test]
fn a_host_that_is_no_host() {
    let mut world = world();
    world.set("kombo.base_url", "http://host.invalid/v1");
    let finished = assert_says(world.syncd(&["sync"]), 1, &["host.invalid", "kombo.base_url"]);
    assert!(finished.took < Duration::from_secs(10), "took {:?}", finished.took);
}

#[test]
fn an_address_where_something_else_answers() {
    let mut world = world();
    world.set("kombo.base_url", &world.sandbox.base_url().replace("/v1", "/elsewhere"));
    let finished = world.syncd(&["sync", "--endpoint", "users"]).expect_code(1);
    let complaint = finished.complaint();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("404") && complaint.contains("kombo.base_url"), "{complaint}");
    assert!(finished.took < Duration::from_secs(10), "took {:?}", finished.took);
}

#[test]
fn secrets_in_files() {
    let mut world = world();
    let file = world.write("key", &format!("\n{}\r\n", crate::world::API_KEY));
    world.set("kombo.api_key_file", file.to_str().unwrap());
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key", "kombo.api_key_file", "keep one"]);
    world.unset("kombo.api_key");
    world.sync();

    world.set("kombo.api_key_file", "no-such-file");
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key_file", "no-such-file", "No such file"]);
    world.set("kombo.api_key_file", ".");
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key_file"]);
    for blank in ["", "\n \n"] {
        let empty = world.write("empty", blank);
        world.set("kombo.api_key_file", empty.to_str().unwrap());
        assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key_file", "empty"]);
    }
    let two = world.write("two", "key-that-must-not-be-shown\nkey-that-must-not-be-shown\n");
    world.set("kombo.api_key_file", two.to_str().unwrap());
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key_file", "2 lines"]);
    world.unset("kombo.api_key_file");
    world.set("kombo.api_key", "  ");
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key"]);
    world.set("kombo.api_key", "key-that-must-not-be-shown with a space");
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key"]);
    world.set("kombo.api_key", "key-that-must-not-be-shown\u{fc}");
    assert_says(world.syncd(&["sync"]), 2, &["kombo.api_key"]);
}

#[test]
fn databases_that_are_not_there() {
    let mut world = world();
    world.set("store.url", &format!("sqlite://{}/none/mirror.db", world.folder().display()));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "there is no folder", "none"]);
    world.set("store.url", &format!("sqlite://{}", world.folder().display()));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "folder"]);
    let garbage = world.write("garbage.db", &"this is no database ".repeat(100));
    world.set("store.url", &format!("sqlite://{}", garbage.display()));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "garbage.db"]);

    let port = closed_port();
    world.set("store.url", &format!("postgres://me:database-password@127.0.0.1:{port}/mirror"));
    for arguments in [["sync"], ["status"], ["migrate"]] {
        let words = ["store.url", "check that the server runs", &format!("me:***@127.0.0.1:{port}/mirror")];
        let finished = assert_says(world.syncd(&arguments), 1, &words);
        assert!(finished.took < Duration::from_secs(15), "took {:?}", finished.took);
    }
    assert!(world.sandbox.requests().iter().all(|request| !request.path.contains("/lms/")));
}

#[test]
fn a_server_that_refuses() {
    let mut world = World::new(Backend::Postgres, SandboxConfig::default());
    let url = world.database.url();
    let (address, name) = url.rsplit_once('/').unwrap();
    let name = name.split('?').next().unwrap();
    world.set("store.url", &format!("{address}/no_such_database"));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "no_such_database", "does not exist"]);
    let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
    world.set("store.url", &format!("postgres://nobody_of_that_name:database-password@{host}/{name}"));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "nobody_of_that_name"]);
    world.set("store.url", &format!("{address}/{name}?sslmode=require"));
    assert_says(world.syncd(&["sync"]), 1, &["store.url", "TLS"]);
}

#[test]
fn the_environment_overrides_the_file() {
    let mut world = world();
    world.set("kombo.api_key", "another-key");
    world.set("store.url", "sqlite://wrong.db");
    let mut command = world.command(&["sync", "--json"]);
    command.env("SYNCD__KOMBO__API_KEY", crate::world::API_KEY);
    command.env("SYNCD__STORE__URL", "sqlite://right.db");
    command.env("SYNCD__SYNC__ENDPOINTS", "users,courses");
    command.env("SYNCD__KOMBO__PAGE_SIZE", "30");
    command.env("SYNCD__KOMBO__TIMEOUT", "20s");
    command.env("SYNCD__SYNC__CHANGE_VALUES", "true");
    let report = world.start(command).wait().expect_code(0).json();
    assert_eq!(report["runs"].as_array().unwrap().len(), 2);
    assert!(world.folder().join("right.db").exists() && !world.folder().join("wrong.db").exists());
    assert!(world.requests(Endpoint::LmsUsers).iter().all(|request| request.param("page_size") == Some("30")));

    for (name, value, words) in [
        ("SYNCD__KOMBO__PAGE_SIZE", "many", &["page_size"][..]),
        ("SYNCD__KOMBO__API_KYE", "database-password", &["api_kye"]),
        ("SYNCD__SYNC__ENDPOINTS", "users,teachers", &["sync.endpoints", "teachers"]),
        ("SYNCD__STORE__URL", "mysql://me:database-password@host/db", &["store.url", "mysql"]),
    ] {
        let mut command = world.command(&["sync"]);
        command.env("SYNCD__KOMBO__API_KEY", crate::world::API_KEY).env(name, value);
        assert_says(world.start(command).wait(), 2, words);
    }

    // A key that consists of digits is still text.
    world.sandbox.edit(|state| state.api_key = "0123456789".to_owned());
    let mut command = world.command(&["sync", "--endpoint", "users"]);
    command.env("SYNCD__KOMBO__API_KEY", "0123456789").env("SYNCD__STORE__URL", "sqlite://right.db");
    world.start(command).wait().expect_code(0);
}
