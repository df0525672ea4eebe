//! Content of the pages, read from the store. Long lists are limited.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use kombo_model::{Endpoint, IntegrationId, Timestamp};
use sync_core::changes::Change;
use sync_core::jobs::{EndpointState, EndpointStatus, IntegrationRecord, IntegrationStatus, QueuedRequest};
use sync_core::ports::{QuarantinePart, Tx, TxResult};
use sync_core::pull::{Quarantined, Run, RunId};
use sync_core::rows::{Key, Model, StoredRow};

use super::chart::{self, Chart};
use super::show::{When, cut, fields, grouped, value};
use crate::output;

/// Maximum number of rows in a table.
const PAGE: usize = 50;
/// Maximum number of rows in a table, on pages with several tables.
const PART: usize = 20;
/// Number of runs that the chart of changes covers.
const CHARTED_RUNS: usize = 1_000;

/// Frame of every page.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame {
    pub(super) version: &'static str,
    pub(super) now: String,
    /// Form token for the page's forms; empty if nobody signed in.
    pub(super) form_key: String,
    pub(super) may_act: bool,
    pub(super) may_see_records: bool,
    /// Whether the content changes over time, so that the page reloads itself. Reloading must not repeat an action.
    pub(super) lives: bool,
    /// Result of the last action.
    pub(super) said: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn {
    pub(super) frame: Frame,
    pub(super) wrong: bool,
}

#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message {
    pub(super) frame: Frame,
    pub(super) title: &'static str,
    pub(super) text: &'static str,
}

#[derive(Template)]
#[template(path = "status.html")]
pub(super) struct Status {
    frame: Frame,
    integrations_total: usize,
    out_of_order: usize,
    queue_total: usize,
    quarantine_total: String,
    key_accepted: bool,
    changes_chart: Chart,
    freshness_chart: Chart,
    integrations: Vec<IntegrationRow>,
    /// The id after which further integrations follow.
    more: String,
    queue: Vec<RequestRow>,
    runs: Vec<RunRow>,
    quarantine: Vec<QuarantineRow>,
    ids: Vec<String>,
}

struct IntegrationRow {
    id: String,
    tool: String,
    state: &'static str,
    /// Endpoints with a problem, and their states.
    troubles: Vec<(&'static str, &'static str)>,
    fresh: When,
    last_delta: When,
    last_full: When,
    next_due: When,
}

struct EndpointRow {
    endpoint: &'static str,
    state: &'static str,
    since: When,
    reason: String,
    fresh: When,
    last_delta: When,
    last_full: When,
    next_full: When,
}

struct RequestRow {
    integration: String,
    endpoint: &'static str,
    kind: &'static str,
    cause: &'static str,
    asked: When,
    due: When,
    running: bool,
    attempts: i32,
}

struct RunRow {
    id: i64,
    integration: String,
    endpoint: &'static str,
    kind: &'static str,
    outcome: &'static str,
    began: When,
    took: String,
    records: String,
    changed: String,
}

struct QuarantineRow {
    integration: String,
    endpoint: &'static str,
    record: String,
    path: String,
    reason: String,
    fetched: When,
}

struct ChangeRow {
    seq: i64,
    integration: String,
    model: &'static str,
    record: String,
    kind: &'static str,
    cause: &'static str,
    fields: String,
    run: i64,
    at: When,
}

