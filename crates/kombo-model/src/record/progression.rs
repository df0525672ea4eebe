use serde::{Deserialize, Serialize};

use super::Extra;
use crate::in_part::in_part;
use crate::open_enum::open_enum;
use crate::redacted::redacted_debug;
use crate::{CourseId, CourseProgressionId, CourseRevisionId, FreeJson, Maybe, Timestamp, UserId};

/// A row of `GET /lms/course-progressions`: a user's progress in a revision of a course.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseProgression {
    /// Unique among the progressions of the integration.
    pub id: CourseProgressionId,
    /// The id in the connected tool.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Id of the user.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Id of the revision.
    #[serde(default)]
    pub course_revision_id: Option<CourseRevisionId>,
    /// Status of the progression.
    #[serde(default)]
    pub status: Option<ProgressionStatus>,
    /// When the user was enrolled.
    #[serde(default)]
    pub enrolled_at: Option<Timestamp>,
    /// When the user completed it.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// When one of its own fields last changed. Changes of its user and its revision do not count.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    /// When Kombo no longer found it in the connected tool.
    #[serde(default)]
    pub remote_deleted_at: Option<Timestamp>,
    /// The connected tool's raw data, by upstream path.
    #[serde(default)]
    pub remote_data: Option<FreeJson>,
    /// The partial copy of its user.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub user: Maybe<UserCopy>,
    /// The partial copy of its revision.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub course_revision: Maybe<CourseRevisionCopy>,
    /// The fields that are present but unreadable; see [`ReadInPart`](crate::ReadInPart).
    #[serde(skip)]
    pub unread: Vec<&'static str>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

open_enum! {
    /// A user's progress in a revision.
    pub enum ProgressionStatus {
        /// Enrolled, not started.
        Enrolled = "ENROLLED",
        /// Started.
        InProgress = "IN_PROGRESS",
        /// Completed.
        Completed = "COMPLETED",
        /// Given up.
        Dropped = "DROPPED",
    }
}

/// The partial copy of a user inside a [`CourseProgression`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UserCopy {
    /// Id of the user.
    pub id: UserId,
    /// The id in the connected tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub remote_id: Maybe<String>,
    /// Given name.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub first_name: Maybe<String>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub last_name: Maybe<String>,
    /// Work email address.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub work_email: Maybe<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The partial copy of a revision inside a [`CourseProgression`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseRevisionCopy {
    /// Id of the revision.
    pub id: CourseRevisionId,
    /// The id in the connected tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub remote_id: Maybe<String>,
    /// Title of the course.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub title: Maybe<String>,
    /// The partial copy of its course.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub course: Maybe<CourseCopy>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The partial copy of a course inside a [`CourseRevisionCopy`].
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct CourseCopy {
    /// Id of the course.
    pub id: CourseId,
    /// The id in the connected tool.
    #[serde(default, skip_serializing_if = "Maybe::is_absent")]
    pub remote_id: Maybe<String>,
    /// Keys unknown to this version.
    #[serde(flatten)]
    pub extra: Extra,
}

redacted_debug! {
    CourseProgression { id, user_id, course_revision_id, status, changed_at, remote_deleted_at }
    UserCopy { id }
    CourseRevisionCopy { id }
    CourseCopy { id }
}

in_part! {
    CourseProgression {
        id; remote_id, user_id, course_revision_id, status, enrolled_at, completed_at, changed_at,
        remote_deleted_at, remote_data, user, course_revision; unread
    }
    UserCopy { id; remote_id, first_name, last_name, work_email }
    CourseRevisionCopy { id; remote_id, title, course }
    CourseCopy { id; remote_id }
}
in_part! { CourseProgression }
