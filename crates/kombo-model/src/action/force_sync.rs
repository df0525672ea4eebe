use serde::{Deserialize, Serialize};

use crate::Extra;
use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;

/// The body of `POST /force-sync`.
///
/// ```
/// use kombo_model::{ForceSync, SyncType};
///
/// let body = serde_json::to_string(&ForceSync { sync_type: Some(SyncType::Delta) })?;
/// assert_eq!(body, r#"{"type":"DELTA"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceSync {
    /// Scope of the sync; everything if `None`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub sync_type: Option<SyncType>,
}

open_enum! {
    /// The scope of a sync with the connected tool.
    pub enum SyncType {
        /// Everything.
        Full = "FULL",
        /// Only changes.
        Delta = "DELTA",
    }
}

/// The sync that `POST /force-sync` started or found in the queue.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ForcedSync {
    /// Kombo's id of the sync, which the `sync-finished` webhook about its end repeats.
    pub sync_id: String,
    /// Whether it was already queued, so that nothing was started.
    #[serde(default)]
    pub already_queued: Option<bool>,
    /// Scope of the sync.
    #[serde(default, rename = "type")]
    pub sync_type: Option<SyncType>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! { ForcedSync { sync_id, already_queued, sync_type } }
