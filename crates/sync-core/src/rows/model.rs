use std::fmt;

use kombo_model::{Endpoint, ModelName};
use serde::{Deserialize, Serialize};

/// A model of Kombo that has a table in the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Learners.
    LmsUsers,
    /// Courses.
    LmsCourses,
    /// Revisions of courses.
    LmsCourseRevisions,
    /// Providers of courses.
    LmsCourseProviders,
    /// Skills that revisions teach.
    LmsSkills,
    /// Assignments of skills to the revisions that teach them.
    LmsJoinRevisionsSkills,
    /// A user's progress in a revision.
    LmsCourseProgressions,
}

/// A column of a mirror table, except key and bookkeeping columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Kombo's name of the field.
    pub name: &'static str,
    /// Type of the content.
    pub kind: ColumnKind,
}

/// The type of a column's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A time in UTC.
    Time,
    /// JSON for queries.
    Document,
    /// JSON that is stored as received: large and rarely read.
    Opaque,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Text }
}

const fn time(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Time }
}

const fn document(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Document }
}

const REMOTE_DATA: Column = Column { name: "remote_data", kind: ColumnKind::Opaque };
const CUSTOM_FIELDS: Column = document("custom_fields");
const INTEGRATION_FIELDS: Column = document("integration_fields");
const CHANGED_AT: Column = time("changed_at");
const REMOTE_DELETED_AT: Column = time("remote_deleted_at");

// Every list ends with `changed_at` and `remote_deleted_at`; `MirrorRow` relies on these positions.
const USERS: &[Column] = &[
    text("remote_id"),
    text("first_name"),
    text("last_name"),
    text("work_email"),
    text("status"),
    time("remote_created_at"),
    REMOTE_DATA,
    CUSTOM_FIELDS,
    INTEGRATION_FIELDS,
    CHANGED_AT,
    REMOTE_DELETED_AT,
];
const COURSES: &[Column] = &[
    text("remote_id"),
    text("provider_id"),
    text("origin_id"),
    time("remote_created_at"),
    REMOTE_DATA,
    CUSTOM_FIELDS,
    INTEGRATION_FIELDS,
    CHANGED_AT,
    REMOTE_DELETED_AT,
];
const COURSE_REVISIONS: &[Column] = &[
    text("remote_id"),
    text("course_id"),
    text("title"),
    text("description"),
    text("remote_url"),
    text("status"),
    time("remote_created_at"),
    REMOTE_DATA,
    CUSTOM_FIELDS,
    INTEGRATION_FIELDS,
    CHANGED_AT,
    REMOTE_DELETED_AT,
];
const COURSE_PROVIDERS: &[Column] = &[text("remote_id"), text("name"), CHANGED_AT, REMOTE_DELETED_AT];
const SKILLS: &[Column] = &[
    text("remote_id"),
    text("name"),
    time("remote_created_at"),
    REMOTE_DATA,
    CUSTOM_FIELDS,
    INTEGRATION_FIELDS,
    CHANGED_AT,
    REMOTE_DELETED_AT,
];
const JOIN_REVISIONS_SKILLS: &[Column] = &[CHANGED_AT, REMOTE_DELETED_AT];
const COURSE_PROGRESSIONS: &[Column] = &[
    text("remote_id"),
    text("user_id"),
    text("course_revision_id"),
    text("status"),
    time("enrolled_at"),
    time("completed_at"),
    REMOTE_DATA,
    CHANGED_AT,
    REMOTE_DELETED_AT,
];

impl Model {
    /// All models, in the order in which the rows of a batch are written.
    pub const ALL: [Self; 7] = [
        Self::LmsUsers,
        Self::LmsCourses,
        Self::LmsCourseRevisions,
        Self::LmsCourseProviders,
        Self::LmsSkills,
        Self::LmsJoinRevisionsSkills,
        Self::LmsCourseProgressions,
    ];

