//! Rows of integrations that are not registered: the daemon warns of them, because no fetch changes them.

use kombo_sandbox::SandboxConfig;

use crate::database::Backend;
use crate::deployment::{Daemon, Place, world_for};
use crate::program::wait_until;

on_both_databases!(strays_are_reported);

fn strays_are_reported(backend: Backend) {
    let place = Place::new();
    let world = world_for(backend, SandboxConfig::default(), place);
    world.syncd(&["sync"]).expect_code(0);
    let schema = if backend == Backend::Sqlite { "" } else { "kombo." };
    for (integration, user) in [("nobody:1", "a"), ("nobody:1", "b"), ("nobody:2", "c")] {
        world.database.query(&format!(
            "INSERT INTO {schema}lms_users (integration_id, id, synced_at) \
             VALUES ('{integration}', '{user}', '2001-01-01T00:00:00.000Z')"
        ));
    }
    let daemon = Daemon::start(&world, place);
    let warning = |integration: &str, rows: u64| {
        let said = daemon.process.stderr_so_far();
        let of_it = said.lines().filter(|line| {
            line.contains("rows of an integration that is not registered")
                && line.contains(&format!("\"integration.id\":\"{integration}\""))
        });
        of_it
            .filter(|line| line.contains("\"table\":\"lms_users\"") && line.contains(&format!("\"rows\":{rows}")))
            .count()
    };
    wait_until("it warns of both", || warning("nobody:1", 2) == 1 && warning("nobody:2", 1) == 1);
    daemon.stop();
}
