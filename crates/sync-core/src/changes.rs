//! The change log.

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::pull::run::RunId;
use crate::rows::change::{ChangeCause, ChangeKind};
use crate::rows::model::Model;

/// An entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its place in the log; given by the store, in the order of commits.
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
