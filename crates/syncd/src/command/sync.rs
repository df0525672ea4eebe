mod waits;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kombo_client::RetryPolicy;
use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::Serialize;
use store_diesel::DieselStore;
use sync_core::jobs::queue;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus, RequestCause, SyncKind, Target};
use sync_core::outbox::Undelivered;
use sync_core::ports::{Clock as _, FailureClass, Scope, Store as _, StoreError, Tx, TxResult};
use sync_core::pull::{RunCounts, RunOutcome};
use sync_runtime::{FinishedRun, RuntimeObserver, RuntimePolicy};

use crate::cli::SyncArgs;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::context::Context;
use crate::exit::Exit;
use crate::kombo::{self as kombo_source, KomboSource, source_error};
use crate::progress::Progress;
use crate::store::{Tables, open_to_write};
use crate::wiring::{self, Kombo, ProcessRuntime};
use crate::{output, owner, strays};
use waits::Waits;

/// Requests fetches, and works on them itself.
pub(crate) async fn run(context: &Context, args: SyncArgs) -> anyhow::Result<Exit> {
    let config = context.config_with_warnings()?;
    let waits = Arc::new(Waits::default());
    let kombo = Kombo::new(&config, RetryPolicy::default(), Arc::clone(&waits).observer())?;
    let tables = if args.no_migrate { Tables::Expect } else { Tables::Migrate };
    let store = Arc::new(open_to_write(&config, tables).await?);
    kombo.limiter.share(&store);
    let kombo_time = reach_kombo(&config).await?;
    expect_named(&config, &kombo.source, &store, &args.integrations).await?;
    kombo.source.clock().date(kombo_time);
    let wanted = Wanted::new(&config, &args);
    let endpoints = wanted.endpoints.clone();
    let stop = context.signals.stop_gently(|| {
        tracing::warn!("stopping after the current batch; press Ctrl-C again to stop at once");
    });
    // A daemon with another configuration may still have to deliver these entries.
    let policy = RuntimePolicy { undelivered: Undelivered::Keep, ..wiring::policy(&config) };
    waits.show_in(&store, &policy.owner);
    let (policies, gate) = ((config.policy(), policy), Arc::default());
    let runtime = wiring::runtime(&kombo.source, &store, progress(context), policies, gate, &stop);
    let report = match request(&runtime, wanted).await {
        Ok((targets, unknown)) => work(&runtime, targets).await.map(|report| (report, unknown)),
        Err(error) => Err(error),
    };
    kombo.limiter.give_back().await;
    let (report, mut problems) = report?;
    // Fetched records are already stored, even if this fails.
    runtime.trim().await;
    if args.full && args.integrations.is_empty() {
        strays::warn(&store, &endpoints).await?;
    }

    let printed = if context.global.json { output::json(&report) } else { print(&report) };
    problems.extend(failures(&report));
    match problems.as_slice() {
        [] if printed.is_err() => printed.map(|()| Exit::Done),
        [] if stop.is_cancelled() => Err(anyhow::anyhow!("stopped; the next `syncd sync` goes on from here")),
        [] => Ok(Exit::Done),
        lines => Err(anyhow::anyhow!(lines.join("\n"))),
    }
}

/// Shows the progress of a command's runs.
pub(crate) fn progress(context: &Context) -> Arc<Progress> {
    Arc::new(Progress::new(context.bars.clone()))
}

/// Asks Kombo whether the key works, so that a wrong key or address is reported once and not by every fetch. Returns
/// Kombo's time. Other errors may be transient, and are left to the fetches.
pub(crate) async fn reach_kombo(config: &Config) -> anyhow::Result<Option<Timestamp>> {
    use kombo_client::{Error, ErrorKind, TransportFault};
    let error = match wiring::probe_client(config)?.check_api_key().await {
        Ok(answer) => {
            if let Some(skew) = kombo_source::skew(&answer.meta) {
                skew.log();
            }
            return Ok(answer.meta.server_date);
        }
        Err(error) => error,
    };
    let unreachable = matches!(
        error,
        Error::Transport {
            fault: TransportFault::Dns | TransportFault::Proxy | TransportFault::Connect | TransportFault::Tls,
            ..
        }
    );
    if unreachable || error.kind() == ErrorKind::KeyRejected {
        anyhow::bail!(source_error(&error, &config.kombo_name()).message);
    }
    Ok(None)
}

