use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::Serialize;
use sync_core::ports::{Clock as _, QuarantinePart, Store as _};
use sync_core::pull::quarantine::{Retried, RetryPolicy, retry};
use sync_core::pull::{Quarantined, RunCounts};

use crate::cli::RetryArgs;
use crate::clock::SystemClock;
use crate::config::ConfigError;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open};

/// Prints the quarantined records.
pub(crate) async fn list(context: &Context) -> anyhow::Result<Exit> {
    let store = open(&context.config()?, Tables::Expect).await?;
    let records = store.read(|tx| tx.quarantined(QuarantinePart::All, usize::MAX)).await?;
    if context.global.json {
        let quarantine: Vec<_> = records.iter().map(ListReport::of).collect();
        output::json(&serde_json::json!({ "quarantine": quarantine }))?;
    } else if records.is_empty() {
        output::line("Nothing is in quarantine.")?;
    } else {
        let mut table = output::table(&["integration", "endpoint", "record", "path", "reason", "fetched"]);
        for record in &records {
            let Quarantined { integration_id, endpoint, record_id, path, reason, observed_at, .. } = record;
            let texts = [integration_id.as_str(), endpoint.as_str(), record_id, path, reason];
            table.add_row(texts.map(output::one_line).into_iter().chain([observed_at.to_string()]));
        }
        output::print(&table)?;
    }
    Ok(Exit::Done)
}

/// Retries the quarantined records.
pub(crate) async fn try_again(context: &Context, args: RetryArgs) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let store = open(&config, Tables::Expect).await?;
    let known = store.read(|tx| tx.integrations()).await?;
    if let Some(unknown) = args.integrations.iter().find(|id| known.iter().all(|known| known.id != **id)) {
        return Err(ConfigError(format!("{unknown} is not in this store: `syncd status` names those that are")).into());
    }
    let is_wanted = |id: &IntegrationId| args.integrations.is_empty() || args.integrations.contains(id);
    let policy = config.policy();
    let policy = RetryPolicy { tombstones: policy.tombstones, change_values: policy.change_values };
    let mut retried = Vec::new();
    for id in known.into_iter().map(|known| known.id).filter(is_wanted) {
        retried.extend(retry(&store, &id, policy, SystemClock.now()).await?);
    }
    let kept = retried.iter().filter(|retried| retried.applied.is_none()).count();
    if context.global.json {
        let retried: Vec<_> = retried.iter().map(RetryReport::of).collect();
        output::json(&serde_json::json!({ "retried": retried }))?;
    } else {
        print(&retried, kept)?;
    }
    Ok(if kept == 0 { Exit::Done } else { Exit::Failed })
}

fn print(retried: &[Retried], kept: usize) -> anyhow::Result<()> {
    if retried.is_empty() {
        return Ok(output::line("Nothing is in quarantine.")?);
    }
    for Retried { record, applied } in retried {
        let name = format!("{} of {} {}", record.endpoint, record.integration_id, record.record_id);
        let line = match applied {
            Some(counts) => format!("applied  {name}: {} rows changed", changed(counts)),
            None => format!("kept     {name}: {} {}", record.path, record.reason),
        };
        output::line(output::one_line(&line))?;
    }
    Ok(output::line(format!("{} of {} are out of quarantine.", retried.len() - kept, retried.len()))?)
}

fn changed(counts: &RunCounts) -> u64 {
    counts.created + counts.updated + counts.deleted + counts.restored
}

#[derive(Serialize)]
struct ListReport<'a> {
    integration_id: &'a IntegrationId,
    endpoint: Endpoint,
    record_id: &'a str,
    path: &'a str,
    reason: &'a str,
    observed_at: Timestamp,
    run_id: i64,
}

impl<'a> ListReport<'a> {
    fn of(record: &'a Quarantined) -> Self {
        Self {
            integration_id: &record.integration_id,
            endpoint: record.endpoint,
            record_id: &record.record_id,
            path: &record.path,
            reason: &record.reason,
            observed_at: record.observed_at,
            run_id: record.run_id.0,
        }
    }
}

#[derive(Serialize)]
struct RetryReport<'a> {
    integration_id: &'a IntegrationId,
    endpoint: Endpoint,
    record_id: &'a str,
    outcome: &'static str,
    /// Number of rows that changed.
    changed: u64,
    /// Path and reason if it stays in quarantine.
    path: Option<&'a str>,
    reason: Option<&'a str>,
}

impl<'a> RetryReport<'a> {
    fn of(retried: &'a Retried) -> Self {
        let Retried { record, applied } = retried;
        let kept = applied.is_none();
        Self {
            integration_id: &record.integration_id,
            endpoint: record.endpoint,
            record_id: &record.record_id,
            outcome: if kept { "kept" } else { "applied" },
            changed: applied.as_ref().map(changed).unwrap_or_default(),
            path: kept.then_some(record.path.as_str()),
            reason: kept.then_some(record.reason.as_str()),
        }
    }
}
