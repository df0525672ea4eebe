mod filter;

use std::time::Duration;

use kombo_model::{Category, Endpoint, IntegrationId, Timestamp};
use serde::Serialize;
use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus, QueuedRequest, SyncKind};
use sync_core::outbox::DeliveryState;
use sync_core::outbox::{self, DeliveryStatus};
use sync_core::ports::{Clock as _, QuarantinePart, Scope, Store as _, StoreError};
use sync_core::pull::{Quarantined, Run};
use sync_core::ratelimit::{Budget, Pacing};

use crate::cli::StatusArgs;
use crate::clock::SystemClock;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::store::{Tables, open};

/// Number of runs shown.
const LAST_RUNS: usize = 10;

/// A shorter wait for the next request to Kombo is not mentioned.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Usual length of Kombo's ids of integrations and records.
const INTEGRATION_ID: u16 = 32;
const RECORD_ID: u16 = 24;

/// Prints the status.
pub(crate) async fn run(context: &Context, args: &StatusArgs) -> anyhow::Result<Exit> {
    let config = context.config()?;
    let store = open(&config, Tables::Expect).await?;
    let delivers = config.delivers();
    let status = store
        .read(move |tx| {
            Ok::<_, StoreError>(Known {
                integrations: tx.integrations()?,
                endpoints: tx.endpoints(None)?,
                requests: tx.requests()?,
                runs: tx.runs(None, None, LAST_RUNS)?,
                quarantined: tx.quarantined(QuarantinePart::All, usize::MAX)?,
                deliveries: if delivers { Some(outbox::delivery_statuses(tx)?) } else { None },
                pacing: Pacing::default(),
            })
        })
        .await?;
    // Reading it locks the row, and a role that only reads may not do that.
    let pacing = store.transact(Scope::Shared, |tx| tx.pacing()).await.unwrap_or_default();
    let now = SystemClock.now();
    let none_is_known = status.integrations.is_empty();
    let status = Known { pacing, ..status }.narrowed(args)?;
    if context.global.json {
        output::json(&status.report(now))?;
    } else {
        status.print(none_is_known, now)?;
    }
    Ok(if args.check && !status.is_well(now) { Exit::Differences } else { Exit::Done })
}

struct Known {
    integrations: Vec<IntegrationRecord>,
    endpoints: Vec<EndpointState>,
    requests: Vec<QueuedRequest>,
    runs: Vec<Run>,
    quarantined: Vec<Quarantined>,
    /// `None` if nothing is delivered.
    deliveries: Option<Vec<DeliveryStatus>>,
    pacing: Pacing,
}

#[derive(Serialize)]
struct StatusReport<'a> {
    integrations: Vec<IntegrationReport<'a>>,
    runs: Vec<RunReport<'a>>,
    queue: Vec<RequestReport<'a>>,
    quarantine: Vec<QuarantineReport<'a>>,
    /// No request is sent to Kombo before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<DeliveryReport>,
}

/// Summary of the output of `syncd deliveries`.
#[derive(Serialize)]
struct DeliveryReport {
    behind: u64,
    behind_since: Option<Timestamp>,
    retrying: usize,
    dead_letters: usize,
}

#[derive(Serialize)]
struct IntegrationReport<'a> {
    id: &'a IntegrationId,
    tool: Option<&'a str>,
    category: Option<Category>,
    state: IntegrationStatus,
    since: Timestamp,
    reason: Option<&'a str>,
    endpoints: Vec<EndpointReport<'a>>,
}

#[derive(Serialize)]
struct EndpointReport<'a> {
    endpoint: Endpoint,
    watermark: Option<Timestamp>,
    lag_seconds: Option<u64>,
    last_delta: Option<Timestamp>,
    last_full: Option<Timestamp>,
    next_full: Option<Timestamp>,
    state: EndpointStatus,
    since: Option<Timestamp>,
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct RunReport<'a> {
    id: i64,
    integration_id: &'a IntegrationId,
    endpoint: Endpoint,
    kind: SyncKind,
    outcome: sync_core::pull::RunOutcome,
    started_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(flatten)]
    counts: sync_core::pull::RunCounts,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct RequestReport<'a> {
    integration_id: &'a IntegrationId,
    endpoint: Endpoint,
    kind: SyncKind,
    cause: sync_core::jobs::RequestCause,
    requested_at: Timestamp,
    not_before: Timestamp,
    attempts: i32,
    worked_on_by: Option<&'a str>,
}

#[derive(Serialize)]
struct QuarantineReport<'a> {
    integration_id: &'a IntegrationId,
    endpoint: Endpoint,
    record_id: &'a str,
    path: &'a str,
    reason: &'a str,
    observed_at: Timestamp,
}