    /// Returns Kombo's name of the model, which is also the name of the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LmsUsers => "lms_users",
            Self::LmsCourses => "lms_courses",
            Self::LmsCourseRevisions => "lms_course_revisions",
            Self::LmsCourseProviders => "lms_course_providers",
            Self::LmsSkills => "lms_skills",
            Self::LmsJoinRevisionsSkills => "lms_join_revisions_skills",
            Self::LmsCourseProgressions => "lms_course_progressions",
        }
    }

    /// Returns the model with this name, if it has a table.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.as_str() == name)
    }

    /// Returns the columns between the key and `removed_at`. The last ones are `changed_at` and `remote_deleted_at`.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::LmsUsers => USERS,
            Self::LmsCourses => COURSES,
            Self::LmsCourseRevisions => COURSE_REVISIONS,
            Self::LmsCourseProviders => COURSE_PROVIDERS,
            Self::LmsSkills => SKILLS,
            Self::LmsJoinRevisionsSkills => JOIN_REVISIONS_SKILLS,
            Self::LmsCourseProgressions => COURSE_PROGRESSIONS,
        }
    }

    /// Returns the key columns after `integration_id`.
    pub const fn key_columns(self) -> &'static [&'static str] {
        match self {
            Self::LmsJoinRevisionsSkills => &["course_revision_id", "skill_id"],
            Self::LmsUsers
            | Self::LmsCourses
            | Self::LmsCourseRevisions
            | Self::LmsCourseProviders
            | Self::LmsSkills
            | Self::LmsCourseProgressions => &["id"],
        }
    }

    /// Returns the column with the id of the parent, the record that lists rows of this model.
    pub const fn parent_column(self) -> Option<&'static str> {
        match self {
            Self::LmsCourseRevisions => Some("course_id"),
            Self::LmsJoinRevisionsSkills => Some("course_revision_id"),
            Self::LmsUsers
            | Self::LmsCourses
            | Self::LmsCourseProviders
            | Self::LmsSkills
            | Self::LmsCourseProgressions => None,
        }
    }

    /// Returns the model of the records that an endpoint lists.
    pub const fn listed_by(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Users => Self::LmsUsers,
            Endpoint::Courses => Self::LmsCourses,
            Endpoint::CourseProgressions => Self::LmsCourseProgressions,
            Endpoint::Skills => Self::LmsSkills,
        }
    }

    /// Returns the endpoint that shows complete rows of this model.
    pub const fn owner(self) -> Endpoint {
        match self {
            Self::LmsUsers => Endpoint::Users,
            Self::LmsCourses | Self::LmsCourseRevisions | Self::LmsCourseProviders | Self::LmsJoinRevisionsSkills => {
                Endpoint::Courses
            }
            Self::LmsSkills => Endpoint::Skills,
            Self::LmsCourseProgressions => Endpoint::CourseProgressions,
        }
    }

    /// Returns the endpoints that nest partial copies of rows of this model.
    pub const fn embedded_by(self) -> &'static [Endpoint] {
        match self {
            Self::LmsUsers | Self::LmsCourses | Self::LmsCourseRevisions => &[Endpoint::CourseProgressions],
            Self::LmsSkills => &[Endpoint::Courses],
            Self::LmsCourseProviders | Self::LmsJoinRevisionsSkills | Self::LmsCourseProgressions => &[],
        }
    }

    /// Returns the columns that partial copies of rows of this model carry.
    pub const fn copied_columns(self) -> &'static [&'static str] {
        match self {
            Self::LmsUsers => &["remote_id", "first_name", "last_name", "work_email"],
            Self::LmsCourses => &["remote_id"],
            Self::LmsCourseRevisions => &["remote_id", "course_id", "title"],
            Self::LmsSkills => &["remote_id", "name"],
            Self::LmsCourseProviders | Self::LmsJoinRevisionsSkills | Self::LmsCourseProgressions => &[],
        }
    }

    /// Whether a delta of an endpoint that shows the model may miss a change to it. According to Kombo's API reference,
    /// a course does not come back if only its provider, a skill or a skill assignment changed, and a progression does
    /// not if only its user, revision or course changed.
    pub const fn blind_in_delta(self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Courses => {
                matches!(self, Self::LmsCourseProviders | Self::LmsSkills | Self::LmsJoinRevisionsSkills)
            }
            Endpoint::CourseProgressions => {
                matches!(self, Self::LmsUsers | Self::LmsCourses | Self::LmsCourseRevisions)
            }
            Endpoint::Users | Endpoint::Skills => false,
        }
    }
}

impl From<Model> for ModelName {
    fn from(model: Model) -> Self {
        Self::from(model.as_str())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_ends_with_the_two_times() {
        for model in Model::ALL {
            let names: Vec<_> = model.columns().iter().map(|column| column.name).collect();
            assert!(names.ends_with(&["changed_at", "remote_deleted_at"]), "{model}");
            assert_eq!(Model::from_name(model.as_str()), Some(model));
        }
    }

    #[test]
    fn every_listed_model_is_owned_by_its_endpoint() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Model::listed_by(endpoint).owner(), endpoint);
        }
    }
}
