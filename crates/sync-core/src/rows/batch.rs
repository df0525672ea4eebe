use std::collections::BTreeSet;

use kombo_model::{Endpoint, Timestamp};

use super::row::{Key, MirrorRow, Value};
use crate::rows::Model;

/// The content of some pages, as rows of each model.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Rows of any model.
    pub rows: Vec<Incoming>,
    /// Complete member lists.
    pub members: Vec<Members>,
    /// Records without information on their members, because the list is null or missing: the members' model and the
    /// record's id. Their stored members stay.
    pub unsaid: Vec<(Model, String)>,
}

/// A row from a response.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Table of the row.
    pub model: Model,
    /// The received values.
    pub row: MirrorRow,
    /// The source of the row in the response.
    pub provenance: Provenance,
    /// When the response was requested.
    pub observed_at: Timestamp,
}

/// The source of a row in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A record of the endpoint's own list.
    Listed,
    /// A row that only this endpoint shows. It counts as much as a listed one.
    Owned,
    /// A partial copy of a row that another endpoint shows in full.
    Copy,
    /// A partial copy of a row. Its own endpoint is disabled, so nothing else shows that the record exists.
    SoleCopy,
}

impl Provenance {
    /// Whether it is a partial copy.
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Copy | Self::SoleCopy)
    }
}

impl Batch {
    /// Marks copies as the only source of their rows if the own endpoint of their model is not enabled.
    pub(crate) fn mark_sole_copies(&mut self, enabled: &BTreeSet<Endpoint>) {
        let copies = self.rows.iter_mut().filter(|row| row.provenance == Provenance::Copy);
        for copy in copies.filter(|copy| !enabled.contains(&copy.model.owner())) {
            copy.provenance = Provenance::SoleCopy;
            // A nested record exists.
            if let Some(remote_deleted_at) = copy.row.values_mut().last_mut() {
                *remote_deleted_at = Value::Null;
            }
        }
    }
}

/// All rows of `model` that belong to `parent`. A stored row of that parent that is not among them is gone.
#[derive(Debug, Clone)]
pub struct Members {
    /// The model of the members.
    pub model: Model,
    /// The id of the record that lists them.
    pub parent: String,
    /// Keys of the members.
    pub keys: Vec<Key>,
    /// When one of the listing record's own fields last changed.
    pub changed_at: Option<Timestamp>,
    /// When the response was requested.
    pub observed_at: Timestamp,
}
