#![doc = include_str!("../README.md")]

mod cli;
mod clock;
mod command;
mod config;
mod daemon;
mod kombo;
mod logging;
mod nearest;
mod output;
mod owner;
mod pace;
mod progress;
mod secret;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) if output::is_closed(&error) => command::Exit::Done.into(),
        Err(error) => {
            output::complain(&error);
            command::Exit::of(&error).into()
        }
    }
}