/// Asks Kombo about unknown integrations that a command names. Otherwise a mistyped id would be registered.
async fn expect_named(
    config: &Config,
    source: &KomboSource,
    store: &DieselStore,
    named: &[IntegrationId],
) -> anyhow::Result<()> {
    let known: BTreeSet<IntegrationId> =
        store.read(|tx| tx.integrations()).await?.into_iter().map(|known| known.id).collect();
    let configured = |id: &IntegrationId| config.integrations.iter().any(|it| it.id == *id);
    for id in named.iter().filter(|id| !known.contains(*id) && !configured(id)) {
        if let Err(error) = source.client(SyncKind::Delta).integration(id).await {
            let error = source_error(&error, &config.kombo_name());
            if error.class == FailureClass::IntegrationNotFound {
                anyhow::bail!("--integration {id}: {}", error.message);
            }
        }
    }
    Ok(())
}

/// Logs retries.
pub(crate) fn log_retry(event: &kombo_client::ResponseEvent) {
    match &event.outcome {
        kombo_client::Outcome::Fault(fault) => {
            tracing::warn!(operation = %event.operation, attempt = event.attempt, fault = ?fault, "no answer from Kombo");
        }
        kombo_client::Outcome::Status(status @ (429 | 500..)) => {
            tracing::warn!(operation = %event.operation, attempt = event.attempt, status, "Kombo asked to wait, or is unavailable");
        }
        kombo_client::Outcome::Status(_) => {}
    }
}

/// Targets to fetch.
pub(crate) struct Wanted {
    /// Integrations to register if they are not registered yet.
    pub(crate) register: BTreeSet<IntegrationId>,
    /// Only these integrations, or all registered ones if empty.
    pub(crate) integrations: BTreeSet<IntegrationId>,
    pub(crate) endpoints: BTreeSet<Endpoint>,
    pub(crate) kind: SyncKind,
    pub(crate) allow_mass_removal: bool,
}

impl Wanted {
    fn new(config: &Config, args: &SyncArgs) -> Self {
        let configured = config.integrations.iter().map(|integration| &integration.id);
        Self {
            register: args.integrations.iter().chain(configured).cloned().collect(),
            integrations: args.integrations.iter().cloned().collect(),
            endpoints: config.endpoints_or(&args.endpoints),
            kind: if args.full { SyncKind::Full } else { SyncKind::Delta },
            allow_mass_removal: args.allow_mass_removal,
        }
    }

    fn is_wanted(&self, id: &IntegrationId) -> bool {
        self.integrations.is_empty() || self.integrations.contains(id)
    }
}

