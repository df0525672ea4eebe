mod log;
mod rest;
mod waits;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kombo_model::{Endpoint, IntegrationId, ModelName, Timestamp};
use sync_core::jobs::{EndpointState, Lease, QueuedRequest};
use sync_core::ports::{QuarantinePart, StoreError};
use sync_core::rows::compare::Tombstones;
use sync_core::rows::{Key, Model, StoredRow};
use sync_testkit::Truth;
use sync_testkit::history::{Ledger, Tables};

use crate::store::Seen;
use crate::world::{Tenant, World};

pub(crate) use rest::is_at_rest;
use waits::Waits;

/// Knowledge about Kombo and the log, with which the store is compared.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    ledgers: BTreeMap<IntegrationId, Ledger>,
    touched: BTreeMap<IntegrationId, BTreeMap<(Model, String), Touch>>,
    /// The last change of a model that Kombo announces.
    changed: BTreeMap<(IntegrationId, Model), Duration>,
    /// The time up to which stored webhooks named a changed model.
    announced: BTreeMap<(IntegrationId, Model), Duration>,
    /// Endpoints with incomplete answers, or with records that could not be read or stored. Their rows are not compared
    /// until the next full fetch.
    excused: BTreeSet<(IntegrationId, Endpoint)>,
    /// Models with rows that a person edited. The edits stay until the next full fetch.
    hand: BTreeSet<(IntegrationId, Model)>,
    purged: BTreeSet<IntegrationId>,
    /// The number of each integration's last log entry.
    last_seqs: BTreeMap<IntegrationId, i64>,
    waits: Waits,
}

/// A change of a record's own fields.
#[derive(Debug, Clone, Copy)]
struct Touch {
    /// Its `changed_at`, by Kombo's clock.
    stamp: Timestamp,
    /// The time when it became visible.
    at: Duration,
}

impl Checks {
    /// Notes a change at Kombo that has just happened.
    pub(crate) fn note(&mut self, world: &World, tenant: &Tenant, changed: &[ModelName]) {
        let at = world.elapsed();
        let touched = self.touched.entry(tenant.id.clone()).or_default();
        for (model, id, stamp) in tenant.kombo.touched() {
            // Kombo has no time for a provider, and shows it only in its courses.
            if model != Model::LmsCourseProviders {
                touched.insert((model, id), Touch { stamp, at });
            }
        }
        for model in changed.iter().filter_map(|name| Model::from_name(name.as_str())) {
            self.changed.insert((tenant.id.clone(), model), at);
        }
    }

    /// Notes that records may be gone without a trace.
    pub(crate) fn note_purge(&mut self, world: &World, tenant: &Tenant) {
        self.note(world, tenant, &[]);
        self.purged.insert(tenant.id.clone());
        let touched = self.touched.entry(tenant.id.clone()).or_default();
        for model in Model::LMS {
            let ids: BTreeSet<String> = tenant.kombo.ids(model).into_iter().collect();
            touched.retain(|(of, id), _| *of != model || ids.contains(id));
        }
    }

    /// Forgets the times of changes, because some records changed without a trace.
    pub(crate) fn forget_times(&mut self) {
        self.touched.clear();
    }

    /// Notes that a stored webhook names models. Their changes up to `at` must be fetched.
    pub(crate) fn note_announced(&mut self, integration: &IntegrationId, models: &[ModelName], at: Duration) {
        for model in models.iter().filter_map(|name| Model::from_name(name.as_str())) {
            let announced = self.announced.entry((integration.clone(), model)).or_default();
            *announced = at.max(*announced);
        }
    }

    pub(crate) fn excuse(&mut self, integration: &IntegrationId, endpoint: Endpoint) {
        self.excused.insert((integration.clone(), endpoint));
    }

    /// Notes a row that a person edited.
    pub(crate) fn note_hand(&mut self, integration: &IntegrationId, model: Model, stored: &StoredRow) {
        self.ledgers.entry(integration.clone()).or_default().take_over(model, stored);
        // These determine the members.
        let lists = [Model::LmsCourses, Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills];
        let of_lists = [Model::LmsCourseProviders, Model::LmsSkills];
        let nested = if lists.contains(&model) { [lists.as_slice(), &of_lists].concat() } else { vec![model] };
        self.hand.extend(nested.iter().map(|model| (integration.clone(), *model)));
    }

