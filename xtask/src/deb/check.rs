use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{add_papers, package, service};
use crate::bench::{Connection, Process, free_port};
use crate::install;
use crate::process::{build_programs, is_there, output, run, target_folder};

const INTEGRATION: &str = "sandbox:7C9M5sXAQx2cNMpVHLojrFpL";
const CONFIGURATION: &str = "/etc/syncd/syncd.toml";
const SECRETS: [(&str, &str); 2] = [("/etc/syncd/kombo.key", "sandbox-key"), ("/etc/syncd/webhook.secret", "secret")];
const DATA: &str = "/var/lib/syncd/syncd.db";
const PROGRAM: &str = "/usr/bin/syncd";
const UNIT: &str = "syncd.service";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/syncd.service";

/// Maximum time to wait for a condition.
const PATIENCE: Duration = Duration::from_secs(60);

/// Installs the package of a quick build, runs it like its systemd unit, upgrades, removes and purges it.
pub(crate) fn check() -> Result<bool> {
    refuse_if_there_is_one()?;
    let (first, second) = packages()?;
    let mut machine = Machine { had_user: has_user(), daemon: None };

    heading("installed");
    apt(&["install", path(&first)?])?;
    let unit = installed_as_described(&first)?;
    let refused = syncd(&["config", "check"]).output()?;
    ensure!(refused.status.code() == Some(2), "without a configuration it says what is missing: {refused:?}");

    heading("configured and started");
    let sandbox = Sandbox::start()?;
    let operations = free_port()?;
    let configuration = configure(sandbox.port, operations)?;
    machine.daemon = Some(Process(service::command(&unit)?.stdin(Stdio::null()).spawn().context("start the service")?));
    until("it is ready", || Ok(is_ready(operations)))?;
    until("everything is loaded", is_loaded)?;
    run(&mut syncd(&["status"]))?;
    let data = fs::metadata(DATA).with_context(|| format!("look at {DATA}"))?;
    ensure!(data.permissions().mode() % 0o100 == 0, "{DATA} is for its user alone: {data:?}");
    machine.stop_daemon()?;

    heading("upgraded");
    apt(&["install", path(&second)?])?;
    ensure!(version()?.ends_with("-2"), "the second version is there: {}", version()?);
    ensure!(fs::read_to_string(CONFIGURATION)? == configuration, "an upgrade leaves the configuration alone");
    ensure!(is_loaded()?, "an upgrade leaves the data alone");

    heading("removed");
    apt(&["remove", "syncd"])?;
    gone(&[PROGRAM])?;
    there(&[CONFIGURATION, SECRETS[0].0, SECRETS[1].0, DATA])?;
    apt(&["install", path(&second)?])?;
    ensure!(fs::read_to_string(CONFIGURATION)? == configuration, "what was removed goes on as it was");
    ensure!(is_loaded()?, "what was removed goes on where it was");

    heading("purged");
    apt(&["purge", "syncd"])?;
    gone(&[PROGRAM, "/etc/syncd", "/var/lib/syncd", ENABLED])?;
    ensure!(has_user(), "the user stays, as the manual says");
    println!("\nthe package does what the manual says");
    Ok(true)
}

/// Fails if `syncd` is installed, because the check would damage it.
fn refuse_if_there_is_one() -> Result<()> {
    ensure!(
        install::is_root() && install::possible(),
        "this check installs a package: it needs apt-get, and to be root"
    );
    let status = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", "syncd"]).output()?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure!(
        matches!(status.as_str(), "" | "not-installed"),
        "the package syncd is {status} here: this check would harm it"
    );
    for path in ["/etc/syncd", "/var/lib/syncd", PROGRAM, "/etc/systemd/system/syncd.service"] {
        ensure!(fs::symlink_metadata(path).is_err(), "there is {path}: this check would harm it");
    }
    Ok(())
}

