//! Content of the four endpoints.
#![expect(clippy::wildcard_enum_match_arm, reason = "this Kombo has data of LMS only")]

use kombo_model::{
    Course, CourseCopy, CourseProgression, CourseRevision, CourseRevisionCopy, Endpoint, Extra, Maybe, Skill,
    SkillAssignment, SkillCopy, Timestamp, UserCopy,
};
use sync_core::ports::Record;
use sync_core::rows::Model;

use super::Nesting;
use super::lms::{Lms, Part};

/// Returns a record as a source reads it.
#[expect(clippy::expect_used, reason = "records of the model are readable")]
fn record(endpoint: Endpoint, record: &impl serde::Serialize) -> Record {
    let json = serde_json::to_string(record).expect("records are JSON");
    Record::read(endpoint, &json).expect("records of the model are readable")
}

impl Lms {
    /// Returns all whole records of an endpoint in the order of ids.
    pub(super) fn list(&self, endpoint: Endpoint) -> Vec<Record> {
        match endpoint {
            Endpoint::LmsUsers => self.users.values().map(|user| record(endpoint, user)).collect(),
            Endpoint::LmsCourses => {
                self.courses.values().map(|course| record(endpoint, &self.course(course))).collect()
            }
            Endpoint::LmsCourseProgressions => {
                let whole = |progression| record(endpoint, &self.progression(progression));
                self.progressions.values().map(whole).collect()
            }
            Endpoint::LmsSkills => self.skills.values().map(|skill| record(endpoint, skill)).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the time of the last change of a record that `updated_after` detects.
    pub(super) fn updated_at(&self, endpoint: Endpoint, id: &str, nesting: Nesting) -> Timestamp {
        let own = self.touched(Part::Row(endpoint.lists()), id);
        match (endpoint, nesting) {
            (Endpoint::LmsCourses, Nesting::Reference) => own.max(self.revisions_changed_at(id)),
            (Endpoint::LmsCourses, Nesting::Guide) => {
                own.max(self.revisions_changed_at(id)).max(self.rest_changed_at(id))
            }
            (Endpoint::LmsCourseProgressions, Nesting::Guide) => own.max(self.copies_changed_at(id)),
            (_, Nesting::Guide | Nesting::Reference) => own,
        }
    }

    fn revisions_changed_at(&self, course: &str) -> Timestamp {
        let revisions = self.revisions_of(course);
        let changed =
            revisions.map(|revision| self.touched(Part::Row(Model::LmsCourseRevisions), revision.id.as_str()));
        changed.max().unwrap_or(Timestamp::MIN).max(self.touched(Part::Revisions, course))
    }

    /// Returns the last change of a provider, a skill or a skill assignment of a course.
    fn rest_changed_at(&self, course: &str) -> Timestamp {
        let provider = self.courses.get(course).and_then(|course| course.provider_id.as_ref());
        let mut last = provider
            .map_or(Timestamp::MIN, |provider| self.touched(Part::Row(Model::LmsCourseProviders), provider.as_str()));
        for revision in self.revisions_of(course) {
            last = last.max(self.touched(Part::Skills, revision.id.as_str()));
            for skill in self.skills_of(revision.id.as_str()) {
                last = last.max(self.touched(Part::Row(Model::LmsSkills), skill.id.as_str()));
            }
        }
        last
    }

    /// Returns the last change of the user, the revision or the course of a progression.
    fn copies_changed_at(&self, progression: &str) -> Timestamp {
        let Some(progression) = self.progressions.get(progression) else { return Timestamp::MIN };
        let user = progression.user_id.as_ref().map(|user| (Model::LmsUsers, user.as_str()));
        let revision = progression.course_revision_id.as_ref().map(kombo_model::CourseRevisionId::as_str);
        let course = revision.and_then(|revision| self.course_of.get(revision));
        let copies = [
            user,
            revision.map(|revision| (Model::LmsCourseRevisions, revision)),
            course.map(|course| (Model::LmsCourses, course.as_str())),
        ];
        let changed = copies.into_iter().flatten().map(|(model, id)| self.touched(Part::Row(model), id));
        changed.max().unwrap_or(Timestamp::MIN)
    }

    fn course(&self, course: &Course) -> Course {
        let provider = course.provider_id.as_ref().and_then(|provider| self.providers.get(provider.as_str()));
        let revisions = self.revisions_of(course.id.as_str()).map(|revision| self.revision(revision));
        Course { provider: provider.cloned().into(), revisions: Maybe::Value(revisions.collect()), ..course.clone() }
    }

    fn revision(&self, revision: &CourseRevision) -> CourseRevision {
        let skills = self.skills_of(revision.id.as_str());
        let assignments = skills.map(|skill| SkillAssignment { skill: skill_copy(skill), extra: Extra::new() });
        CourseRevision { skill_assignments: Maybe::Value(assignments.collect()), ..revision.clone() }
    }

    fn progression(&self, progression: &CourseProgression) -> CourseProgression {
        let user = progression.user_id.as_ref().and_then(|user| self.users.get(user.as_str()));
        let user = user.map(|user| UserCopy {
            id: user.id.clone(),
            remote_id: user.remote_id.clone().into(),
            first_name: user.first_name.clone().into(),
            last_name: user.last_name.clone().into(),
            work_email: user.work_email.clone().into(),
            extra: Extra::new(),
        });
        let revision = progression.course_revision_id.as_ref();
        let revision = revision.and_then(|revision| self.revisions.get(revision.as_str()));
        CourseProgression {
            user: user.map_or(Maybe::Absent, Maybe::Value),
            course_revision: revision.map_or(Maybe::Absent, |revision| Maybe::Value(self.revision_copy(revision))),
            ..progression.clone()
        }
    }

    fn revision_copy(&self, revision: &CourseRevision) -> CourseRevisionCopy {
        let course = self.course_of.get(revision.id.as_str()).and_then(|course| self.courses.get(course));
        let course = course.map(|course| CourseCopy {
            id: course.id.clone(),
            remote_id: course.remote_id.clone().into(),
            extra: Extra::new(),
        });
        CourseRevisionCopy {
            id: revision.id.clone(),
            remote_id: revision.remote_id.clone().into(),
            title: revision.title.clone().into(),
            course: course.map_or(Maybe::Absent, Maybe::Value),
            extra: Extra::new(),
        }
    }
}

fn skill_copy(skill: &Skill) -> SkillCopy {
    SkillCopy {
        id: skill.id.clone(),
        remote_id: skill.remote_id.clone().into(),
        name: skill.name.clone().into(),
        extra: Extra::new(),
    }
}