/// Registers the integrations, and requests the fetches. Returns the targets, and the reasons why Kombo did not name the
/// categories of others.
pub(crate) async fn request<O: RuntimeObserver>(
    runtime: &Arc<ProcessRuntime<O>>,
    wanted: Wanted,
) -> anyhow::Result<(Vec<Target>, Vec<String>)> {
    let (store, now) = (runtime.store(), SystemClock.now());
    let wanted = store
        .transact(Scope::Shared, move |tx| {
            for id in &wanted.register {
                register(tx, id, &wanted, now)?;
            }
            Ok::<_, StoreError>(wanted)
        })
        .await?;
    let known = store.read(|tx| tx.integrations()).await?;
    let known = known.into_iter().filter(|known| known.is_uncategorized() && wanted.is_wanted(&known.id));
    let uncategorized: Vec<IntegrationId> = known.map(|known| known.id).collect();
    let failed = runtime.categorize(uncategorized).await;
    let named = wanted.integrations.clone();
    let unknown: Vec<String> =
        failed.into_iter().map(|(id, error)| output::one_line(&format!("{id}: {error}"))).collect();
    let (targets, left_out): (Vec<Target>, Vec<String>) = store
        .transact(Scope::Shared, move |tx| {
            for target in queue::release_abandoned(tx, owner::is_gone)? {
                tracing::info!(
                    integration.id = target.integration_id.as_str(),
                    endpoint = target.endpoint.as_str(),
                    "taking over from a process that stopped"
                );
            }
            let (mut targets, mut left_out) = (Vec::new(), Vec::new());
            for integration in tx.integrations()? {
                // A paused integration is fetched if it is named explicitly.
                let by_name = wanted.integrations.contains(&integration.id);
                let held = integration.status == IntegrationStatus::Held && !by_name;
                if !wanted.is_wanted(&integration.id) {
                    continue;
                }
                let id = &integration.id;
                if held {
                    left_out.push(format!("{id} is paused: `syncd resume {id}`, or name it with --integration"));
                    continue;
                }
                if integration.status == IntegrationStatus::Deleted {
                    left_out.push(format!("{id} was deleted at Kombo"));
                    continue;
                }
                let Some(category) = integration.category else {
                    let reason = integration.reason.as_deref().unwrap_or("Kombo did not name its category");
                    left_out.push(format!("{id}: {reason}"));
                    continue;
                };
                let before = targets.len();
                for endpoint in integration.endpoints(&wanted.endpoints) {
                    let (integration_id, kind) = (integration.id.clone(), wanted.kind);
                    let target = Target { integration_id, endpoint, kind };
                    let mut request = queue::request(tx, target, RequestCause::Command, now, now)?;
                    if wanted.allow_mass_removal {
                        // Allows no more removals than the stopped sweep found.
                        request.approved_removals = queue::state(tx, &integration.id, endpoint)?.pending_removals;
                        tx.put_request(&request)?;
                    }
                    targets.push(request.target);
                }
                if targets.len() == before {
                    left_out.push(format!(
                        "{id} is of category {category}, and no endpoint of that category is to be fetched"
                    ));
                }
            }
            Ok::<_, StoreError>((targets, left_out))
        })
        .await?;
    if !unknown.is_empty() {
        return Ok((targets, unknown));
    }
    for reason in left_out.iter().filter(|_| !targets.is_empty() && !named.is_empty()) {
        tracing::warn!("not fetched: {reason}");
    }
    if targets.is_empty() && !left_out.is_empty() {
        return Err(ConfigError(format!("nothing is fetched: {}", left_out.join("; "))).into());
    }
    if targets.is_empty() {
        let message = "no integration is known: name one with --integration ID, or in the configuration as\n\n  \
                       [[integrations]]\n  id = \"sandbox:7C9M5sXAQx2cNMpVHLojrFpL\"";
        return Err(ConfigError(message.to_owned()).into());
    }
    Ok((targets, unknown))
}

/// Registers an integration, or makes it active again. An integration that was deleted at Kombo stays so, unless the
/// command names it.
fn register(tx: &mut dyn Tx, id: &IntegrationId, wanted: &Wanted, now: Timestamp) -> TxResult<()> {
    let known = tx.integration(id)?;
    match known.as_ref().map(|known| known.status) {
        Some(IntegrationStatus::Active | IntegrationStatus::Held) => return Ok(()),
        Some(IntegrationStatus::Deleted) if !wanted.integrations.contains(id) => return Ok(()),
        Some(IntegrationStatus::Paused | IntegrationStatus::NotFound | IntegrationStatus::Deleted) | None => {}
    }
    let fresh = IntegrationRecord {
        id: id.clone(),
        tool: None,
        category: None,
        status: IntegrationStatus::Active,
        status_since: now,
        reason: None,
        registered_at: now,
        state_updated_at: None,
    };
    tx.put_integration(&match known {
        Some(known) => IntegrationRecord {
            tool: known.tool,
            category: known.category,
            registered_at: known.registered_at,
            state_updated_at: known.state_updated_at,
            ..fresh
        },
        None => fresh,
    })
}

