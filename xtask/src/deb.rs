//! `cargo xtask deb`: the Debian package, and whether it does what the manual says.

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

/// Writes the manual pages and completions beside a program, where its metadata names them.
fn add_papers(folder: &Path) -> Result<()> {
    let program = folder.join("syncd");
    let papers = folder.join("deb");
    // One that is left from another version must not come along.
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

/// Packs `release/` of a target folder. cargo-deb prints where the package is.
fn package(target: &Path, more: &[&str]) -> Result<()> {
    let is_installed = is_there(&mut cargo(&["deb", "--version"]));
    ensure!(is_installed, "cargo-deb is not installed; install with `cargo install --locked cargo-deb`");
    let mut deb = cargo(&["deb", "--package", "syncd", "--no-build"]);
    run(deb.args(more).env("CARGO_TARGET_DIR", target))
}
