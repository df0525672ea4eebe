//! The SQLite file of a running daemon is replaced or deleted. No webhook is answered with 200 and lost, and the daemon
//! continues with the present file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use kombo_sandbox::{GeneratorConfig, Latency, SandboxConfig, WebhookMode};

use crate::database::{Backend, Database};
use crate::deployment::{Daemon, Look, Place, SECRET, change, post_webhook, world_for};
use crate::program::wait_until;
use crate::world::World;

fn world(place: Place, latency: Latency) -> World {
    let generator = GeneratorConfig { users: 60, courses: 8, progressions: 40, ..GeneratorConfig::default() };
    let world = world_for(Backend::Sqlite, SandboxConfig { generator, latency, ..SandboxConfig::default() }, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world
}

fn file_of(world: &World) -> PathBuf {
    let Database::Sqlite(path) = &world.database else { panic!("a file") };
    path.clone()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        fs::remove_file(path).unwrap();
    }
}

fn wait_until_loaded(world: &World) {
    let count = |sql: &str| world.database.query(&format!("SELECT count(*) || '' AS value FROM {sql}")).remove(0);
    wait_until("everything is loaded", || {
        count("sync_watermarks WHERE loaded_at IS NOT NULL") == "3" && count("sync_requests") == "0"
    });
}

/// Sends webhooks until one is accepted and the daemon is ready. Returns the ids of the accepted ones.
fn tell(world: &World, daemon: &Daemon, first: usize) -> Vec<String> {
    let integration = world.sandbox.integrations().remove(0);
    let (mut number, mut taken) = (first, Vec::new());
    wait_until("webhooks are taken again", || {
        let body = change(world, &integration, number);
        match post_webhook(daemon.place, SECRET, &body).unwrap().status {
            200 => taken.push(format!("webhook-{number}")),
            503 => {}
            other => panic!("{other}"),
        }
        number += 1;
        taken.len() >= 14 && daemon.is_ready()
    });
    taken
}

fn goes_on_with_the_other_file(replace: impl FnOnce(&World, &Daemon, &Path, &Path)) {
    let place = Place::new();
    let world = world(place, Latency::default());
    let daemon = Daemon::start(&world, place);
    wait_until_loaded(&world);
    let (file, backup) = (file_of(&world), world.folder().join("backup.db"));
    world.database.query(&format!("VACUUM INTO '{}'", backup.display()));
    tell(&world, &daemon, 0);
    replace(&world, &daemon, &file, &backup);
    let taken = tell(&world, &daemon, 1_000);
    let stored = world.database.query("SELECT id AS value FROM sync_webhook_events");
    for id in &taken {
        assert!(stored.contains(id), "{id} was answered with 200, and is not stored");
    }
    assert!(!stored.contains(&"webhook-0".to_owned()), "it is the backup");
    assert_eq!(world.database.query("SELECT integrity_check AS value FROM pragma_integrity_check"), ["ok"]);
    Look::new(&world).assert_faithful_in_the_end(&world);
    let said = daemon.stop().stderr;
    assert_eq!(said.matches("is not used until a complete file is in place").count(), 1, "{said}");
    assert_eq!(said.matches("was reopened").count(), 1, "{said}");
}

#[test]
fn a_backup_is_moved_over_it() {
    goes_on_with_the_other_file(|_, _, file, backup| fs::rename(backup, file).unwrap());
}

#[test]
fn a_backup_is_put_in_the_place_of_all_files() {
    goes_on_with_the_other_file(|_, _, file, backup| {
        remove(&[beside(file, "-wal"), beside(file, "-shm"), file.to_owned()]);
        fs::copy(backup, file).unwrap();
    });
}

#[test]
fn a_backup_is_written_over_it() {
    goes_on_with_the_other_file(|_, _, file, backup| {
        remove(&[beside(file, "-wal"), beside(file, "-shm")]);
        fs::copy(backup, file).unwrap();
    });
}

#[test]
fn it_is_deleted_and_put_back_later() {
    goes_on_with_the_other_file(|_, daemon, file, backup| {
        remove(&[beside(file, "-wal"), beside(file, "-shm"), file.to_owned()]);
        let body = crate::deployment::data_changed("while it is gone", "sandbox:a", &["lms_users"]);
        for _ in 0..4 {
            assert_eq!(daemon.webhook(&body).status, 503);
        }
        let readyz = daemon.readyz().unwrap();
        assert!(readyz.status == 503 && readyz.text.contains("mirror.db is gone"), "{readyz:?}");
        fs::rename(backup, file).unwrap();
    });
}

#[test]
fn it_is_cut_off_and_replaced_later() {
    goes_on_with_the_other_file(|_, daemon, file, backup| {
        File::options().write(true).truncate(true).open(file).unwrap();
        let body = crate::deployment::data_changed("while it is empty", "sandbox:a", &["lms_users"]);
        assert_eq!(daemon.webhook(&body).status, 503);
        assert_eq!(daemon.readyz().unwrap().status, 503);
        remove(&[beside(file, "-wal"), beside(file, "-shm")]);
        fs::rename(backup, file).unwrap();
    });
}

#[test]
fn its_log_is_deleted() {
    let place = Place::new();
    let world = world(place, Latency::default());
    let daemon = Daemon::start(&world, place);
    wait_until_loaded(&world);
    // The content of the write-ahead log is lost. The remaining file is the database from now on, here an empty one.
    remove(&[beside(&file_of(&world), "-wal"), beside(&file_of(&world), "-shm")]);
    let taken = tell(&world, &daemon, 0);
    let stored = world.database.query("SELECT id AS value FROM sync_webhook_events");
    assert!(taken.iter().all(|id| stored.contains(id)), "{taken:?}, {stored:?}");
    daemon.stop();
}

#[test]
fn it_is_replaced_during_a_fetch() {
    let place = Place::new();
    let mut world = world(place, Latency { fixed_ms: 30, jitter_ms: 0 });
    world.set_toml("kombo.page_size", "2");
    world.syncd(&["migrate"]).expect_code(0);
    let (file, backup) = (file_of(&world), world.folder().join("backup.db"));
    world.database.query(&format!("VACUUM INTO '{}'", backup.display()));
    let daemon = Daemon::start(&world, place);
    wait_until("the first load is midway", || {
        world.database.query("SELECT count(*) || '' AS value FROM lms_users").remove(0).parse::<usize>().unwrap() >= 4
    });
    fs::rename(&backup, &file).unwrap();
    wait_until("it goes on", || {
        let said = daemon.process.stderr_so_far();
        said.contains("was reopened") && daemon.is_ready()
    });
    wait_until_loaded(&world);
    Look::new(&world).assert_faithful_in_the_end(&world);
    daemon.stop();
}
