//! Applies what pages say to the mirror: reads what is stored, compares, writes what differs, logs what changed.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::Timestamp;

use crate::compare::{ChangedField, Reading, Verdict, cause, compare, remove};
use crate::mirror::{Batch, Incoming, Key, Members, Model, Standing, StoredRow};
use crate::port::{Tx, TxResult};
use crate::types::{Change, ChangeCause, ChangeKind, Run, RunCounts, SyncKind};

/// What applying a batch needs to know besides the batch.
#[derive(Debug, Clone)]
pub struct Applying<'a> {
    /// The run that the batch belongs to.
    pub run: &'a Run,
    /// How to read its rows.
    pub reading: Reading,
    /// Models whose first complete load is not over, so that the log stays quiet: the table itself says it.
    pub quiet: BTreeSet<Model>,
    /// Whether the log gets old and new values.
    pub change_values: bool,
    /// When the batch is applied.
    pub now: Timestamp,
}

/// Applies `batch` within a unit of work that holds the integration's scope. Applying it again changes nothing.
pub fn apply(tx: &mut dyn Tx, batch: Batch, applying: &Applying<'_>) -> TxResult<RunCounts> {
    let mut work = Work { applying, counts: RunCounts::default(), changes: Vec::new() };
    let mut tables: BTreeMap<Model, BTreeMap<Key, Incoming>> = BTreeMap::new();
    for incoming in batch.rows {
        work.sort_in(&mut tables, incoming);
    }
    for (model, rows) in &tables {
        work.rows(tx, *model, rows)?;
    }
    // Lists are looked at after the rows, so that a member that moved to another list is not taken for gone.
    let mut lists: BTreeMap<(Model, String), Members> = BTreeMap::new();
    for members in batch.members {
        lists.insert((members.model, members.parent.clone()), members);
    }
    for model in [Model::LmsCourseRevisions, Model::LmsJoinRevisionsSkills] {
        let of_model: Vec<_> = lists.values().filter(|members| members.model == model).collect();
        work.lists(tx, &of_model)?;
    }
    work.finish(tx)
}

/// Marks rows as removed which a full fetch did not show and a look-up by id did not find, with the members of their
/// lists.
pub fn sweep(
    tx: &mut dyn Tx,
    model: Model,
    ids: &[String],
    looked_up_at: Timestamp,
    applying: &Applying<'_>,
) -> TxResult<RunCounts> {
    let mut work = Work { applying, counts: RunCounts::default(), changes: Vec::new() };
    let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
    let stored = tx.rows(model, &applying.run.target.integration_id, &keys)?;
    work.remove(tx, model, &stored, looked_up_at, ChangeCause::Sweep)?;
    work.finish(tx)
}

struct Work<'a> {
    applying: &'a Applying<'a>,
    counts: RunCounts,
    changes: Vec<Change>,
}

