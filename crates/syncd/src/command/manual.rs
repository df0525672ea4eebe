use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// Prints a shell's completion script.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "syncd", &mut script);
    output::write(&script)?;
    Ok(Exit::Done)
}

/// Prints a text that is part of the program.
pub(crate) fn text(text: &str) -> anyhow::Result<Exit> {
    output::write(text)?;
    Ok(Exit::Done)
}

/// Prints the manual page, or writes it and the pages of all commands into a folder.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<Exit> {
    if let Some(folder) = folder {
        clap_mangen::generate_to(Cli::command(), folder).with_context(|| format!("write to {}", folder.display()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        output::write(&page)?;
    }
    Ok(Exit::Done)
}
