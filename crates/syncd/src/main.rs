#![doc = include_str!("../README.md")]

mod cli;
mod clock;
mod command;
mod config;
mod context;
mod daemon;
mod exit;
mod kombo;
mod logging;
mod nearest;
mod notices;
mod output;
mod owner;
mod progress;
mod secret;
mod signals;
mod skew;
mod stderr;
mod store;
mod strays;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;
use exit::Exit;

fn main() -> ExitCode {
    let exit = match cli::Cli::try_parse() {
        Ok(cli) => conclude(command::run(cli)),
        Err(error) => explain(&error),
    };
    stderr::flush();
    exit.into()
}

/// Exit status after a command.
fn conclude(result: anyhow::Result<Exit>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(error) if output::is_closed(&error) => Exit::Done,
        Err(error) if output::is_given_up(&error) => Exit::AtOnce,
        Err(error) => {
            output::complain(&error);
            Exit::of(&error)
        }
    }
}

/// Prints help or version, or the error of the command line.
fn explain(error: &clap::Error) -> Exit {
    let printed = error.print();
    if error.use_stderr() {
        // The exit status does not depend on whether the output was read.
        return Exit::Usage;
    }
    conclude(
        printed
            .map_err(output::Unwritten::from)
            .and_then(|()| output::write(""))
            .map(|()| Exit::Done)
            .map_err(Into::into),
    )
}
