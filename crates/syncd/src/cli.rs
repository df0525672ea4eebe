//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kombo_model::{Endpoint, IntegrationId};
use sync_core::jobs::{EndpointStatus, IntegrationStatus};

use crate::nearest::suggestion;

/// Keeps a SQL mirror of the LMS data of your customers' integrations in step with Kombo, and tells what changed.
#[derive(Debug, Parser)]
#[command(name = "syncd", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command, before or after it.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Read this configuration file instead of syncd.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How much to log: error, warn, info, debug, trace, or a filter such as `info,kombo_client=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Keep the mirror up to date: the daemon
    ///
    /// Takes in webhooks, fetches what changed, and fetches everything once in a while, until it is asked to stop.
    Run {
        /// Do not create or upgrade tables
        #[arg(long)]
        no_migrate: bool,
    },
    /// Fetch now, with progress
    ///
    /// Fetches what changed since the last time, or everything where nothing is loaded yet. Stops after the current
    /// batch on Ctrl-C, and goes on from there the next time.
    Sync(SyncArgs),
    /// Show what a webhook naming these models would call, and why
    Plan {
        /// Models as Kombo names them, such as `lms_courses`
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Show integrations, watermarks, last runs, pending work and quarantine
    Status(StatusArgs),
    /// Fetch nothing of an integration until `resume`, whatever webhooks and the schedule say
    Pause {
        /// Which one
        #[arg(value_name = "ID", value_parser = integration)]
        integration: IntegrationId,
    },
    /// Fetch an integration again, first what changed while it was paused
    Resume {
        /// Which one
        #[arg(value_name = "ID", value_parser = integration)]
        integration: IntegrationId,
    },
    /// Print the change log, one line each
    Changes(ChangesArgs),
    /// Show how far changes are delivered to `delivery.url`, and what was given up
    Deliveries(DeliveriesArgs),
    /// Compare Kombo with the store, and write nothing; exit 3 if they differ
    ///
    /// Lists what a full fetch would change: records that are missing, columns that differ, records that Kombo does not
    /// know (extra), and records that are stored as removed and are not. What changes at Kombo or is fetched while this
    /// runs may show as a difference.
    Verify(VerifyArgs),
    /// Look after records that could not be read or stored
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Create or upgrade the tables
    Migrate,
    /// Look after the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script that completes the command line in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write it and the pages of all commands into this folder
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Show all of it on a built-in sandbox and an SQLite file: no account and no server needed
    Demo,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read everything, ask Kombo if the key works, change nothing
    Check,
    /// Print every setting with its type, default and meaning, as Markdown
    Settings,
    /// Print a configuration file that has every setting
    Sample,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
    /// Only integrations or endpoints in this state, such as paused or retrying; may be given more than once
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    pub(crate) states: Vec<String>,
    /// Only what is not in order
    #[arg(long)]
    pub(crate) failed: bool,
    /// Exit 3 if anything that is shown is not in order
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
    /// Only this endpoint: users, courses, course-progressions or skills; may be given more than once
    #[arg(long = "endpoint", value_name = "NAME", value_parser = endpoint)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Fetch everything, and remove what is no longer there
    #[arg(long)]
    pub(crate) full: bool,
    /// Let a full fetch remove as many records as the last one, which stopped because of that, would have
    #[arg(long, requires = "full")]
    pub(crate) allow_mass_removal: bool,
    /// Do not create or upgrade tables
    #[arg(long)]
    pub(crate) no_migrate: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Only this integration's changes
    #[arg(long, value_name = "ID", value_parser = integration)]
    pub(crate) integration: Option<IntegrationId>,
    /// Only what comes after the entry with this number; without it everything that is kept or, with --follow, what is
    /// new from now on
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) since: Option<i64>,
    /// Go on with what is added, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DeliveriesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// Put dead letters back in line, before what was not tried yet, and try at once what waits after a failure
    Retry(LettersArgs),
    /// Throw dead letters away: what they hold is not delivered
    Drop(LettersArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LettersArgs {
    /// Only those of this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Show what is in quarantine, and why
    List,
    /// Try what is in quarantine again, after an upgrade of this program; exit 1 if some of it stays there
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
    /// Only this endpoint: users, courses, course-progressions or skills; may be given more than once
    #[arg(long = "endpoint", value_name = "NAME", value_parser = endpoint)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Print the values that differ: they are personal data
    #[arg(long)]
    pub(crate) values: bool,
}

fn endpoint(name: &str) -> Result<Endpoint, String> {
    let names = Endpoint::ALL.map(Endpoint::as_str);
    name.parse().map_err(|error: kombo_model::UnknownEndpoint| format!("{error}{}", suggestion(name, names)))
}

/// A state of an integration or an endpoint.
fn state(word: &str) -> Result<String, String> {
    let integrations = IntegrationStatus::ALL.iter().map(|status| status.as_str());
    let known: Vec<&str> = integrations.chain(EndpointStatus::ALL.iter().map(|status| status.as_str())).collect();
    if known.contains(&word) {
        Ok(word.to_owned())
    } else {
        Err(format!("one of {}{}", known.join(", "), suggestion(word, known.iter().copied())))
    }
}

fn integration(id: &str) -> Result<IntegrationId, String> {
    if id.trim().is_empty() {
        Err("an integration id such as sandbox:7C9M5sXAQx2cNMpVHLojrFpL".to_owned())
    } else {
        Ok(id.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
