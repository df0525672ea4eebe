use std::env;

use anyhow::Result;
use sync_testkit::postgres::{PostgresError, PrivatePostgres};

use crate::install;
use crate::install_postgres::install_postgres;
use crate::process::{cargo, is_there, succeeds};

pub(crate) const URL_VARIABLE: &str = "DATABASE_TEST_URL";

/// Runs all tests, even after a failure. Arguments select tests and skip documentation tests.
pub(crate) fn run(arguments: &[&str]) -> Result<bool> {
    install::browser()?;
    install::pooler()?;
    let server = if env::var_os(URL_VARIABLE).is_some() { None } else { Some(private_postgres()?) };
    let url = server.as_ref().map(|server| (URL_VARIABLE, server.url("postgres")));

    let nextest = is_there(&mut cargo(&["nextest", "--version"]));
    let mut tests = if nextest { cargo(&["nextest", "run", "--workspace"]) } else { cargo(&["test", "--workspace"]) };
    tests.arg("--no-fail-fast");
    let passed = succeeds(tests.args(arguments).envs(url.clone()))?;

    // `cargo test` has already run them.
    let documented = !nextest || !arguments.is_empty() || succeeds(cargo(&["test", "--doc", "--workspace"]).envs(url))?;
    Ok(passed && documented)
}

pub(crate) fn private_postgres() -> Result<PrivatePostgres> {
    match PrivatePostgres::start() {
        Err(missing @ PostgresError::NotInstalled) => {
            install_postgres(missing)?;
            Ok(PrivatePostgres::start()?)
        }
        started => Ok(started?),
    }
}
