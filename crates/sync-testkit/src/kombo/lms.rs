#![expect(clippy::wildcard_enum_match_arm, reason = "this Kombo has data of LMS only")]

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Course, CourseProgression, CourseRevision, Maybe, ProviderCopy, Skill, Timestamp, User};
use sync_core::rows::Model;

/// The records of a [`FakeKombo`](super::FakeKombo). Each is stored once; nested ones are added when a page is served.
#[derive(Debug, Clone, Default)]
pub struct Lms {
    pub(super) users: BTreeMap<String, User>,
    pub(super) courses: BTreeMap<String, Course>,
    pub(super) revisions: BTreeMap<String, CourseRevision>,
    pub(super) providers: BTreeMap<String, ProviderCopy>,
    pub(super) skills: BTreeMap<String, Skill>,
    pub(super) progressions: BTreeMap<String, CourseProgression>,
    /// The course of each revision.
    pub(super) course_of: BTreeMap<String, String>,
    /// Pairs of a revision and one of its skills.
    pub(super) taught: BTreeSet<(String, String)>,
    /// Last change of a record, of the list of a course's revisions, or of the list of a revision's skills.
    pub(super) touched: BTreeMap<(Part, String), Timestamp>,
    pub(super) changed: BTreeSet<Model>,
    /// The records with a new `changed_at`, and that time.
    pub(super) journal: Vec<(Model, String, Timestamp)>,
    /// `changed_at` of changes; `None` for silent changes.
    pub(super) stamp: Option<Timestamp>,
}

/// A part of the data with its own time for `updated_after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Row(Model),
    Revisions,
    Skills,
}

impl Lms {
    /// Returns the ids of all records of a model, deleted ones included.
    pub fn ids(&self, model: Model) -> Vec<String> {
        match model {
            Model::LmsUsers => self.users.keys().cloned().collect(),
            Model::LmsCourses => self.courses.keys().cloned().collect(),
            Model::LmsCourseRevisions => self.revisions.keys().cloned().collect(),
            Model::LmsCourseProviders => self.providers.keys().cloned().collect(),
            Model::LmsSkills => self.skills.keys().cloned().collect(),
            Model::LmsCourseProgressions => self.progressions.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn touched(&self, part: Part, id: &str) -> Timestamp {
        self.touched.get(&(part, id.to_owned())).copied().unwrap_or(Timestamp::MIN)
    }

    /// Returns the revisions that a course lists.
    pub(super) fn revisions_of(&self, course: &str) -> impl Iterator<Item = &CourseRevision> {
        let ids = self.course_of.iter().filter(move |(_, of)| *of == course).map(|(id, _)| id);
        ids.filter_map(|id| self.revisions.get(id)).collect::<Vec<_>>().into_iter()
    }

    /// Returns the skills of a revision.
    pub(super) fn skills_of(&self, revision: &str) -> impl Iterator<Item = &Skill> {
        let ids = self.taught.iter().filter(move |(of, _)| of == revision).map(|(_, skill)| skill);
        ids.filter_map(|id| self.skills.get(id)).collect::<Vec<_>>().into_iter()
    }
}

pub(super) fn blank_user(id: &str) -> User {
    User {
        id: id.into(),
        remote_id: Some(format!("r-{id}")),
        first_name: Some("Ada".to_owned()),
        last_name: Some(id.to_owned()),
        work_email: Some(format!("{id}@example.com")),
        status: Some(kombo_model::ActiveStatus::Active),
        remote_created_at: None,
        remote_deleted_at: None,
        changed_at: None,
        remote_data: None,
        custom_fields: None,
        integration_fields: None,
        unread: Vec::new(),
        extra: kombo_model::Extra::new(),
    }
}

pub(super) fn blank_course(id: &str) -> Course {
    Course {
        id: id.into(),
        remote_id: Some(format!("r-{id}")),
        provider_id: None,
        origin_id: None,
        remote_created_at: None,
        remote_deleted_at: None,
        changed_at: None,
        remote_data: None,
        custom_fields: None,
        integration_fields: None,
        provider: Maybe::Absent,
        revisions: Maybe::Absent,
        unread: Vec::new(),
        extra: kombo_model::Extra::new(),
    }
}

pub(super) fn blank_revision(id: &str, title: &str) -> CourseRevision {
    CourseRevision {
        id: id.into(),
        remote_id: Some(format!("r-{id}")),
        course_id: None,
        title: Some(title.to_owned()),
        description: None,
        remote_url: None,
        status: Some(kombo_model::ActiveStatus::Active),
        remote_created_at: None,
        remote_deleted_at: None,
        changed_at: None,
        remote_data: None,
        custom_fields: None,
        integration_fields: None,
        skill_assignments: Maybe::Absent,
        unread: Vec::new(),
        extra: kombo_model::Extra::new(),
    }
}

pub(super) fn blank_skill(id: &str, name: &str) -> Skill {
    Skill {
        id: id.into(),
        remote_id: Some(format!("r-{id}")),
        name: Some(name.to_owned()),
        remote_created_at: None,
        remote_deleted_at: None,
        changed_at: None,
        remote_data: None,
        custom_fields: None,
        integration_fields: None,
        unread: Vec::new(),
        extra: kombo_model::Extra::new(),
    }
}

pub(super) fn blank_progression(id: &str, user: &str, revision: &str) -> CourseProgression {
    CourseProgression {
        id: id.into(),
        remote_id: Some(format!("r-{id}")),
        user_id: Some(user.into()),
        course_revision_id: Some(revision.into()),
        status: Some(kombo_model::ProgressionStatus::Enrolled),
        enrolled_at: None,
        completed_at: None,
        changed_at: None,
        remote_deleted_at: None,
        remote_data: None,
        user: Maybe::Absent,
        course_revision: Maybe::Absent,
        unread: Vec::new(),
        extra: kombo_model::Extra::new(),
    }
}