impl Status {
    pub(super) fn read(
        tx: &mut dyn Tx,
        frame: Frame,
        after: Option<&str>,
        key_accepted: bool,
        now: Timestamp,
    ) -> TxResult<Self> {
        let integrations = tx.integrations()?;
        let requests = tx.requests()?;
        let runs = tx.runs(None, None, CHARTED_RUNS)?;
        let quarantine = tx.quarantined(QuarantinePart::All, PART)?;
        let deleted: BTreeSet<&IntegrationId> = integrations
            .iter()
            .filter(|known| known.status == IntegrationStatus::Deleted)
            .map(|known| &known.id)
            .collect();
        let mut endpoints: BTreeMap<IntegrationId, Vec<EndpointState>> = BTreeMap::new();
        for state in tx.endpoints(None)? {
            if !deleted.contains(&state.integration_id) {
                endpoints.entry(state.integration_id.clone()).or_default().push(state);
            }
        }
        let out_of_order =
            integrations.iter().filter(|known| known.status != IntegrationStatus::Deleted).filter(|known| {
                let mut own = endpoints.get(&known.id).into_iter().flatten();
                known.status != IntegrationStatus::Active || own.any(|state| state.status != EndpointStatus::Ok)
            });
        let out_of_order = out_of_order.count();
        let mut due: BTreeMap<&IntegrationId, Timestamp> = BTreeMap::new();
        for request in &requests {
            let earliest = due.entry(&request.target.integration_id).or_insert(request.not_before);
            *earliest = request.not_before.min(*earliest);
        }
        let mut following = integrations.iter().filter(|known| after.is_none_or(|after| known.id.as_str() > after));
        let shown: Vec<&IntegrationRecord> = following.by_ref().take(PAGE).collect();
        let more = shown.last().filter(|_| following.next().is_some()).map(|last| last.id.to_string());
        Ok(Self {
            frame,
            integrations_total: integrations.len() - deleted.len(),
            out_of_order,
            queue_total: requests.len(),
            quarantine_total: grouped(tx.quarantine_size(QuarantinePart::All)?),
            key_accepted,
            changes_chart: chart::changes(&runs, runs.len() == CHARTED_RUNS, now),
            freshness_chart: chart::freshness(endpoints.values().flatten(), now),
            integrations: shown
                .iter()
                .map(|known| {
                    let own = endpoints.get(&known.id).map(Vec::as_slice).unwrap_or_default();
                    IntegrationRow::new(known, own, due.get(&known.id).copied(), now)
                })
                .collect(),
            more: more.unwrap_or_default(),
            queue: requests.iter().take(PART).map(|request| RequestRow::new(request, now)).collect(),
            runs: runs.iter().take(PART).map(|run| RunRow::new(run, now)).collect(),
            quarantine: quarantine.iter().map(|record| QuarantineRow::new(record, now)).collect(),
            ids: integrations.iter().map(|known| known.id.to_string()).collect(),
        })
    }
}

impl IntegrationRow {
    fn new(known: &IntegrationRecord, own: &[EndpointState], due: Option<Timestamp>, now: Timestamp) -> Self {
        let stopped = matches!(known.status, IntegrationStatus::Held | IntegrationStatus::Deleted);
        let next_full = own.iter().filter_map(|state| state.next_full_at).min();
        let next = [due, next_full].into_iter().flatten().min().filter(|_| !stopped);
        let troubles = own.iter().filter(|state| state.status != EndpointStatus::Ok);
        Self {
            id: known.id.to_string(),
            tool: known.tool.clone().unwrap_or_default(),
            state: known.status.as_str(),
            troubles: troubles.map(|state| (state.endpoint.as_str(), state.status.as_str())).collect(),
            // `None` sorts first: one endpoint that was never fetched makes the result "never".
            fresh: When::of(own.iter().map(|state| state.watermark).min().flatten(), now),
            last_delta: When::of(own.iter().filter_map(|state| state.last_delta_at).max(), now),
            last_full: When::of(own.iter().map(|state| state.last_full_at).min().flatten(), now),
            next_due: When::due(next, now),
        }
    }
}

impl EndpointRow {
    fn new(state: &EndpointState, now: Timestamp) -> Self {
        Self {
            endpoint: state.endpoint.as_str(),
            state: state.status.as_str(),
            since: When::of(state.status_since, now),
            reason: state.reason.as_deref().map(cut).unwrap_or_default(),
            fresh: When::of(state.watermark, now),
            last_delta: When::of(state.last_delta_at, now),
            last_full: When::of(state.last_full_at, now),
            next_full: When::due(state.next_full_at, now),
        }
    }
}

impl RequestRow {
    fn new(request: &QueuedRequest, now: Timestamp) -> Self {
        Self {
            integration: request.target.integration_id.to_string(),
            endpoint: request.target.endpoint.as_str(),
            kind: request.target.kind.as_str(),
            cause: request.cause.as_str(),
            asked: When::of(Some(request.requested_at), now),
            due: When::due(Some(request.not_before), now),
            running: request.lease.as_ref().is_some_and(|held| held.expires_at > now),
            attempts: request.attempts,
        }
    }
}

