//! `config check` reports problems, and leaves everything unchanged.

use kombo_sandbox::{FIRST_INTEGRATION, Fault, FaultKind, SandboxConfig};

use crate::database::{Backend, Database};
use crate::mirror::snapshot;
use crate::world::World;

on_both_databases!(checking_changes_nothing, what_does_not_work_is_reported);

fn checking_changes_nothing(backend: Backend) {
    let mut world = World::new(backend, SandboxConfig::default());
    let check = world.syncd(&["config", "check", "--json"]).expect_code(1).json();
    assert_eq!(check["ok"], false, "there is no secret of webhooks");
    world.set("kombo.webhook_secret", "a secret");
    let check = world.syncd(&["config", "check", "--json"]).expect_code(0).json();
    assert_eq!(check["ok"], true);
    assert_eq!(check["checks"].as_array().unwrap().len(), 6, "{check}");
    assert_eq!(std::fs::read_dir(world.folder()).unwrap().filter(|it| !is_output(it)).count(), 1, "the configuration");
    match &world.database {
        Database::Sqlite(path) => assert!(!path.exists(), "no file was made"),
        Database::Postgres(database) => {
            let made = "SELECT count(*) FROM pg_namespace WHERE nspname = 'kombo'";
            assert_eq!(database.execute(made).unwrap(), "0", "no schema was made");
        }
    }

    world.sync();
    let everything = |world: &World| {
        let state =
            world.read(|tx| Ok((tx.endpoints(None)?, tx.requests()?, tx.integrations()?, tx.runs(None, None, 99)?)));
        (snapshot(world), state)
    };
    let before = everything(&world);
    world.sandbox.clear_requests();
    world.syncd(&["config", "check"]).expect_code(0);
    assert!(everything(&world) == before, "nothing is written");
    assert!(world.sandbox.requests().iter().all(|request| !request.path.contains("/lms/")), "no record is fetched");
}

/// The test harness puts the output of processes into the folder.
fn is_output(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("output-")
}

fn what_does_not_work_is_reported(backend: Backend) {
    let world = World::new(backend, SandboxConfig::default());
    world.sandbox.remove_integration(FIRST_INTEGRATION).unwrap();
    let check = world.syncd(&["config", "check"]).expect_code(1);
    assert!(check.stdout.contains(&format!("FAILED  integration {FIRST_INTEGRATION}")), "{}", check.stdout);
    assert!(check.stdout.contains("ok      store"), "{}", check.stdout);

    world.sandbox.inject(Fault::always(FaultKind::error(401, "PLATFORM.AUTHENTICATION_INVALID")));
    let check = world.syncd(&["config", "check", "--json"]).expect_code(1);
    let checks = check.json()["checks"].clone();
    let key = checks.as_array().unwrap().iter().find(|check| check["check"] == "kombo.api_key").unwrap().clone();
    assert_eq!(key["ok"], false);
    assert!(key["message"].as_str().unwrap().contains("kombo.api_key"), "{key}");
    assert_eq!(check.complaint().lines().count(), 1, "{}", check.stderr);
}
