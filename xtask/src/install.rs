//! Installs what tests need besides a Rust toolchain, if that is possible without questions: with apt-get, as root.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{is_there, run};

/// Whether packages can be installed here.
pub(crate) fn possible() -> bool {
    is_there(Command::new("apt-get").arg("--version")) && (is_root() || is_there(&mut sudo_n("true")))
}

/// Returns a command that runs as root.
pub(crate) fn root(program: &str) -> Command {
    if is_root() { Command::new(program) } else { sudo_n(program) }
}

/// Installs a package.
pub(crate) fn package(name: &str) -> Result<()> {
    let install = ["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"];
    run(root("env").args(install).arg(name))
}

/// Installs a browser for the tests of the status page, if missing.
pub(crate) fn browser() -> Result<()> {
    let program = env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
    if is_there(Command::new(&program).arg("--version")) {
        return Ok(());
    }
    if env::var_os("CHROMIUM").is_some() || !possible() {
        bail!("there is no `{program}`: the tests of the status page need Chromium; CHROMIUM may name it");
    }
    println!("a browser for the tests of the status page is missing: installing the package `chromium`");
    run(root("apt-get").arg("update"))?;
    package("chromium")
}

/// Installs a connection pooler for the tests with one between daemon and database, if missing.
pub(crate) fn pooler() -> Result<()> {
    let version = |program: &str| is_there(Command::new(program).arg("--version"));
    if version("pgbouncer") || version("/usr/sbin/pgbouncer") {
        return Ok(());
    }
    if !possible() {
        bail!("there is no `pgbouncer`: the tests of poolers need it");
    }
    println!("a pooler for the tests is missing: installing the package `pgbouncer`");
    run(root("apt-get").arg("update"))?;
    package("pgbouncer")
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn sudo_n(program: &str) -> Command {
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", program]);
    sudo
}
