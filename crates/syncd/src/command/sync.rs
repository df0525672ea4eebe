use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kombo_client::RetryPolicy;
use kombo_model::{Endpoint, IntegrationId, Timestamp};
use serde::Serialize;
use store_diesel::DieselStore;
use sync_core::SyncError;
use sync_core::jobs::queue::{self, Claim};
use sync_core::jobs::retention;
use sync_core::jobs::{IntegrationRecord, IntegrationStatus, Lease, LeaseToken, RequestCause, SyncKind, Target};
use sync_core::outbox::Undelivered;
use sync_core::ports::{Clock as _, FailureClass, LockMode, Scope, Store as _, StoreError, Tx, TxResult};
use sync_core::pull::Engine;
use sync_core::pull::{Run, RunCounts, RunOutcome};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::store::{Tables, open_to_write};
use super::{Context, Exit};
use crate::cli::SyncArgs;
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::kombo::{self, KomboSource, source_error};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::{output, owner};

/// Between two looks at a request that another process works on.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(500);

pub(crate) type SyncEngine = Engine<DieselStore, KomboSource, SystemClock, Arc<Progress>>;

/// Fetches now: asks for the fetches and works on them itself.
pub(crate) async fn run(context: &Context, args: SyncArgs) -> anyhow::Result<Exit> {
    let config = context.config_with_warnings()?;
    let pace = Arc::new(Pace::new(config.kombo.max_requests_per_minute));
    let client = client(&config, &pace)?;
    let tables = if args.no_migrate { Tables::Expect } else { Tables::Migrate };
    let store = Arc::new(open_to_write(&config, tables).await?);
    pace.share(&store);
    let kombo_time = reach_kombo(&config).await?;
    expect_named(&config, &client, &store, &args.integrations).await?;
    let progress = Arc::new(Progress::new(context.bars.clone()));
    let source = Arc::new(KomboSource::new(client, config.kombo_name()));
    source.clock().date(kombo_time);
    let engine =
        Engine::new(Arc::clone(&store), Arc::clone(&source), SystemClock, Arc::clone(&progress), config.policy());
    let targets = request(&store, Wanted::new(&config, &args)).await?;

    let stop = context.signals.stop_gently(|| {
        tracing::warn!("stopping after the current batch; once more to stop at once");
    });
    let report = work(engine, targets, config.sync.workers, &progress, &stop).await;
    pace.give_back().await;
    let report = report?;
    // A daemon with another configuration may have them to deliver.
    trim(&store, &source, config.changes.keep_for, Undelivered::Keep).await;

    let printed = if context.global.json { output::json(&report) } else { print(&report) };
    match failures(&report, &progress).as_slice() {
        [] if printed.is_err() => printed.map(|()| Exit::Done),
        [] if stop.is_cancelled() => Err(anyhow::anyhow!("stopped; the next `syncd sync` goes on from here")),
        [] => Ok(Exit::Done),
        lines => Err(anyhow::anyhow!(lines.join("\n"))),
    }
}

/// Removes what the configuration does not want kept. What was fetched is stored whatever comes of this.
async fn trim(store: &DieselStore, source: &KomboSource, keep_for: Duration, undelivered: Undelivered) {
    let Some(now) = source.clock().surely() else { return };
    match store.transact(Scope::Shared, move |tx| retention::trim(tx, keep_for, undelivered, now)).await {
        Ok(trimmed) => tracing::debug!(changes = trimmed.changes, webhooks = trimmed.webhooks, "removed what is old"),
        Err(error) => tracing::warn!(error = output::chain(&error), "the change log could not be trimmed"),
    }
}

