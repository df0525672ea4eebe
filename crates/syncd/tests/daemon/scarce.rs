//! A file system that is full, and one that is read-only: the daemon reports it, loses nothing that it acknowledged,
//! and continues on its own.
//!
//! A small file system is mounted for each test, which requires root. Without it, these tests report that they were
//! skipped.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use kombo_sandbox::{GeneratorConfig, SandboxConfig, WebhookMode};
use tempfile::TempDir;

use crate::database::{Backend, Database};
use crate::deployment::{Daemon, Look, Place, SECRET, change, post_webhook, world_for};
use crate::program::wait_until;
use crate::world::World;

/// A file system in memory, unmounted at the end.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Returns `None` if mounting is not permitted.
    fn mount(mib: usize) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={mib}m,mode=0777");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(folder.path()).output();
        if mounted.as_ref().is_ok_and(|it| it.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: no file system may be mounted here: {mounted:?}");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills the free space.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
    }

    /// Frees the space again.
    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that open files stay usable until their processes end.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn world(backend: Backend, place: Place) -> World {
    let generator = GeneratorConfig { users: 20, courses: 8, progressions: 40, ..GeneratorConfig::default() };
    let config = SandboxConfig { integrations: 2, generator, ..SandboxConfig::default() };
    let world = world_for(backend, config, place);
    world.sandbox.configure_webhooks(|hooks| hooks.data_changed = WebhookMode::Off);
    world
}

/// Changes Kombo and sends a webhook. Returns the answer, or `None` if there was none.
struct Notifier<'a> {
    world: &'a World,
    place: Place,
    notified: usize,
    taken: Vec<String>,
}

impl Notifier<'_> {
    fn notify(&mut self) -> Option<u16> {
        let integrations = self.world.sandbox.integrations();
        let body = change(self.world, &integrations[self.notified % integrations.len()], self.notified);
        let status = post_webhook(self.place, SECRET, &body).ok().map(|answer| answer.status);
        if status == Some(200) {
            self.taken.push(format!("webhook-{}", self.notified));
        }
        self.notified += 1;
        status
    }

    fn assert_none_is_lost(&self) {
        let stored = self.world.database.query("SELECT id AS value FROM sync_webhook_events");
        for id in &self.taken {
            assert!(stored.contains(id), "{id} was answered with 200, and is not stored");
        }
    }
}

/// Requirements on both databases with a full disk.
fn goes_on_after_the_disk_was_full(world: &World, place: Place, disk: &SmallDisk) {
    let mut daemon = Daemon::start(world, place);
    let look = Look::new(world);
    look.wait_until_loaded(world);
    let mut notifier = Notifier { world, place, notified: 0, taken: Vec::new() };
    for round in 0..2 {
        disk.fill();
        wait_until("a webhook is turned away", || match notifier.notify() {
            Some(200) => false,
            Some(503) => true,
            other => panic!("neither taken nor turned away to come again: {other:?}"),
        });
        // It stays full, and reading still works.
        for _ in 0..20 {
            let status = notifier.notify();
            assert!(matches!(status, Some(200 | 503)), "{status:?}");
        }
        assert!(daemon.process.is_running(), "a full disk is not its end");
        wait_until("it says that it is not ready", || {
            notifier.notify();
            daemon.readyz().is_some_and(|it| it.status == 503 && it.text.contains("cannot be written to"))
        });
        notifier.assert_none_is_lost();

        disk.free();
        let began = Instant::now();
        wait_until("webhooks are taken", || notifier.notify() == Some(200));
        wait_until("it is ready", || daemon.is_ready());
        eprintln!("round {round}: webhooks were taken {:?} after there was room again", began.elapsed());
        // One webhook for each integration and model covers all changes without one.
        for _ in 0..14 {
            assert_eq!(notifier.notify(), Some(200));
        }
        look.assert_faithful_in_the_end(world);
        notifier.assert_none_is_lost();
    }
    eprintln!("{} of {} webhooks were taken", notifier.taken.len(), notifier.notified);
    let log = daemon.stop().stderr;
    assert!(log.contains("full") || log.contains("No space left"), "the log says why");
}

