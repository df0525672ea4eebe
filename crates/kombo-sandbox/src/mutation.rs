//! Everything that can happen to the data.

mod apply;
mod create;
mod fields;
mod purge;
mod random;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use apply::apply;
pub(crate) use random::choose;

use crate::{Id, Model, Stamp};

/// One change to an integration's data. The control endpoint takes the same as JSON, by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mutation {
    /// A new row: generated from `seed`, then overlaid with `set`. A revision needs `course_id`, a progression
    /// `user_id` and `course_revision_id` in `set`.
    Add {
        /// The row's model.
        model: Model,
        /// The new id.
        id: Id,
        /// Seed of what `set` does not name.
        #[serde(default)]
        seed: u64,
        /// Fields under Kombo's names.
        #[serde(default)]
        set: Map<String, Value>,
    },
    /// Like `Add`, but over a row of that id whether there is one (deleted or not) or was one.
    Recreate {
        /// The row's model.
        model: Model,
        /// The old id.
        id: Id,
        /// Seed of what `set` does not name.
        #[serde(default)]
        seed: u64,
        /// Fields under Kombo's names.
        #[serde(default)]
        set: Map<String, Value>,
    },
    /// Sets fields and moves `changed_at`: a rename, a status change, a revision moved to another `course_id` (or to
    /// none), a course given another `provider_id`.
    Update {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
        /// Fields under Kombo's names.
        set: Map<String, Value>,
    },
    /// Sets fields and moves no time at all, as when a scope is turned off.
    SilentUpdate {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
        /// Fields under Kombo's names.
        set: Map<String, Value>,
    },
    /// Gives the row a tombstone: `remote_deleted_at` is now.
    Delete {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
    },
    /// Takes the tombstone away.
    Restore {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
    },
    /// Removes the row outright, with what cannot be without it: a user's and revision's progressions, a course's
    /// revisions, a skill's assignments. Leaves no trace that `updated_after` would show, but that a course lost a
    /// revision.
    Purge {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
    },
    /// Shows the row with null fields from now on. `changed_at` stays.
    Anonymise {
        /// The row's model.
        model: Model,
        /// The row.
        id: Id,
    },
    /// The revision teaches the skill.
    AssignSkill {
        /// The revision.
        revision_id: Id,
        /// The skill.
        skill_id: Id,
    },
    /// The revision teaches the skill no more.
    UnassignSkill {
        /// The revision.
        revision_id: Id,
        /// The skill.
        skill_id: Id,
    },
}

impl Mutation {
    /// A field set, and `changed_at` moved.
    pub fn update(model: Model, id: Id, field: &str, value: impl Into<Value>) -> Self {
        Self::Update { model, id, set: Map::from_iter([(field.to_owned(), value.into())]) }
    }

    /// A field set behind `changed_at`'s back.
    pub fn silent(model: Model, id: Id, field: &str, value: impl Into<Value>) -> Self {
        Self::SilentUpdate { model, id, set: Map::from_iter([(field.to_owned(), value.into())]) }
    }

    /// A new revision of a course.
    pub fn revise(course_id: Id, id: Id, seed: u64) -> Self {
        let set = Map::from_iter([("course_id".to_owned(), Value::from(course_id.as_str()))]);
        Self::Add { model: Model::CourseRevisions, id, seed, set }
    }

    /// A new progression.
    pub fn enrol(user_id: Id, course_revision_id: Id, id: Id, seed: u64) -> Self {
        let set = Map::from_iter([
            ("user_id".to_owned(), Value::from(user_id.as_str())),
            ("course_revision_id".to_owned(), Value::from(course_revision_id.as_str())),
        ]);
        Self::Add { model: Model::CourseProgressions, id, seed, set }
    }

    /// A new row of generated fields.
    pub fn add(model: Model, id: Id, seed: u64) -> Self {
        Self::Add { model, id, seed, set: Map::new() }
    }

    /// A tombstone.
    pub const fn delete(model: Model, id: Id) -> Self {
        Self::Delete { model, id }
    }

    /// No tombstone any more.
    pub const fn restore(model: Model, id: Id) -> Self {
        Self::Restore { model, id }
    }

    /// Gone outright.
    pub const fn purge(model: Model, id: Id) -> Self {
        Self::Purge { model, id }
    }
}

/// A mutation that was accepted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Applied {
    /// What was done.
    pub mutation: Mutation,
    /// The models that changed, as a `data-changed` webhook names them. Silent changes and those that are not yet
    /// visible name none.
    pub models: BTreeSet<Model>,
    /// The `changed_at` it gave.
    pub at: Stamp,
    /// When it becomes visible: later than `at` under a commit lag.
    pub visible_at: Stamp,
}
