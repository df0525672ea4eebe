//! Project automation, run as `cargo xtask COMMAND`.
#![allow(clippy::print_stdout, reason = "a command line tool prints its report")]

mod bench;
mod catalogue;
mod ci;
mod contract;
mod crashes;
mod deb;
mod docs;
mod install;
mod install_postgres;
mod postgres_versions;
mod process;
mod sim;
mod storm;
mod test;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [-- ARGUMENT]...   all tests, with a private PostgreSQL (or the server that DATABASE_TEST_URL names);
                          arguments go to the test runner, and leave out the documentation's tests
  postgres-versions       tests of the store and the program on the oldest and the newest supported PostgreSQL, which npm
                          installs; skipped where it cannot
  crashes --times N       the daemon and its database are killed N times while Kombo changes; SYNCD_CRASH_SEED
                          repeats the moments
  ci [CHECK]...           every other check, or those that are named: format, lints, documentation, examples,
                          layering, unused dependencies, spelling, ...
  deb [--check]           the Debian package of a release; --check installs that of a quick build on this machine, runs,
                          upgrades and purges it
  catalogue check PATH    compares the catalogue with Kombo's OpenAPI document: each field is a column, nested, or left out
  catalogue migration NAME
                          writes migrations with the tables and columns that the catalogue has and the databases lack
  docs                    writes anew what the program says of its settings: docs/configuration.md and the sample
  sim [ARGUMENT]...       simulations of the engine, each from a seed; --seeds N for many, --seed S for one with its
                          trace, --steps M for how long they are, --mutants to find known bugs that are made on purpose
  storm [--program PATH]  10,000 webhooks for 200 integrations within ten seconds, and a daemon that is killed among them,
                          on each database: a release that it builds, or the syncd at PATH
  bench [--only NAME,...] [--records N] [--runs N] [--fleets N,...] [--quick] [--programs FOLDER] [--write]
                          how fast everything is, next to yardsticks; --write puts it into docs/performance.md.
                          NAME: program, store, load, pace, webhooks, freshness. --programs measures the syncd and
                          kombo-sandbox that lie there, such as those of another version, instead of building them
  contract PATH           holds the sandbox's answers against Kombo's OpenAPI document
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether everything succeeded.
fn run() -> Result<bool> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => in_root().and_then(|()| test::run(&[])),
        ["test", "--", for_the_runner @ ..] => in_root().and_then(|()| test::run(for_the_runner)),
        ["bench", arguments @ ..] => {
            let options = bench::Options::parse(arguments)?;
            in_root().and_then(|()| bench::run(&options))
        }
        ["postgres-versions"] => in_root().and_then(|()| postgres_versions::check()),
        ["crashes", "--times", times] => in_root().and_then(|()| crashes::run(times)),
        ["ci", checks @ ..] => in_root().and_then(|()| ci::run(checks)),
        ["deb"] => in_root().and_then(|()| deb::build()),
        ["deb", "--check"] => in_root().and_then(|()| deb::check()),
        ["catalogue", "check", contract] => {
            let contract = std::path::absolute(contract)?;
            in_root().and_then(|()| catalogue::check(&contract))
        }
        ["catalogue", "migration", name] => in_root().and_then(|()| catalogue::migration(name)),
        ["docs"] => in_root().and_then(|()| docs::write()),
        ["storm", arguments @ ..] => {
            let arguments = storm::Options::parse(arguments)?;
            in_root().and_then(|()| storm::run(&arguments))
        }
        ["sim", arguments @ ..] => in_root().and_then(|()| sim::run(arguments)),
        ["contract", path] => {
            let path = std::path::absolute(path)?;
            in_root().and_then(|()| contract::run(&path))
        }
        ["help" | "-h" | "--help"] => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => bail!("{USAGE}"),
    }
}

/// Changes to the workspace's root, so that commands run there from any folder.
fn in_root() -> Result<()> {
    let package = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = PathBuf::from(package).join("..").canonicalize().context("find the workspace")?;
    env::set_current_dir(&root).with_context(|| format!("enter {}", root.display()))
}