/// Builds two versions of the package with the development profile: the check tests the package, not the optimizer.
fn packages() -> Result<(PathBuf, PathBuf)> {
    let programs = build_programs()?;
    let target = target_folder()?;
    // cargo-deb expects programs in `release`.
    let stage = target.join("deb-check");
    let release = stage.join("release");
    fs::create_dir_all(&release).with_context(|| format!("create {}", release.display()))?;
    fs::copy(programs.join("syncd"), release.join("syncd")).context("take the program")?;
    add_papers(&release)?;
    let packages = (stage.join("first.deb"), stage.join("second.deb"));
    package(&stage, &["--fast", "--strip", "--output", path(&packages.0)?])?;
    package(&stage, &["--fast", "--strip", "--deb-revision", "2", "--output", path(&packages.1)?])?;
    run(Command::new("dpkg-deb").arg("--info").arg(&packages.0))?;
    Ok(packages)
}

/// Checks the installed files, and returns the unit.
fn installed_as_described(package: &Path) -> Result<String> {
    // Read from the package, because minimal systems do not install documentation.
    let contents = output(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    for file in [
        "/usr/share/man/man1/syncd.1",
        "/usr/share/man/man1/syncd-quarantine-retry.1",
        "/usr/share/bash-completion/completions/syncd",
        "/usr/share/zsh/vendor-completions/_syncd",
        "/usr/share/fish/vendor_completions.d/syncd.fish",
        "/usr/share/doc/syncd/README.md",
        "/usr/share/doc/syncd/docs/operations.md",
        "/usr/share/doc/syncd/LICENSE-MIT",
        "/usr/share/doc/syncd/copyright",
        "/usr/share/doc/syncd/changelog.Debian",
    ] {
        let is_it = |line: &str| line.trim_end_matches(".gz").ends_with(&format!(" .{file}"));
        ensure!(contents.lines().any(is_it), "{file} is not in the package");
    }
    there(&[PROGRAM, CONFIGURATION, ENABLED])?;
    let conffiles = output(Command::new("dpkg-query").args(["--show", "--showformat=${Conffiles}", "syncd"]))?;
    ensure!(conffiles.contains(CONFIGURATION), "{CONFIGURATION} belongs to the administrator: {conffiles}");
    for (folder, owner, mode) in [("/etc/syncd", "root:syncd", "750"), ("/var/lib/syncd", "syncd:syncd", "700")] {
        let found = output(Command::new("stat").args(["--format=%U:%G %a", folder]))?;
        ensure!(found.trim() == format!("{owner} {mode}"), "{folder} is {owner} {mode}: {found}");
    }
    let files = output(Command::new("dpkg").args(["--listfiles", "syncd"]))?;
    let unit =
        files.lines().find(|line| line.ends_with(&format!("/systemd/system/{UNIT}"))).context("there is a unit")?;
    let unit = fs::read_to_string(unit).with_context(|| format!("read {unit}"))?;
    let source = fs::read_to_string(format!("crates/syncd/dist/debian/{UNIT}"))?;
    ensure!(unit == source, "the unit is the one of the sources");
    let conditions: Vec<&str> = service::values(&unit, "ConditionPathExists").collect();
    ensure!(conditions == SECRETS.map(|(file, _)| file), "it starts once these are there: {conditions:?}");
    Ok(unit)
}

/// Follows the manual's steps for an administrator.
fn configure(sandbox: u16, operations: u16) -> Result<String> {
    let mut text = fs::read_to_string(CONFIGURATION)?;
    for (setting, value) in [
        ("# base_url = ", format!("base_url = \"http://127.0.0.1:{sandbox}/v1\"")),
        ("webhooks = ", format!("webhooks = \"127.0.0.1:{}\"", free_port()?)),
        ("operations = ", format!("operations = \"127.0.0.1:{operations}\"")),
        ("# [[integrations]]", "[[integrations]]".to_owned()),
        ("# id = ", format!("id = \"{INTEGRATION}\"")),
    ] {
        let line =
            text.lines().find(|line| line.starts_with(setting)).with_context(|| format!("{setting}…"))?.to_owned();
        text = text.replacen(&line, &value, 1);
    }
    fs::write(CONFIGURATION, &text)?;
    for (file, secret) in SECRETS {
        fs::write(file, secret)?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o640))?;
        run(Command::new("chgrp").args(["syncd", file]))?;
    }
    Ok(text)
}

