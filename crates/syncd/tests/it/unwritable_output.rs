//! Standard output and standard error that cannot be written: losing a result is a failure, losing anything else is
//! not.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::program::{Finished, wait_until};
use crate::world::World;

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A pipe with a closed reading end.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn run(world: &World, arguments: &[&str], to: [Stdio; 2]) -> Finished {
    world.start_to(world.command(arguments), to).wait()
}

/// Commands that print a result and succeed.
const COMMANDS: [&[&str]; 12] = [
    &["status"],
    &["status", "--json"],
    &["sync", "--json"],
    &["changes"],
    &["deliveries"],
    &["plan", "lms_users"],
    &["verify"],
    &["quarantine", "list"],
    &["config", "sample"],
    &["completions", "bash"],
    &["man"],
    &["--help"],
];

#[test]
fn a_result_that_is_lost_is_a_failure() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.sync();
    world.database.execute("UPDATE lms_users SET first_name = 'Edited', synced_at = '2020-01-01T00:00:00.000Z'");
    world.syncd(&["sync", "--full"]).expect_code(0);
    for arguments in COMMANDS {
        let errors = world.write("errors", "");
        let said = || std::fs::read_to_string(&errors).unwrap();
        run(&world, arguments, [full(), File::create(&errors).unwrap().into()]).expect_code(1);
        assert!(said().contains("could not be written to standard output: No space left"), "{arguments:?}: {}", said());
        // A closed pipe means that the reader has seen enough. Only `verify` cannot claim equality before its end.
        let code = if arguments == ["verify"] { 3 } else { 0 };
        run(&world, arguments, [closed(), File::create(&errors).unwrap().into()]).expect_code(code);
        let complaint: Vec<_> = said().lines().filter(|line| !line.starts_with('{')).map(str::to_owned).collect();
        assert_eq!(complaint, Vec::<String>::new(), "{arguments:?}");
    }
}

#[test]
fn errors_and_progress_that_are_lost_change_nothing() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    for to in [full, closed] {
        run(&world, &["sync", "--log", "trace"], [Stdio::null(), to()]).expect_code(0);
        run(&world, &["sync", "--integration", " "], [Stdio::null(), to()]).expect_code(2);
        run(&world, &["sync", "--log", "nothing"], [Stdio::null(), to()]).expect_code(2);
        run(&world, &["frobnicate"], [Stdio::null(), to()]).expect_code(2);
        run(&world, &["status"], [Stdio::null(), to()]).expect_code(0);
        run(&world, &["status", "--config", "none.toml"], [Stdio::null(), to()]).expect_code(2);
    }
}

#[test]
fn closed_streams_are_no_reason_to_end() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let line = |words: &str| {
        let usual = world.command(&[]);
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", &format!("exec {} {words}", usual.get_program().display())]);
        shell.current_dir(world.folder()).env_clear();
        world.start(shell).wait()
    };
    line("sync 2>&-").expect_code(0);
    line("sync >&- 2>&-").expect_code(0);
    line("status <&- >&- 2>&-").expect_code(0);
    line("frobnicate 2>&-").expect_code(2);
}

/// A failure sets the exit code, even if its report cannot be written.
#[test]
fn a_closed_pipe_hides_no_failure() {
    use kombo_sandbox::{Endpoint, Fault, FaultKind};
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.sandbox.inject(Fault::always(FaultKind::error(400, "PLATFORM.INPUT_INVALID")).at(Endpoint::LmsUsers));
    run(&world, &["sync"], [closed(), Stdio::null()]).expect_code(1);
}

/// A signal ends a command that waits for a reader, and the SQLite file alone is the whole database afterwards.
#[test]
fn a_reader_that_stops_does_not_delay_the_end() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // As much as a pipe holds.
    writer.write_all(&vec![b' '; 65_536]).unwrap();
    let errors = world.write("errors", "");
    let to = [writer.into(), File::create(&errors).unwrap().into()];
    let running = world.start_to(world.command(&["sync", "--log", "info"]), to);
    let said = || std::fs::read_to_string(&errors).unwrap();
    wait_until("everything is fetched", || said().matches("\"outcome\":\"completed\"").count() == 3);
    running.signal("TERM");
    running.wait().expect_code(130);
    let beside =
        std::fs::read_dir(world.folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let beside: Vec<_> = beside.filter(|name| name.ends_with("-wal")).collect();
    assert_eq!(beside, Vec::<String>::new());
}
