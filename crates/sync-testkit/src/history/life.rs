use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use kombo_model::{IntegrationId, Timestamp};
use sync_core::engine::SyncPolicy;
use sync_core::mirror::{Model, StoredRow};
use sync_core::port::{Clock, FailureClass, Store};
use sync_core::types::{Change, RequestCause, SyncKind};
use tokio_util::sync::CancellationToken;

use super::daemon::{Daemon, Tables};
use super::edit::Edit;
use super::ledger::{Ledger, Table, net, shown};
use super::plan::{History, Manner, Step, Trouble};
use crate::{FakeKombo, ManualClock, Nesting, Truth};

/// What can be held against the other life after a sync.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// How many steps there were before.
    pub(super) step: usize,
    /// The models of which both lives know the same.
    pub(super) models: BTreeSet<Model>,
    /// Their rows.
    pub(super) rows: BTreeSet<String>,
    /// What the log says happened to them since they were last seen in such a way.
    pub(super) net: BTreeSet<String>,
    /// The columns that the log's entries name, each with both values; in calm histories.
    pub(super) entries: BTreeSet<String>,
}

/// A history under way, under one reading.
pub(super) struct Life<'a, St> {
    history: &'a History,
    step: usize,
    daemon: Daemon<St>,
    kombo: FakeKombo,
    clock: ManualClock,
    /// What the clock shows at the next step, however long the syncs before it took.
    next: Timestamp,
    /// Whether something disturbed a sync since the last rest.
    clouded: bool,
    ledger: Ledger,
    last_seq: i64,
    /// The tables as they were seen last.
    seen: BTreeMap<Model, Table>,
    sights: Vec<Sight>,
}

/// How long a sync may take. So soon after it Kombo changes again: what overlaps and wrong clocks are about.
const SYNC: Duration = Duration::from_secs(10);
/// How long a rest takes: longer than full fetches wait for each other, and than what failed.
const REST: Duration = Duration::from_secs(100_000);

impl<'a, St: Store> Life<'a, St> {
    pub(super) async fn live(store: Arc<St>, id: IntegrationId, history: &'a History, nesting: Nesting) -> Vec<Sight> {
        let clock = ManualClock::default();
        let kombo = FakeKombo::new(clock.clone());
        let manner = &history.manner;
        kombo.configure(|settings| {
            settings.nesting = nesting;
            settings.page_size = manner.page_size;
            settings.skew_millis = manner.skew_millis;
        });
        let mut policy = SyncPolicy::new(manner.endpoints.clone());
        policy.batch_records = manner.batch_records;
        policy.change_values = true;
        let daemon = Daemon::new(store, kombo.clone(), clock.clone(), policy, id);
        let next = clock.now();
        let mut life = Self {
            history,
            step: 0,
            daemon,
            kombo,
            clock,
            next,
            clouded: false,
            ledger: Ledger::default(),
            last_seq: 0,
            seen: BTreeMap::new(),
            sights: Vec::new(),
        };
        life.load().await;
        for step in &history.steps {
            life.step += 1;
            life.take(step).await;
        }
        life.end().await;
        life.sights
    }

