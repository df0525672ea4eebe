//! The rows of the sandbox: plain structs, compact enough for millions.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{Id, Model, Records, Stamp};

/// JSON as text: small in memory, cheap to print.
pub type Json = Box<RawValue>;

/// Text that may be null.
pub type Text = Option<Box<str>>;

/// The fields of every record except a progression.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The id in the connected tool.
    pub remote_id: Text,
    /// When the connected tool created it.
    pub remote_created_at: Option<Stamp>,
    /// When its own properties last changed.
    pub changed_at: Stamp,
    /// When Kombo no longer found it.
    pub remote_deleted_at: Option<Stamp>,
    /// The tool's raw data, by upstream path.
    pub remote_data: Option<Json>,
    /// Fields the customer mapped.
    pub custom_fields: Option<Json>,
    /// The array of integration fields; `None` prints as `[]`.
    pub integration_fields: Option<Json>,
    /// Shown with null fields at any time.
    pub anonymised: bool,
}

/// A row of `lms_users`.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// The common fields.
    pub meta: Meta,
    /// First name.
    pub first_name: Text,
    /// Last name.
    pub last_name: Text,
    /// Email address.
    pub work_email: Text,
    /// `ACTIVE`, `INACTIVE` or a test's value.
    pub status: Text,
}

/// A row of `lms_courses`.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// The common fields.
    pub meta: Meta,
    /// Id of the provider, which must exist.
    pub provider_id: Option<Id>,
    /// The id given by the caller of a write endpoint.
    pub origin_id: Text,
    /// Its revisions, in the order of listing.
    pub revisions: Vec<Id>,
    /// When a revision was last added, removed or changed.
    pub revisions_changed_at: Stamp,
    /// When anything else nested last changed: a provider's or skill's name, a skill assignment.
    pub nested_changed_at: Stamp,
}

/// A row of `lms_course_revisions`.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// The common fields.
    pub meta: Meta,
    /// Id of its course; only progressions show a revision without one.
    pub course_id: Option<Id>,
    /// Title.
    pub title: Text,
    /// Description.
    pub description: Text,
    /// URL of the course.
    pub remote_url: Text,
    /// `ACTIVE`, `INACTIVE` or a test's value.
    pub status: Text,
    /// The skills it teaches: `lms_join_revisions_skills`.
    pub skills: Vec<Id>,
}

/// A row of `lms_course_providers`.
#[derive(Clone, Debug, Default)]
pub struct Provider {
    /// The id in the connected tool.
    pub remote_id: Text,
    /// Name.
    pub name: Text,
}

/// A row of `lms_skills`.
#[derive(Clone, Debug, Default)]
pub struct Skill {
    /// The common fields.
    pub meta: Meta,
    /// Name.
    pub name: Text,
}

/// Status of a progression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgressionStatus {
    /// `ENROLLED`
    Enrolled,
    /// `IN_PROGRESS`
    InProgress,
    /// `COMPLETED`
    Completed,
    /// `DROPPED`
    Dropped,
    /// A value that the contract does not list.
    Other(Box<str>),
}

impl ProgressionStatus {
    /// Returns the value as Kombo writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Enrolled => "ENROLLED",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Dropped => "DROPPED",
            Self::Other(text) => text,
        }
    }

    /// Returns the status for Kombo's text.
    pub fn from_text(text: &str) -> Self {
        match text {
            "ENROLLED" => Self::Enrolled,
            "IN_PROGRESS" => Self::InProgress,
            "COMPLETED" => Self::Completed,
            "DROPPED" => Self::Dropped,
            other => Self::Other(other.into()),
        }
    }
}

/// A row of `lms_course_progressions`.
#[derive(Clone, Debug)]
pub struct Progression {
    /// The id in the connected tool.
    pub remote_id: Text,
    /// Id of the user.
    pub user_id: Id,
    /// Id of the revision.
    pub course_revision_id: Id,
    /// Its status.
    pub status: Option<ProgressionStatus>,
    /// When the user was enrolled.
    pub enrolled_at: Option<Stamp>,
    /// When the user completed it.
    pub completed_at: Option<Stamp>,
    /// When its own properties last changed.
    pub changed_at: Stamp,
    /// When Kombo no longer found it.
    pub remote_deleted_at: Option<Stamp>,
    /// The tool's raw data.
    pub remote_data: Option<Json>,
    /// Shown with null fields at any time.
    pub anonymised: bool,
}

/// All rows of one integration, sorted by id so that a page can start anywhere at no cost.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// `lms_users`
    pub users: BTreeMap<Id, User>,
    /// `lms_courses`
    pub courses: BTreeMap<Id, Course>,
    /// `lms_course_revisions`
    pub revisions: BTreeMap<Id, Revision>,
    /// `lms_course_providers`
    pub providers: BTreeMap<Id, Provider>,
    /// `lms_skills`
    pub skills: BTreeMap<Id, Skill>,
    /// `lms_course_progressions`
    pub progressions: BTreeMap<Id, Progression>,
    /// The rows of HRIS or ATS.
    pub records: Records,
}

impl Tables {
    /// Returns the sorted ids of all rows of a model. Skill assignments have none.
    pub fn ids(&self, model: Model) -> Vec<Id> {
        match model {
            Model::Users => self.users.keys().copied().collect(),
            Model::Courses => self.courses.keys().copied().collect(),
            Model::CourseRevisions => self.revisions.keys().copied().collect(),
            Model::CourseProviders => self.providers.keys().copied().collect(),
            Model::Skills => self.skills.keys().copied().collect(),
            Model::CourseProgressions => self.progressions.keys().copied().collect(),
            Model::RevisionsSkills => Vec::new(),
            Model::Of(model) => self.records.rows(model).keys().copied().collect(),
        }
    }
}