#[test]
fn sqlite_on_a_disk_that_fills_up() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let place = Place::new();
    let mut world = world(Backend::Sqlite, place);
    let file = disk.path().join("mirror.db");
    world.set("store.url", &format!("sqlite://{}", file.display()));
    world.database = Database::Sqlite(file);
    goes_on_after_the_disk_was_full(&world, place, &disk);
}

#[test]
fn postgres_on_a_disk_that_fills_up() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let place = Place::new();
    let mut world = world(Backend::OwnPostgres, place);
    let tablespace = disk.path().join("tablespace");
    fs::create_dir(&tablespace).unwrap();
    let server = fs::metadata(world.database.server().folder()).unwrap();
    chown(&tablespace, Some(std::os::unix::fs::MetadataExt::uid(&server)), None).unwrap();
    let statements = [
        format!("CREATE TABLESPACE small LOCATION '{}'", tablespace.display()),
        "CREATE DATABASE on_a_small_disk TEMPLATE template0 TABLESPACE small".to_owned(),
    ];
    world.database.move_to("on_a_small_disk", &statements);
    world.set("store.url", &world.database.url());
    goes_on_after_the_disk_was_full(&world, place, &disk);
}

#[test]
fn a_log_on_a_disk_that_fills_up() {
    let Some(disk) = SmallDisk::mount(1) else { return };
    let place = Place::new();
    let world = world(Backend::Sqlite, place);
    let file = disk.path().join("syncd.log");
    let log = || fs::read_to_string(&file).unwrap();
    let mut daemon =
        Daemon::launch_to(&world, place, File::options().create(true).append(true).open(&file).unwrap().into());
    wait_until("it is ready", || daemon.is_ready());
    let look = Look::new(&world);
    look.wait_until_loaded(&world);
    let mut notifier = Notifier { world: &world, place, notified: 0, taken: Vec::new() };
    disk.fill();
    wait_until("a line is lost", || {
        assert_eq!(notifier.notify(), Some(200));
        daemon.metric("syncd_log_lines_dropped_total", "") > Some(0.0)
    });
    assert!(daemon.is_ready());
    disk.free();
    wait_until("the log says that lines are missing", || {
        assert_eq!(notifier.notify(), Some(200));
        log().contains("log lines before this one were dropped")
    });
    look.assert_faithful_in_the_end(&world);
    assert!(daemon.process.is_running());
    daemon.stop();
    let log = log();
    let torn = log.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).count();
    assert!(torn <= 1, "all lines are whole but the one that did not fit: {log}");
    notifier.assert_none_is_lost();
}

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

/// Returns a command under a user with limited permissions, unlike root. `None` if that is not possible.
fn as_nobody(world: &World, program: &Path, arguments: &[&str]) -> Option<Command> {
    let probe = Command::new("setpriv").args(["--reuid", "65534", "--clear-groups", "--", "true"]).output();
    if !probe.as_ref().is_ok_and(|it| it.status.success()) {
        eprintln!("SKIPPED: no process may be another user's here: {probe:?}");
        return None;
    }
    let usual = world.command(&["run"]);
    fs::set_permissions(world.folder(), Permissions::from_mode(0o755)).unwrap();
    if !program.exists() {
        fs::copy(usual.get_program(), program).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program).args(arguments);
    command.current_dir(world.folder()).env_clear();
    Some(command)
}

