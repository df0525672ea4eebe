//! Finds rows that no endpoint lists and nothing shows any more, by comparing them with a full fetch: members of lists,
//! providers, and copies of rows with a disabled endpoint.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::catalogue::{Nested, Shape};
use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::queue;
use crate::ports::error::TxResult;
use crate::ports::store::{Tx, UNSEEN_PAGE};
use crate::pull::run::RunId;
use crate::rows::Model;
use crate::rows::assess::{Assessing, parent_of, unlisted_cause};
use crate::rows::batch::Batch;
use crate::rows::change::ChangeCause;
use crate::rows::removals;
use crate::rows::row::{Key, StoredRow, Value};

/// Keys by model.
pub(crate) type Shown = BTreeMap<Model, BTreeSet<Key>>;

/// Returns the models that a full fetch of an endpoint shows in full, without the listed one: those that the endpoint
/// owns, and those that it embeds if their own endpoint is disabled.
fn shown_beside(endpoint: Endpoint, enabled: &BTreeSet<Endpoint>) -> impl Iterator<Item = Model> {
    endpoint.category().models().filter(move |model| {
        let owner = model.owner();
        let is_source = if enabled.contains(&owner) || owner == endpoint {
            owner == endpoint
        } else {
            model.embedded_by().contains(&endpoint)
        };
        is_source && *model != endpoint.lists()
    })
}

/// Returns these models, without keys.
pub(crate) fn nothing_shown(endpoint: Endpoint, enabled: &BTreeSet<Endpoint>) -> Shown {
    shown_beside(endpoint, enabled).map(|model| (model, BTreeSet::new())).collect()
}

/// Returns the keys of a batch's rows of these models.
pub(crate) fn shown_in(batch: &Batch, endpoint: Endpoint, enabled: &BTreeSet<Endpoint>) -> Shown {
    let mut shown = nothing_shown(endpoint, enabled);
    for incoming in &batch.rows {
        if let Some(keys) = shown.get_mut(&incoming.model) {
            keys.insert(incoming.row.key.clone());
        }
    }
    shown
}

/// Removes the members of lists that are stored from a later response. The look-up of their parents decides on them.
pub(crate) fn remove_outdated(shown: &mut Shown, outdated: &BTreeMap<Model, BTreeSet<Key>>) {
    for (model, outdated) in outdated {
        if let Some(shown) = shown.get_mut(model) {
            shown.retain(|key| !outdated.contains(key));
        }
    }
}

/// Adds the rows that are stored together with unreadable records. The records may still show them.
pub(crate) fn add_stored_with(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    endpoint: Endpoint,
    ids: &[String],
    shown: &mut Shown,
) -> TxResult<()> {
    let nested = endpoint.info().shape.nested;
    if ids.is_empty() || shown.is_empty() || nested.is_empty() {
        return Ok(());
    }
    let keys: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
    let rows = tx.rows(endpoint.lists(), integration, &keys)?;
    let mut stored = StoredWith { tx, integration, shown };
    nested.iter().try_for_each(|nested| stored.nested(nested, endpoint.lists(), &rows, ids))
}

/// Adds the stored members of the records in `lists`, which contain no information on them: see [`Batch::unsaid`].
pub(crate) fn add_members(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    endpoint: Endpoint,
    lists: &[(Model, String)],
    shown: &mut Shown,
) -> TxResult<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let mut parents: BTreeMap<Model, Vec<String>> = BTreeMap::new();
    for (model, parent) in lists {
        parents.entry(*model).or_default().push(parent.clone());
    }
    let mut stored = StoredWith { tx, integration, shown };
    for (model, parents) in parents {
        if let Some(nested) = list_of(model, endpoint.info().shape.nested) {
            stored.list(nested, model, &parents)?;
        }
    }
    Ok(())
}

/// Returns the list with members of `model`.
fn list_of(model: Model, nested: &'static [Nested]) -> Option<&'static Nested> {
    nested.iter().find_map(|nested| {
        if nested.members == Some(model) { Some(nested) } else { list_of(model, nested.shape.nested) }
    })
}

/// Adds the rows that are stored with others, as the catalogue nests them.
struct StoredWith<'a> {
    tx: &'a mut dyn Tx,
    integration: &'a IntegrationId,
    shown: &'a mut Shown,
}

