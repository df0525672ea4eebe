//! After the end of a command, the SQLite file alone is the whole database, and a copy of it is complete.

use std::process::Command;

use diesel::deserialize::QueryableByName;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use kombo_sandbox::{Endpoint, Fault, FaultKind, GeneratorConfig, SandboxConfig};
use tempfile::TempDir;

use crate::database::Backend;
use crate::program::{Running, wait_until};
use crate::world::World;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Copies only this file of the world's folder, and counts the rows of a table in the copy.
#[track_caller]
fn rows_in_the_file_alone(world: &World, file: &str, table: &str) -> i64 {
    let names = std::fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let beside: Vec<_> = names.filter(|name| name.to_str().unwrap().starts_with(&format!("{file}-"))).collect();
    assert!(beside.is_empty(), "{beside:?} were left beside {file}");
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::copy(world.folder().join(file), &copy).unwrap();
    let mut conn = SqliteConnection::establish(copy.to_str().unwrap()).unwrap();
    let count = diesel::sql_query(format!("SELECT count(*) AS n FROM {table}"));
    count.get_result::<Count>(&mut conn).unwrap().n
}

fn world(users: usize) -> World {
    let generator = GeneratorConfig { users, courses: 5, progressions: 20, ..GeneratorConfig::default() };
    World::new(Backend::Sqlite, SandboxConfig { generator, ..SandboxConfig::default() })
}

#[test]
fn after_each_command() {
    let world = world(30);
    world.syncd(&["migrate"]).expect_code(0);
    assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "lms_users"), 0);
    world.sync();
    assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "lms_users"), 30);
    let id = world.sandbox.integrations().remove(0);
    let commands = [
        &["status"][..],
        &["changes"],
        &["verify"],
        &["pause", &id],
        &["resume", &id],
        &["quarantine", "list"],
        &["quarantine", "retry"],
        &["deliveries"],
        &["config", "check"],
        &["sync", "--full"],
    ];
    for command in commands {
        world.syncd(command);
        assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "sync_integrations"), 1, "{command:?}");
    }
}

#[test]
fn after_the_demo() {
    let world = world(1);
    world.syncd(&["demo"]).expect_code(0);
    assert!(rows_in_the_file_alone(&world, "syncd-demo.db", "lms_users") >= 1_500);
}

#[test]
fn after_a_sync_that_fails() {
    let world = world(30);
    world.sandbox.inject(
        Fault::always(FaultKind::Error { status: 404, code: None, retry_after: None }).at(Endpoint::LmsCourses),
    );
    world.syncd(&["sync"]).expect_code(1);
    assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "lms_users"), 30);
}

/// The signal lets the current batch finish.
#[test]
fn after_signals_during_a_sync() {
    for signal in ["INT", "TERM", "HUP"] {
        let world = world(5_000);
        let hang = Fault::always(FaultKind::Delay { pause_ms: 600_000 });
        world.sandbox.inject(hang.at(Endpoint::LmsUsers).after(12));
        let process = world.spawn(&["sync"]);
        wait_until("the fetch is midway", || world.sandbox.request_count(Endpoint::LmsUsers) >= 12);
        process.signal(signal);
        process.wait().expect_code(1);
        assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "sync_integrations"), 1, "SIG{signal}");
        world.sandbox.clear_faults();
        world.sync();
        assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "lms_users"), 5_000);
    }
}

/// A command without a gentle stop ends at the first signal.
#[test]
fn after_a_signal_during_another_command() {
    for signal in ["TERM", "HUP"] {
        let world = world(30);
        world.sync();
        let process = spawn_a_waiting_verify(&world);
        process.signal(signal);
        process.wait().expect_code(130);
        assert_eq!(rows_in_the_file_alone(&world, "mirror.db", "lms_users"), 30, "SIG{signal}");
    }
}

/// `nohup` protects a command from the end of its terminal.
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let world = world(30);
    let hang = Fault::always(FaultKind::Delay { pause_ms: 600_000 });
    world.sandbox.inject(hang.at(Endpoint::LmsCourseProgressions));
    let syncd = world.command(&["sync"]);
    let mut nohup = Command::new("nohup");
    nohup.arg(syncd.get_program()).args(syncd.get_args()).current_dir(world.folder()).env_clear();
    let process = world.start(nohup);
    wait_until("it asks Kombo", || world.sandbox.request_count(Endpoint::LmsUsers) > 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    assert_eq!(u64::from_str_radix(ignored.trim(), 16).unwrap() & 1, 1, "{status}");
    process.signal("TERM");
    process.wait().expect_code(1);
}

/// Starts `verify`, which waits for Kombo.
fn spawn_a_waiting_verify(world: &World) -> Running {
    let hang = Fault::always(FaultKind::Delay { pause_ms: 600_000 });
    world.sandbox.inject(hang.at(Endpoint::LmsCourseProgressions));
    world.sandbox.clear_requests();
    let process = world.spawn(&["verify"]);
    wait_until("it asks Kombo", || world.sandbox.request_count(Endpoint::LmsUsers) > 0);
    process
}