/// Fetches all targets.
pub(crate) async fn work(
    runtime: &Arc<ProcessRuntime<Arc<Progress>>>,
    targets: Vec<Target>,
) -> anyhow::Result<SyncReport> {
    let finished = Arc::clone(runtime).complete(targets).await?;
    Ok(SyncReport { runs: finished.into_iter().map(RunReport::new).collect() })
}

/// Result of `sync`.
#[derive(Debug, Serialize)]
pub(crate) struct SyncReport {
    pub(crate) runs: Vec<RunReport>,
}

/// Result of one run.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    integration_id: IntegrationId,
    endpoint: Endpoint,
    kind: SyncKind,
    outcome: RunOutcome,
    #[serde(flatten)]
    counts: RunCounts,
    duration_ms: u64,
    watermark: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    failure: Option<FailureClass>,
}

impl RunReport {
    /// Returns the reason of a failure or a stop.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn new(finished: FinishedRun) -> Self {
        let FinishedRun { run, took, watermark, failure } = finished;
        Self {
            integration_id: run.target.integration_id,
            endpoint: run.target.endpoint,
            kind: run.target.kind,
            outcome: run.outcome,
            counts: run.counts,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            watermark,
            error: run.error,
            failure,
        }
    }
}

/// Prints a table of the runs, without columns that would be empty.
pub(crate) fn print(report: &SyncReport) -> anyhow::Result<()> {
    type Count = fn(&RunCounts) -> u64;
    let counts: [(&str, Count); 11] = [
        ("pages", |counts| counts.pages),
        ("records", |counts| counts.records),
        ("created", |counts| counts.created),
        ("updated", |counts| counts.updated),
        ("deleted", |counts| counts.deleted),
        ("restored", |counts| counts.restored),
        ("unchanged", |counts| counts.unchanged),
        ("indirect", |counts| counts.indirect),
        ("stale", |counts| counts.stale),
        ("quarantined", |counts| counts.quarantined),
        ("withheld", |counts| counts.withheld),
    ];
    let always = ["pages", "records"];
    let told: Vec<_> = counts
        .into_iter()
        .filter(|(name, count)| always.contains(name) || report.runs.iter().any(|run| count(&run.counts) > 0))
        .collect();
    let names = told.iter().map(|(name, _)| *name);
    let head: Vec<&str> =
        ["integration", "endpoint", "kind", "outcome"].into_iter().chain(names).chain(["took"]).collect();
    let mut table = output::table(&head);
    for run in &report.runs {
        let target = [
            output::one_line(run.integration_id.as_str()),
            run.endpoint.to_string(),
            run.kind.to_string(),
            run.outcome.to_string(),
        ];
        let numbers = told.iter().map(|(_, count)| count(&run.counts).to_string());
        let took = output::took(Duration::from_millis(run.duration_ms));
        table.add_row(target.into_iter().chain(numbers).chain([took]));
    }
    output::print(&table)?;
    for line in put_aside(report) {
        output::paragraph(line)?;
    }
    Ok(())
}

/// Number of records that each run quarantined, one line for each run.
fn put_aside(report: &SyncReport) -> Vec<String> {
    let told = report.runs.iter().filter(|run| run.counts.quarantined > 0);
    told.map(|run| {
        let (aside, of) = (run.counts.quarantined, format!("{} of {}", run.endpoint, run.integration_id));
        output::one_line(&format!(
            "{of}: {aside} records could not be read, stored or looked up; see `syncd quarantine list`"
        ))
    })
    .collect()
}

/// Failures, one line each; only one line for a rejected key, which affects all runs.
fn failures(report: &SyncReport) -> Vec<String> {
    let mut lines = Vec::new();
    for run in &report.runs {
        let Some(error) = &run.error else { continue };
        if run.failure == Some(FailureClass::KeyRejected) {
            return vec![output::one_line(error)];
        }
        lines.push(output::one_line(&format!("{} of {}: {error}", run.endpoint, run.integration_id)));
    }
    lines
}
