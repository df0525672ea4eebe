use std::env;

use anyhow::{Context, Result};

use crate::process::{cargo, succeeds};
use crate::test::{URL_VARIABLE, private_postgres};

/// Checks that many random histories on SQLite and on PostgreSQL, one after the other.
pub(crate) fn run(cases: &str) -> Result<bool> {
    let cases: u64 = cases.parse().with_context(|| format!("\"{cases}\" is no number of histories"))?;
    let server = if env::var_os(URL_VARIABLE).is_some() { None } else { Some(private_postgres()?) };
    let url = server.as_ref().map(|server| (URL_VARIABLE, server.url("postgres")));
    let mut tests = cargo(&["test", "--release", "--package", "store-diesel", "--test", "it", "--"]);
    tests.args(["history::", "--nocapture", "--test-threads", "1"]);
    succeeds(tests.env("SYNC_HISTORIES", cases.to_string()).envs(url))
}
