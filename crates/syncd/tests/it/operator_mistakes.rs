//! Mistyped or forgotten input is reported, and leaves nothing behind.

use std::process::Stdio;

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig};

use crate::database::Backend;
use crate::world::World;

#[test]
fn a_mistyped_integration_is_not_registered() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    let refused = world.syncd(&["sync", "--integration", "nope:1"]).expect_code(1);
    let complaint = refused.complaint();
    assert!(
        complaint.contains("--integration nope:1") && complaint.contains("check the integration's id"),
        "{complaint}"
    );
    world.sync();
    assert_eq!(world.read(|tx| tx.integrations()).len(), 1);
}

#[test]
fn a_paused_integration_is_named() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.sync();
    world.syncd(&["pause", FIRST_INTEGRATION]).expect_code(0);
    let again = world.syncd(&["pause", FIRST_INTEGRATION]).expect_code(0);
    assert!(again.stdout.contains("it was paused already."), "{}", again.stdout);
    for arguments in [["sync"].as_slice(), &["sync", "--full"]] {
        let complaint = world.syncd(arguments).expect_code(2).complaint();
        assert!(complaint.contains(&format!("{FIRST_INTEGRATION} is paused: `syncd resume")), "{complaint}");
    }
    world.syncd(&["sync", "--integration", FIRST_INTEGRATION]).expect_code(0);
    world.syncd(&["resume", FIRST_INTEGRATION]).expect_code(0);
    let again = world.syncd(&["resume", FIRST_INTEGRATION]).expect_code(0);
    assert!(again.stdout.contains("it was not paused."), "{}", again.stdout);
}

/// A reader that closes the pipe early is not an error.
#[test]
fn a_reader_that_went_away_is_no_error() {
    let world = World::new(Backend::Sqlite, SandboxConfig::default());
    world.sync();
    for arguments in [["status", "--json"], ["changes", "--json"]] {
        let mut syncd = world.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(syncd.stdout.take());
        let ended = syncd.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && said.is_empty(), "{arguments:?}: {} {said}", ended.status);
    }
}
