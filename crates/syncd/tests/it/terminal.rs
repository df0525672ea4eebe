//! Output for people, on a terminal and in a pipe: lines that fit, and colours only if they are requested.

use std::process::Command;

use kombo_sandbox::{Endpoint, FIRST_INTEGRATION, Fault, FaultKind, SandboxConfig};
use serde_json::json;

use crate::database::Backend;
use crate::program::Finished;
use crate::world::World;

/// Maximum width of lines.
const WIDTH: usize = 100;

/// Runs the program on a terminal, with these environment variables.
fn on_a_terminal(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    world.write("syncd.toml", &world.configuration());
    let line = format!("{} {}", env!("CARGO_BIN_EXE_syncd"), arguments.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(world.folder());
    let variables = variables.iter().copied().chain([("TERM", "xterm-256color"), ("PATH", "/usr/bin:/bin")]);
    world.start(env_of(script, variables)).wait()
}

fn env_of<'a>(mut command: Command, variables: impl Iterator<Item = (&'a str, &'a str)>) -> Command {
    command.env_clear().envs(variables);
    command
}

/// Creates a store with a failed endpoint, a pending request and a record in quarantine.
fn troubled() -> World {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let broken = FaultKind::MalformedRecord { index: 0, field: "changed_at".to_owned(), value: json!("yesterday") };
    world.sandbox.inject(Fault::once(broken).at(Endpoint::LmsUsers));
    world.sandbox.inject(Fault::always(FaultKind::error(400, "PLATFORM.INPUT_INVALID")).at(Endpoint::LmsCourses));
    world.syncd(&["sync"]).expect_code(1);
    world
}

#[track_caller]
fn assert_fits(output: &str) {
    for line in output.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
        assert!(!line.contains(|c: char| c.is_control() && c != '\r'), "{line:?}");
    }
}

#[test]
fn status_fits_and_keeps_usual_ids_whole() {
    let world = troubled();
    let piped = world.syncd(&["status"]).expect_code(0).stdout;
    assert_fits(&piped);
    assert_eq!(piped.matches(FIRST_INTEGRATION).count(), 4, "as a row, failed, pending, in quarantine: {piped}");
    let shown = on_a_terminal(&world, &["status"], &[]).expect_code(0).stdout;
    assert_fits(&shown);
    assert_eq!(shown.lines().count(), piped.lines().count());
}

#[test]
fn status_fits_whatever_things_are_called() {
    let world = troubled();
    // Longer than a line, with characters that move the cursor, colour, and end lines.
    let long = format!("long-{}", "n".repeat(200));
    let hostile = "hostile \u{1b}[31m\u{1b}[2J\nnew line \u{9b}5A \t ".repeat(5);
    let set = |integration: &str, text: &str| {
        let known = ["sync_watermarks", "sync_requests", "sync_runs", "sync_quarantine"];
        let mut sql = known.map(|table| format!("UPDATE {table} SET integration_id = '{integration}'")).to_vec();
        sql.push(format!("UPDATE sync_integrations SET id = '{integration}', status = 'paused', reason = '{text}'"));
        sql.push(format!("UPDATE sync_watermarks SET reason = '{text}'"));
        sql.push(format!("UPDATE sync_quarantine SET record_id = '{text}', path = '{text}', reason = '{text}'"));
        world.database.execute(&format!("PRAGMA foreign_keys = OFF; {}", sql.join("; ")));
    };
    for (integration, text) in [(&long, &hostile), (&hostile, &long), (&long, &long), (&hostile, &hostile)] {
        set(integration, text);
        for finished in [world.syncd(&["status"]), on_a_terminal(&world, &["status"], &[])] {
            let shown = finished.expect_code(0).stdout;
            assert_fits(&shown);
            assert!(shown.contains("course-progressions") && shown.contains("In quarantine: 1"), "{shown}");
        }
    }
}

#[test]
fn no_color_is_honoured() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let is_coloured = |arguments: &[&str], value: &str| {
        let shown = on_a_terminal(&world, arguments, &[("NO_COLOR", value)]).stdout;
        assert!(!shown.is_empty(), "{arguments:?}");
        shown.split("\u{1b}[").skip(1).any(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';');
            end.is_some_and(|end| rest[end..].starts_with('m'))
        })
    };
    for arguments in [&["--help"][..], &["frobnicate"], &["sync", "--log", "debug"]] {
        assert!(is_coloured(arguments, ""), "{arguments:?}: an empty variable says nothing");
        assert!(!is_coloured(arguments, "1"), "{arguments:?}");
    }
}