impl StoredWith<'_> {
    /// Adds what is nested in `rows` of the model `around`, which have these ids.
    fn nested(&mut self, nested: &'static Nested, around: Model, rows: &[StoredRow], ids: &[String]) -> TxResult<()> {
        if let Some(model) = nested.members {
            return self.list(nested, model, ids);
        }
        let (Some(model), Some(column)) =
            (nested.shape.model, nested.refers.and_then(|place| around.columns().get(place)))
        else {
            return Ok(());
        };
        let keys = named_by(around, rows, column.name);
        self.inside(&nested.shape, model, &keys)?;
        self.add(model, keys);
        Ok(())
    }

    /// Adds the members of a list in the records `parents`.
    fn list(&mut self, nested: &'static Nested, model: Model, parents: &[String]) -> TxResult<()> {
        let rows = self.tx.members(model, self.integration, parents)?;
        let keys: Vec<Key> = rows.iter().map(|row| row.row.key.clone()).collect();
        if let Some(join) = &nested.shape.join {
            let target = join.to.and_then(|place| nested.shape.nested.get(place));
            let shape = target.map_or(&nested.shape, |target| &target.shape);
            if let Some(target) = shape.model {
                let targets = keys.iter().map(|key| Key::Id(key.second().to_owned())).collect();
                self.add(target, targets);
            }
        } else {
            self.inside(&nested.shape, model, &keys)?;
        }
        self.add(model, keys);
        Ok(())
    }

    /// Adds what is nested in the rows of a nested object.
    fn inside(&mut self, shape: &'static Shape, model: Model, keys: &[Key]) -> TxResult<()> {
        if shape.nested.is_empty() || keys.is_empty() {
            return Ok(());
        }
        let rows = self.tx.rows(model, self.integration, keys)?;
        let ids: Vec<String> = keys.iter().map(|key| key.first().to_owned()).collect();
        shape.nested.iter().try_for_each(|nested| self.nested(nested, model, &rows, &ids))
    }

    fn add(&mut self, model: Model, keys: Vec<Key>) {
        if let Some(shown) = self.shown.get_mut(&model) {
            shown.extend(keys);
        }
    }
}

fn named_by(model: Model, rows: &[StoredRow], column: &str) -> Vec<Key> {
    let named = rows.iter().filter_map(|row| row.row.get(model, column).and_then(Value::text));
    named.map(|id| Key::Id(id.to_owned())).collect()
}

/// Rows of a model that nothing shows any more.
pub(crate) struct Found {
    pub(crate) model: Model,
    /// Keys of the rows, by the cause to log.
    pub(crate) keys: BTreeMap<ChangeCause, Vec<Key>>,
    /// Number of rows among them that count towards mass removal, without those of records that are themselves gone.
    pub(crate) count: u64,
}

/// A search for rows that a full fetch did not show.
pub(crate) struct Search<'a> {
    pub(crate) assessing: Assessing<'a>,
    pub(crate) enabled: &'a BTreeSet<Endpoint>,
    /// The run with notes of the rows that were shown. Without it, `is_shown` alone decides.
    pub(crate) notes: Option<RunId>,
    /// When the fetch began. Rows that were observed later may be on no page.
    pub(crate) began_at: Timestamp,
    /// Whether this is the first load of the endpoint.
    pub(crate) first_load: bool,
    /// Ids of listed records that are gone. Their members are removed with them.
    pub(crate) gone: BTreeSet<&'a str>,
}

