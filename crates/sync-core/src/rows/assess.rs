//! Compares returned records with the stored rows, without writing.
//!
//! [`crate::rows::apply`] writes the result and [`crate::verify`] reports it, so both follow the same rules.

mod table;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::horizon::happened;
use crate::jobs::queue;
use crate::jobs::request::SyncKind;
use crate::ports::error::TxResult;
use crate::ports::store::Tx;
use crate::pull::run::RunId;
use crate::rows::Model;
use crate::rows::batch::{Batch, Incoming, Members, Provenance};
use crate::rows::change::{ChangeCause, ChangeKind};
use crate::rows::compare::{
    ChangedField, Reading, Verdict, by_change, cause, compare, first_seen, remove, remove_with_list,
};
use crate::rows::counts::RunCounts;
use crate::rows::row::{Key, MirrorRow, NewRow, Stored, StoredRow, Value};

pub(crate) use table::Table;
use table::{ToWrite, new_row};

/// The differences between some records and the stored rows.
#[derive(Debug, Default)]
pub struct Assessment<'a> {
    /// One finding for each row that differs, in the order of the change log.
    pub findings: Vec<Finding>,
    /// Counts of the records and of the changes to rows.
    pub counts: RunCounts,
    /// Ids of the listed records with a stored row that is not removed.
    pub shown: Vec<String>,
    /// Ids of the listed records with a row that differs from the stored one, which comes from a later response.
    pub stale: BTreeSet<String>,
    /// Members of listed records with a stored row from a later response. A look-up decides to which record they belong.
    pub outdated: BTreeMap<Model, BTreeSet<Key>>,
    /// Number of live rows that are removed because the list of their existing record no longer shows them.
    pub unlisted: BTreeMap<Model, u64>,
    /// The rows to write.
    tables: BTreeMap<Model, Table<'a>>,
}

/// A row that differs from the stored one.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The row's table.
    pub model: Model,
    /// The row's key.
    pub key: Key,
    /// Whether no row is stored.
    pub is_new: bool,
    /// Kind of the change. `None` if only `changed_at` differs, which is not logged.
    pub kind: Option<ChangeKind>,
    /// How the change was found.
    pub cause: ChangeCause,
    /// The columns that differ; empty for a new row.
    pub fields: Vec<ChangedField>,
}

/// The context in which records are compared.
#[derive(Debug, Clone, Copy)]
pub struct Assessing<'a> {
    /// Id of the integration.
    pub integration: &'a IntegrationId,
    /// The endpoint that listed the records.
    pub endpoint: Endpoint,
    /// The context in which rows are compared.
    pub reading: Reading,
    /// Treatment of rows that their list no longer shows.
    pub lists: Lists,
    /// The full fetch with notes of the rows on earlier pages. If a fetch shows a row with different contents, the
    /// newest counts, or the first if their times do not decide.
    pub notes: Option<RunId>,
}

/// Treatment of rows that the list of their record no longer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    /// Remove them.
    Remove,
    /// Keep them.
    Leave,
}

/// Returns the changes that `batch` would make.
pub fn assess<'a>(tx: &mut dyn Tx, batch: &'a Batch, assessing: Assessing<'_>) -> TxResult<Assessment<'a>> {
    let mut work = Work { assessing, tells_shown: true, found: Assessment::default(), outdated: BTreeSet::new() };
    work.batch(tx, batch, None)?;
    Ok(work.found)
}

/// Returns the changes that `batch` would make, without `shown`, for a caller that writes them. If no row of
/// `likely_new` is stored, its rows are inserted immediately and only counted. In a first load, this saves the look-up
/// of every row.
pub(crate) fn assess_or_insert<'a>(
    tx: &mut dyn Tx,
    batch: &'a Batch,
    assessing: Assessing<'_>,
    likely_new: Option<Model>,
) -> TxResult<Assessment<'a>> {
    let mut work = Work { assessing, tells_shown: false, found: Assessment::default(), outdated: BTreeSet::new() };
    work.batch(tx, batch, likely_new)?;
    Ok(work.found)
}

/// Returns the changes of removing rows of the listed model, with the members of their lists. A full fetch did not show
/// the rows, and a look-up by id did not find them.
pub fn assess_removal(
    tx: &mut dyn Tx,
    ids: &[String],
    looked_up_at: Timestamp,
    assessing: Assessing<'_>,
) -> TxResult<Assessment<'static>> {
    let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
    assess_removal_of(tx, assessing.endpoint.lists(), &keys, looked_up_at, ChangeCause::Sweep, assessing)
}

