use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ActiveStatus, Extra, SkillCopy};
use crate::in_part::{Part, Reader, in_part};
use crate::redacted::redacted_debug;
use crate::{CourseId, CourseProviderId, CourseRevisionId, FreeJson, Maybe, Timestamp};

/// A row of `GET /lms/courses`, with its provider, its revisions and their skills.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Unique among the courses of the integration.
    pub id: CourseId,
    /// The id in the connected tool.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Id of its provider.
    #[serde(default)]
    pub provider_id: Option<CourseProviderId>,
    /// The id in the account owner's system, for courses pushed through Kombo.
    #[serde(default)]
    pub origin_id: Option<String>,
    /// When it was created in the connected tool.
    #[serde(default)]
    pub remote_created_at: Option<Timestamp>,
    /// When Kombo no longer found it in the connected tool.
    #[serde(default)]
    pub remote_deleted_at: Option<Timestamp>,
    /// When one of its own fields last changed. Changes of revisions, provider and skills do not count.
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
    /// The partial copy of its provider.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub provider: Maybe<ProviderCopy>,
    /// All its revisions: one that is no longer listed was removed.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub revisions: Maybe<Vec<CourseRevision>>,
    /// The fields that are present but unreadable; see [`ReadInPart`](crate::ReadInPart). If `revisions` is among them,
    /// that list is incomplete.
    #[serde(skip)]
    pub unread: Vec<&'static str>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A revision of a course, in which a learner enrols. Only `GET /lms/courses` shows it in full.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseRevision {
    /// Unique among the revisions of the integration.
    pub id: CourseRevisionId,
    /// The id in the connected tool.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Id of its course.
    #[serde(default)]
    pub course_id: Option<CourseId>,
    /// Title of the course.
    #[serde(default)]
    pub title: Option<String>,
    /// Description of the course.
    #[serde(default)]
    pub description: Option<String>,
    /// URL of the course for learners.
    #[serde(default)]
    pub remote_url: Option<String>,
    /// Whether it is still offered.
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
    /// All skills that it teaches: one that is no longer listed is no longer assigned.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub skill_assignments: Maybe<Vec<SkillAssignment>>,
    /// The fields that are present but unreadable; see [`ReadInPart`](crate::ReadInPart). If `skill_assignments` is
    /// among them, that list is incomplete.
    #[serde(skip)]
    pub unread: Vec<&'static str>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The assignment of a skill to a revision that teaches it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SkillAssignment {
    /// The partial copy of the skill.
    pub skill: SkillCopy,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The partial copy of a provider inside a [`Course`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderCopy {
    /// Id of the provider.
    pub id: CourseProviderId,
    /// The id in the connected tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub remote_id: Maybe<String>,
    /// Name of the provider.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub name: Maybe<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    Course { id, changed_at, remote_deleted_at }
    CourseRevision { id, course_id, changed_at, remote_deleted_at }
    SkillAssignment { skill }
    ProviderCopy { id }
}

in_part! {
    Course {
        id; remote_id, provider_id, origin_id, remote_created_at, remote_deleted_at, changed_at,
        remote_data, custom_fields, integration_fields, provider, revisions; unread
    }
    CourseRevision {
        id; remote_id, course_id, title, description, remote_url, status, remote_created_at,
        remote_deleted_at, changed_at, remote_data, custom_fields, integration_fields, skill_assignments;
        unread
    }
    ProviderCopy { id; remote_id, name }
}
in_part! { Course }

impl Part for SkillAssignment {
    fn read(json: &RawValue, reader: &mut Reader) -> Option<Self> {
        let object = reader.object(json)?;
        Some(Self { skill: reader.key(&object, "skill")?, extra: object.others(&["skill"]) })
    }
}
