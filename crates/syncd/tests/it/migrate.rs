//! The tables: made once, whoever comes first.

use kombo_sandbox::SandboxConfig;
use serde_json::json;
use sync_core::mirror::Model;

use crate::database::{Backend, Database};
use crate::program::Running;
use crate::world::World;

on_both_databases!(
    migrating_twice_does_nothing_the_second_time,
    several_processes_migrate_at_once,
    tables_of_a_newer_version_are_left_alone,
    commands_that_need_tables_ask_for_them,
);

fn world(backend: Backend) -> World {
    World::new(backend, SandboxConfig::empty())
}

fn migrating_twice_does_nothing_the_second_time(backend: Backend) {
    let world = world(backend);
    let first = world.syncd(&["migrate", "--json"]).expect_code(0).json();
    assert!(first["migrations"].as_array().unwrap().len() >= 2, "{first}");
    let second = world.syncd(&["migrate", "--json"]).expect_code(0).json();
    assert_eq!(second["migrations"], json!([]));
    let third = world.syncd(&["migrate"]).expect_code(0);
    assert!(third.stdout.contains("up to date"), "{}", third.stdout);
    for model in Model::ALL {
        assert_eq!(crate::mirror::rows(&world, &"any:thing".into(), model), []);
    }
}

fn several_processes_migrate_at_once(backend: Backend) {
    let world = world(backend);
    let processes: Vec<Running> = (0..6).map(|_| world.spawn(&["migrate", "--json"])).collect();
    for process in processes {
        process.wait().expect_code(0);
    }
    assert_eq!(world.syncd(&["migrate", "--json"]).expect_code(0).json()["migrations"], json!([]));
    world.sync();
}

fn tables_of_a_newer_version_are_left_alone(backend: Backend) {
    let world = world(backend);
    world.sync();
    world.database.execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000001')");
    for arguments in [&["sync"][..], &["status"], &["migrate"], &["sync", "--no-migrate"]] {
        let refused = world.syncd(arguments).expect_code(1);
        let complaint = refused.complaint();
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        for words in ["newer than this program", "99991231000001", "upgrade syncd"] {
            assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        }
        assert_eq!(refused.stdout, "");
    }
    let check = world.syncd(&["config", "check"]).expect_code(1);
    assert!(check.stdout.contains("upgrade syncd"), "{}", check.stdout);
}

fn commands_that_need_tables_ask_for_them(backend: Backend) {
    let world = world(backend);
    for arguments in [&["status"][..], &["sync", "--no-migrate"], &["changes"]] {
        let complaint = world.syncd(arguments).expect_code(1).complaint();
        assert!(complaint.contains("syncd migrate"), "{arguments:?}: {complaint}");
    }
    if let Database::Sqlite(path) = &world.database {
        assert!(!path.exists(), "no file was made");
    }
}
