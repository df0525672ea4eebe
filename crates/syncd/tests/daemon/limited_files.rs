//! Files with a size limit of the process: a write beyond it fails, and must not end the daemon.

use std::process::Command;

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::program::wait_until;
use crate::world::World;

/// Returns a daemon's command that limits all its files to a number of blocks of 512 bytes, until the limit is lifted.
fn limited(world: &World, blocks: u32) -> Command {
    let usual = world.command(&["run"]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -S -f {blocks}; exec \"$0\" \"$@\"")]);
    command.arg(usual.get_program()).args(usual.get_args()).current_dir(world.folder()).env_clear();
    command
}

#[test]
fn a_log_at_its_limit_stops_nothing() {
    let place = Place::new();
    let world = world_for(Backend::OwnPostgres, SandboxConfig::default(), place);
    world.syncd(&["migrate"]).expect_code(0);
    let mut daemon = Daemon::launch_as(&world, place, limited(&world, 8));
    wait_until("it is ready", || daemon.is_ready());
    Look::new(&world).wait_until_loaded(&world);
    for number in 0..50 {
        let body = data_changed(&format!("webhook {number}"), FIRST_INTEGRATION, &["lms_users"]);
        assert_eq!(daemon.webhook(&body).status, 200);
    }
    assert_eq!(daemon.process.stderr_so_far().len(), 4_096, "the log is full");
    assert!(daemon.process.is_running());
    daemon.process.kill();
}

#[test]
fn a_database_at_its_limit_is_waited_for() {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    world.syncd(&["migrate"]).expect_code(0);
    // Enough for the start, but not for the first load.
    let mut daemon = Daemon::launch_as(&world, place, limited(&world, 1_000));
    wait_until("the limit is met", || {
        daemon.process.stderr_so_far().contains("disk I/O error")
            || daemon.process.stderr_so_far().contains("database or disk is full")
    });
    assert!(daemon.process.is_running(), "{}", daemon.process.stderr_so_far());
    let lift = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &daemon.process.id().to_string()]).status();
    assert!(lift.unwrap().success());
    wait_until("it is ready", || daemon.is_ready());
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    look.assert_faithful_in_the_end(&world);
    daemon.stop();
}
