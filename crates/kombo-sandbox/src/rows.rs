//! The rows the sandbox keeps: plain structs, compact enough for millions.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{Id, Model, Stamp};

/// JSON kept as text: small in memory, free to print.
pub type Json = Box<RawValue>;

/// Text that may be null.
pub type Text = Option<Box<str>>;

/// What every record but a progression carries.
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
    /// The tool's own answer, by upstream path.
    pub remote_data: Option<Json>,
    /// Fields the customer mapped.
    pub custom_fields: Option<Json>,
    /// The array of integration fields; `None` prints as `[]`.
    pub integration_fields: Option<Json>,
    /// Shown with null fields, whatever the clock says.
    pub anonymised: bool,
}

/// A row of `lms_users`.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// What every record carries.
    pub meta: Meta,
    /// First name.
    pub first_name: Text,
    /// Last name.
    pub last_name: Text,
    /// Mail address.
    pub work_email: Text,
    /// `ACTIVE`, `INACTIVE` or what a test puts in.
    pub status: Text,
}

/// A row of `lms_courses`.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// What every record carries.
    pub meta: Meta,
    /// The provider, which must be there.
    pub provider_id: Option<Id>,
    /// The id the caller of a write endpoint gave.
    pub origin_id: Text,
    /// Its revisions, in the order in which they are shown.
    pub revisions: Vec<Id>,
    /// When a revision was last added, removed or changed.
    pub revisions_changed_at: Stamp,
    /// When anything else nested last changed: a provider's or skill's name, a skill assignment.
    pub nested_changed_at: Stamp,
}

/// A row of `lms_course_revisions`.
#[derive(Clone, Debug, Default)]
pub struct Revision {
    /// What every record carries.
    pub meta: Meta,
    /// Its course; a revision without one is shown by progressions only.
    pub course_id: Option<Id>,
    /// Title.
    pub title: Text,
    /// Description.
    pub description: Text,
    /// Where to take it.
    pub remote_url: Text,
    /// `ACTIVE`, `INACTIVE` or what a test puts in.
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
    /// What every record carries.
    pub meta: Meta,
    /// Name.
    pub name: Text,
}

/// Where a progression stands.
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
    /// The value as Kombo writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Enrolled => "ENROLLED",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Dropped => "DROPPED",
            Self::Other(text) => text,
        }
    }

    /// The value that Kombo writes so.
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
    /// Who learns.
    pub user_id: Id,
    /// What is learnt.
    pub course_revision_id: Id,
    /// Where it stands.
    pub status: Option<ProgressionStatus>,
    /// When it began.
    pub enrolled_at: Option<Stamp>,
    /// When it was finished.
    pub completed_at: Option<Stamp>,
    /// When its own properties last changed.
    pub changed_at: Stamp,
    /// When Kombo no longer found it.
    pub remote_deleted_at: Option<Stamp>,
    /// The tool's own answer.
    pub remote_data: Option<Json>,
    /// Shown with null fields, whatever the clock says.
    pub anonymised: bool,
}

/// All rows of one integration, sorted by id so that a page starts anywhere at no cost.
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
}

impl Tables {
    /// The ids of all rows of a model, sorted. Assignments of skills have none.
    pub fn ids(&self, model: Model) -> Vec<Id> {
        match model {
            Model::Users => self.users.keys().copied().collect(),
            Model::Courses => self.courses.keys().copied().collect(),
            Model::CourseRevisions => self.revisions.keys().copied().collect(),
            Model::CourseProviders => self.providers.keys().copied().collect(),
            Model::Skills => self.skills.keys().copied().collect(),
            Model::CourseProgressions => self.progressions.keys().copied().collect(),
            Model::RevisionsSkills => Vec::new(),
        }
    }
}