impl Known {
    fn report(&self, now: Timestamp) -> StatusReport<'_> {
        StatusReport {
            integrations: self.integrations.iter().map(|integration| self.integration(integration, now)).collect(),
            runs: self.runs.iter().map(run_report).collect(),
            queue: self.requests.iter().map(|request| request_report(request, now)).collect(),
            quarantine: self.quarantined.iter().map(quarantine_report).collect(),
            waiting_until: self.waiting_until(now),
            delivery: self.deliveries.as_deref().map(|delivery_statuses| delivery_report(delivery_statuses, now)),
        }
    }

    /// The end of the wait for Kombo's rate limit or the configured pace, if the wait is long enough to report.
    fn waiting_until(&self, now: Timestamp) -> Option<Timestamp> {
        let renewal = match self.pacing.budget {
            Budget::Left { left: 0, renewed_at, .. } => Some(renewed_at),
            Budget::Left { .. } | Budget::Asked(_) | Budget::Unknown => None,
        };
        renewal.max(self.pacing.next_at).filter(|until| *until > now && until.since(now) >= LONG_WAIT)
    }

    fn integration<'a>(&'a self, integration: &'a IntegrationRecord, now: Timestamp) -> IntegrationReport<'a> {
        let own = self.endpoints_of(&integration.id).iter();
        IntegrationReport {
            id: &integration.id,
            tool: integration.tool.as_deref(),
            category: integration.category,
            state: integration.status,
            since: integration.status_since,
            reason: integration.reason.as_deref(),
            endpoints: own.map(|state| endpoint_report(state, now)).collect(),
        }
    }

    fn print(&self, none_is_known: bool, now: Timestamp) -> anyhow::Result<()> {
        if none_is_known {
            output::line("No integration is known yet: run `syncd sync --integration ID`.")?;
        } else if self.integrations.is_empty() {
            output::line("No integration and no endpoint is in such a state.")?;
        }
        let mut table =
            output::narrow_table(&["INTEGRATION", "ENDPOINT", "STATE", "WATERMARK", "LAST FULL", "NEXT FULL"]);
        for integration in &self.integrations {
            let mut id = output::one_line(integration.id.as_str());
            let own = self.endpoints_of(&integration.id);
            if own.is_empty() {
                let known = if integration.category.is_some() { "not loaded" } else { "category unknown" };
                table.add_row([id.clone(), "-".to_owned(), known.to_owned()]);
            }
            for state in own {
                table.add_row([
                    std::mem::take(&mut id),
                    state.endpoint.to_string(),
                    state.status.to_string(),
                    output::ago(state.watermark, now),
                    output::ago(state.last_full_at, now),
                    output::ago(state.next_full_at, now),
                ]);
            }
        }
        output::print(&table)?;
        for integration in self.integrations.iter().filter(|known| known.status != IntegrationStatus::Active) {
            let (id, status) = (&integration.id, integration.status);
            let since = output::ago(Some(integration.status_since), now);
            let reason = integration.reason.as_deref().unwrap_or("-");
            output::paragraph(format!("{id} {status} since {since}: {reason}"))?;
        }
        for state in self.endpoints.iter().filter(|state| state.status != EndpointStatus::Ok) {
            let since = output::ago(state.status_since, now);
            let (id, endpoint, status) = (&state.integration_id, state.endpoint, state.status);
            let reason = state.reason.as_deref().unwrap_or("-");
            output::paragraph(format!("{endpoint} of {id} {status} since {since}: {reason}"))?;
        }
        if let Some(until) = self.waiting_until(now) {
            let renewal = output::ago(Some(until), now);
            output::paragraph(format!(
                "No request is sent to Kombo before its rate limit or the pace allows one: {renewal}"
            ))?;
        }
        self.print_runs(now)?;
        self.print_queue(now)?;
        self.print_quarantine()?;
        self.print_delivery(now)
    }

    fn print_delivery(&self, now: Timestamp) -> anyhow::Result<()> {
        let Some(delivery_statuses) = &self.deliveries else { return Ok(()) };
        let DeliveryReport { behind, behind_since, retrying, dead_letters } = delivery_report(delivery_statuses, now);
        let behind = match behind_since {
            None => "every change is delivered".to_owned(),
            Some(since) => {
                format!(
                    "{behind} changes wait, the oldest found {}; {retrying} integrations failed",
                    output::ago(Some(since), now)
                )
            }
        };
        let letters = match dead_letters {
            0 => String::new(),
            1 => "; 1 dead letter".to_owned(),
            more => format!("; {more} dead letters"),
        };
        Ok(output::paragraph(format!("Delivery: {behind}{letters}"))?)
    }

    fn print_runs(&self, now: Timestamp) -> anyhow::Result<()> {
        if self.runs.is_empty() {
            return Ok(());
        }
        output::line("\nLast runs")?;
        let mut table = output::narrow_table(&["RUN", "ENDPOINT", "KIND", "OUTCOME", "STARTED", "RECORDS", "CHANGED"]);
        for run in &self.runs {
            let counts = &run.counts;
            let changed = counts.created + counts.updated + counts.deleted + counts.restored;
            table.add_row([
                run.id.to_string(),
                run.target.endpoint.to_string(),
                run.target.kind.to_string(),
                run.outcome.to_string(),
                output::ago(Some(run.started_at), now),
                counts.records.to_string(),
                changed.to_string(),
            ]);
        }
        Ok(output::print(&table)?)
    }

    fn print_queue(&self, now: Timestamp) -> anyhow::Result<()> {
        if self.requests.is_empty() {
            return Ok(output::line("\nNothing is pending.")?);
        }
        output::line("\nPending")?;
        let mut table = output::narrow_table(&["INTEGRATION", "ENDPOINT", "KIND", "CAUSE", "ASKED", "DUE", "TRIES"]);
        for request in &self.requests {
            let report = request_report(request, now);
            let due = match report.not_before {
                _ if report.worked_on_by.is_some() => "running".to_owned(),
                time if time <= now => "now".to_owned(),
                time => output::ago(Some(time), now),
            };
            table.add_row([
                output::one_line(report.integration_id.as_str()),
                report.endpoint.to_string(),
                report.kind.to_string(),
                report.cause.to_string(),
                output::ago(Some(report.requested_at), now),
                due,
                report.attempts.to_string(),
            ]);
        }
        output::keep_whole(&mut table, 0, INTEGRATION_ID);
        Ok(output::print(&table)?)
    }

    fn print_quarantine(&self) -> anyhow::Result<()> {
        if self.quarantined.is_empty() {
            return Ok(());
        }
        output::line(format!("\nIn quarantine: {} records", self.quarantined.len()))?;
        let mut table = output::narrow_table(&["INTEGRATION", "ENDPOINT", "RECORD", "WHY"]);
        for record in &self.quarantined {
            let why = format!("{}: {}", record.path, record.reason);
            let cells = [record.integration_id.as_str(), record.endpoint.as_str(), &record.record_id, &why];
            table.add_row(cells.map(output::one_line));
        }
        output::keep_whole(&mut table, 0, INTEGRATION_ID);
        output::keep_whole(&mut table, 2, RECORD_ID);
        Ok(output::print(&table)?)
    }
}

