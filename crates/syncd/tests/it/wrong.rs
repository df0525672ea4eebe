//! Everything that people get wrong: the program says at once what it is and what to do, and shows no secret.

use std::net::TcpListener;
use std::time::Duration;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, SandboxConfig};

use crate::database::{Backend, Database};
use crate::program::Finished;
use crate::world::World;

fn world() -> World {
    World::new(Backend::Sqlite, SandboxConfig::default())
}

/// Fails unless one line of standard error, and nothing else there, says all of `words`.
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

/// Fails unless the command line is refused with all of `words`.
#[track_caller]
fn assert_usage(finished: Finished, words: &[&str]) {
    let finished = finished.expect_code(2);
    for word in words {
        assert!(finished.stderr.contains(word), "it says {word:?}: {}", finished.stderr);
    }
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_wrong_key_is_told_once() {
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
fn a_key_that_is_withdrawn_midway_is_told_once() {
    let world = World::new(Backend::Sqlite, SandboxConfig { integrations: 5, ..SandboxConfig::default() });
    for endpoint in [Endpoint::Users, Endpoint::Courses, Endpoint::CourseProgressions] {
        world.sandbox.inject(Fault::always(FaultKind::error(401, "PLATFORM.AUTHENTICATION_INVALID")).at(endpoint));
    }
    let finished = world.syncd(&["sync"]).expect_code(1);
    assert_eq!(finished.complaint().lines().count(), 1, "{}", finished.stderr);
    assert!(finished.complaint().contains("kombo.api_key"), "{}", finished.stderr);
    assert!(world.sandbox.requests().len() <= 10, "{} requests", world.sandbox.requests().len());
}

#[test]
fn an_integration_that_kombo_does_not_know() {
    let mut world = world();
    world.name_no_integrations();
    let finished = world.syncd(&["sync", "--integration", "sandbox:unknown", "--endpoint", "users"]).expect_code(1);
    let complaint = finished.complaint();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    for word in ["sandbox:unknown", "INTEGRATION_NOT_FOUND", "check the integration's id"] {
        assert!(complaint.contains(word), "{complaint}");
    }
    assert_eq!(world.requests(Endpoint::Users).len(), 1, "it is not asked again");
    let status = world.syncd(&["status", "--json"]).expect_code(0).json();
    assert_eq!(status["integrations"][0]["state"], "not_found");

    // The other integrations are not held up.
    let finished = world.syncd(&["sync", "--json", "--integration", FIRST_INTEGRATION]).expect_code(0);
    assert_eq!(finished.json()["runs"].as_array().unwrap().len(), 3);
}

#[test]
fn no_integration_at_all() {
    let mut world = world();
    world.name_no_integrations();
    let finished = world.syncd(&["sync"]).expect_code(2);
    for word in ["--integration", "[[integrations]]"] {
        assert!(finished.stderr.contains(word), "{}", finished.stderr);
    }
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
fn base_urls_that_are_none() {
    for (url, words) in [
        ("api.kombo.dev/v1", &["kombo.base_url"][..]),
        ("ftp://api.kombo.dev/v1", &["kombo.base_url", "http"]),
        ("http://", &["kombo.base_url"]),
        ("", &["kombo.base_url"]),
        ("http://user:database-password@127.0.0.1:1/v1", &["kombo.base_url"]),
        ("http://127.0.0.1:1/v1?key=database-password", &["kombo.base_url"]),
    ] {
        let mut world = world();
        world.set("kombo.base_url", url);
        assert_says(world.syncd(&["sync"]), 2, words);
        assert_says(world.syncd(&["config", "check"]), 2, words);
        assert!(matches!(&world.database, Database::Sqlite(path) if !path.exists()), "nothing is made before that");
    }
}

#[test]
fn values_that_are_refused() {
    for (key, value, words) in [
        ("kombo.page_size", "251", &["kombo.page_size", "1 to 250"][..]),
        ("kombo.page_size", "0", &["kombo.page_size", "1 to 250"]),
        ("kombo.page_size", "-1", &["kombo.page_size"]),
        ("kombo.page_size", "\"many\"", &["kombo.page_size"]),
        ("kombo.timeout", "\"soon\"", &["kombo.timeout", "soon", "30s"]),
        ("kombo.timeout", "\"0s\"", &["kombo.timeout"]),
        ("kombo.timeout", "\"-1s\"", &["kombo.timeout"]),
        ("kombo.region", "\"mars\"", &["kombo.region", "eu", "us"]),
        ("kombo.api_kye", "\"x\"", &["api_kye"]),
        ("sync.full_every", "\"1s\"", &["sync.full_every"]),
        ("sync.full_every", "\"1 fortnight\"", &["sync.full_every", "7d"]),
        ("sync.mode", "\"clever\"", &["sync.mode", "planned", "simple"]),
        ("sync.endpoints", "[]", &["sync.endpoints"]),
        ("sync.endpoints", "[\"user\"]", &["sync.endpoints", "users"]),
        ("sync.workers", "0", &["sync.workers"]),
        ("sync.change_values", "\"perhaps\"", &["sync.change_values"]),
        ("sync.tombstones", "\"forget\"", &["sync.tombstones", "mirror", "keep"]),
        (
            "store.url",
            "\"mysql://root:database-password@host/db\"",
            &["store.url", "mysql", "sqlite://", "postgres://"],
        ),
        ("store.url", "\"sqlite://\"", &["store.url", "sqlite://syncd.db"]),
        ("store.url", "\"sqlite://:memory:\"", &["store.url", "memory"]),
        ("store.url", "\"postgres://me:database-password@host\"", &["store.url"]),
        ("store.url", "\"postgres://me:database-password@host:port/db\"", &["store.url"]),
        ("store.path", "\"x\"", &["path"]),
        ("stroe", "1", &["stroe"]),
    ] {
        let mut world = world();
        world.set_toml(key, value);
        assert_says(world.syncd(&["sync"]), 2, words);
        assert!(world.sandbox.requests().is_empty(), "{key} = {value}");
    }
}

#[test]
fn an_integration_without_an_id() {
    let world = world();
    for (entry, words) in [
        ("[[integrations]]\nid = \"\"", &["integrations", "id"][..]),
        ("[[integrations]]\nname = \"x\"", &["integrations", "name"]),
        ("[[integrations]]", &["integrations", "id"]),
    ] {
        world.write("syncd.toml", &format!("{}\n{entry}", world.configuration()));
        assert_says(world.start(world.command_as_it_is(&["sync"])).wait(), 2, words);
    }
}

#[test]
fn text_that_is_no_toml() {
    let world = world();
    for (text, line) in [
        ("[kombo]\napi_key = \"key-that-must-not-be-shown\nregion = \"eu\"\n", "line 2"),
        ("[kombo]\nregion = \"eu\"\napi_key = key-that-must-not-be-shown\n", "line 3"),
        ("[kombo]\napi_key = \"\\key-that-must-not-be-shown\"\n", "line 2"),
        ("[kombo\n", "line 1"),
        ("[kombo]\nregion = \"eu\"\nregion = \"us\"\n", "line 3"),
        ("[sync]\n\n\nworkers = \n", "line 4"),
    ] {
        let file = world.write("broken.toml", text);
        let finished = world.start(world.command_as_it_is(&["sync", "--config", file.to_str().unwrap()])).wait();
        assert_says(finished, 2, &["broken.toml", line]);
    }
}

#[test]
fn configuration_that_is_not_there() {
    let world = world();
    let run = |arguments: &[&str]| world.start(world.command_as_it_is(arguments)).wait();
    assert_says(run(&["sync", "--config", "missing.toml"]), 2, &["missing.toml", "No such file"]);
    assert_says(run(&["sync", "--config", "."]), 2, &["cannot read the configuration ."]);
    // Without a file there are the defaults, which lack a key.
    assert_says(run(&["sync"]), 2, &["kombo.api_key", "SYNCD__KOMBO__API_KEY", "syncd.toml"]);
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
fn command_lines_that_are_refused() {
    let world = world();
    assert_usage(world.syncd(&["sync", "--endpoint", "user"]), &["--endpoint", "user", "users", "course-progressions"]);
    assert_usage(world.syncd(&["sync", "--integration", " "]), &["--integration"]);
    assert_usage(world.syncd(&["sync", "--allow-mass-removal"]), &["--full"]);
    assert_usage(world.syncd(&["snyc"]), &["snyc", "sync"]);
    assert_usage(world.syncd(&[]), &["Usage"]);
    assert_usage(world.syncd(&["plan"]), &["MODEL"]);
    assert_usage(world.syncd(&["plan", "courses"]), &["courses", "lms_courses"]);
    assert_usage(world.syncd(&["status", "--verbose"]), &["--verbose"]);
    assert_usage(world.syncd(&["config"]), &["check"]);
    assert_usage(world.syncd(&["status", "--log", "loud=="]), &["--log", "loud==", "debug"]);
    assert_usage(world.syncd(&["changes", "--since", "-1"]), &["-1"]);
    assert_usage(world.syncd(&["changes", "--since", "soon"]), &["--since", "soon"]);
    assert!(world.sandbox.requests().is_empty());
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
    assert!(world.requests(Endpoint::Users).iter().all(|request| request.param("page_size") == Some("30")));

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

    // A key of digits is a text all the same.
    world.sandbox.edit(|state| state.api_key = "0123456789".to_owned());
    let mut command = world.command(&["sync", "--endpoint", "users"]);
    command.env("SYNCD__KOMBO__API_KEY", "0123456789").env("SYNCD__STORE__URL", "sqlite://right.db");
    world.start(command).wait().expect_code(0);
}
