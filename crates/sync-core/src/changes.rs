//! The change log.

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pull::run::RunId;
use crate::rows::Model;
use crate::rows::change::{ChangeCause, ChangeKind};

/// A position in the change log of all integrations. Readers follow this order, which may differ from the order of
/// `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// The store's number of the transaction that wrote the entry; 0 if the store orders entries by `seq` alone.
    pub transaction_id: i64,
    /// The entry's `seq`.
    pub seq: i64,
}

/// An entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Number of the entry, assigned by the store. Within an integration, numbers follow the order of commits.
    pub seq: i64,
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Table of the row.
    pub model: Model,
    /// Key of the row, as text.
    pub record_id: String,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// How the change was found.
    pub cause: ChangeCause,
    /// The columns that differ: a list of names or, if configured, an object of `{"old":…,"new":…}` by name.
    pub fields: serde_json::Value,
    /// The run that found the change.
    pub run_id: RunId,
    /// When the change was found.
    pub at: Timestamp,
}