/// Returns a command of the package, run as its user from another folder than the service's.
fn syncd(arguments: &[&str]) -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", "syncd", "--", PROGRAM, "--config", CONFIGURATION]).args(arguments).current_dir("/");
    command
}

fn is_ready(operations: u16) -> bool {
    let Ok(mut connection) = Connection::open(operations) else { return false };
    connection.ask("GET", "/readyz", "", b"").is_ok_and(|(status, _)| status == 200)
}

/// Whether `status` shows every endpoint of the integration as loaded.
fn is_loaded() -> Result<bool> {
    let status: Value = serde_json::from_str(&output(&mut syncd(&["status", "--json"]))?).context("read the status")?;
    let endpoints = status.pointer("/integrations/0/endpoints").and_then(Value::as_array);
    let is_whole = |endpoint: &Value| endpoint.get("last_full").is_some_and(Value::is_string);
    Ok(endpoints.is_some_and(|endpoints| endpoints.len() == 3 && endpoints.iter().all(is_whole)))
}

fn version() -> Result<String> {
    output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", "syncd"]))
}

fn has_user() -> bool {
    is_there(Command::new("getent").args(["passwd", "syncd"]))
}

fn apt(arguments: &[&str]) -> Result<()> {
    let (command, names) = arguments.split_first().context("a command")?;
    let mut apt = Command::new("apt-get");
    // An upgrade must not ask anything if only the administrator's files changed, so no answers are preset.
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    run(apt.args([command, "--yes", "--quiet=2", "--no-install-recommends"]).args(names))
}

fn there(paths: &[&str]) -> Result<()> {
    match paths.iter().find(|path| fs::symlink_metadata(path).is_err()) {
        Some(path) => bail!("{path} is not there"),
        None => Ok(()),
    }
}

fn gone(paths: &[&str]) -> Result<()> {
    match paths.iter().find(|path| fs::symlink_metadata(path).is_ok()) {
        Some(path) => bail!("{path} is still there"),
        None => Ok(()),
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        ensure!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn heading(text: &str) {
    println!("\n-- {text}");
}

fn path(package: &Path) -> Result<&str> {
    package.to_str().context("a path that is text")
}

/// A sandbox that runs as this process's user.
struct Sandbox {
    port: u16,
    _process: Process,
}

impl Sandbox {
    fn start() -> Result<Self> {
        let port = free_port()?;
        let mut sandbox = Command::new(target_folder()?.join("debug/kombo-sandbox"));
        sandbox.args(["--port", &port.to_string()]).stdout(Stdio::null());
        let process = Process(sandbox.spawn().context("start the sandbox")?);
        until("the sandbox listens", || Ok(Connection::open(port).is_ok()))?;
        Ok(Self { port, _process: process })
    }
}

/// Restores the machine when the check ends in any way.
struct Machine {
    had_user: bool,
    daemon: Option<Process>,
}

impl Machine {
    /// Stops the daemon as systemd does.
    fn stop_daemon(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().context("it runs")?;
        run(Command::new("kill").arg(daemon.0.id().to_string()))?;
        let end = daemon.0.wait()?;
        ensure!(end.success(), "the daemon ended with {end}");
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.daemon.take());
        if version().is_ok() {
            drop(apt(&["purge", "syncd"]));
        }
        if !self.had_user && has_user() {
            drop(run(Command::new("deluser").args(["--quiet", "--system", "syncd"])));
        }
    }
}
