//! Edits of records at Kombo. An edit of a record that does not exist does nothing.
#![expect(clippy::wildcard_enum_match_arm, reason = "this Kombo has data of LMS only")]

use std::time::Duration;

use kombo_model::{
    ActiveStatus, Course, CourseProgression, CourseRevision, Maybe, ProgressionStatus, ProviderCopy, Skill, Timestamp,
    User,
};
use sync_core::rows::Model;

use super::lms::{Lms, Part, blank_course, blank_progression, blank_revision, blank_skill, blank_user};

/// Fields that every record has.
struct Stamps<'a> {
    changed_at: &'a mut Option<Timestamp>,
    remote_deleted_at: &'a mut Option<Timestamp>,
}

impl Lms {
    /// Sets the `changed_at` of the following changes.
    pub fn date_from_now_on(&mut self, stamp: Timestamp) {
        self.stamp = Some(stamp);
    }

    /// Adds a user called Ada.
    pub fn add_user(&mut self, id: &str) {
        self.users.insert(id.to_owned(), blank_user(id));
        self.touch(Model::LmsUsers, id);
    }

    /// Changes fields of a user.
    pub fn update_user(&mut self, id: &str, change: impl FnOnce(&mut User)) {
        if let Some(user) = self.users.get_mut(id) {
            change(user);
            self.touch(Model::LmsUsers, id);
        }
    }

    /// Renames a user.
    pub fn rename_user(&mut self, id: &str, first_name: &str) {
        self.update_user(id, |user| user.first_name = Some(first_name.to_owned()));
    }

    /// Adds a course with one revision.
    pub fn add_course(&mut self, id: &str, revision: &str, title: &str) {
        self.courses.insert(id.to_owned(), blank_course(id));
        self.touch(Model::LmsCourses, id);
        self.add_revision(id, revision, title);
    }

    /// Changes a course's own fields.
    pub fn update_course(&mut self, id: &str, change: impl FnOnce(&mut Course)) {
        if let Some(course) = self.courses.get_mut(id) {
            change(course);
            self.touch(Model::LmsCourses, id);
        }
    }

    /// Adds a revision to a course.
    pub fn add_revision(&mut self, course: &str, id: &str, title: &str) {
        if self.courses.contains_key(course) {
            self.revisions.insert(id.to_owned(), blank_revision(id, title));
            self.list_under(id, course);
            self.touch(Model::LmsCourseRevisions, id);
        }
    }

    /// Changes a revision's own fields.
    pub fn update_revision(&mut self, id: &str, change: impl FnOnce(&mut CourseRevision)) {
        if let Some(revision) = self.revisions.get_mut(id) {
            change(revision);
            self.touch(Model::LmsCourseRevisions, id);
        }
    }

    /// Changes the title of a revision.
    pub fn set_title(&mut self, id: &str, title: &str) {
        self.update_revision(id, |revision| revision.title = Some(title.to_owned()));
    }

    /// Moves a revision to another course.
    pub fn move_revision(&mut self, id: &str, course: &str) {
        if self.courses.contains_key(course) && self.revisions.contains_key(id) {
            self.list_under(id, course);
            self.touch(Model::LmsCourseRevisions, id);
        }
    }

    /// Adds a provider.
    pub fn add_provider(&mut self, id: &str, name: &str) {
        let provider = ProviderCopy {
            id: id.into(),
            remote_id: Maybe::Value(format!("r-{id}")),
            name: Maybe::Value(name.to_owned()),
            extra: kombo_model::Extra::new(),
        };
        self.providers.insert(id.to_owned(), provider);
        self.touch(Model::LmsCourseProviders, id);
    }

    /// Renames a provider.
    pub fn rename_provider(&mut self, id: &str, name: &str) {
        if let Some(provider) = self.providers.get_mut(id) {
            provider.name = Maybe::Value(name.to_owned());
            self.touch(Model::LmsCourseProviders, id);
        }
    }

    /// Sets or removes the provider of a course.
    pub fn provide(&mut self, course: &str, provider: Option<&str>) {
        self.update_course(course, |course| course.provider_id = provider.map(Into::into));
    }

