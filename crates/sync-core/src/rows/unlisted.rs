//! Finds rows that no endpoint lists and nothing shows any more, by comparing them with a full fetch: members of lists,
//! providers, and copies of rows with a disabled endpoint.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Endpoint, IntegrationId, Timestamp};

use crate::jobs::queue;
use crate::ports::error::TxResult;
use crate::ports::store::{Tx, UNSEEN_PAGE};
use crate::pull::run::RunId;
use crate::rows::assess::{Assessing, parent_model, parent_of, unlisted_cause};
use crate::rows::batch::Batch;
use crate::rows::change::ChangeCause;
use crate::rows::model::Model;
use crate::rows::removals;
use crate::rows::row::{Key, StoredRow, Value};

/// Keys by model.
pub(crate) type Shown = BTreeMap<Model, BTreeSet<Key>>;

/// Returns the models that a full fetch of an endpoint shows in full, without the listed one: those that the endpoint
/// owns, and those that it embeds if their own endpoint is disabled.
fn shown_beside(endpoint: Endpoint, enabled: &BTreeSet<Endpoint>) -> impl Iterator<Item = Model> {
    Model::ALL.into_iter().filter(move |model| {
        let owner = model.owner();
        let is_source = if enabled.contains(&owner) || owner == endpoint {
            owner == endpoint
        } else {
            model.embedded_by().contains(&endpoint)
        };
        is_source && *model != Model::listed_by(endpoint)
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

/// Adds the rows that are stored together with unreadable records. The records may still show them.
pub(crate) fn add_stored_with(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    endpoint: Endpoint,
    ids: &[String],
    shown: &mut Shown,
) -> TxResult<()> {
    if ids.is_empty() || shown.is_empty() {
        return Ok(());
    }
    let records: Vec<Key> = ids.iter().cloned().map(Key::Id).collect();
    let mut add = |model: Model, keys: Vec<Key>| {
        if let Some(shown) = shown.get_mut(&model) {
            shown.extend(keys);
        }
    };
    match endpoint {
        Endpoint::Users | Endpoint::Skills => {}
        Endpoint::Courses => {
            let courses = tx.rows(Model::LmsCourses, integration, &records)?;
            add(Model::LmsCourseProviders, named_by(Model::LmsCourses, &courses, "provider_id"));
            let lists: Vec<_> = ids.iter().map(|id| (Model::LmsCourseRevisions, id.clone())).collect();
            add_members(tx, integration, &lists, shown)?;
        }
        Endpoint::CourseProgressions => {
            let model = Model::LmsCourseProgressions;
            let progressions = tx.rows(model, integration, &records)?;
            add(Model::LmsUsers, named_by(model, &progressions, "user_id"));
            let revisions = named_by(model, &progressions, "course_revision_id");
            let stored = tx.rows(Model::LmsCourseRevisions, integration, &revisions)?;
            add(Model::LmsCourses, named_by(Model::LmsCourseRevisions, &stored, "course_id"));
            add(Model::LmsCourseRevisions, revisions);
        }
    }
    Ok(())
}

/// Adds the stored members of the records in `lists`, which contain no information on them: see [`Batch::unsaid`].
pub(crate) fn add_members(
    tx: &mut dyn Tx,
    integration: &IntegrationId,
    lists: &[(Model, String)],
    shown: &mut Shown,
) -> TxResult<()> {
    if lists.is_empty() || shown.is_empty() {
        return Ok(());
    }
    let parents = |wanted: Model| {
        let lists = lists.iter().filter(|(model, _)| *model == wanted);
        lists.map(|(_, parent)| parent.clone()).collect::<Vec<_>>()
    };
    let courses = parents(Model::LmsCourseRevisions);
    let revisions = keys_of(&tx.members(Model::LmsCourseRevisions, integration, &courses)?);
    let mut teaching = parents(Model::LmsJoinRevisionsSkills);
    teaching.extend(revisions.iter().map(|key| key.first().to_owned()));
    let joins = keys_of(&tx.members(Model::LmsJoinRevisionsSkills, integration, &teaching)?);
    let skills = joins.iter().map(|key| Key::Id(key.second().to_owned())).collect();
    let members =
        [(Model::LmsCourseRevisions, revisions), (Model::LmsJoinRevisionsSkills, joins), (Model::LmsSkills, skills)];
    for (model, keys) in members {
        if let Some(shown) = shown.get_mut(&model) {
            shown.extend(keys);
        }
    }
    Ok(())
}

fn keys_of(rows: &[StoredRow]) -> Vec<Key> {
    rows.iter().map(|row| row.row.key.clone()).collect()
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
        let revisions = all.iter().filter(|found| found.model == Model::LmsCourseRevisions);
        let unlisted: BTreeSet<&Key> = revisions.flat_map(|found| found.keys.values().flatten()).collect();
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
    fn takes_members_along(&self, model: Model, parent: &StoredRow, unlisted_revisions: &BTreeSet<&Key>) -> bool {
        if parent.removed_at.is_some() {
            return false;
        }
        if parent_model(model) == Some(Model::LmsCourses) {
            return self.gone.contains(parent.row.key.first());
        }
        let course = parent_of(Model::LmsCourseRevisions, &parent.row);
        unlisted_revisions.contains(&parent.row.key) || course.is_some_and(|course| self.gone.contains(course))
    }

    /// Returns the records that would list these rows, by id.
    fn parents(
        &self,
        tx: &mut dyn Tx,
        model: Model,
        is_copy: bool,
        rows: &[StoredRow],
    ) -> TxResult<BTreeMap<String, StoredRow>> {
        let Some(parent) = parent_model(model).filter(|_| !is_copy) else { return Ok(BTreeMap::new()) };
        let ids: BTreeSet<&str> = rows.iter().filter_map(|row| parent_of(model, &row.row)).collect();
        let keys: Vec<Key> = ids.into_iter().map(|id| Key::Id(id.to_owned())).collect();
        let stored = tx.rows(parent, self.assessing.integration, &keys)?;
        Ok(stored.into_iter().map(|row| (row.row.key.first().to_owned(), row)).collect())
    }
}