impl RunRow {
    fn new(run: &Run, now: Timestamp) -> Self {
        let counts = &run.counts;
        Self {
            id: run.id.0,
            integration: run.target.integration_id.to_string(),
            endpoint: run.target.endpoint.as_str(),
            kind: run.target.kind.as_str(),
            outcome: run.outcome.as_str(),
            began: When::of(Some(run.started_at), now),
            took: took(run),
            records: grouped(counts.records),
            changed: grouped(counts.created + counts.updated + counts.deleted + counts.restored),
        }
    }
}

/// Duration of a run, including all attempts and the pauses between them.
fn took(run: &Run) -> String {
    run.finished_at.map_or_else(|| "–".to_owned(), |finished| output::took(finished.since(run.started_at)))
}

impl QuarantineRow {
    fn new(record: &Quarantined, now: Timestamp) -> Self {
        Self {
            integration: record.integration_id.to_string(),
            endpoint: record.endpoint.as_str(),
            record: cut(&record.record_id),
            path: cut(&record.path),
            reason: cut(&record.reason),
            fetched: When::of(Some(record.observed_at), now),
        }
    }
}

impl ChangeRow {
    fn new(change: &Change, values: bool, now: Timestamp) -> Self {
        Self {
            seq: change.seq,
            integration: change.integration_id.to_string(),
            model: change.model.as_str(),
            record: change.record_id.clone(),
            kind: change.kind.as_str(),
            cause: change.cause.as_str(),
            fields: fields(&change.fields, values),
            run: change.run_id.0,
            at: When::of(Some(change.at), now),
        }
    }
}

#[derive(Template)]
#[template(path = "integration.html")]
pub(super) struct Integration {
    frame: Frame,
    id: String,
    tool: String,
    state: &'static str,
    since: When,
    reason: String,
    registered: When,
    endpoints: Vec<EndpointRow>,
    queue: Vec<RequestRow>,
    runs: Vec<RunRow>,
    changes: Vec<ChangeRow>,
    /// The next page shows entries below this `seq`; 0 if there is none.
    older: i64,
    quarantine: Vec<QuarantineRow>,
}

impl Integration {
    /// Returns `None` if the integration is unknown.
    pub(super) fn read(
        tx: &mut dyn Tx,
        frame: Frame,
        id: &IntegrationId,
        before: i64,
        now: Timestamp,
    ) -> TxResult<Option<Self>> {
        let Some(known) = tx.integration(id)? else { return Ok(None) };
        let mut endpoints = Vec::new();
        for endpoint in Endpoint::ALL {
            endpoints.extend(tx.endpoint(id, endpoint)?.map(|state| EndpointRow::new(&state, now)));
        }
        let requests = tx.requests_of(std::slice::from_ref(id))?;
        let changes = tx.latest_changes(id, None, before, PART)?;
        Ok(Some(Self {
            frame,
            id: id.to_string(),
            tool: known.tool.unwrap_or_else(|| "not known yet".to_owned()),
            state: known.status.as_str(),
            since: When::of(Some(known.status_since), now),
            reason: known.reason.as_deref().map(cut).unwrap_or_default(),
            registered: When::of(Some(known.registered_at), now),
            endpoints,
            queue: requests.iter().map(|request| RequestRow::new(request, now)).collect(),
            runs: tx.runs(Some(id), None, PART)?.iter().map(|run| RunRow::new(run, now)).collect(),
            older: older(&changes, PART),
            changes: changes.iter().map(|change| ChangeRow::new(change, false, now)).collect(),
            quarantine: tx
                .quarantined(QuarantinePart::Integration(id), PART)?
                .iter()
                .map(|record| QuarantineRow::new(record, now))
                .collect(),
        }))
    }
}

/// Returns the `seq` below which the page after a full one begins.
fn older(changes: &[Change], limit: usize) -> i64 {
    changes.last().filter(|_| changes.len() == limit).map_or(0, |last| last.seq)
}

#[derive(Template)]
#[template(path = "runs.html")]
pub(super) struct Runs {
    frame: Frame,
    integration: String,
    rows: Vec<RunRow>,
    older: i64,
}

impl Runs {
    pub(super) fn read(
        tx: &mut dyn Tx,
        frame: Frame,
        integration: Option<&IntegrationId>,
        before: i64,
        now: Timestamp,
    ) -> TxResult<Self> {
        let runs = tx.runs(integration, Some(RunId(before)), PAGE)?;
        Ok(Self {
            frame,
            integration: integration.map(ToString::to_string).unwrap_or_default(),
            older: runs.last().filter(|_| runs.len() == PAGE).map_or(0, |run| run.id.0),
            rows: runs.iter().map(|run| RunRow::new(run, now)).collect(),
        })
    }
}