    /// Adds a skill.
    pub fn add_skill(&mut self, id: &str, name: &str) {
        self.skills.insert(id.to_owned(), blank_skill(id, name));
        self.touch(Model::LmsSkills, id);
    }

    /// Changes fields of a skill.
    pub fn update_skill(&mut self, id: &str, change: impl FnOnce(&mut Skill)) {
        if let Some(skill) = self.skills.get_mut(id) {
            change(skill);
            self.touch(Model::LmsSkills, id);
        }
    }

    /// Renames a skill.
    pub fn rename_skill(&mut self, id: &str, name: &str) {
        self.update_skill(id, |skill| skill.name = Some(name.to_owned()));
    }

    /// Assigns a skill to a revision.
    pub fn assign(&mut self, revision: &str, skill: &str) {
        if self.revisions.contains_key(revision)
            && self.skills.contains_key(skill)
            && self.taught.insert((revision.to_owned(), skill.to_owned()))
        {
            self.date(Part::Skills, revision);
            self.tell(Model::LmsJoinRevisionsSkills);
        }
    }

    /// Removes a skill from a revision.
    pub fn unassign(&mut self, revision: &str, skill: &str) {
        if self.taught.remove(&(revision.to_owned(), skill.to_owned())) {
            self.date(Part::Skills, revision);
            self.tell(Model::LmsJoinRevisionsSkills);
        }
    }

    /// Enrols a user in a revision.
    pub fn add_progression(&mut self, id: &str, user: &str, revision: &str) {
        self.progressions.insert(id.to_owned(), blank_progression(id, user, revision));
        self.touch(Model::LmsCourseProgressions, id);
    }

    /// Changes a progression's own fields.
    pub fn update_progression(&mut self, id: &str, change: impl FnOnce(&mut CourseProgression)) {
        if let Some(progression) = self.progressions.get_mut(id) {
            change(progression);
            self.touch(Model::LmsCourseProgressions, id);
        }
    }

    /// Sets the status of a progression.
    pub fn progress(&mut self, id: &str, status: ProgressionStatus) {
        self.update_progression(id, |progression| progression.status = Some(status));
    }

    /// Deletes a record in the tool: it gets `remote_deleted_at`.
    pub fn delete(&mut self, model: Model, id: &str) {
        let deleted_at = self.stamp.or(Some(LONG_AGO));
        if let Some(stamps) = self.stamps(model, id) {
            *stamps.remote_deleted_at = deleted_at;
            self.touch(model, id);
        }
    }

    /// Restores a deleted record.
    pub fn restore(&mut self, model: Model, id: &str) {
        if let Some(stamps) = self.stamps(model, id) {
            *stamps.remote_deleted_at = None;
            self.touch(model, id);
        }
    }

    /// Sets a record's fields to null, as Kombo does some time after a deletion.
    pub fn anonymise(&mut self, model: Model, id: &str) {
        match model {
            Model::LmsUsers => self.update_user(id, |user| {
                let (changed_at, remote_deleted_at) = (user.changed_at, user.remote_deleted_at);
                *user = User { changed_at, remote_deleted_at, ..blank_user(id) };
                (user.remote_id, user.first_name, user.last_name) = (None, None, None);
                (user.work_email, user.status) = (None, None);
            }),
            Model::LmsCourses => self.update_course(id, |course| {
                let (changed_at, remote_deleted_at) = (course.changed_at, course.remote_deleted_at);
                *course = Course { changed_at, remote_deleted_at, remote_id: None, ..blank_course(id) };
            }),
            Model::LmsCourseRevisions => self.update_revision(id, |revision| {
                let (changed_at, remote_deleted_at) = (revision.changed_at, revision.remote_deleted_at);
                *revision = CourseRevision { changed_at, remote_deleted_at, ..blank_revision(id, "") };
                (revision.remote_id, revision.title) = (None, None);
                revision.status = None::<ActiveStatus>;
            }),
            Model::LmsSkills => self.update_skill(id, |skill| {
                (skill.remote_id, skill.name) = (None, None);
            }),
            Model::LmsCourseProgressions => self.update_progression(id, |progression| {
                (progression.remote_id, progression.status) = (None, None);
                (progression.user_id, progression.course_revision_id) = (None, None);
            }),
            _ => {}
        }
    }

