use std::collections::BTreeSet;

use kombo_model::{Endpoint, Timestamp};

use super::model::Model;
use super::row::{Key, MirrorRow, Value};

/// What the records of some pages say, model by model.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Rows of any model.
    pub rows: Vec<Incoming>,
    /// Whole member lists.
    pub members: Vec<Members>,
    /// Records that say nothing of their members, since the list is null or not there: the members' model, and the record's
    /// id. Their stored members stay.
    pub unsaid: Vec<(Model, String)>,
}

/// A row that a response showed.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Which table it belongs to.
    pub model: Model,
    /// What the response says of it.
    pub row: MirrorRow,
    /// How much the response knows of it.
    pub provenance: Provenance,
    /// When the response was asked for.
    pub observed_at: Timestamp,
}

/// How much a response knows of a row that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A record of the endpoint's own list.
    Listed,
    /// A row that only this endpoint shows: as good as a listed one.
    Owned,
    /// A partial copy of a row that another endpoint shows in full.
    Copy,
    /// A partial copy of a row whose own endpoint is off: nothing else tells that the record is there.
    SoleCopy,
}

impl Provenance {
    /// Whether it is a partial copy.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Copy | Self::SoleCopy)
    }
}

impl Batch {
    /// Takes copies for all that there is of models whose own endpoint is not among the enabled ones.
    pub(crate) fn mark_sole_copies(&mut self, enabled: &BTreeSet<Endpoint>) {
        let copies = self.rows.iter_mut().filter(|row| row.provenance == Provenance::Copy);
        for copy in copies.filter(|copy| !enabled.contains(&copy.model.owner())) {
            copy.provenance = Provenance::SoleCopy;
            // What is nested somewhere is there.
            if let Some(remote_deleted_at) = copy.row.values_mut().last_mut() {
                *remote_deleted_at = Value::Null;
            }
        }
    }
}

/// All rows of `model` that belong to `parent`: a stored row of that parent that is not among them is gone.
#[derive(Debug, Clone)]
pub struct Members {
    /// The model of the members.
    pub model: Model,
    /// The id of the record that lists them.
    pub parent: String,
    /// The members' keys.
    pub keys: Vec<Key>,
    /// When one of the own fields of the record that lists them last changed.
    pub changed_at: Option<Timestamp>,
    /// When the response was asked for.
    pub observed_at: Timestamp,
}
