use std::process::Command;

use anyhow::Result;

use super::report::Outcome;
use crate::process::{is_there, succeeds};

pub(crate) fn check() -> Result<Outcome> {
    if !is_there(Command::new("typos").arg("--version")) {
        return Ok(Outcome::missing("typos", "cargo install --locked typos-cli"));
    }
    succeeds(&mut Command::new("typos")).map(Outcome::of_tool)
}
