use std::process::Command;

use anyhow::Result;

use super::report::Outcome;
use crate::process::{is_there, output, succeeds};

/// Checks that relative links and anchors in Markdown files resolve. Fetches nothing.
pub(crate) fn check() -> Result<Outcome> {
    if !is_there(Command::new("lychee").arg("--version")) {
        return Ok(Outcome::missing("lychee", "cargo install --locked lychee"));
    }
    let pages = output(Command::new("git").args(["ls-files", "-z", "*.md"]))?;
    let mut lychee = Command::new("lychee");
    lychee.args(["--offline", "--include-fragments", "--no-progress"]).args(pages.split_terminator('\0'));
    succeeds(&mut lychee).map(Outcome::of_tool)
}
