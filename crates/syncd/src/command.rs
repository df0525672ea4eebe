//! One file for each command.

mod changes;
mod check;
mod deliveries;
mod demo;
mod manual;
mod migrate;
mod pause;
mod plan;
mod quarantine;
mod status;
pub(crate) mod store;
pub(crate) mod sync;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use indicatif::MultiProgress;

use crate::cli::{Cli, Command, ConfigCommand, DeliveriesCommand, Global, QuarantineCommand};
use crate::config::{Config, ConfigError};
use crate::logging;
use crate::signals::{ENDED_AT_ONCE, Signals};

/// How long what may block is waited for at the end.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Done,
    /// It failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Kombo and the store differ.
    Differences,
    /// A signal ended it at once.
    AtOnce,
}

impl Exit {
    /// What an error ends the program with.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() { Self::Usage } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Differences => Self::from(3),
            Exit::AtOnce => Self::from(ENDED_AT_ONCE),
        }
    }
}

/// What every command may need.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) bars: MultiProgress,
    pub(crate) signals: Arc<Signals>,
}

impl Context {
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        crate::config::load(self.global.config.as_deref())
    }

    /// The same for what talks to Kombo, with a word about what is unwise.
    pub(crate) fn config_with_warnings(&self) -> Result<Config, ConfigError> {
        let config = self.config()?;
        config.warnings().into_iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(config)
    }
}

/// Runs a command to its end, or until a signal ends it at once.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let bars = logging::bars();
    // On a terminal the bars say what happens, so that only trouble is worth a line.
    let quiet = matches!(cli.command, Command::Sync(_)) && crate::output::is_terminal();
    let tells = matches!(cli.command, Command::Sync(_) | Command::Run { .. } | Command::Migrate);
    let default = if quiet || !tells { "warn" } else { "info" };
    logging::init(cli.global.log.as_deref(), default, &bars)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = Signals::listen()?;
        let context = Context { global: cli.global, bars, signals: Arc::clone(&signals) };
        tokio::select! {
            result = execute(&context, cli.command) => result,
            () = signals.end_at_once() => Ok(Exit::AtOnce),
        }
    });
    // A statement that the database does not answer must not hold the end back.
    runtime.shutdown_timeout(STUCK_AFTER);
    result
}

async fn execute(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run { no_migrate } => {
            let tables = if no_migrate { store::Tables::Expect } else { store::Tables::Migrate };
            crate::daemon::run(context, tables).await
        }
        Command::Sync(args) => sync::run(context, args).await,
        Command::Plan { models } => plan::run(context, &models),
        Command::Status(args) => status::run(context, &args).await,
        Command::Pause { integration } => pause::pause(context, integration).await,
        Command::Resume { integration } => pause::resume(context, integration).await,
        Command::Changes(args) => changes::run(context, args).await,
        Command::Deliveries(args) => match args.command {
            None => deliveries::list(context).await,
            Some(DeliveriesCommand::Retry(args)) => deliveries::try_again(context, args).await,
            Some(DeliveriesCommand::Drop(args)) => deliveries::throw_away(context, args).await,
        },
        Command::Verify(args) => verify::run(context, args).await,
        Command::Quarantine(QuarantineCommand::List) => quarantine::list(context).await,
        Command::Quarantine(QuarantineCommand::Retry(args)) => quarantine::try_again(context, args).await,
        Command::Migrate => migrate::run(context).await,
        Command::Config(ConfigCommand::Check) => check::run(context).await,
        Command::Config(ConfigCommand::Settings) => manual::text(&crate::config::page()),
        Command::Config(ConfigCommand::Sample) => manual::text(&crate::config::sample()),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::man(folder.as_deref()),
        Command::Demo => demo::run(context).await,
    }
}
