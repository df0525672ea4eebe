//! The change log.

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pull::run::RunId;
use crate::rows::change::{ChangeCause, ChangeKind};
use crate::rows::model::Model;

/// A place in the log of all integrations. Its entries are read in this order, which need not be that of `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// The store's number of the transaction that wrote the entry; 0 where `seq` alone is the order.
    pub transaction_id: i64,
    /// The entry's `seq`.
    pub seq: i64,
}

/// An entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its number, given by the store: within an integration in the order of commits.
    pub seq: i64,
    /// Whose record.
    pub integration_id: IntegrationId,
    /// Which table.
    pub model: Model,
    /// Which row.
    pub record_id: String,
    /// What happened.
    pub kind: ChangeKind,
    /// How it became known.
    pub cause: ChangeCause,
    /// The columns whose values differ: a list of names or, if configured, an object of `{"old":…,"new":…}` by name.
    pub fields: serde_json::Value,
    /// The run that found it.
    pub run_id: RunId,
    /// When it was found.
    pub at: Timestamp,
}
