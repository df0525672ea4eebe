//! What returned records would change: reads what is stored and compares, and writes nothing.
//!
//! [`crate::apply`] writes what is found here and [`crate::verify`] reports it, so both follow the same rules.

use std::borrow::Cow;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::compare::{ChangedField, Reading, Verdict, cause, compare, remove, remove_with_list};
use crate::mirror::{Batch, Incoming, Key, Members, Model, Row, Standing, StoredRow, Value};
use crate::port::{Tx, TxResult};
use crate::types::{ChangeCause, ChangeKind, RunCounts, SyncKind};

/// What some records would change.
#[derive(Debug, Default)]
pub struct Assessment {
    /// Row by row what differs, in the order of the change log.
    pub findings: Vec<Finding>,
    /// What the records are, and what would become of rows.
    pub counts: RunCounts,
    /// The ids of the listed records whose stored row is not removed.
    pub shown: Vec<String>,
    /// The ids of the listed records that hold a row which is stored from a later response and says something else.
    pub stale: BTreeSet<String>,
    /// The rows to write.
    rows: BTreeMap<Model, BTreeMap<Key, ToWrite>>,
}

/// A row to write.
#[derive(Debug)]
struct ToWrite {
    row: StoredRow,
    /// Nothing is stored.
    is_new: bool,
}

/// The rows to write into one table.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Of which nothing is stored.
    pub(crate) new: Vec<StoredRow>,
    /// In the place of what is stored.
    pub(crate) replaced: Vec<StoredRow>,
}

/// A row that differs from what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The row's table.
    pub model: Model,
    /// The row's key.
    pub key: Key,
    /// Whether nothing is stored.
    pub is_new: bool,
    /// What happened to the record; nothing that belongs into the change log if only `changed_at` differs.
    pub kind: Option<ChangeKind>,
    /// How it became known.
    pub cause: ChangeCause,
    /// The columns whose values differ; of a new row, none are named.
    pub fields: Vec<ChangedField>,
}

/// Whose records they are, and how to read them.
#[derive(Debug, Clone, Copy)]
pub struct Assessing<'a> {
    /// Whose.
    pub integration: &'a IntegrationId,
    /// The list that showed them.
    pub endpoint: Endpoint,
    /// How to read them.
    pub reading: Reading,
}

/// What would change if `batch` were applied.
pub fn assess(tx: &mut dyn Tx, batch: &Batch, assessing: Assessing<'_>) -> TxResult<Assessment> {
    let mut work = Work { assessing, found: Assessment::default() };
    let mut tables: BTreeMap<Model, Vec<&Incoming>> = BTreeMap::new();
    for incoming in &batch.rows {
        tables.entry(incoming.model).or_default().push(incoming);
    }
    for (model, rows) in tables {
        let rows = work.one_of_each(rows);
        work.rows(tx, model, &rows)?;
    }
    // Lists are looked at after the rows, so that a member that moved to another list is not taken for gone.
    let mut lists: BTreeMap<(Model, &str), &Members> = BTreeMap::new();
    for members in &batch.members {
        lists.insert((members.model, &members.parent), members);
    }
    for model in [Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills] {
        let of_model: Vec<_> = lists.values().copied().filter(|members| members.model == model).collect();
        work.lists(tx, &of_model)?;
    }
    Ok(work.found)
}

/// What would change if rows of the listed model that a full fetch did not show and a look-up by id did not find were
/// removed, with the members of their lists.
pub fn assess_removal(
    tx: &mut dyn Tx,
    ids: &[String],
    looked_up_at: Timestamp,
    assessing: Assessing<'_>,
) -> TxResult<Assessment> {
    let mut work = Work { assessing, found: Assessment::default() };
    let model = Model::listed_by(assessing.endpoint);
    let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
    let stored = tx.rows(model, assessing.integration, &keys)?;
    work.remove(tx, model, &stored, looked_up_at, ChangeCause::Sweep)?;
    Ok(work.found)
}

impl Assessment {
    /// The row that a finding writes.
    pub(crate) fn row(&self, finding: &Finding) -> Option<&StoredRow> {
        self.rows.get(&finding.model)?.get(&finding.key).map(|written| &written.row)
    }

    /// The rows to write, table by table.
    pub(crate) fn into_writes(self) -> impl Iterator<Item = (Model, Writes)> {
        self.rows.into_iter().map(|(model, rows)| {
            let mut writes = Writes::default();
            for ToWrite { row, is_new } in rows.into_values() {
                if is_new { &mut writes.new } else { &mut writes.replaced }.push(row);
            }
            (model, writes)
        })
    }
}

struct Work<'a> {
    assessing: Assessing<'a>,
    found: Assessment,
}