impl Search<'_> {
    /// Finds the rows that nothing shows any more. `is_shown` adds to the rows in the notes.
    pub(crate) fn find(&self, tx: &mut dyn Tx, is_shown: impl Fn(Model, &Key) -> bool) -> TxResult<Vec<Found>> {
        let mut all: Vec<Found> = Vec::new();
        for model in shown_beside(self.assessing.endpoint, self.enabled) {
            let mut found = Found { model, keys: BTreeMap::new(), count: 0 };
            let mut add = |tx: &mut dyn Tx, mut keys: Vec<Key>| -> TxResult<()> {
                keys.retain(|key| !is_shown(model, key));
                if keys.is_empty() {
                    return Ok(());
                }
                let rows = tx.rows(model, self.assessing.integration, &keys)?;
                self.sort(tx, rows, &all, &mut found)
            };
            if let Some(run) = self.notes {
                for page in 0..tx.find_unseen(run, model, self.assessing.integration)? {
                    let keys = tx.unseen(run, model, page)?;
                    add(tx, keys)?;
                }
            } else {
                let mut after = None;
                loop {
                    let keys = tx.keys_after(model, self.assessing.integration, after.as_ref(), UNSEEN_PAGE)?;
                    let Some(last) = keys.last() else { break };
                    after = Some(last.clone());
                    add(tx, keys)?;
                }
            }
            all.push(found);
        }
        Ok(all)
    }

    /// Sorts rows of a model by the cause of their removal.
    fn sort(&self, tx: &mut dyn Tx, mut rows: Vec<StoredRow>, all: &[Found], found: &mut Found) -> TxResult<()> {
        let (model, now) = (found.model, self.assessing.reading.now);
        let is_copy = model.owner() != self.assessing.endpoint;
        // Rows that their own endpoint listed before it was disabled are outdated, but not gone.
        let was_listed = is_copy && queue::state(tx, self.assessing.integration, model.owner())?.loaded_at.is_some();
        rows.retain(|row| {
            row.removed_at.is_none()
                && row.observed_at(now) <= self.began_at
                && !(was_listed && row.row.changed_at().is_some())
        });
        let parents = self.parents(tx, model, is_copy, &rows)?;
        let of_parents = all.iter().filter(|found| Some(found.model) == model.parent());
        let unlisted: BTreeSet<&Key> = of_parents.flat_map(|found| found.keys.values().flatten()).collect();
        for row in rows {
            let is_counted = removals::counts(model, &row, self.first_load && !is_copy);
            let parent = parent_of(model, &row.row).filter(|_| !is_copy);
            let (cause, counts) = match parent.and_then(|id| parents.get(id)) {
                None => (ChangeCause::Sweep, is_counted),
                Some(parent) if self.takes_members_along(model, parent, &unlisted) => continue,
                Some(parent) if parent.is_live() => (unlisted_cause(model, self.assessing), is_counted),
                Some(_) => (ChangeCause::Sweep, false),
            };
            found.count += u64::from(counts);
            found.keys.entry(cause).or_default().push(row.row.key);
        }
        Ok(())
    }

    /// Whether the members of a record, which are rows of `model`, are removed with it. A record that is already
    /// removed does not remove them again.
    fn takes_members_along(&self, model: Model, parent: &StoredRow, unlisted_parents: &BTreeSet<&Key>) -> bool {
        let Some(parent_model) = model.parent().filter(|_| parent.removed_at.is_none()) else { return false };
        if parent_model == self.assessing.endpoint.lists() {
            return self.gone.contains(parent.row.key.first());
        }
        let listed_by = parent_of(parent_model, &parent.row);
        unlisted_parents.contains(&parent.row.key) || listed_by.is_some_and(|record| self.gone.contains(record))
    }

    /// Returns the records that would list these rows, by id.
    fn parents(
        &self,
        tx: &mut dyn Tx,
        model: Model,
        is_copy: bool,
        rows: &[StoredRow],
    ) -> TxResult<BTreeMap<String, StoredRow>> {
        let Some(parent) = model.parent().filter(|_| !is_copy) else { return Ok(BTreeMap::new()) };
        let ids: BTreeSet<&str> = rows.iter().filter_map(|row| parent_of(model, &row.row)).collect();
        let keys: Vec<Key> = ids.into_iter().map(|id| Key::Id(id.to_owned())).collect();
        let stored = tx.rows(parent, self.assessing.integration, &keys)?;
        Ok(stored.into_iter().map(|row| (row.row.key.first().to_owned(), row)).collect())
    }
}