/// Returns the changes of removing rows of any model, with the members of their lists.
pub(crate) fn assess_removal_of(
    tx: &mut dyn Tx,
    model: Model,
    keys: &[Key],
    observed_at: Timestamp,
    cause: ChangeCause,
    assessing: Assessing<'_>,
) -> TxResult<Assessment<'static>> {
    let mut work = Work { assessing, tells_shown: false, found: Assessment::default(), outdated: BTreeSet::new() };
    let stored = tx.rows(model, assessing.integration, keys)?;
    work.remove(tx, model, &stored, observed_at, cause)?;
    Ok(work.found)
}

impl<'a> Assessment<'a> {
    /// Returns the row that a finding writes.
    pub(crate) fn row(&self, finding: &Finding) -> Option<&MirrorRow> {
        self.tables.get(&finding.model)?.get(&finding.key).map(ToWrite::row)
    }

    /// Returns the rows to write, table by table.
    pub(crate) fn into_tables(self) -> impl Iterator<Item = (Model, Table<'a>)> {
        self.tables.into_iter()
    }
}

/// A row that differs from the stored one, with the verdict and the stored row, if there is one.
type Differing<'b> = (Cow<'b, Incoming>, Option<(Verdict, StoredRow)>);

/// `'b` is the lifetime of the batch. Its new rows are written without a copy.
struct Work<'a, 'b> {
    assessing: Assessing<'a>,
    /// Whether the caller needs [`Assessment::shown`].
    tells_shown: bool,
    found: Assessment<'b>,
    /// Lists in records that are older than the stored ones, by the members' model and the parent.
    outdated: BTreeSet<(Model, String)>,
}

