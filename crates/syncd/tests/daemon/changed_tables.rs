//! Tables that an administrator changed: `run`, `sync`, `config check` and `/readyz` report the difference and the
//! remedy.

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::deployment::{Daemon, Look, Place, world_for};
use crate::program::wait_until;

on_both_databases!(changed_tables_are_named);

fn changed_tables_are_named(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig::default(), place);
    world.syncd(&["migrate"]).expect_code(0);
    let schema = if backend == Backend::Sqlite { "" } else { "kombo." };
    let rename = |from: &str, to: &str| {
        world.database.query(&format!("ALTER TABLE {schema}lms_users RENAME COLUMN {from} TO {to}"));
    };
    let words = "lms_users has no column work_email: rename it back";
    rename("work_email", "mail");
    let check = world.syncd(&["config", "check"]).expect_code(1).stdout;
    assert!(check.contains(&format!("FAILED  store: {words}")), "{check}");
    for command in ["run", "sync"] {
        let refused = world.syncd(&[command]).expect_code(1);
        assert!(refused.complaint().contains(words), "{command}: {}", refused.stderr);
    }

    rename("mail", "work_email");
    let daemon = Daemon::start(&world, place);
    Look::new(&world).wait_until_loaded(&world);
    wait_until("it is ready", || daemon.is_ready());
    rename("work_email", "mail");
    wait_until("it is not ready", || {
        daemon.readyz().is_some_and(|answer| answer.status == 503 && answer.text.contains(words))
    });
    rename("mail", "work_email");
    wait_until("it is ready again", || daemon.is_ready());
    daemon.stop();
}