impl Work<'_> {
    /// One row of each key, in the order of keys: the newest, or for partial copies all that they say together.
    fn one_of_each<'a>(&mut self, mut rows: Vec<&'a Incoming>) -> Vec<Cow<'a, Incoming>> {
        rows.sort_by(|left, right| left.row.key.cmp(&right.row.key)); // stable: of equals, the later one comes later
        let mut kept: Vec<Cow<'a, Incoming>> = Vec::with_capacity(rows.len());
        for incoming in rows {
            match kept.last_mut().filter(|held| held.row.key == incoming.row.key) {
                None => kept.push(Cow::Borrowed(incoming)),
                Some(held) => self.again(held, incoming),
            }
        }
        kept
    }

    /// The same key once more.
    fn again<'a>(&mut self, held: &mut Cow<'a, Incoming>, incoming: &'a Incoming) {
        if incoming.standing == Standing::Listed {
            self.found.counts.unchanged += 1; // the same record twice
        }
        if incoming.standing == Standing::Copy && held.standing == Standing::Copy {
            let says_less = |(held, said): (&Value, &Value)| said.is_absent() || said == held;
            if held.row.values().iter().zip(incoming.row.values()).all(says_less) {
                if held.observed_at < incoming.observed_at {
                    held.to_mut().observed_at = incoming.observed_at;
                }
                return;
            }
            let held = held.to_mut();
            for (held, said) in held.row.values_mut().iter_mut().zip(incoming.row.values()) {
                if !said.is_absent() {
                    held.clone_from(said);
                }
            }
            held.observed_at = held.observed_at.max(incoming.observed_at);
        } else if rank(incoming) >= rank(held) {
            *held = Cow::Borrowed(incoming);
        }
    }

    fn rows(&mut self, tx: &mut dyn Tx, model: Model, rows: &[Cow<'_, Incoming>]) -> TxResult<()> {
        let keys: Vec<Key> = rows.iter().map(|incoming| incoming.row.key.clone()).collect();
        let mut stored = tx.rows(model, self.assessing.integration, &keys)?;
        stored.sort_by(|left, right| left.row.key.cmp(&right.row.key));
        let mut stored = stored.iter().peekable();
        for incoming in rows {
            let key = &incoming.row.key;
            // Both are in the order of keys.
            while stored.next_if(|stored| stored.row.key < *key).is_some() {}
            let stored = stored.next_if(|stored| stored.row.key == *key);
            let verdict = compare(incoming, stored, self.assessing.reading);
            if incoming.standing == Standing::Listed {
                self.count_listed(incoming, &verdict);
                if stored.is_some_and(|stored| stored.removed_at.is_none()) {
                    self.found.shown.push(key.first().to_owned());
                }
            }
            let (row, kind, fields, announced) = match verdict {
                Verdict::Unchanged => continue,
                Verdict::Stale => {
                    self.found.stale.extend(listed_with(incoming));
                    continue;
                }
                Verdict::Touched(row) => {
                    let field = moved(stored.map(|stored| &stored.row), &row.row);
                    (row, None, vec![field], true)
                }
                Verdict::Changed { row, kind, fields, announced } => (row, Some(kind), fields, announced),
            };
            let announced = announced || self.is_announced(model);
            let cause = cause(self.assessing.reading.kind, incoming.standing, announced);
            self.found(model, row, stored.is_none(), kind, cause, fields);
        }
        Ok(())
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

    /// Whether a webhook asked for this fetch because of changes to this model, which has no `changed_at` to tell.
    fn is_announced(&self, model: Model) -> bool {
        self.assessing.reading.announced && model.blind_in_delta(self.assessing.endpoint)
    }

    fn lists(&mut self, tx: &mut dyn Tx, lists: &[&Members]) -> TxResult<()> {
        let Some(model) = lists.first().map(|members| members.model) else { return Ok(()) };
        let parents: Vec<String> = lists.iter().map(|members| members.parent.clone()).collect();
        let by_parent: BTreeMap<&str, (BTreeSet<&Key>, Timestamp)> = lists
            .iter()
            .map(|members| (members.parent.as_str(), (members.keys.iter().collect(), members.observed_at)))
            .collect();
        let listed_at = |member: &StoredRow| {
            let (keys, observed_at) = by_parent.get(parent_of(model, member)?)?;
            (!keys.contains(&member.row.key)).then_some(*observed_at)
        };
        let mut gone: BTreeMap<Timestamp, Vec<StoredRow>> = BTreeMap::new();
        for member in self.members(tx, model, &parents, |member| listed_at(member).is_some())? {
            if let Some(observed_at) = listed_at(&member) {
                gone.entry(observed_at).or_default().push(member);
            }
        }
        let cause = match self.assessing.reading.kind {
            SyncKind::Full if !self.is_announced(model) => ChangeCause::Drift,
            SyncKind::Delta | SyncKind::Full => ChangeCause::Direct,
        };
        for (observed_at, rows) in gone {
            self.remove(tx, model, &rows, observed_at, cause)?;
        }
        Ok(())
    }

    /// Marks rows as removed, and with them the members of their lists.
    fn remove(
        &mut self,
        tx: &mut dyn Tx,
        model: Model,
        rows: &[StoredRow],
        observed_at: Timestamp,
        cause: ChangeCause,
    ) -> TxResult<()> {
        let rows = rows.iter().filter(|stored| stored.synced_at <= observed_at);
        let rows = rows.map(|stored| (stored, remove(stored, observed_at))).collect();
        self.remove_as(tx, model, rows, observed_at, cause)
    }

    /// Writes rows as removed, where they are not yet, and removes the members of their lists.
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
            // Of a record with a tombstone it is known already that it is gone.
            let kind = if stored.is_live() { ChangeKind::Deleted } else { ChangeKind::Updated };
            self.found(model, row, false, Some(kind), cause, vec![field]);
        }
        if let (Some(member), false) = (members_of(model), parents.is_empty()) {
            let members = self.members(tx, member, &parents, |_| true)?;
            let rows = members.iter().map(|stored| (stored, remove_with_list(stored, observed_at))).collect();
            self.remove_as(tx, member, rows, observed_at, cause)?;
        }
        Ok(())
    }

    /// The members of `parents` as they would be once what is found so far is written, if they are `wanted`.
    fn members(
        &self,
        tx: &mut dyn Tx,
        model: Model,
        parents: &[String],
        wanted: impl Fn(&StoredRow) -> bool,
    ) -> TxResult<Vec<StoredRow>> {
        let mut members = tx.members(model, self.assessing.integration, parents)?;
        let Some(found) = self.found.rows.get(&model) else {
            members.retain(wanted);
            return Ok(members);
        };
        members.retain(|member| !found.contains_key(&member.row.key) && wanted(member));
        let parents: BTreeSet<&str> = parents.iter().map(String::as_str).collect();
        let is_member = |row: &&StoredRow| {
            row.removed_at.is_none() && parent_of(model, row).is_some_and(|parent| parents.contains(parent))
        };
        members.extend(found.values().map(|found| &found.row).filter(is_member).filter(|row| wanted(row)).cloned());
        Ok(members)
    }

    fn found(
        &mut self,
        model: Model,
        row: StoredRow,
        is_new: bool,
        kind: Option<ChangeKind>,
        cause: ChangeCause,
        fields: Vec<ChangedField>,
    ) {
        if let Some(kind) = kind {
            self.found.counts.count(kind);
        }
        let key = row.row.key.clone();
        self.found.findings.push(Finding { model, key: key.clone(), is_new, kind, cause, fields });
        match self.found.rows.entry(model).or_default().entry(key) {
            Entry::Vacant(place) => {
                place.insert(ToWrite { row, is_new });
            }
            // Whether anything is stored does not change before it is written.
            Entry::Occupied(mut found) => found.get_mut().row = row,
        }
    }
}

