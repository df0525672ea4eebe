//! Data from an LMS are shown as text, whatever they contain, on a terminal and in JSON.

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, GeneratorConfig, Model, Mutation, SandboxConfig};
use serde_json::{Value, json};

use crate::database::Backend;
use crate::screen::{HOSTILE, OnTerminal, assert_harmless};
use crate::world::World;

/// A Kombo error with a message that quotes the connected tool.
fn refusal(status: u16) -> FaultKind {
    let error = json!({ "code": "INTEGRATION.TOOL", "title": HOSTILE, "message": HOSTILE, "log_url": null });
    FaultKind::Foreign {
        status,
        content_type: "application/json".to_owned(),
        body: json!({ "status": "error", "error": error }).to_string(),
    }
}

fn on_terminal(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    OnTerminal::start(world.command(arguments)).wait()
}

#[test]
fn a_terminal_is_given_text_only() {
    let generator = GeneratorConfig { users: 40, courses: 2, progressions: 10, ..GeneratorConfig::default() };
    let world = World::new(Backend::Sqlite, SandboxConfig { generator, ..SandboxConfig::default() });

    // A user with a hostile id, who is removed later, and one with a hostile name.
    let named = |value: &str| FaultKind::MalformedRecord { index: 0, field: "id".to_owned(), value: json!(value) };
    world.sandbox.inject(Fault::once(named(HOSTILE)).at(Endpoint::LmsUsers));
    world.sync();
    world.syncd(&["sync", "--full", "--endpoint", "users"]).expect_code(0);
    let user = world.sandbox.ids(FIRST_INTEGRATION, Model::Users).unwrap()[3];
    world.sandbox.mutate(FIRST_INTEGRATION, Mutation::silent(Model::Users, user, "first_name", HOSTILE)).unwrap();
    let changes = on_terminal(&world, &["changes"]);
    assert_harmless("changes", &changes.1);
    let changes = on_terminal(&world, &["changes", "--json"]);
    assert_harmless("changes in JSON", &changes.1);
    let mut changes = changes.1.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(changes.any(|change| change["record_id"] == HOSTILE), "nothing is lost of it");

    let verify = on_terminal(&world, &["verify", "--values"]);
    assert_eq!(verify.0, Some(3));
    assert_harmless("verify", &verify.1);
    let verify = on_terminal(&world, &["verify", "--values", "--json"]);
    assert_harmless("verify in JSON", &verify.1);
    assert!(serde_json::from_str::<Value>(&verify.1).unwrap()["differences"].to_string().contains("FORGED"));
    world.sandbox.inject(Fault::once(named(HOSTILE)).at(Endpoint::LmsUsers));
    assert_harmless("verify of an unknown record", &on_terminal(&world, &["verify"]).1);

    // A fetch that fails with a hostile reason, and an integration with a hostile name.
    world.sandbox.inject(Fault::always(refusal(400)).at(Endpoint::LmsUsers));
    let sync = on_terminal(&world, &["sync"]);
    assert_eq!(sync.0, Some(1));
    assert_harmless("sync", &sync.1);
    assert_harmless("verify that fails", &on_terminal(&world, &["verify"]).1);
    let sync = on_terminal(&world, &["sync", "--integration", HOSTILE]);
    assert_eq!(sync.0, Some(1));
    assert_harmless("sync of a hostile name", &sync.1);
    assert_harmless("pause", &on_terminal(&world, &["pause", HOSTILE]).1);

    // A record in quarantine: id, path and reason may contain hostile text.
    world.sandbox.clear_faults();
    let odd = FaultKind::MalformedRecord { index: 1, field: "first_name".to_owned(), value: json!([7]) };
    world.sandbox.inject(Fault::once(odd).at(Endpoint::LmsUsers));
    world.syncd(&["sync", "--full", "--integration", FIRST_INTEGRATION]).expect_code(0);
    world.database.execute(&format!(
        "UPDATE sync_quarantine SET record_id = '{HOSTILE}', path = '{HOSTILE}', reason = '{HOSTILE}'"
    ));
    for arguments in
        [&["status"][..], &["status", "--json"], &["quarantine", "list"], &["quarantine", "list", "--json"]]
    {
        let shown = on_terminal(&world, arguments);
        assert_eq!(shown.0, Some(0));
        assert_harmless(&arguments.join(" "), &shown.1);
    }
    let retry = on_terminal(&world, &["quarantine", "retry"]);
    assert_harmless("quarantine retry", &retry.1);

    world.sandbox.inject(Fault::always(refusal(401)));
    let check = on_terminal(&world, &["config", "check"]);
    assert_eq!(check.0, Some(1));
    assert_harmless("config check", &check.1);
    assert_harmless("sync with a rejected key", &on_terminal(&world, &["sync"]).1);
}