#[derive(Template)]
#[template(path = "run.html")]
pub(super) struct OneRun {
    frame: Frame,
    id: i64,
    integration: String,
    endpoint: &'static str,
    kind: &'static str,
    outcome: &'static str,
    error: String,
    facts: Vec<(&'static str, String)>,
}

impl OneRun {
    /// Returns `None` if there is no such run.
    pub(super) fn read(tx: &mut dyn Tx, frame: Frame, id: i64) -> TxResult<Option<Self>> {
        let Some(run) = tx.run(RunId(id))? else { return Ok(None) };
        let time = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), |time| time.to_string());
        let counts = &run.counts;
        let mut facts = vec![
            ("Began", run.started_at.to_string()),
            ("Ended", time(run.finished_at)),
            ("Took", took(&run)),
            ("Changed after", time(run.updated_after)),
            ("First load", if run.first_load { "yes" } else { "no" }.to_owned()),
            ("Phase", run.phase.to_string()),
            ("Batches", run.batches.to_string()),
        ];
        let counts = [
            ("Pages", counts.pages),
            ("Records", counts.records),
            ("Rows created", counts.created),
            ("Rows updated", counts.updated),
            ("Rows deleted", counts.deleted),
            ("Rows restored", counts.restored),
            ("Unchanged", counts.unchanged),
            ("Indirect", counts.indirect),
            ("Stale", counts.stale),
            ("Quarantined", counts.quarantined),
        ];
        facts.extend(counts.map(|(name, count)| (name, grouped(count))));
        Ok(Some(Self {
            frame,
            id: run.id.0,
            integration: run.target.integration_id.to_string(),
            endpoint: run.target.endpoint.as_str(),
            kind: run.target.kind.as_str(),
            outcome: run.outcome.as_str(),
            error: run.error.as_deref().map(cut).unwrap_or_default(),
            facts,
        }))
    }
}

#[derive(Template)]
#[template(path = "record.html")]
pub(super) struct Record {
    frame: Frame,
    ids: Vec<String>,
    integration: String,
    id: String,
    rows: Vec<RecordRow>,
    changes: Vec<ChangeRow>,
    older: i64,
}

struct RecordRow {
    model: &'static str,
    live: bool,
    gone: String,
    synced: When,
    columns: Vec<(&'static str, String)>,
}

impl Record {
    /// Finds the rows with this id, and their changes below `before`.
    pub(super) fn read(
        tx: &mut dyn Tx,
        frame: Frame,
        integration: &IntegrationId,
        id: &str,
        before: i64,
        now: Timestamp,
    ) -> TxResult<Self> {
        let (mut rows, mut changes, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        if frame.may_see_records {
            ids = tx.integrations()?.iter().map(|known| known.id.to_string()).collect();
            for model in Model::ALL.into_iter().filter(|_| !id.is_empty()) {
                let key = match (model.key_columns().len(), id.split_once('/')) {
                    (1, _) => Key::Id(id.to_owned()),
                    (_, Some((first, second))) => Key::Pair(first.to_owned(), second.to_owned()),
                    (_, None) => continue,
                };
                let found = tx.rows(model, integration, &[key])?;
                rows.extend(found.iter().map(|row| RecordRow::new(model, row, now)));
            }
            if !id.is_empty() {
                changes = tx.latest_changes(integration, Some(id), before, PAGE)?;
            }
        }
        Ok(Self {
            frame,
            ids,
            integration: integration.to_string(),
            id: id.to_owned(),
            rows,
            older: older(&changes, PAGE),
            changes: changes.iter().map(|change| ChangeRow::new(change, true, now)).collect(),
        })
    }
}

impl RecordRow {
    fn new(model: Model, row: &StoredRow, now: Timestamp) -> Self {
        let gone = match (row.row.remote_deleted_at(), row.removed_at) {
            (Some(at), _) => format!("deleted at Kombo at {at}"),
            (None, Some(at)) => format!("removed at {at}"),
            (None, None) => String::new(),
        };
        let columns = model.columns().iter().zip(row.row.values());
        Self {
            model: model.as_str(),
            live: row.is_live(),
            gone,
            synced: When::of(Some(row.synced_at), now),
            columns: columns.map(|(column, held)| (column.name, value(held))).collect(),
        }
    }
}
