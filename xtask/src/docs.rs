//! Documentation that the program generates.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::catalogue;
use crate::process::{build_programs, output};

type Text = fn() -> Result<String>;

/// The generated files and their texts.
const WRITTEN: &[(&str, Text)] = &[
    ("docs/tables.md", || Ok(catalogue::page())),
    ("docs/configuration.md", || said(&["config", "settings"])),
    ("crates/syncd/dist/syncd.toml", sample),
    ("crates/syncd/dist/debian/syncd.toml", sample_of_the_package),
];

/// The differences of the Debian package's configuration: it reads its secrets from the manual's paths, and stores the
/// mirror where the service may write.
const OF_THE_PACKAGE: &[(&str, &str)] = &[
    ("# api_key_file = ", "api_key_file = \"/etc/syncd/kombo.key\""),
    ("# webhook_secret_file = ", "webhook_secret_file = \"/etc/syncd/webhook.secret\""),
    ("url = ", "url = \"sqlite:///var/lib/syncd/syncd.db\""),
];

/// Writes the files.
pub(crate) fn write() -> Result<bool> {
    for (path, text) in WRITTEN {
        fs::write(path, text()?).with_context(|| format!("write {path}"))?;
    }
    Ok(true)
}

/// Returns the files that differ from the program's output.
pub(crate) fn outdated() -> Result<Vec<String>> {
    let mut violations = Vec::new();
    for (path, text) in WRITTEN {
        if fs::read_to_string(path).unwrap_or_default() != text()? {
            violations.push(format!("{path} is not what the program says: run `cargo xtask docs`"));
        }
    }
    Ok(violations)
}

pub(crate) fn written() -> String {
    WRITTEN.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ")
}

fn said(arguments: &[&str]) -> Result<String> {
    output(Command::new(build_programs()?.join("syncd")).args(arguments))
}

fn sample() -> Result<String> {
    said(&["config", "sample"])
}

fn sample_of_the_package() -> Result<String> {
    let mut text = sample()?;
    for (beginning, line) in OF_THE_PACKAGE {
        let old = text.lines().find(|line| line.starts_with(beginning));
        let old = old.with_context(|| format!("the sample has `{beginning}`"))?.to_owned();
        text = text.replacen(&old, line, 1);
    }
    Ok(text)
}