impl Work<'_> {
    /// Leaves one row of each key: the newest, or for partial copies all that they say together.
    fn sort_in(&mut self, tables: &mut BTreeMap<Model, BTreeMap<Key, Incoming>>, incoming: Incoming) {
        let table = tables.entry(incoming.model).or_default();
        let Some(held) = table.get_mut(&incoming.row.key) else {
            table.insert(incoming.row.key.clone(), incoming);
            return;
        };
        if incoming.standing == Standing::Listed {
            self.counts.unchanged += 1; // the same record twice
        }
        if incoming.standing == Standing::Copy && held.standing == Standing::Copy {
            for (held, said) in held.row.values_mut().iter_mut().zip(incoming.row.values()) {
                if !said.is_absent() {
                    *held = said.clone();
                }
            }
            held.observed_at = held.observed_at.max(incoming.observed_at);
        } else if rank(&incoming) >= rank(held) {
            *held = incoming;
        }
    }

    fn rows(&mut self, tx: &mut dyn Tx, model: Model, rows: &BTreeMap<Key, Incoming>) -> TxResult<()> {
        let integration = &self.applying.run.target.integration_id;
        let keys: Vec<Key> = rows.keys().cloned().collect();
        let stored = tx.rows(model, integration, &keys)?;
        let stored: BTreeMap<&Key, &StoredRow> = stored.iter().map(|stored| (&stored.row.key, stored)).collect();
        let mut puts = Vec::new();
        for (key, incoming) in rows {
            let verdict = compare(incoming, stored.get(key).copied(), self.applying.reading);
            if incoming.standing == Standing::Listed {
                self.count_listed(incoming, &verdict);
            }
            match verdict {
                Verdict::Unchanged | Verdict::Stale => {}
                Verdict::Touched(row) => puts.push(row),
                Verdict::Changed { row, kind, fields, announced } => {
                    let announced = announced || self.is_announced(model);
                    let cause = cause(self.applying.reading.kind, incoming.standing, announced);
                    self.change(model, key, kind, cause, &fields);
                    puts.push(row);
                }
            }
        }
        if puts.is_empty() { Ok(()) } else { tx.put_rows(model, integration, &puts) }
    }

    fn count_listed(&mut self, incoming: &Incoming, verdict: &Verdict) {
        match verdict {
            Verdict::Stale => self.counts.stale += 1,
            Verdict::Unchanged if self.came_back_for_another(incoming) => self.counts.indirect += 1,
            Verdict::Unchanged | Verdict::Touched(_) => self.counts.unchanged += 1,
            Verdict::Changed { .. } => {}
        }
    }

    /// Whether a delta returned a record that did not change since the watermark: something nested in it did.
    fn came_back_for_another(&self, incoming: &Incoming) -> bool {
        let since = self.applying.run.updated_after;
        matches!((incoming.row.changed_at(), since), (Some(changed), Some(since)) if changed <= since)
    }

    /// Whether a webhook asked for this fetch because of changes to this model, which has no `changed_at` to tell.
    fn is_announced(&self, model: Model) -> bool {
        self.applying.reading.announced && model.blind_in_delta(self.applying.run.target.endpoint)
    }

    fn lists(&mut self, tx: &mut dyn Tx, lists: &[&Members]) -> TxResult<()> {
        let Some(model) = lists.first().map(|members| members.model) else { return Ok(()) };
        let integration = &self.applying.run.target.integration_id;
        let parents: Vec<String> = lists.iter().map(|members| members.parent.clone()).collect();
        let by_parent: BTreeMap<&str, (BTreeSet<&Key>, Timestamp)> = lists
            .iter()
            .map(|members| (members.parent.as_str(), (members.keys.iter().collect(), members.observed_at)))
            .collect();
        let mut gone: BTreeMap<Timestamp, Vec<StoredRow>> = BTreeMap::new();
        for stored in tx.members(model, integration, &parents)? {
            let parent = parent_of(model, &stored);
            if let Some((keys, observed_at)) = parent.and_then(|parent| by_parent.get(parent))
                && !keys.contains(&stored.row.key)
            {
                gone.entry(*observed_at).or_default().push(stored);
            }
        }
        let cause = match self.applying.reading.kind {
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
        let removed: Vec<StoredRow> = rows.iter().filter_map(|stored| remove(stored, observed_at)).collect();
        if removed.is_empty() {
            return Ok(());
        }
        let integration = &self.applying.run.target.integration_id;
        tx.put_rows(model, integration, &removed)?;
        for row in &removed {
            let field =
                ChangedField { name: "removed_at", old: crate::mirror::Value::Null, new: row.removed_at.into() };
            self.change(model, &row.row.key, ChangeKind::Deleted, cause, &[field]);
        }
        if let Some(member) = members_of(model) {
            let parents: Vec<String> = removed.iter().map(|row| row.row.key.first().to_owned()).collect();
            let members = tx.members(member, integration, &parents)?;
            self.remove(tx, member, &members, observed_at, cause)?;
        }
        Ok(())
    }

    fn change(&mut self, model: Model, key: &Key, kind: ChangeKind, cause: ChangeCause, fields: &[ChangedField]) {
        self.counts.count(kind);
        if self.applying.quiet.contains(&model) {
            return;
        }
        self.changes.push(Change {
            seq: 0,
            integration_id: self.applying.run.target.integration_id.clone(),
            model,
            record_id: key.to_string(),
            kind,
            cause,
            fields: fields_json(fields, self.applying.change_values),
            run_id: self.applying.run.id,
            at: self.applying.now,
        });
    }

    fn finish(self, tx: &mut dyn Tx) -> TxResult<RunCounts> {
        if !self.changes.is_empty() {
            tx.append_changes(&self.changes)?;
        }
        Ok(self.counts)
    }
}

fn rank(incoming: &Incoming) -> (bool, Option<Timestamp>, Timestamp) {
    (incoming.standing != Standing::Copy, incoming.row.changed_at(), incoming.observed_at)
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

fn fields_json(fields: &[ChangedField], values: bool) -> serde_json::Value {
    if values {
        let entry = |field: &ChangedField| {
            let value = serde_json::json!({ "old": field.old.to_json(), "new": field.new.to_json() });
            (field.name.to_owned(), value)
        };
        serde_json::Value::Object(fields.iter().map(entry).collect())
    } else {
        fields.iter().map(|field| serde_json::Value::String(field.name.to_owned())).collect()
    }
}
