use std::env;

use anyhow::{Context, Result};

use crate::process::{cargo, succeeds};
use crate::test::{URL_VARIABLE, private_postgres};

/// Kills daemon and database `times` times, with each database in turn.
pub(crate) fn run(times: &str) -> Result<bool> {
    let times: u64 = times.parse().with_context(|| format!("\"{times}\" is no number of crashes"))?;
    let server = if env::var_os(URL_VARIABLE).is_some() { None } else { Some(private_postgres()?) };
    let url = server.as_ref().map(|server| (URL_VARIABLE, server.url("postgres")));
    let mut tests = cargo(&["test", "--package", "syncd", "--test", "daemon", "--"]);
    tests.args(["crashes::", "--nocapture", "--test-threads", "1"]);
    succeeds(tests.env("SYNCD_CRASHES", times.to_string()).envs(url))
}
