//! A log that cannot be written neither delays nor prevents any work.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use kombo_sandbox::{FIRST_INTEGRATION, SandboxConfig};

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, data_changed, world_for};
use crate::http;
use crate::program::wait_until;

/// Lets a daemon do all of its work with this standard error.
fn works_with(stderr: Stdio, loses_lines: bool) {
    let place = Place::new();
    let world = world_for(Backend::Sqlite, SandboxConfig::default(), place);
    let mut daemon = Daemon::launch_to(&world, place, stderr);
    wait_until("it is ready", || {
        assert!(daemon.process.is_running(), "it ended");
        daemon.is_ready()
    });
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    for number in 0..300 {
        let body = data_changed(&format!("webhook {number}"), FIRST_INTEGRATION, &["lms_users"]);
        assert_eq!(daemon.webhook(&body).status, 200);
        assert_eq!(http::get(place.operations, "/healthz").unwrap().status, 200);
    }
    look.assert_faithful_in_the_end(&world);
    // The rejection of a webhook is logged as well.
    assert_eq!(http::post(place.webhooks, "/webhooks/kombo", &[], b"{}").unwrap().status, 401);
    let dropped = daemon.metric("syncd_log_lines_dropped_total", "").expect("it is there from the start");
    assert!(!loses_lines || dropped > 0.0, "{dropped}");
    daemon.stop();
}

#[test]
fn a_pipe_whose_reader_is_gone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    works_with(writer.into(), true);
}

#[test]
fn a_pipe_whose_reader_does_not_read() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // As much as a pipe holds.
    writer.write_all(&vec![b'x'; 65_536]).unwrap();
    works_with(writer.into(), false);
}

#[test]
fn a_device_that_is_full() {
    works_with(File::options().write(true).open("/dev/full").unwrap().into(), true);
}
