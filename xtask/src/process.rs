use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Returns the same cargo with these arguments. Removes the variables that describe this process's package, which some
/// subcommands would take for their own.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_")) {
        cargo.env_remove(name);
    }
    cargo.args(arguments);
    cargo
}

/// Prints the command, runs it in this terminal, and returns whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    println!("$ {}", line_of(command));
    let status = command.status().with_context(|| format!("run `{}`", line_of(command)))?;
    Ok(status.success())
}

/// Like [`succeeds`], but failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let success = succeeds(command)?;
    ensure!(success, "`{}` failed", line_of(command));
    Ok(())
}

/// Returns the command's standard output; its errors go to the terminal.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("run `{}`", line_of(command)))?;
    ensure!(output.status.success(), "`{}` failed", line_of(command));
    String::from_utf8(output.stdout).with_context(|| format!("read what `{}` prints", line_of(command)))
}

/// Whether the command exists and succeeds. Prints nothing.
pub(crate) fn is_there(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|it| it.success())
}

/// Builds all programs and examples, and returns their folder.
///
/// Uses the features of tests of the whole workspace, so nothing is left to build after the tests. If each were built
/// separately, most dependencies would be rebuilt.
pub(crate) fn build_programs() -> Result<PathBuf> {
    run(&mut cargo(&["build", "--quiet", "--locked", "--workspace", "--bins", "--examples"]))?;
    Ok(target_folder()?.join("debug"))
}

/// Returns cargo's target folder.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = output(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    Ok(metadata.get("target_directory").and_then(serde_json::Value::as_str).context("no target folder")?.into())
}

/// Whether this runs in continuous integration, which sets `CI=true`. There, skipped checks are failures.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

/// Formats the command as a person would type it, the program without its folder.
fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
