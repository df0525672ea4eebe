use serde::{Deserialize, Serialize};

use super::Extra;
use crate::in_part::in_part;
use crate::redacted::redacted_debug;
use crate::{FreeJson, Maybe, SkillId, Timestamp};

/// A row of `GET /lms/skills`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Skill {
    /// Unique among the skills of the integration.
    pub id: SkillId,
    /// The id in the connected tool.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Name of the skill.
    #[serde(default)]
    pub name: Option<String>,
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

/// The partial copy of a skill inside a [`SkillAssignment`](crate::SkillAssignment).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillCopy {
    /// Id of the skill.
    pub id: SkillId,
    /// The id in the connected tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub remote_id: Maybe<String>,
    /// Name of the skill.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub name: Maybe<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    Skill { id, changed_at, remote_deleted_at }
    SkillCopy { id }
}

in_part! {
    Skill {
        id; remote_id, name, remote_created_at, remote_deleted_at, changed_at, remote_data, custom_fields,
        integration_fields; unread
    }
    SkillCopy { id; remote_id, name }
}
in_part! { Skill }