    /// The first load, of what was there before anybody looked.
    async fn load(&mut self) {
        for edit in &self.manner().furniture {
            self.edit(edit, 0);
        }
        self.sleep(3_600);
        for endpoint in &self.manner().endpoints {
            self.daemon.ask(*endpoint, SyncKind::Full, RequestCause::Load).await;
        }
        self.rest().await;
        let tables = self.daemon.tables().await;
        self.ledger = Ledger::of(&tables);
        self.last_seq = self.daemon.log(0).await.last().map_or(0, |change| change.seq);
        self.look().await;
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Edit(edit, late) => self.edit(edit, *late),
            Step::Full(endpoint) => self.daemon.ask(*endpoint, SyncKind::Full, RequestCause::Schedule).await,
            Step::CursorsExpire => self.kombo.expire_cursors(),
            Step::Sync(after, troubles) => {
                self.sleep(*after);
                self.sync(troubles).await;
                self.look().await;
            }
            Step::Rest => {
                self.rest().await;
                self.look().await;
            }
        }
    }

    /// The last rest, then some changes that nobody tells of, and a full fetch of everything.
    async fn end(&mut self) {
        self.rest().await;
        self.look().await;
        let mut rng = Rng::with_seed(self.history.seed);
        let records = self.manner().records;
        for _ in 0..8 {
            let edit =
                if rng.u8(0..4) == 0 { Edit::draw_purge(&mut rng, records) } else { Edit::draw(&mut rng, records) };
            self.kombo.edit_silently(|lms| edit.apply(lms));
        }
        self.sleep(3_600);
        for endpoint in &self.manner().endpoints {
            self.daemon.ask(*endpoint, SyncKind::Full, RequestCause::Command).await;
        }
        self.rest().await;
        self.look().await;
        let surplus = self.truth().surplus(&self.daemon.tables().await);
        assert!(surplus.is_empty(), "{}: after a full fetch {surplus:#?}", self.place());
    }

    fn edit(&mut self, edit: &Edit, late: u64) {
        self.clock.set(self.next);
        self.kombo.edit_late(Duration::from_secs(late), |lms| edit.apply(lms));
        self.next = self.next.saturating_add(Duration::from_millis(7));
    }

    fn sleep(&mut self, seconds: u64) {
        self.next = self.next.saturating_add(Duration::from_secs(seconds));
        self.clock.set(self.next);
    }

    /// A webhook, and all that is due.
    async fn sync(&mut self, troubles: &[Trouble]) {
        self.clock.set(self.next);
        self.clouded |= !troubles.is_empty();
        let stop = CancellationToken::new();
        let dated = self.kombo.now();
        for trouble in troubles {
            match trouble {
                Trouble::Edit(page, edit) => {
                    let edit = edit.clone();
                    self.kombo.before_page(*page, move |lms| {
                        lms.date_from_now_on(dated);
                        edit.apply(lms);
                    });
                }
                Trouble::Passing(page) => self.kombo.fail_page(*page, FailureClass::Transient),
                Trouble::Refusal(page) => self.kombo.fail_page(*page, FailureClass::RequestRefused),
                Trouble::Stop(page) => {
                    let stop = stop.clone();
                    self.kombo.before_page(*page, move |_| stop.cancel());
                }
            }
        }
        self.daemon.hear().await;
        self.work(&stop).await;
        // What was to happen between pages that nobody asked for happens now, so that both lives see the same Kombo.
        self.kombo.catch_up();
        self.kombo.fail_no_more();
        let end = self.next.saturating_add(SYNC);
        assert!(self.clock.now() < end, "{}: the sync took too long", self.place());
        self.next = end;
    }

    /// A webhook, and all that is due until nothing is asked for any more.
    async fn rest(&mut self) {
        let begin = self.next;
        self.sync(&[]).await;
        for thousand in 1..REST.as_secs() / 1_000 {
            if self.daemon.requests().await.is_empty() {
                break;
            }
            self.clock.set(begin.saturating_add(Duration::from_secs(thousand * 1_000)));
            self.work(&CancellationToken::new()).await;
        }
        let left = self.daemon.requests().await;
        assert!(left.is_empty(), "{}: work is left: {left:#?} {:#?}", self.place(), self.daemon.runs().await);
        self.next = begin.saturating_add(REST);
        self.clouded = false;
    }

    async fn work(&self, stop: &CancellationToken) {
        let broken = self.daemon.work(stop).await;
        assert!(broken.is_empty(), "{}: work broke off: {broken:#?}", self.place());
    }

    /// Notes what can be held against the other life, and checks what can be checked now.
    async fn look(&mut self) {
        let (tables, log) = (self.daemon.tables().await, self.daemon.log(self.last_seq).await);
        for change in &log {
            self.ledger.replay(change).unwrap_or_else(|wrong| panic!("{}: {wrong}", self.place()));
            self.last_seq = change.seq;
        }
        let differences = self.ledger.differences(&Ledger::of(&tables));
        assert!(differences.is_empty(), "{}: from the log to the mirror: {differences:#?}", self.place());

        let waits = !self.daemon.requests().await.is_empty();
        let models = Model::ALL.into_iter().filter(|model| !(self.clouded || waits && self.is_hidden(*model)));
        let models: BTreeSet<Model> = models.collect();
        let truth = self.truth();
        if models.len() == Model::ALL.len() {
            let lacking = truth.lacking(&tables);
            assert!(lacking.is_empty(), "{}: {lacking:#?}", self.place());
        }
        let mut sight = Sight { step: self.step, ..Sight::default() };
        for model in &models {
            let known = self.known(*model, &truth);
            let rows_known = self.ledger.rows(*model);
            let rows_known = rows_known.filter(|(key, _)| known.as_ref().is_none_or(|known| known.contains(*key)));
            let now: Table = rows_known.map(|(key, fields)| (key.clone(), fields.clone())).collect();
            let before = self.seen.insert(*model, now.clone()).unwrap_or_default();
            sight.net.extend(net(*model, &before, &now));
            sight.rows.extend(rows(*model, &tables, known.as_ref()));
        }
        if self.manner().calm {
            sight.entries = self.entries(&log);
        }
        sight.models = models;
        self.sights.push(sight);
    }

    /// The entries of a sync column by column: none of them twice.
    fn entries(&self, log: &[Change]) -> BTreeSet<String> {
        let mut entries = BTreeSet::new();
        let mut columns = BTreeSet::new();
        for change in log {
            let fields = change.fields.as_object().into_iter().flatten();
            for (name, value) in fields.filter(|(name, _)| *name != "removed_at") {
                let column = format!("{} {} {name}", change.model, change.record_id);
                entries.insert(format!("{column}: {} to {}", shown(name, &value["old"]), shown(name, &value["new"])));
                assert!(columns.insert(column.clone()), "{}: {column} changed twice in one sync", self.place());
            }
        }
        entries
    }

    /// The records of a model that both lives have heard of; `None` for all.
    fn known(&self, model: Model, truth: &Truth) -> Option<BTreeSet<String>> {
        (!self.manner().calm).then(|| truth.rows(model).map(|row| row.key.to_string()).collect())
    }

    /// Whether a delta of the endpoint that shows the model in full may stay silent about it.
    fn is_hidden(&self, model: Model) -> bool {
        let owner = model.owner();
        !self.manner().endpoints.contains(&owner) || model.blind_in_delta(owner)
    }

    fn manner(&self) -> &'a Manner {
        &self.history.manner
    }

    fn truth(&self) -> Truth {
        self.kombo.truth(&self.manner().endpoints)
    }

    fn place(&self) -> String {
        format!("seed {}, after step {}", self.history.seed, self.step)
    }
}

fn rows<'a>(
    model: Model,
    tables: &'a Tables,
    known: Option<&'a BTreeSet<String>>,
) -> impl Iterator<Item = String> + 'a {
    let stored = tables.get(&model).into_iter().flatten();
    let stored = stored.filter(move |stored| known.is_none_or(|known| known.contains(&stored.row.key.to_string())));
    stored.map(move |stored| line(model, stored))
}

fn line(model: Model, stored: &StoredRow) -> String {
    let removed = if stored.removed_at.is_some() { "removed" } else { "there" };
    let values = model.columns().iter().zip(stored.row.values());
    let values = values.map(|(column, value)| format!("{}={}", column.name, value.to_json()));
    format!("{model} {} {removed} {}", stored.row.key, values.collect::<Vec<_>>().join(" "))
}
