//! The changes that can happen to the data.

mod apply;
mod create;
mod fields;
mod purge;
mod random;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use apply::{apply, impossible, missing};
pub(crate) use random::choose;

use crate::{Id, Model, Stamp};

/// One change to an integration's data. The control endpoint accepts it as JSON, tagged by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mutation {
    /// Adds a row: generated from `seed`, then overlaid with `set`. In `set`, a revision needs `course_id`, a
    /// progression `user_id` and `course_revision_id`.
    Add {
        /// The row's model.
        model: Model,
        /// The new id.
        id: Id,
        /// Seed of the fields that `set` does not name.
        #[serde(default)]
        seed: u64,
        /// Fields under Kombo's names.
        #[serde(default)]
        set: Map<String, Value>,
    },
    /// Like `Add`, but replaces a row with this id that exists, is deleted or was purged.
    Recreate {
        /// The row's model.
        model: Model,
        /// The old id.
        id: Id,
        /// Seed of the fields that `set` does not name.
        #[serde(default)]
        seed: u64,
        /// Fields under Kombo's names.
        #[serde(default)]
        set: Map<String, Value>,
    },
    /// Sets fields and moves `changed_at`: a rename, a status change, a revision moved to another `course_id` (or
    /// none), a course with another `provider_id`.
    Update {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
        /// Fields under Kombo's names.
        set: Map<String, Value>,
    },
    /// Sets fields without moving any time, as when a scope is disabled.
    SilentUpdate {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
        /// Fields under Kombo's names.
        set: Map<String, Value>,
    },
    /// Deletes the row: sets `remote_deleted_at` to now.
    Delete {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
    },
    /// Removes the tombstone.
    Restore {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
    },
    /// Removes the row completely, with its dependents: the progressions of a user or revision, the revisions of a
    /// course, the assignments of a skill. `updated_after` shows no trace of it, except that a course lost a revision.
    Purge {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
    },
    /// Shows the row with null fields from now on. `changed_at` stays.
    Anonymise {
        /// The row's model.
        model: Model,
        /// Id of the row.
        id: Id,
    },
    /// Adds a row to a join table of HRIS or ATS, or replaces it.
    Link {
        /// The join table.
        model: Model,
        /// Id of the row with the list.
        parent: Id,
        /// Id of the listed row.
        id: Id,
        /// Columns of the join table.
        #[serde(default)]
        set: Map<String, Value>,
    },
    /// Removes a row from a join table of HRIS or ATS.
    Unlink {
        /// The join table.
        model: Model,
        /// Id of the row with the list.
        parent: Id,
        /// Id of the listed row.
        id: Id,
    },
    /// Assigns the skill to the revision.
    AssignSkill {
        /// Id of the revision.
        revision_id: Id,
        /// Id of the skill.
        skill_id: Id,
    },
    /// Removes the skill from the revision.
    UnassignSkill {
        /// Id of the revision.
        revision_id: Id,
        /// Id of the skill.
        skill_id: Id,
    },
}

impl Mutation {
    /// Returns the model of HRIS or ATS that it concerns.
    pub(crate) fn of_catalogue(&self) -> Option<kombo_model::catalogue::Model> {
        match self {
            Self::Add { model, .. }
            | Self::Recreate { model, .. }
            | Self::Update { model, .. }
            | Self::SilentUpdate { model, .. }
            | Self::Delete { model, .. }
            | Self::Restore { model, .. }
            | Self::Purge { model, .. }
            | Self::Anonymise { model, .. }
            | Self::Link { model, .. }
            | Self::Unlink { model, .. } => model.of_catalogue(),
            Self::AssignSkill { .. } | Self::UnassignSkill { .. } => None,
        }
    }

    /// Sets a field and moves `changed_at`.
    pub fn update(model: Model, id: Id, field: &str, value: impl Into<Value>) -> Self {
        Self::Update { model, id, set: Map::from_iter([(field.to_owned(), value.into())]) }
    }

    /// Sets a field without moving `changed_at`.
    pub fn silent(model: Model, id: Id, field: &str, value: impl Into<Value>) -> Self {
        Self::SilentUpdate { model, id, set: Map::from_iter([(field.to_owned(), value.into())]) }
    }

    /// Adds a revision to a course.
    pub fn revise(course_id: Id, id: Id, seed: u64) -> Self {
        let set = Map::from_iter([("course_id".to_owned(), Value::from(course_id.as_str()))]);
        Self::Add { model: Model::CourseRevisions, id, seed, set }
    }

    /// Adds a progression.
    pub fn enrol(user_id: Id, course_revision_id: Id, id: Id, seed: u64) -> Self {
        let set = Map::from_iter([
            ("user_id".to_owned(), Value::from(user_id.as_str())),
            ("course_revision_id".to_owned(), Value::from(course_revision_id.as_str())),
        ]);
        Self::Add { model: Model::CourseProgressions, id, seed, set }
    }

    /// Adds a generated row.
    pub fn add(model: Model, id: Id, seed: u64) -> Self {
        Self::Add { model, id, seed, set: Map::new() }
    }

    /// Deletes a row with a tombstone.
    pub const fn delete(model: Model, id: Id) -> Self {
        Self::Delete { model, id }
    }

    /// Removes a tombstone.
    pub const fn restore(model: Model, id: Id) -> Self {
        Self::Restore { model, id }
    }

    /// Removes a row completely.
    pub const fn purge(model: Model, id: Id) -> Self {
        Self::Purge { model, id }
    }
}

/// A mutation that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// The mutation.
    pub mutation: Mutation,
    /// The changed models, as in a `data-changed` webhook. Empty for silent changes and those that are not yet visible.
    pub models: BTreeSet<Model>,
    /// Its time, which becomes `changed_at`.
    pub at: Stamp,
    /// When it becomes visible: later than `at` under a commit lag.
    pub visible_at: Stamp,
}
