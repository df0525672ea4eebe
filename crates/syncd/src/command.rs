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
mod sync;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Cli, Command, ConfigCommand, DeliveriesCommand, QuarantineCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::logging;
use crate::signals::{Hangup, Signals};
use crate::store::Tables;

/// Time limit for blocking tasks at the end.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Runs a command to its end, or until a signal ends it at once.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let bars = logging::bars();
    // On a terminal, bars show the progress, so only warnings and errors are logged.
    let quiet = matches!(cli.command, Command::Sync(_)) && crate::output::is_terminal();
    let tells = matches!(cli.command, Command::Sync(_) | Command::Run { .. } | Command::Migrate { .. });
    let default = if quiet || !tells { "warn" } else { "info" };
    logging::init(cli.global.log.as_deref(), default, &bars)?;
    // A daemon reads its configuration again.
    let hangup = if matches!(cli.command, Command::Run { .. }) { Hangup::IsTaken } else { Hangup::Stops };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = Signals::listen(hangup)?;
        let context = Context { global: cli.global, bars, signals: Arc::clone(&signals) };
        tokio::select! {
            result = execute(&context, cli.command) => result,
            () = signals.end_at_once() => Ok(Exit::AtOnce),
        }
    });
    // A statement that the database does not answer must not delay the exit.
    runtime.shutdown_timeout(STUCK_AFTER);
    result
}

async fn execute(context: &Context, command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run { no_migrate } => {
            let tables = if no_migrate { Tables::Expect } else { Tables::Migrate };
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
        Command::Migrate { partitions } => migrate::run(context, partitions).await,
        Command::Config(ConfigCommand::Check) => check::run(context).await,
        Command::Config(ConfigCommand::Settings) => manual::text(&crate::config::page()),
        Command::Config(ConfigCommand::Sample) => manual::text(&crate::config::sample()),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::man(folder.as_deref()),
        Command::Demo(args) => demo::run(context, args.category).await,
    }
}
