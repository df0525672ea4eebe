use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::report::Outcome;
use crate::process::{build_programs, cargo, output};

/// Checks that every example runs and prints the text block in its documentation.
pub(crate) fn check() -> Result<Outcome> {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    let programs = build_programs()?.join("examples");
    let (mut violations, mut names) = (Vec::new(), Vec::new());
    for package in &metadata.packages {
        for example in package.targets.iter().filter(|it| it.kind.iter().any(|kind| kind == "example")) {
            let (package, name) = (package.name.as_str(), example.name.as_str());
            println!("$ cargo run --package {package} --example {name}");
            let fault = fault(&programs.join(name), &example.src_path);
            violations.extend(fault.map(|fault| format!("{package} {name}: {fault}")));
            names.push(name);
        }
    }
    Ok(Outcome::of(&violations, names.join(", ")))
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

fn fault(program: &Path, source: &Path) -> Option<String> {
    let source = match fs::read_to_string(source) {
        Ok(source) => source,
        Err(error) => return Some(format!("its source cannot be read: {error}")),
    };
    let Some(promised) = promised(&source) else {
        return Some("no ```text block at its head says what it prints".into());
    };
    match output(&mut Command::new(program)) {
        Err(error) => Some(format!("{error:#}")),
        Ok(printed) => (printed != promised).then(|| format!("printed\n{printed}instead of\n{promised}")),
    }
}

/// Returns the first text block of the documentation at the head of a source file.
fn promised(source: &str) -> Option<String> {
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut lines = head.map(|line| line.strip_prefix(' ').unwrap_or(line)).skip_while(|line| *line != "```text");
    lines.next()?;
    let mut block = String::new();
    for line in lines {
        if line == "```" {
            return Some(block);
        }
        block.push_str(line);
        block.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promise_is_the_first_text_block_at_the_head() {
        let source =
            "//! What it does.\n//!\n//! ```text\n//! one\n//!\n//!  two\n//! ```\n//! ```text\n//! x\n//! ```\n";
        assert_eq!(promised(source).as_deref(), Some("one\n\n two\n"));
    }

    #[test]
    fn there_is_none_without_a_whole_block_at_the_head() {
        for source in ["", "//! Nothing.\n", "//! ```text\n//! one\n", "use std;\n//! ```text\n//! one\n//! ```\n"] {
            assert_eq!(promised(source), None, "{source}");
        }
    }
}
