use serde::{Deserialize, Serialize};

use super::{ActiveStatus, Extra};
use crate::in_part::in_part;
use crate::redacted::redacted_debug;
use crate::{FreeJson, Timestamp, UserId};

/// A row of `GET /lms/users`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Unique among the users of the integration.
    pub id: UserId,
    /// The id in the connected tool.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Given name.
    #[serde(default)]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(default)]
    pub last_name: Option<String>,
    /// Work email address.
    #[serde(default)]
    pub work_email: Option<String>,
    /// Whether the person is active in the connected tool.
    #[serde(default)]
    pub status: Option<ActiveStatus>,
    /// When it was created in the connected tool.
    #[serde(default)]
    pub remote_created_at: Option<Timestamp>,
    /// When Kombo no longer found it in the connected tool.
    #[serde(default)]
    pub remote_deleted_at: Option<Timestamp>,
    /// When one of its own fields last changed.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    /// The connected tool's raw data, by upstream path.
    #[serde(default)]
    pub remote_data: Option<FreeJson>,
    /// Fields that the customer added.
    #[serde(default)]
    pub custom_fields: Option<FreeJson>,
    /// Mapped fields, a list of [`IntegrationField`](crate::IntegrationField).
    #[serde(default)]
    pub integration_fields: Option<FreeJson>,
    /// The fields that are present but unreadable; see [`ReadInPart`](crate::ReadInPart).
    #[serde(skip)]
    pub unread: Vec<&'static str>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! { User { id, changed_at, remote_deleted_at } }

in_part! {
    User {
        id; remote_id, first_name, last_name, work_email, status, remote_created_at, remote_deleted_at,
        changed_at, remote_data, custom_fields, integration_fields; unread
    }
}
in_part! { User }