/// What differs where only `changed_at` does.
fn moved(stored: Option<&Row>, row: &Row) -> ChangedField {
    let old = stored.and_then(Row::changed_at);
    ChangedField { name: "changed_at", old: old.into(), new: row.changed_at().into() }
}

/// Whether a delta returned a record that did not change since the watermark: something nested in it did.
fn came_back_for_another(incoming: &Incoming, reading: Reading) -> bool {
    let since = match reading.kind {
        SyncKind::Delta => reading.known_until,
        SyncKind::Full => None,
    };
    matches!((incoming.row.changed_at(), since), (Some(changed), Some(since)) if changed <= since)
}

fn rank(incoming: &Incoming) -> (bool, Option<Timestamp>, Timestamp) {
    (incoming.standing != Standing::Copy, incoming.row.changed_at(), incoming.observed_at)
}

/// The id of the listed record that a row came with, unless it is a copy.
fn listed_with(incoming: &Incoming) -> Option<String> {
    match (incoming.standing, incoming.model) {
        (Standing::Listed, _) => Some(incoming.row.key.first().to_owned()),
        (Standing::Owned, Model::LmsCourseRevisions) => {
            incoming.row.get(incoming.model, "course_id").and_then(Value::text).map(str::to_owned)
        }
        (Standing::Owned | Standing::Copy, _) => None,
    }
}

fn members_of(model: Model) -> Option<Model> {
    match model {
        Model::LmsCourses => Some(Model::LmsCourseRevisions),
        Model::LmsCourseRevisions => Some(Model::LmsJoinRevisionsSkills),
        Model::LmsUsers
        | Model::LmsCourseProviders
        | Model::LmsSkills
        | Model::LmsJoinRevisionsSkills
        | Model::LmsCourseProgressions => None,
    }
}

fn parent_of(model: Model, stored: &StoredRow) -> Option<&str> {
    if model == Model::LmsJoinRevisionsSkills {
        return Some(stored.row.key.first());
    }
    stored.row.get(model, model.parent_column()?)?.text()
}
