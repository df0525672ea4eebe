//! `cargo xtask deb`: builds the Debian package, and checks that it does what the manual says.

mod check;
mod service;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{cargo, is_there, run, target_folder};

pub(crate) use check::check;

/// Builds the package of a release.
pub(crate) fn build() -> Result<bool> {
    run(&mut cargo(&["build", "--release", "--locked", "--package", "syncd"]))?;
    let target = target_folder()?;
    add_papers(&target.join("release"))?;
    package(&target, &[])?;
    Ok(true)
}

/// Writes the manual pages and completions next to a program, where the package metadata expects them.
fn add_papers(folder: &Path) -> Result<()> {
    let program = folder.join("syncd");
    let papers = folder.join("deb");
    // Remove files of earlier versions.
    if papers.exists() {
        fs::remove_dir_all(&papers)?;
    }
    let man = papers.join("man");
    fs::create_dir_all(&man).with_context(|| format!("create {}", man.display()))?;
    run(Command::new(&program).arg("man").arg(&man))?;
    for shell in ["bash", "zsh", "fish"] {
        let script = File::create(papers.join(format!("syncd.{shell}")))?;
        run(Command::new(&program).args(["completions", shell]).stdout(script))?;
    }
    Ok(())
}

/// Packages `release/` of a target folder. cargo-deb prints the path of the package.
fn package(target: &Path, more: &[&str]) -> Result<()> {
    let is_installed = is_there(&mut cargo(&["deb", "--version"]));
    ensure!(is_installed, "cargo-deb is not installed; install with `cargo install --locked cargo-deb`");
    let mut deb = cargo(&["deb", "--package", "syncd", "--no-build"]);
    run(deb.args(more).env("CARGO_TARGET_DIR", target))
}
