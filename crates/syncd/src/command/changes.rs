use std::fmt::Write as _;
use std::time::Duration;

use kombo_model::IntegrationId;
use store_diesel::DieselStore;
use sync_core::changes::{Change, LogPosition};
use sync_core::ports::{Store as _, StoreError};
use tokio_util::sync::CancellationToken;

use crate::cli::ChangesArgs;
use crate::config::ConfigError;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open, unknown_integration};

/// Number of entries read at a time.
const PAGE: usize = 1_000;
/// Interval of checks for new entries.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest wait for a database that does not answer.
const RETRY_AT_MOST: Duration = Duration::from_secs(10);

/// Prints the change log, and follows it on request.
pub(crate) async fn run(context: &Context, args: ChangesArgs) -> anyhow::Result<Exit> {
    let store = open(&context.config()?, Tables::Expect).await?;
    if let Some(id) = args.integration.clone() {
        let wanted = id.clone();
        // A removed integration may have left entries.
        let is_known = store.read(move |tx| {
            Ok::<_, StoreError>(tx.integration(&wanted)?.is_some() || !tx.changes(Some(&wanted), 0, 1)?.is_empty())
        });
        if !is_known.await? {
            return Err(unknown_integration(&id).into());
        }
    }
    let since = match args.since {
        Some(since) => {
            let last = store.read(|tx| tx.last_change()).await?;
            if since > last {
                let text = format!("--since {since}: the change log ends at {last}; another database starts a new log");
                return Err(ConfigError(text).into());
            }
            // Entries of one integration are in the order of their numbers. Entries of all integrations are in the
            // order of transactions.
            store.read(move |tx| tx.log_position(since)).await?
        }
        None if args.follow => store.read(|tx| tx.settled_end()).await?,
        None => LogPosition::default(),
    };
    // A signal is the normal end of following.
    let stop = context.signals.stop_gently(|| {});
    let log = Log { store, integration: args.integration, follow: args.follow, json: context.global.json, stop };
    log.print(since).await.map(|()| Exit::Done)
}

struct Log {
    store: DieselStore,
    integration: Option<IntegrationId>,
    follow: bool,
    json: bool,
    stop: CancellationToken,
}

impl Log {
    async fn print(&self, mut since: LogPosition) -> anyhow::Result<()> {
        let mut retry_after = LOOK_EVERY;
        while !self.stop.is_cancelled() {
            let wait = match self.after(since).await {
                Ok(page) => {
                    retry_after = LOOK_EVERY;
                    self.print_page(&page)?;
                    match page.last() {
                        Some((last, _)) => {
                            since = *last;
                            continue;
                        }
                        None if !self.follow => return Ok(()),
                        None => LOOK_EVERY,
                    }
                }
                Err(error) if self.follow && error.is_transient() => {
                    if retry_after == LOOK_EVERY {
                        let error = output::chain(&error);
                        tracing::warn!(since.seq, error, "the database does not answer; continuing when it does");
                    }
                    let wait = retry_after;
                    retry_after = (retry_after * 2).min(RETRY_AT_MOST);
                    wait
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn after(&self, since: LogPosition) -> Result<Vec<(LogPosition, Change)>, StoreError> {
        let Some(id) = self.integration.clone() else {
            return self.store.read(move |tx| tx.settled_changes(since, PAGE)).await;
        };
        let changes = self.store.read(move |tx| tx.changes(Some(&id), since.seq, PAGE)).await?;
        Ok(changes.into_iter().map(|change| (LogPosition { seq: change.seq, ..since }, change)).collect())
    }

    fn print_page(&self, changes: &[(LogPosition, Change)]) -> anyhow::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for (_, change) in changes {
            if self.json {
                text.push_str(&output::to_json(change)?);
                text.push('\n');
            } else {
                writeln!(text, "{}", describe(change))?;
            }
        }
        Ok(output::write(text)?)
    }
}

/// Formats an entry as one line for people. Old and new values, if they are kept, are in the JSON.
fn describe(change: &Change) -> String {
    let with_values = change.fields.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let alone = change.fields.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    let names: Vec<&str> = with_values.chain(alone).collect();
    let line = format!(
        "{:>6}  {}  {}  {:<24}  {}  {:<8}  {:<6}  {}",
        change.seq,
        change.at,
        change.integration_id,
        change.model.as_str(),
        change.record_id,
        change.kind,
        change.cause,
        names.join(","),
    );
    output::one_line(line.trim_end())
}

#[cfg(test)]
mod tests {
    use sync_core::pull::RunId;
    use sync_core::rows::Model;
    use sync_core::rows::{ChangeCause, ChangeKind};

    use super::*;

    #[test]
    fn an_entry_is_one_line_whatever_it_says() {
        let mut change = Change {
            seq: 7,
            integration_id: IntegrationId::from("sandbox:a"),
            model: Model::LmsUsers,
            record_id: "u\n\u{1b}[2J".to_owned(),
            kind: ChangeKind::Updated,
            cause: ChangeCause::Direct,
            fields: serde_json::json!(["first_name", "status"]),
            run_id: RunId(3),
            at: "2026-03-01T12:00:00.000Z".parse().unwrap(),
        };
        let line = "     7  2026-03-01T12:00:00.000Z  sandbox:a  lms_users                 u\u{fffd}\u{fffd}[2J  updated   direct  first_name,status";
        assert_eq!(describe(&change), line);
        change.fields = serde_json::json!({ "first_name": { "old": "a", "new": "b" }, "status": {} });
        assert_eq!(describe(&change), line);
    }
}
