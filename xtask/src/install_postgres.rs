use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sync_testkit::postgres::PostgresError;

use crate::install::{package, possible, root};
use crate::process::run;

/// Prevents Debian's package from creating and starting a database cluster: only the programs are needed.
const NO_CLUSTER_FILE: &str = "/etc/postgresql-common/createcluster.d/00-programs-only.conf";
const NO_CLUSTER: &str = "create_main_cluster = false\n";

/// Installs `PostgreSQL` if that is possible without questions: with apt-get, as root. Otherwise the error says what to
/// install.
pub(crate) fn install_postgres(missing: PostgresError) -> Result<()> {
    if !possible() {
        return Err(missing.into());
    }
    println!("PostgreSQL's server programs are missing: installing the package `postgresql` (no server is set up)");
    run(root("apt-get").arg("update"))?;
    run(root("mkdir").args(["-p", "/etc/postgresql-common/createcluster.d"]))?;
    write_file(root("tee").arg(NO_CLUSTER_FILE), NO_CLUSTER)?;
    let installed = package("postgresql");
    run(root("rm").args(["-f", NO_CLUSTER_FILE]))?;
    installed
}

fn write_file(tee: &mut Command, text: &str) -> Result<()> {
    let mut writer = tee.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("run `tee`")?;
    writer.stdin.take().context("write to `tee`")?.write_all(text.as_bytes()).context("write to `tee`")?;
    let status = writer.wait().context("wait for `tee`")?;
    anyhow::ensure!(status.success(), "cannot write {NO_CLUSTER_FILE}");
    Ok(())
}