    /// Checks what must hold after every transaction.
    pub(crate) fn after_transaction(
        &mut self,
        world: &World,
        owner: &str,
        seen: &Seen,
        held: Option<&Lease>,
    ) -> Result<(), String> {
        let writes = seen.rows.iter().any(|(_, _, rows)| !rows.is_empty());
        if writes {
            let rows: usize = seen.rows.iter().map(|(_, _, rows)| rows.len()).sum();
            let target = held.map(|lease| lease.request.target.to_string()).unwrap_or_default();
            world.log(format_args!("{owner} writes {rows} rows, {} changes: {target}", seen.changes.len()));
            if !seen.lease_holds {
                return Err(format!("{owner} wrote rows of \"{target}\" without a lease that holds"));
            }
        }
        if let Some(wrong) = &seen.wrong {
            return Err(format!("{owner} {wrong}"));
        }
        self.log_goes_on(world, seen)?;
        if seen.requests > 0 {
            one_lease_for_each_endpoint(world)?;
        }
        if seen.promises {
            // A worker promises something of the integration that it works on.
            let is_meant = |tenant: &&Tenant| held.is_none_or(|lease| lease.request.target.integration_id == tenant.id);
            for tenant in world.tenants.iter().filter(is_meant) {
                self.promises(world, tenant)?;
            }
        }
        Ok(())
    }

    /// Checks how long requests have been waiting.
    pub(crate) fn waits(&mut self, world: &World) -> Result<(), String> {
        self.waits.look(world)
    }

    /// Describes a record of an integration that changed after `since` and is not in the mirror, if there is one.
    pub(crate) fn behind(&self, world: &World, tenant: &Tenant, since: Duration) -> Option<String> {
        let touched = self.touched.get(&tenant.id)?;
        let endpoints = &world.manner.policy.plan.endpoints;
        let mut late = touched.iter().filter(|((model, id), touch)| {
            let is_stored = |stored: &StoredRow| stored.row.changed_at().is_some_and(|at| at >= touch.stamp);
            let table = world.store.table(*model, &tenant.id);
            let is_here = table.iter().any(|stored| stored.row.key.first() == id && is_stored(stored));
            touch.at >= since && endpoints.contains(&model.owner()) && !is_here
        });
        late.next().map(|((model, id), touch)| format!("{model} {id} of {}, changed at {:?}", tenant.id, touch.at))
    }

    /// Checks that the mirror has all changes before a watermark, and that changes in webhooks are in the mirror or
    /// requested, or wait to be planned.
    pub(crate) fn promises(&self, world: &World, tenant: &Tenant) -> Result<(), String> {
        world.tally().checks += 1;
        let (states, requests, unplanned) = world
            .store
            .look(|tx| {
                let unplanned = !tx.pending_webhooks(&tenant.id, 1)?.is_empty();
                Ok::<_, StoreError>((tx.endpoints(None)?, tx.requests()?, unplanned))
            })
            .map_err(|error| error.to_string())?;
        let Some(touched) = self.touched.get(&tenant.id) else { return Ok(()) };
        let mut rows: BTreeMap<Model, BTreeMap<Key, Option<Timestamp>>> = BTreeMap::new();
        for ((model, id), touch) in touched {
            let owner = model.owner();
            let state = states.iter().find(|state| state.integration_id == tenant.id && state.endpoint == owner);
            let Some(state) = state.filter(|state| state.loaded_at.is_some()) else { continue };
            if self.excused.contains(&(tenant.id.clone(), owner)) || self.hand.contains(&(tenant.id.clone(), *model)) {
                continue;
            }
            let table = rows.entry(*model).or_insert_with(|| {
                let table = world.store.table(*model, &tenant.id).into_iter();
                // Kombo has all these records, so one that is removed here counts as missing.
                let table = table.filter(|stored| stored.removed_at.is_none());
                table.map(|stored| (stored.row.key.clone(), stored.row.changed_at())).collect()
            });
            let stored = table.get(&Key::Id(id.clone())).copied().flatten();
            if stored.is_some_and(|stored| stored >= touch.stamp) {
                continue;
            }
            let what = format!("{model} {id} of {} changed at {} ({:?})", tenant.id, touch.stamp, touch.at);
            if state.watermark.is_some_and(|watermark| touch.stamp <= watermark) {
                let watermark = state.watermark.map(|at| at.to_string()).unwrap_or_default();
                return Err(format!("{what}, the watermark is {watermark}, and stored is {stored:?}"));
            }
            let announced =
                self.announced.get(&(tenant.id.clone(), *model)).is_some_and(|announced| touch.at <= *announced);
            if announced && !unplanned && !is_asked_for(&requests, tenant, state) {
                return Err(format!("{what}, a webhook announced it, nothing is requested, and stored is {stored:?}"));
            }
        }
        Ok(())
    }