impl<'b> Work<'_, 'b> {
    fn batch(&mut self, tx: &mut dyn Tx, batch: &'b Batch, likely_new: Option<Model>) -> TxResult<()> {
        let mut tables: BTreeMap<Model, Vec<&Incoming>> = BTreeMap::new();
        for incoming in &batch.rows {
            tables.entry(incoming.model).or_default().push(incoming);
        }
        for (model, rows) in tables {
            let mut rows = self.one_of_each(rows);
            self.complete_sole_copies(tx, model, &mut rows)?;
            if likely_new != Some(model) || !self.insert(tx, model, &rows)? {
                self.rows(tx, model, rows)?;
            }
        }
        for list in &batch.members {
            let outdated = self.found.outdated.get(&list.model);
            if outdated.is_some_and(|outdated| list.keys.iter().any(|key| outdated.contains(key))) {
                self.found.stale.insert(list.parent.clone());
            }
        }
        if self.assessing.lists == Lists::Leave {
            return Ok(());
        }
        // Lists are compared after the rows, so that a member that moved to another list does not count as removed.
        let mut lists: BTreeMap<(Model, &str), &Members> = BTreeMap::new();
        for members in batch.members.iter().filter(|list| !self.outdated.contains(&(list.model, list.parent.clone()))) {
            let newest = lists.entry((members.model, &members.parent)).or_insert(members);
            if !self.by_change(members.changed_at, newest.changed_at).is_some_and(Ordering::is_lt) {
                *newest = members;
            }
        }
        // The catalogue has parents before their members.
        let listed: BTreeSet<Model> = lists.keys().map(|(model, _)| *model).collect();
        for model in listed {
            let of_model: Vec<_> = lists.values().copied().filter(|members| members.model == model).collect();
            self.lists(tx, &of_model, batch)?;
        }
        Ok(())
    }

    /// Fills the missing values of sole copies with null if the model was never loaded from its own endpoint. Nothing
    /// but copies is known of such rows.
    fn complete_sole_copies(&self, tx: &mut dyn Tx, model: Model, rows: &mut [Cow<'b, Incoming>]) -> TxResult<()> {
        if !rows.iter().any(|row| row.provenance == Provenance::SoleCopy)
            || queue::state(tx, self.assessing.integration, model.owner())?.loaded_at.is_some()
        {
            return Ok(());
        }
        for row in rows.iter_mut().filter(|row| row.provenance == Provenance::SoleCopy) {
            let values = row.to_mut().row.values_mut().iter_mut().zip(model.columns());
            for (value, _) in values.filter(|(_, column)| !model.copied_columns().contains(&column.name)) {
                *value = Value::Null;
            }
        }
        Ok(())
    }

    /// Keeps one row for each key, in the order of keys: the newest, or for partial copies the combination of all. If
    /// the times do not decide, the first counts in a full fetch and the last in a delta.
    fn one_of_each(&mut self, rows: Vec<&'b Incoming>) -> Vec<Cow<'b, Incoming>> {
        // The part of the keys that usually differs is stored inline, so that few keys have to be dereferenced.
        let mut rows: Vec<(u128, &Incoming)> = rows.into_iter().map(|row| (beginning(&row.row.key), row)).collect();
        // The sort is stable, so rows with the same key keep their order.
        rows.sort_by(|(left, one), (right, other)| left.cmp(right).then_with(|| one.row.key.cmp(&other.row.key)));
        let mut kept: Vec<Cow<'b, Incoming>> = Vec::with_capacity(rows.len());
        for (_, incoming) in rows {
            match kept.last_mut().filter(|held| held.row.key == incoming.row.key) {
                None => kept.push(Cow::Borrowed(incoming)),
                Some(held) => self.again(held, incoming),
            }
        }
        kept
    }

    /// Handles another row with the same key.
    fn again(&mut self, held: &mut Cow<'b, Incoming>, incoming: &'b Incoming) {
        if incoming.provenance == Provenance::Listed {
            self.found.counts.unchanged += 1; // the same record again
        }
        if incoming.provenance.is_copy() && held.provenance.is_copy() {
            let says_less = |(held, said): (&Value, &Value)| said.is_absent() || said == held;
            if held.row.values().iter().zip(incoming.row.values()).all(says_less) {
                if held.observed_at < incoming.observed_at {
                    held.to_mut().observed_at = incoming.observed_at;
                }
                return;
            }
            let (held, first_counts) = (held.to_mut(), self.first_counts());
            for (held, said) in held.row.values_mut().iter_mut().zip(incoming.row.values()) {
                if !said.is_absent() && (held.is_absent() || !first_counts) {
                    held.clone_from(said);
                }
            }
            held.observed_at = held.observed_at.max(incoming.observed_at);
        } else if self.supersedes(incoming, held) {
            *held = Cow::Borrowed(incoming);
        }
    }

    fn by_change(&self, one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Ordering> {
        by_change(one, other, self.assessing.reading.latest)
    }

    /// Whether the second of two rows with the same key counts.
    fn supersedes(&self, second: &Incoming, first: &Incoming) -> bool {
        let is_copy = |incoming: &Incoming| incoming.provenance.is_copy();
        match (is_copy(second), is_copy(first)) {
            (true, false) => false,
            (false, true) => true,
            _ => match self.is_newer(second.row.changed_at(), first.row.changed_at()) {
                Some(is_newer) => is_newer,
                None => second.observed_at >= first.observed_at && !self.first_counts(),
            },
        }
    }

    fn first_counts(&self) -> bool {
        self.assessing.reading.kind == SyncKind::Full
    }

    /// Inserts rows if none of them is stored. Returns whether it did.
    fn insert(&mut self, tx: &mut dyn Tx, model: Model, rows: &[Cow<'b, Incoming>]) -> TxResult<bool> {
        let new: Vec<NewRow<'_>> = rows.iter().map(|incoming| new_row(incoming)).collect();
        let are_new = tx.insert_if_new(model, self.assessing.integration, &new)?;
        if are_new {
            for incoming in rows {
                self.found.counts.count(first_seen(incoming, self.assessing.reading).0);
            }
        }
        Ok(are_new)
    }

    /// Compares rows with the stored ones.
    fn rows(&mut self, tx: &mut dyn Tx, model: Model, rows: Vec<Cow<'b, Incoming>>) -> TxResult<()> {
        let said: Vec<&MirrorRow> = rows.iter().map(|incoming| &incoming.row).collect();
        let held = tx.held(model, self.assessing.integration, &said)?;
        let now = self.assessing.reading.now;
        // In the order of keys, which is the order of logging and writing.
        let mut differing: Vec<Differing<'b>> = Vec::new();
        for (incoming, held) in rows.into_iter().zip(held) {
            let stored = match held {
                Stored::Nothing => None,
                Stored::Same(synced_at) if happened(Some(synced_at), now) > Some(Timestamp::MIN) => {
                    self.same(&incoming);
                    continue;
                }
                Stored::Same(_) => {
                    let key = std::slice::from_ref(&incoming.row.key);
                    tx.rows(model, self.assessing.integration, key)?.pop()
                }
                Stored::Row(stored) => Some(stored),
            };
            let verdict = stored.map(|stored| (compare(&incoming, Some(&stored), self.assessing.reading), stored));
            differing.push((incoming, verdict));
        }
        let settled = self.shown_before(tx, model, &differing)?;
        for (incoming, verdict) in differing {
            match verdict {
                None => self.unknown(model, incoming),
                Some((_, stored)) if settled.contains(&incoming.row.key) => {
                    self.known(model, &incoming, &stored, Verdict::Unchanged);
                }
                Some((verdict, stored)) => self.known(model, &incoming, &stored, verdict),
            }
        }
        Ok(())
    }

    /// Returns the rows that an earlier page of the full fetch showed with content that takes precedence.
    fn shown_before(&self, tx: &mut dyn Tx, model: Model, rows: &[Differing<'_>]) -> TxResult<BTreeSet<Key>> {
        let Some(run) = self.assessing.notes else { return Ok(BTreeSet::new()) };
        let contradicts = |incoming: &Incoming, (verdict, stored): &(Verdict, StoredRow)| {
            let is_newer = self.is_newer(incoming.row.changed_at(), stored.row.changed_at()) == Some(true);
            *verdict != Verdict::Unchanged && stored.removed_at.is_none() && !is_newer
        };
        let rows = rows.iter().filter_map(|(incoming, verdict)| Some((incoming, verdict.as_ref()?)));
        let contradicting = rows.filter(|(incoming, verdict)| contradicts(incoming, verdict));
        let keys: Vec<Key> = contradicting.map(|(incoming, _)| incoming.row.key.clone()).collect();
        if keys.is_empty() { Ok(BTreeSet::new()) } else { tx.seen(run, model, &keys) }
    }

    /// Whether a content that changed at `one` is newer than one that changed at `other`. A credible time counts as
    /// newer than one that is not. `None` if the times do not decide.
    fn is_newer(&self, one: Option<Timestamp>, other: Option<Timestamp>) -> Option<bool> {
        let is_credible = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.assessing.reading.latest);
        match self.by_change(one, other) {
            Some(order) => Some(order.is_gt()),
            None if is_credible(one) != is_credible(other) => Some(is_credible(one)),
            None => None,
        }
    }

    /// Handles a row that equals the stored one.
    fn same(&mut self, incoming: &Incoming) {
        if incoming.provenance == Provenance::Listed {
            self.count_listed(incoming, &Verdict::Unchanged);
            self.show(incoming);
        }
    }

    fn show(&mut self, incoming: &Incoming) {
        if self.tells_shown {
            self.found.shown.push(incoming.row.key.first().to_owned());
        }
    }

    /// Handles a row that is not stored yet.
    fn unknown(&mut self, model: Model, incoming: Cow<'b, Incoming>) {
        let (kind, announced) = first_seen(&incoming, self.assessing.reading);
        let (key, cause) = (incoming.row.key.clone(), self.cause(model, incoming.provenance, announced));
        self.found.counts.count(kind);
        self.found.findings.push(Finding { model, key, is_new: true, kind: Some(kind), cause, fields: Vec::new() });
        self.found.tables.entry(model).or_default().put(ToWrite::New(incoming));
    }

    fn known(&mut self, model: Model, incoming: &Incoming, stored: &StoredRow, verdict: Verdict) {
        if incoming.provenance == Provenance::Listed {
            self.count_listed(incoming, &verdict);
            if stored.removed_at.is_none() && verdict != Verdict::Stale {
                self.show(incoming);
            }
        }
        let (row, kind, fields, announced) = match verdict {
            Verdict::Unchanged => return,
            Verdict::Stale => {
                self.found.stale.extend(listed_with(incoming, self.assessing.endpoint));
                if is_member(model, self.assessing.endpoint) {
                    self.found.outdated.entry(model).or_default().insert(incoming.row.key.clone());
                }
                if self.by_change(incoming.row.changed_at(), stored.row.changed_at()) == Some(Ordering::Less) {
                    let lists = model.members().iter().map(|members| (*members, incoming.row.key.first().to_owned()));
                    self.outdated.extend(lists);
                }
                return;
            }
            Verdict::Touched(row) => {
                let field = moved(stored, &row);
                (row, None, vec![field], true)
            }
            Verdict::Changed { row, kind, fields, announced } => (row, Some(kind), fields, announced),
        };
        let cause = self.cause(model, incoming.provenance, announced);
        self.replace(model, row, kind, cause, fields);
    }

    fn cause(&self, model: Model, provenance: Provenance, announced: bool) -> ChangeCause {
        cause(self.assessing.reading.kind, provenance, announced || self.is_announced(model))
    }

    fn count_listed(&mut self, incoming: &Incoming, verdict: &Verdict) {
        let counts = &mut self.found.counts;
        match verdict {
            Verdict::Stale => counts.stale += 1,
            Verdict::Unchanged if came_back_for_another(incoming, self.assessing.reading) => counts.indirect += 1,
            Verdict::Unchanged | Verdict::Touched(_) => counts.unchanged += 1,
            Verdict::Changed { .. } => {}
        }
    }

    fn is_announced(&self, model: Model) -> bool {
        is_announced(model, self.assessing)
    }

    fn lists(&mut self, tx: &mut dyn Tx, lists: &[&Members], batch: &Batch) -> TxResult<()> {
        let Some(model) = lists.first().map(|members| members.model) else { return Ok(()) };
        let parents: Vec<String> = lists.iter().map(|members| members.parent.clone()).collect();
        let by_parent: BTreeMap<&str, (BTreeSet<&Key>, Timestamp)> = lists
            .iter()
            .map(|members| (members.parent.as_str(), (members.keys.iter().collect(), members.observed_at)))
            .collect();
        let listed_at = |member: &StoredRow| {
            let (keys, observed_at) = by_parent.get(parent_of(model, &member.row)?)?;
            (!keys.contains(&member.row.key)).then_some(*observed_at)
        };
        let mut gone: BTreeMap<Timestamp, Vec<StoredRow>> = BTreeMap::new();
        for member in self.members(tx, model, &parents, |member| listed_at(member).is_some())? {
            if let Some(observed_at) = listed_at(&member) {
                gone.entry(observed_at).or_default().push(member);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        // The members of a deleted record are removed with it, so they are not counted.
        let deleted = batch.rows.iter().filter(|it| it.row.remote_deleted_at().is_some());
        let deleted: BTreeSet<(Model, &str)> = deleted.map(|it| (it.model, it.row.key.first())).collect();
        let counts = |member: &&StoredRow| {
            let parent = model.parent().zip(parent_of(model, &member.row));
            member.is_live() && parent.is_none_or(|parent| !deleted.contains(&parent))
        };
        let cause = unlisted_cause(model, self.assessing);
        for (observed_at, rows) in gone {
            let count = u64::try_from(rows.iter().filter(counts).count()).unwrap_or(u64::MAX);
            *self.found.unlisted.entry(model).or_default() += count;
            self.remove(tx, model, &rows, observed_at, cause)?;
        }
        Ok(())
    }

    /// Marks rows as removed, together with the members of their lists.
    fn remove(
        &mut self,
        tx: &mut dyn Tx,
        model: Model,
        rows: &[StoredRow],
        observed_at: Timestamp,
        cause: ChangeCause,
    ) -> TxResult<()> {
        let now = self.assessing.reading.now;
        let rows = rows.iter().filter(|stored| stored.observed_at(now) <= observed_at);
        let rows = rows.map(|stored| (stored, remove(stored, observed_at, now))).collect();
        self.remove_as(tx, model, rows, observed_at, cause)
    }

    /// Writes rows as removed unless they already are, and removes the members of their lists.
    fn remove_as(
        &mut self,
        tx: &mut dyn Tx,
        model: Model,
        rows: Vec<(&StoredRow, Option<StoredRow>)>,
        observed_at: Timestamp,
        cause: ChangeCause,
    ) -> TxResult<()> {
        let mut parents = Vec::new();
        for (stored, removed) in rows {
            parents.push(stored.row.key.first().to_owned());
            let Some(row) = removed else { continue };
            let field = ChangedField { name: "removed_at", old: Value::Null, new: row.removed_at.into() };
            // The deletion of a record with a tombstone is already logged.
            let kind = if stored.is_live() { ChangeKind::Deleted } else { ChangeKind::Updated };
            self.replace(model, row, Some(kind), cause, vec![field]);
        }
        for &member in model.members().iter().filter(|_| !parents.is_empty()) {
            let members = self.members(tx, member, &parents, |_| true)?;
            let now = self.assessing.reading.now;
            let rows = members.iter().map(|stored| (stored, remove_with_list(stored, observed_at, now))).collect();
            self.remove_as(tx, member, rows, observed_at, cause)?;
        }
        Ok(())
    }

    /// Returns those members of `parents` that are `wanted`, as they will be after all findings so far are written.
    fn members(
        &self,
        tx: &mut dyn Tx,
        model: Model,
        parents: &[String],
        wanted: impl Fn(&StoredRow) -> bool,
    ) -> TxResult<Vec<StoredRow>> {
        let mut members = tx.members(model, self.assessing.integration, parents)?;
        let Some(found) = self.found.tables.get(&model) else {
            members.retain(wanted);
            return Ok(members);
        };
        members.retain(|member| found.get(&member.row.key).is_none() && wanted(member));
        let parents: BTreeSet<&str> = parents.iter().map(String::as_str).collect();
        let is_member = |found: &&ToWrite<'_>| {
            found.removed_at().is_none() && parent_of(model, found.row()).is_some_and(|parent| parents.contains(parent))
        };
        members.extend(found.iter().filter(is_member).map(ToWrite::to_stored).filter(|row| wanted(row)));
        Ok(members)
    }

    fn replace(
        &mut self,
        model: Model,
        row: StoredRow,
        kind: Option<ChangeKind>,
        cause: ChangeCause,
        fields: Vec<ChangedField>,
    ) {
        if let Some(kind) = kind {
            self.found.counts.count(kind);
        }
        let key = row.row.key.clone();
        self.found.findings.push(Finding { model, key, is_new: false, kind, cause, fields });
        self.found.tables.entry(model).or_default().put(ToWrite::Replacing(row));
    }
}

/// Whether a webhook requested this fetch because of changes to this model that a delta may not show.
fn is_announced(model: Model, assessing: Assessing<'_>) -> bool {
    assessing.reading.announced && model.blind_in_delta(assessing.endpoint)
}

/// Returns the cause to log when the list of a record no longer shows a row of `model`.
pub(crate) fn unlisted_cause(model: Model, assessing: Assessing<'_>) -> ChangeCause {
    match assessing.reading.kind {
        SyncKind::Full if !is_announced(model, assessing) => ChangeCause::Drift,
        SyncKind::Delta | SyncKind::Full => ChangeCause::Direct,
    }
}

/// Returns the first bytes of a key as a number with the same order.
fn beginning(key: &Key) -> u128 {
    let mut first = [0; 16];
    for (place, byte) in first.iter_mut().zip(key.first().bytes()) {
        *place = byte;
    }
    u128::from_be_bytes(first)
}

/// Returns the field that differs if only `changed_at` or `synced_at` does.
fn moved(stored: &StoredRow, row: &StoredRow) -> ChangedField {
    let (old, new) = (stored.row.changed_at(), row.row.changed_at());
    if old == new {
        return ChangedField { name: "synced_at", old: Value::Time(stored.synced_at), new: Value::Time(row.synced_at) };
    }
    ChangedField { name: "changed_at", old: old.into(), new: new.into() }
}

/// Whether a delta returned a record that did not itself change since the watermark, because of a nested record.
fn came_back_for_another(incoming: &Incoming, reading: Reading) -> bool {
    let since = match reading.kind {
        SyncKind::Delta => reading.known_until,
        SyncKind::Full => None,
    };
    matches!((incoming.row.changed_at(), since), (Some(changed), Some(since)) if changed <= since)
}

/// Whether rows of `model` have an id of their own and are members of a list in the records of `endpoint`.
fn is_member(model: Model, endpoint: Endpoint) -> bool {
    model.parent() == Some(endpoint.lists()) && model.key_columns().len() == 1
}

/// Returns the id of the listed record that contained a row, unless the row is a copy.
fn listed_with(incoming: &Incoming, endpoint: Endpoint) -> Option<String> {
    match incoming.provenance {
        Provenance::Listed => Some(incoming.row.key.first().to_owned()),
        Provenance::Owned if is_member(incoming.model, endpoint) => {
            parent_of(incoming.model, &incoming.row).map(str::to_owned)
        }
        Provenance::Owned | Provenance::Copy | Provenance::SoleCopy => None,
    }
}

/// Returns the id of the record that lists a row of `model`.
pub(crate) fn parent_of(model: Model, row: &MirrorRow) -> Option<&str> {
    let column = model.parent_column()?;
    if model.key_columns().first() == Some(&column) {
        return Some(row.key.first());
    }
    row.get(model, column)?.text()
}