fn endpoint_report(state: &EndpointState, now: Timestamp) -> EndpointReport<'_> {
    EndpointReport {
        endpoint: state.endpoint,
        watermark: state.watermark,
        lag_seconds: state.watermark.map(|watermark| now.since(watermark).as_secs()),
        last_delta: state.last_delta_at,
        last_full: state.last_full_at,
        next_full: state.next_full_at,
        state: state.status,
        since: state.status_since,
        reason: state.reason.as_deref(),
    }
}

fn run_report(run: &Run) -> RunReport<'_> {
    RunReport {
        id: run.id.0,
        integration_id: &run.target.integration_id,
        endpoint: run.target.endpoint,
        kind: run.target.kind,
        outcome: run.outcome,
        started_at: run.started_at,
        finished_at: run.finished_at,
        counts: run.counts,
        error: run.error.as_deref(),
    }
}

fn request_report(request: &QueuedRequest, now: Timestamp) -> RequestReport<'_> {
    let held = request.lease.as_ref().filter(|held| held.expires_at > now);
    RequestReport {
        integration_id: &request.target.integration_id,
        endpoint: request.target.endpoint,
        kind: request.target.kind,
        cause: request.cause,
        requested_at: request.requested_at,
        not_before: request.not_before,
        attempts: request.attempts,
        worked_on_by: held.map(|held| held.owner.as_str()),
    }
}

fn delivery_report(delivery_statuses: &[DeliveryStatus], now: Timestamp) -> DeliveryReport {
    DeliveryReport {
        behind: delivery_statuses.iter().map(DeliveryStatus::behind).sum(),
        behind_since: delivery_statuses.iter().filter_map(|status| Some(status.backlog.as_ref()?.oldest_at)).min(),
        retrying: delivery_statuses.iter().filter(|status| status.state(now) == DeliveryState::Retrying).count(),
        dead_letters: delivery_statuses.iter().map(|status| status.dead_letters.len()).sum(),
    }
}

fn quarantine_report(record: &Quarantined) -> QuarantineReport<'_> {
    QuarantineReport {
        integration_id: &record.integration_id,
        endpoint: record.endpoint,
        record_id: &record.record_id,
        path: &record.path,
        reason: &record.reason,
        observed_at: record.observed_at,
    }
}
