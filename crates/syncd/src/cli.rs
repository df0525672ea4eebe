//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kombo_model::{Category, Endpoint, EndpointSelection, IntegrationId};
use sync_core::jobs::{EndpointStatus, IntegrationStatus};

use crate::nearest::suggestion;

/// Mirrors the HRIS, ATS and LMS data of your customers' integrations from Kombo into a SQL database, and logs what changed.
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
    /// Log level: error, warn, info, debug, trace, or a filter such as `info,kombo_client=debug`
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon, which keeps the mirror up to date
    ///
    /// It receives webhooks, fetches what changed, and runs periodic full fetches until it receives a signal to stop.
    Run {
        /// Do not create or upgrade tables
        #[arg(long)]
        no_migrate: bool,
    },
    /// Fetch now, with progress
    ///
    /// Fetches what changed since the last run, or everything on the first run. Ctrl-C stops after the current batch;
    /// the next run continues from there.
    Sync(SyncArgs),
    /// Show which endpoints a webhook naming these models would fetch, and why
    Plan {
        /// Models as Kombo names them, such as `lms_courses`
        #[arg(required = true, value_name = "MODEL")]
        models: Vec<String>,
    },
    /// Show integrations, watermarks, last runs, pending work and quarantine
    Status(StatusArgs),
    /// Stop fetching an integration until `resume`, even if webhooks or the schedule request it
    Pause {
        /// Id of the integration
        #[arg(value_name = "ID", value_parser = integration)]
        integration: IntegrationId,
    },
    /// Fetch a paused integration again, starting with what changed meanwhile
    Resume {
        /// Id of the integration
        #[arg(value_name = "ID", value_parser = integration)]
        integration: IntegrationId,
    },
    /// Print the change log, one line per entry
    Changes(ChangesArgs),
    /// Show how far changes are delivered to `delivery.url`, and the dead letters
    Deliveries(DeliveriesArgs),
    /// Compare the store with Kombo without writing; exit 3 if they differ
    ///
    /// Lists what a full fetch would change: missing records, columns that differ, records that Kombo does not have
    /// (extra), and records that are marked as removed although Kombo has them. Changes during the comparison may
    /// appear as differences.
    Verify(VerifyArgs),
    /// Show or retry records that could not be read or stored
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Create or upgrade the tables
    Migrate {
        /// Also partition the mirror's tables of PostgreSQL by a hash of the integration, N partitions each
        ///
        /// Copies the rows of each table in one transaction, in which nobody else can use the table. After an
        /// interruption, run the command again. Tables that have N partitions stay as they are.
        #[arg(long, value_name = "N")]
        partitions: Option<usize>,
    },
    /// Check or print the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man {
        /// Write this page and those of all commands into this folder
        #[arg(value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Try syncd on a built-in sandbox and an SQLite file: no account and no server needed
    Demo(DemoArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration, the key and the database without changing anything
    Check,
    /// Print all settings with type, default and meaning, as Markdown
    Settings,
    /// Print a configuration file with all settings
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
    /// Only integrations and endpoints with a problem
    #[arg(long)]
    pub(crate) failed: bool,
    /// Exit 3 if anything shown has a problem
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
    /// Only this endpoint, such as lms/users, or the last part of its name; may be given more than once
    #[arg(long = "endpoint", value_name = "NAME", value_parser = endpoint)]
    pub(crate) endpoints: Vec<EndpointSelection>,
    /// Fetch everything, and remove records that Kombo no longer has
    #[arg(long)]
    pub(crate) full: bool,
    /// Approve the removals at which the last full fetch stopped
    #[arg(long, requires = "full")]
    pub(crate) allow_mass_removal: bool,
    /// Do not create or upgrade tables
    #[arg(long)]
    pub(crate) no_migrate: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The category of the company's tool: lms, hris or ats
    #[arg(long, value_name = "CATEGORY", default_value = "lms")]
    pub(crate) category: Category,
}

#[derive(Debug, Args)]
pub(crate) struct ChangesArgs {
    /// Only this integration's changes
    #[arg(long, value_name = "ID", value_parser = integration)]
    pub(crate) integration: Option<IntegrationId>,
    /// Only entries after this number. Default: all entries that are kept or, with --follow, only new ones
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) since: Option<i64>,
    /// Keep printing new entries until Ctrl-C
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
    /// Retry dead letters before undelivered entries, and retry failed deliveries at once
    Retry(LettersArgs),
    /// Delete dead letters without delivering their entries
    Drop(LettersArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LettersArgs {
    /// Only this integration; may be given more than once
    #[arg(long = "integration", value_name = "ID", value_parser = integration)]
    pub(crate) integrations: Vec<IntegrationId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Show the records in quarantine, and why they are there
    List,
    /// Retry the records in quarantine, for example after an upgrade of syncd; exit 1 if some remain
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
    /// Only this endpoint, such as lms/users, or the last part of its name; may be given more than once
    #[arg(long = "endpoint", value_name = "NAME", value_parser = endpoint)]
    pub(crate) endpoints: Vec<EndpointSelection>,
    /// Print the values that differ, which are personal data
    #[arg(long)]
    pub(crate) values: bool,
}

fn endpoint(name: &str) -> Result<EndpointSelection, String> {
    let names = Endpoint::ALL.into_iter().flat_map(|endpoint| [endpoint.as_str(), endpoint.short_name()]);
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