    /// Removes a record without a trace, together with the members of its lists.
    pub fn purge(&mut self, model: Model, id: &str) {
        match model {
            Model::LmsUsers => drop(self.users.remove(id)),
            Model::LmsCourses => {
                self.courses.remove(id);
                let listed: Vec<String> =
                    self.revisions_of(id).map(|revision| revision.id.as_str().to_owned()).collect();
                for revision in listed {
                    self.purge(Model::LmsCourseRevisions, &revision);
                }
            }
            Model::LmsCourseRevisions => {
                self.revisions.remove(id);
                self.taught.retain(|(revision, _)| revision != id);
                if let Some(course) = self.course_of.remove(id) {
                    self.date(Part::Revisions, &course);
                }
            }
            Model::LmsSkills => {
                self.skills.remove(id);
                let taught_by: Vec<String> =
                    self.taught.iter().filter(|(_, skill)| skill == id).map(|(revision, _)| revision.clone()).collect();
                for revision in taught_by {
                    self.unassign(&revision, id);
                }
            }
            Model::LmsCourseProgressions => drop(self.progressions.remove(id)),
            Model::LmsCourseProviders => {
                self.providers.remove(id);
                for course in self.courses.values_mut().filter(|course| course.provider_id == Some(id.into())) {
                    course.provider_id = None;
                }
            }
            _ => {}
        }
        self.tell(model);
    }

    fn list_under(&mut self, revision: &str, course: &str) {
        if let Some(before) = self.course_of.insert(revision.to_owned(), course.to_owned()) {
            self.date(Part::Revisions, &before);
        }
        self.date(Part::Revisions, course);
        if let Some(revision) = self.revisions.get_mut(revision) {
            revision.course_id = Some(course.into());
        }
    }

    /// Moves a record's `changed_at`.
    fn touch(&mut self, model: Model, id: &str) {
        let Some(stamp) = self.stamp else {
            // Even a record that is added silently needs a time.
            if let Some(stamps) = self.stamps(model, id) {
                stamps.changed_at.get_or_insert(LONG_AGO);
            }
            return;
        };
        // `changed_at` of a record never moves back, however late its change becomes visible.
        let after = self.touched(Part::Row(model), id).saturating_add(Duration::from_millis(1));
        let stamp = stamp.max(after);
        if let Some(stamps) = self.stamps(model, id) {
            *stamps.changed_at = Some(stamp);
        }
        self.touched.insert((Part::Row(model), id.to_owned()), stamp);
        self.journal.push((model, id.to_owned(), stamp));
        self.tell(model);
    }

    fn date(&mut self, part: Part, id: &str) {
        if let Some(stamp) = self.stamp {
            let before = self.touched(part, id);
            self.touched.insert((part, id.to_owned()), stamp.max(before));
        }
    }

    fn tell(&mut self, model: Model) {
        if self.stamp.is_some() {
            self.changed.insert(model);
        }
    }

    fn stamps(&mut self, model: Model, id: &str) -> Option<Stamps<'_>> {
        macro_rules! stamps {
            ($record:expr) => {
                $record.map(|record| Stamps {
                    changed_at: &mut record.changed_at,
                    remote_deleted_at: &mut record.remote_deleted_at,
                })
            };
        }
        match model {
            Model::LmsUsers => stamps!(self.users.get_mut(id)),
            Model::LmsCourses => stamps!(self.courses.get_mut(id)),
            Model::LmsCourseRevisions => stamps!(self.revisions.get_mut(id)),
            Model::LmsSkills => stamps!(self.skills.get_mut(id)),
            Model::LmsCourseProgressions => stamps!(self.progressions.get_mut(id)),
            _ => None,
        }
    }
}

/// The time of silent changes: long ago, so that no delta requests them.
const LONG_AGO: Timestamp = Timestamp::MIN;
