use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::process::{self, cargo, succeeds, target_folder};
use crate::test::{URL_VARIABLE, private_postgres};

/// Ten thousand webhooks for 200 integrations within ten seconds.
const SIZE: &str = "10000/200";
const WITHIN_SECONDS: &str = "10";

/// The command line options.
pub(crate) struct Options {
    /// The program that receives the webhooks; `None` to build a release.
    program: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => Ok(Self { program: None }),
            ["--program", path] => Ok(Self { program: Some(std::path::absolute(path)?) }),
            other => bail!("storm does not know {}", other.join(" ")),
        }
    }
}

/// Sends very many webhooks to a daemon that is killed meanwhile, on each database.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let program = if let Some(program) = &options.program {
        program.clone()
    } else {
        process::run(&mut cargo(&["build", "--release", "--package", "syncd"]))?;
        target_folder()?.join("release/syncd")
    };
    ensure!(program.is_file(), "{} is no program", program.display());
    let server = if env::var_os(URL_VARIABLE).is_some() { None } else { Some(private_postgres()?) };
    let url = server.as_ref().map(|server| (URL_VARIABLE, server.url("postgres")));
    // The sandbox runs inside the test. In a debug build, the sandbox would limit the result.
    let mut tests = cargo(&["test", "--profile", "sim", "--package", "syncd", "--test", "daemon", "--"]);
    tests.args(["storm::", "--nocapture", "--test-threads", "1"]);
    tests.env("SYNCD_PROGRAM", program).env("SYNCD_STORM", SIZE).env("SYNCD_STORM_WITHIN", WITHIN_SECONDS);
    succeeds(tests.envs(url))
}