#[test]
fn the_check_of_a_file_that_may_only_be_read_fails() {
    let place = Place::new();
    let mut world = world(Backend::Sqlite, place);
    let program = world.folder().join("syncd-of-nobody");
    if as_nobody(&world, &program, &["status"]).is_none() {
        return;
    }
    let folder = world.folder().join("data");
    fs::create_dir(&folder).unwrap();
    world.set("store.url", &format!("sqlite://{}", folder.join("mirror.db").display()));
    let check = |code: i32| {
        let command = as_nobody(&world, &program, &["config", "check"]).unwrap();
        world.start(command).wait().expect_code(code).stdout
    };
    // A folder of another user, without a file and with one.
    let said = check(1);
    assert!(said.contains("FAILED  store: store.url: no file can be made in"), "{said}");
    world.syncd(&["migrate"]).expect_code(0);
    let said = check(1);
    assert!(said.contains("FAILED  store: store.url") && said.contains("needs to write to the file"), "{said}");
    for entry in fs::read_dir(&folder).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), None).unwrap();
    }
    chown(&folder, Some(NOBODY), None).unwrap();
    assert!(check(0).contains("can be written to"));
    let daemon = Daemon::launch_as(&world, place, as_nobody(&world, &program, &["run"]).unwrap());
    wait_until("it is ready", || daemon.is_ready());
    for entry in fs::read_dir(&folder).unwrap() {
        chown(entry.unwrap().path(), Some(0), None).unwrap();
    }
    wait_until("it says that it is not ready", || {
        daemon.readyz().is_some_and(|it| it.status == 503 && it.text.contains("cannot be written to"))
    });
    for entry in fs::read_dir(&folder).unwrap() {
        chown(entry.unwrap().path(), Some(NOBODY), None).unwrap();
    }
    wait_until("it is ready again", || daemon.is_ready());
    daemon.stop();
}

#[test]
fn sqlite_in_a_folder_that_may_not_be_written_to() {
    let place = Place::new();
    let mut world = world(Backend::Sqlite, place);
    let program = world.folder().join("syncd-of-nobody");
    if as_nobody(&world, &program, &["run"]).is_none() {
        return;
    }
    let folder = world.folder().join("data");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), None).unwrap();
    let file = folder.join("mirror.db");
    world.set("store.url", &format!("sqlite://{}", file.display()));
    world.database = Database::Sqlite(file.clone());
    let allow = |mode: u32, of_the_file: u32| {
        for name in ["mirror.db", "mirror.db-wal", "mirror.db-shm"] {
            let path = folder.join(name);
            if path.exists() {
                fs::set_permissions(path, Permissions::from_mode(of_the_file)).unwrap();
            }
        }
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    };

    // From the start: it reports the problem, and writes nothing.
    allow(0o500, 0o400);
    let refused = Daemon::launch_as(&world, place, as_nobody(&world, &program, &["run"]).unwrap());
    let why = refused.process.wait().expect_code(1).complaint();
    assert!(why.contains("store.url") && why.contains("mirror.db") && why.contains("may be written to"), "{why}");
    assert!(!file.exists());

    // While it works.
    allow(0o700, 0o600);
    let mut daemon = Daemon::launch_as(&world, place, as_nobody(&world, &program, &["run"]).unwrap());
    wait_until("it is ready", || daemon.is_ready());
    let mut notifier = Notifier { world: &world, place, notified: 0, taken: Vec::new() };
    assert_eq!(notifier.notify(), Some(200));
    for (mode, of_the_file) in [(0o500, 0o400), (0o000, 0o000)] {
        allow(mode, of_the_file);
        for _ in 0..30 {
            let status = notifier.notify();
            assert!(matches!(status, Some(200 | 503)), "{status:?}");
        }
        assert!(daemon.process.is_running());
        allow(0o700, 0o600);
        wait_until("it is ready", || daemon.is_ready());
        for _ in 0..14 {
            wait_until("webhooks are taken", || notifier.notify() == Some(200));
        }
        let look = Look::new(&world);
        look.assert_faithful_in_the_end(&world);
        notifier.assert_none_is_lost();
    }

    // A read-only file from the start. Whether it can be opened depends on the files next to it.
    daemon.stop();
    allow(0o500, 0o400);
    let mut daemon = Daemon::launch_as(&world, place, as_nobody(&world, &program, &["run"]).unwrap());
    wait_until("it has ended or started", || {
        !daemon.process.is_running() || daemon.readyz().is_some_and(|answer| !answer.text.contains("starting"))
    });
    let answer = if daemon.process.is_running() { Some(503) } else { None };
    assert_eq!(notifier.notify(), answer);
    let said = daemon.kill().stderr;
    assert!(said.contains("store.url") || said.contains("readonly database"), "{said}");
    allow(0o700, 0o600);
    notifier.assert_none_is_lost();
    eprintln!("{} of {} webhooks were taken", notifier.taken.len(), notifier.notified);
}
