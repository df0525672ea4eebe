//! External text cannot begin a log line, or control a terminal that shows it.

use kombo_sandbox::{SandboxConfig, WebhookMode};
use serde_json::{Value, json};

use crate::database::Backend;
use crate::deployment::{Daemon, Place, SECRET, post_webhook, world_for};
use crate::http;
use crate::program::wait_until;
use crate::screen::{HOSTILE, OnTerminal, assert_harmless};
use crate::world::World;

fn world(place: Place) -> World {
    let world = world_for(Backend::Sqlite, SandboxConfig::empty(), place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world
}

/// Sends webhooks with hostile text in everything that may be logged.
fn send(place: Place) {
    let data = json!({ "integration_id": HOSTILE, "integration_tool": HOSTILE, "integration_category": "LMS",
        "changed_models": [{ "name": "lms_users" }] });
    for body in [
        json!({ "id": format!("{HOSTILE} 1"), "type": HOSTILE, "data": {} }),
        json!({ "id": format!("{HOSTILE} 2"), "type": "data-changed", "data": 7 }),
        json!({ "id": format!("{HOSTILE} 3"), "type": "data-changed", "data": data }),
    ] {
        assert_eq!(post_webhook(place, SECRET, &body.to_string()).unwrap().status, 200);
    }
}

/// Waits until the integration with the hostile name is fetched, which fails.
fn wait_until_fetched(world: &World) {
    wait_until("the fetch failed", || {
        let ended =
            "SELECT id || '' AS value FROM sync_runs WHERE integration_id LIKE '%FORGED%' AND error IS NOT NULL";
        !world.database.query(ended).is_empty()
    });
}

#[test]
fn a_log_of_text_has_lines_of_its_own_only() {
    let place = Place::new();
    let world = world(place);
    let mut command = world.command(&["run"]);
    command.env("SYNCD__SERVER__WEBHOOKS", place.webhooks.to_string());
    command.env("SYNCD__SERVER__OPERATIONS", place.operations.to_string());
    let daemon = OnTerminal::start(command);
    wait_until("the daemon is ready", || {
        http::get(place.operations, "/readyz").is_ok_and(|answer| answer.status == 200)
    });
    send(place);
    wait_until_fetched(&world);
    let kill = format!("kill -TERM {}", daemon.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0), "{log}");
    assert_harmless("the log", &log);
    for words in ["webhook.id", "webhook.kind", "a webhook has an unknown shape", "run ended"] {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn a_log_of_json_has_lines_of_its_own_only() {
    let place = Place::new();
    let world = world(place);
    let daemon = Daemon::start(&world, place);
    send(place);
    wait_until_fetched(&world);
    let log = daemon.stop().stderr;
    assert_harmless("the log", &log);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is a document")).collect();
    assert!(lines.iter().any(|line| line["webhook.kind"] == HOSTILE), "nothing is lost of it: {log}");
    assert!(lines.iter().any(|line| line["integration.id"] == HOSTILE), "nothing is lost of it: {log}");
}