/// Asks Kombo if the key works, so that a wrong key or address is told at once and not by every fetch, and returns
/// Kombo's time. Anything else that goes wrong may pass, and is left to the fetches.
pub(crate) async fn reach_kombo(config: &Config) -> anyhow::Result<Option<Timestamp>> {
    use kombo_client::{Error, ErrorKind, TransportFault};
    let client = config.client()?.retry(RetryPolicy::NEVER).build();
    let client = client.map_err(|error| ConfigError::of_client(&error))?;
    let error = match client.check_api_key().await {
        Ok(answer) => {
            if let Some(skew) = kombo::skew(&answer.meta) {
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

/// Asks Kombo for integrations that a command names and nothing knows yet: one that is mistyped would be registered.
async fn expect_named(
    config: &Config,
    client: &kombo_client::Client,
    store: &DieselStore,
    named: &[IntegrationId],
) -> anyhow::Result<()> {
    let known: BTreeSet<IntegrationId> =
        store.read(|tx| tx.integrations()).await?.into_iter().map(|known| known.id).collect();
    let configured = |id: &IntegrationId| config.integrations.iter().any(|it| it.id == *id);
    for id in named.iter().filter(|id| !known.contains(*id) && !configured(id)) {
        if let Err(error) = client.integration(id).await {
            let error = source_error(&error, &config.kombo_name());
            if error.class == FailureClass::IntegrationNotFound {
                anyhow::bail!("--integration {id}: {}", error.message);
            }
        }
    }
    Ok(())
}

/// A client that tells of what it tries again.
pub(crate) fn client(config: &Config, pace: &Arc<Pace>) -> anyhow::Result<kombo_client::Client> {
    let learning = Arc::clone(pace);
    let observed = Arc::new(move |event: &kombo_client::ResponseEvent| {
        learning.learn(event);
        tell(event);
    });
    let pacer: Arc<dyn kombo_client::Pacer> = pace.clone();
    let client = config.client()?.on_response(observed).pacer(pacer).build();
    Ok(client.map_err(|error| ConfigError::of_client(&error))?)
}

/// Tells of what is tried again.
fn tell(event: &kombo_client::ResponseEvent) {
    match &event.outcome {
        kombo_client::Outcome::Fault(fault) => {
            tracing::warn!(operation = %event.operation, attempt = event.attempt, fault = ?fault, "no answer from Kombo");
        }
        kombo_client::Outcome::Status(status @ (429 | 500..)) => {
            tracing::warn!(operation = %event.operation, attempt = event.attempt, status, "Kombo asks to wait, or is down");
        }
        kombo_client::Outcome::Status(_) => {}
    }
}

/// What is to be fetched.
pub(crate) struct Wanted {
    /// Registered if they are not yet.
    pub(crate) register: BTreeSet<IntegrationId>,
    /// Only these; all that are registered if empty.
    pub(crate) integrations: BTreeSet<IntegrationId>,
    pub(crate) endpoints: BTreeSet<Endpoint>,
    pub(crate) kind: SyncKind,
    pub(crate) allow_mass_removal: bool,
}

impl Wanted {
    fn new(config: &Config, args: &SyncArgs) -> Self {
        let configured = config.integrations.iter().map(|integration| &integration.id);
        let endpoints = if args.endpoints.is_empty() { &config.sync.endpoints } else { &args.endpoints };
        Self {
            register: args.integrations.iter().chain(configured).cloned().collect(),
            integrations: args.integrations.iter().cloned().collect(),
            endpoints: endpoints.iter().copied().collect(),
            kind: if args.full { SyncKind::Full } else { SyncKind::Delta },
            allow_mass_removal: args.allow_mass_removal,
        }
    }
}

/// Registers the integrations and asks for the fetches.
pub(crate) async fn request(store: &DieselStore, wanted: Wanted) -> anyhow::Result<Vec<Target>> {
    let now = SystemClock.now();
    let (targets, left_out): (Vec<Target>, Vec<String>) = store
        .transact(Scope::Shared, move |tx| {
            for target in queue::release_abandoned(tx, owner::is_gone)? {
                tracing::info!(
                    integration.id = target.integration_id.as_str(),
                    endpoint = target.endpoint.as_str(),
                    "taking over from a process that is gone"
                );
            }
            for id in &wanted.register {
                register(tx, id, &wanted, now)?;
            }
            let (mut targets, mut left_out) = (Vec::new(), Vec::new());
            for integration in tx.integrations()? {
                let is_wanted = wanted.integrations.is_empty() || wanted.integrations.contains(&integration.id);
                // What a person paused is fetched if a person asks for it by name.
                let by_name = wanted.integrations.contains(&integration.id);
                let held = integration.status == IntegrationStatus::Held && !by_name;
                if !is_wanted {
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
                for endpoint in &wanted.endpoints {
                    let (integration_id, kind) = (integration.id.clone(), wanted.kind);
                    let target = Target { integration_id, endpoint: *endpoint, kind };
                    let mut request = queue::request(tx, target, RequestCause::Command, now, now)?;
                    if wanted.allow_mass_removal {
                        // What the stopped sweep would have removed is the most that is allowed.
                        request.approved_removals = queue::state(tx, &integration.id, *endpoint)?.pending_removals;
                        tx.put_request(&request)?;
                    }
                    targets.push(request.target);
                }
            }
            Ok::<_, StoreError>((targets, left_out))
        })
        .await?;
    if targets.is_empty() && !left_out.is_empty() {
        return Err(ConfigError(format!("nothing is fetched: {}", left_out.join("; "))).into());
    }
    if targets.is_empty() {
        let message = "no integration is known: name one with --integration ID, or in the configuration as\n\n  \
                       [[integrations]]\n  id = \"sandbox:7C9M5sXAQx2cNMpVHLojrFpL\"";
        return Err(ConfigError(message.to_owned()).into());
    }
    Ok(targets)
}

/// Registers an integration, or sets it going again. One that was deleted at Kombo stays so, unless it is asked for by
/// name.
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
        status: IntegrationStatus::Active,
        status_since: now,
        reason: None,
        registered_at: now,
        state_updated_at: None,
    };
    tx.put_integration(&match known {
        Some(known) => IntegrationRecord {
            tool: known.tool,
            registered_at: known.registered_at,
            state_updated_at: known.state_updated_at,
            ..fresh
        },
        None => fresh,
    })
}

/// Works on all targets with some workers at a time.
pub(crate) async fn work(
    engine: SyncEngine,
    targets: Vec<Target>,
    workers: usize,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> anyhow::Result<SyncReport> {
    // Everything was requested before this.
    let asked_at = SystemClock.now();
    let order: BTreeMap<(IntegrationId, Endpoint), usize> =
        targets.iter().map(|target| (target.integration_id.clone(), target.endpoint)).zip(0..).collect();
    let workers = workers.min(targets.len());
    let waiting = Arc::new(Mutex::new(targets.into_iter()));
    let engine = Arc::new(engine);
    let owner = owner::this_process();
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (engine, waiting, progress) = (Arc::clone(&engine), Arc::clone(&waiting), Arc::clone(progress));
        let (stop, owner) = (stop.clone(), owner.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            while !stop.is_cancelled() {
                let Some(target) = waiting.lock().await.next() else { break };
                let worked = work_on(&engine, &target, asked_at, &owner, &stop).await?;
                if progress.failure(&target) == Some(FailureClass::KeyRejected) {
                    // Whatever else uses the key would be rejected as well.
                    stop.cancel();
                }
                done.extend(worked);
            }
            Ok::<_, SyncError>(done)
        });
    }
    let mut runs = Vec::new();
    while let Some(done) = tasks.join_next().await {
        runs.extend(done??);
    }
    runs.sort_by_key(|(run, _): &(Run, Duration)| {
        let target = &run.target;
        (order.get(&(target.integration_id.clone(), target.endpoint)).copied(), run.id)
    });
    let mut report = SyncReport { runs: Vec::new() };
    for (run, took) in runs {
        let watermark = engine
            .store()
            .read({
                let target = run.target.clone();
                move |tx| queue::state(tx, &target.integration_id, target.endpoint)
            })
            .await?
            .watermark;
        report.runs.push(RunReport::new(&run, took, watermark));
    }
    Ok(report)
}

/// Works on one target until what was requested before `asked_at` is done, or waits for the process that does it. Returns
/// the runs that ended, with the time that each took; fewer if `stop` came first.
///
/// The first run may go on where an earlier process ended: pages that were committed then say nothing of what changed
/// since. The request knows that, and is due again when such a run ends.
async fn work_on(
    engine: &SyncEngine,
    target: &Target,
    asked_at: Timestamp,
    owner: &str,
    stop: &CancellationToken,
) -> Result<Vec<(Run, Duration)>, SyncError> {
    let mut done: Vec<(Run, Duration)> = Vec::new();
    let mut target = target.clone();
    let mut said = false;
    loop {
        let began = SystemClock.now();
        match lease(engine, &target, owner).await? {
            Leased::Lease(lease) => match engine.work(&lease, stop).await {
                Err(SyncError::LeaseLost(_)) => {}
                Err(error) => return Err(error),
                // A full fetch gave way to a delta: that one first.
                Ok(run) if run.outcome == RunOutcome::Interrupted && !stop.is_cancelled() => {
                    let delta = Target { kind: SyncKind::Delta, ..target.clone() };
                    Box::pin(work_on(engine, &delta, asked_at, owner, stop)).await?;
                }
                Ok(run) => {
                    let resumed = run.outcome.is_complete() && run.started_at < asked_at;
                    let first_load = run.first_load;
                    done.push((run, SystemClock.now().since(began)));
                    if !resumed {
                        return Ok(done);
                    }
                    if first_load && target.kind == SyncKind::Full && !is_requested(engine, &target).await? {
                        // After a first load, a delta is enough for what was requested since.
                        target.kind = SyncKind::Delta;
                    }
                }
            },
            Leased::Busy => {
                if !said {
                    tracing::warn!(
                        integration.id = target.integration_id.as_str(),
                        endpoint = target.endpoint.as_str(),
                        "another process works on this, or ended without a word: waiting for it"
                    );
                    said = true;
                }
                tokio::select! {
                    () = tokio::time::sleep(WAIT_FOR_OTHERS) => {}
                    () = stop.cancelled() => return Ok(done),
                }
            }
            Leased::Missing(latest) => {
                // Another process did it, if this one did not.
                if done.is_empty() {
                    done.extend(latest.map(|run| (*run, SystemClock.now().since(began))));
                }
                return Ok(done);
            }
        }
        if stop.is_cancelled() {
            return Ok(done);
        }
    }
}

/// What became of an attempt to lease a request.
enum Leased {
    Lease(Lease),
    /// Another process has it.
    Busy,
    /// There is no such request; with the latest run of its target.
    Missing(Option<Box<Run>>),
}

async fn lease(engine: &SyncEngine, target: &Target, owner: &str) -> Result<Leased, SyncError> {
    let token = LeaseToken(format!("{:032x}", fastrand::u128(..)));
    let policy = engine.policy();
    let claim = Claim { owner: owner.to_owned(), token, ttl: policy.lease_ttl, longest_wait: policy.longest_wait() };
    let (wanted, now) = (target.clone(), SystemClock.now());
    engine
        .store()
        .transact(Scope::Shared, move |tx| {
            if let Some(lease) = queue::lease_target(tx, &wanted, &claim, now)? {
                return Ok(Leased::Lease(lease));
            }
            Ok(if tx.request(&wanted, LockMode::Wait)?.locked().is_some() {
                Leased::Busy
            } else {
                Leased::Missing(tx.latest_run(&wanted)?.map(Box::new))
            })
        })
        .await
}

async fn is_requested(engine: &SyncEngine, target: &Target) -> Result<bool, SyncError> {
    let target = target.clone();
    engine.store().transact(Scope::Shared, move |tx| Ok(tx.request(&target, LockMode::Wait)?.locked().is_some())).await
}

/// What `sync` did.
#[derive(Debug, Serialize)]
pub(crate) struct SyncReport {
    pub(crate) runs: Vec<RunReport>,
}

/// What one run did.
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
}

impl RunReport {
    /// Why it failed or stopped.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    fn new(run: &Run, took: Duration, watermark: Option<Timestamp>) -> Self {
        Self {
            integration_id: run.target.integration_id.clone(),
            endpoint: run.target.endpoint,
            kind: run.target.kind,
            outcome: run.outcome,
            counts: run.counts,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            watermark,
            error: run.error.clone(),
        }
    }
}

/// Prints a table of what was done, without the columns in which nothing is to be told.
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

/// How many records each run put aside, a line each.
fn put_aside(report: &SyncReport) -> Vec<String> {
    let told = report.runs.iter().filter(|run| run.counts.quarantined > 0);
    told.map(|run| {
        let (records, of) = (run.counts.records, format!("{} of {}", run.endpoint, run.integration_id));
        let aside = run.counts.quarantined;
        output::one_line(&format!(
            "{of}: {aside} of {records} records could not be read or stored; see `syncd quarantine list`"
        ))
    })
    .collect()
}

/// What went wrong, a line each; of a rejected key, which concerns them all, one line only.
fn failures(report: &SyncReport, progress: &Progress) -> Vec<String> {
    let mut lines = Vec::new();
    for run in &report.runs {
        let Some(error) = &run.error else { continue };
        let target = Target { integration_id: run.integration_id.clone(), endpoint: run.endpoint, kind: run.kind };
        if progress.failure(&target) == Some(FailureClass::KeyRejected) {
            return vec![output::one_line(error)];
        }
        lines.push(output::one_line(&format!("{} of {}: {error}", run.endpoint, run.integration_id)));
    }
    lines
}