    /// Checks what must hold at rest, before any full fetch that only the schedule requests.
    pub(crate) fn at_rest(&self, world: &World) -> Result<(), String> {
        for tenant in &world.tenants {
            self.promises(world, tenant)?;
            let (tables, truth) = (tables(world, tenant), truth(world, tenant));
            let mut wrong = truth.lacking(&tables);
            if !self.purged.contains(&tenant.id) {
                let surplus = truth.surplus(&tables).into_iter();
                let lists = [Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills];
                wrong.extend(surplus.filter(|line| lists.iter().any(|model| is_of(line, *model))));
            }
            wrong.retain(|line| {
                Model::LMS.into_iter().any(|model| is_of(line, model) && self.is_due(world, tenant, model))
            });
            if !wrong.is_empty() {
                return Err(format!("at rest, the mirror of {} differs: {wrong:#?}", tenant.id));
            }
        }
        Ok(())
    }

    /// Whether the mirror must have all changes of a model at rest.
    fn is_due(&self, world: &World, tenant: &Tenant, model: Model) -> bool {
        // A record nested in courses depends on the courses and revisions around it.
        let nested = model.owner() == Endpoint::LmsCourses || model == Model::LmsSkills;
        let around = [Model::LmsCourses, Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills];
        let mut around = around.into_iter().filter(|_| nested);
        self.is_heard_of(world, tenant, model) && around.all(|model| self.is_heard_of(world, tenant, model))
    }

    fn is_heard_of(&self, world: &World, tenant: &Tenant, model: Model) -> bool {
        let endpoints = &world.manner.policy.plan.endpoints;
        let (owner, key) = (model.owner(), (tenant.id.clone(), model));
        // A row with a time from another clock keeps out changes without a time of their own, until a full fetch.
        if world.manner.wild_clocks || self.hand.contains(&key) {
            return false;
        }
        let mut shown_by = model.embedded_by().iter().copied().chain([owner]);
        if shown_by.any(|endpoint| self.excused.contains(&(tenant.id.clone(), endpoint))) {
            return false;
        }
        let is_shown = endpoints.contains(&owner) && !model.blind_in_delta(owner);
        let is_told =
            self.changed.get(&key).is_none_or(|at| self.announced.get(&key).is_some_and(|announced| at <= announced));
        is_told || (is_shown && world.manner.poll_every.is_some())
    }

    /// Checks what must hold at rest after a full fetch of everything.
    pub(crate) fn at_the_end(&mut self, world: &World) -> Result<(), String> {
        self.excused.clear();
        self.hand.clear();
        for tenant in &world.tenants {
            self.promises(world, tenant)?;
            let (tables, truth) = (tables(world, tenant), truth(world, tenant));
            let mut wrong = truth.lacking(&tables);
            wrong.extend(truth.surplus(&tables));
            if !wrong.is_empty() {
                return Err(format!("at the end, the mirror of {} differs: {wrong:#?}", tenant.id));
            }
            let ledger = self.ledgers.entry(tenant.id.clone()).or_default();
            let differences = ledger.differences(&Ledger::of(&tables));
            if !differences.is_empty() {
                return Err(format!("at the end, log and mirror of {} differ: {differences:#?}", tenant.id));
            }
        }
        let left = world
            .store
            .look(|tx| tx.quarantined(QuarantinePart::All, usize::MAX))
            .map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(()) } else { Err(format!("at the end, records are in quarantine: {left:#?}")) }
    }
}

/// Checks that a lease that was taken over is gone.
fn one_lease_for_each_endpoint(world: &World) -> Result<(), String> {
    let requests = world.store.look(|tx| tx.requests()).map_err(|error| error.to_string())?;
    let mut held = BTreeSet::new();
    for request in requests.iter().filter(|request| request.lease.is_some()) {
        if !held.insert((&request.target.integration_id, request.target.endpoint)) {
            return Err(format!("two leases of one endpoint: {requests:#?}"));
        }
    }
    Ok(())
}

fn is_asked_for(requests: &[QueuedRequest], tenant: &Tenant, state: &EndpointState) -> bool {
    let mut targets = requests.iter().map(|request| &request.target);
    targets.any(|target| target.integration_id == tenant.id && target.endpoint == state.endpoint)
}

fn is_of(line: &str, model: Model) -> bool {
    line.split(' ').next() == Some(model.as_str())
}

fn truth(world: &World, tenant: &Tenant) -> Truth {
    let truth = tenant.kombo.truth(&world.manner.policy.plan.endpoints);
    match world.manner.policy.tombstones {
        Tombstones::Mirror => truth,
        Tombstones::Keep => truth.keeping_values(),
    }
}

fn tables(world: &World, tenant: &Tenant) -> Tables {
    Model::LMS.into_iter().map(|model| (model, world.store.table(model, &tenant.id))).collect()
}
