//! The partial copies nested in other records. Keys can be omitted on demand, because absent is not null.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::Scene;
use crate::{Id, Provider, Revision, Skill, User};

/// Writes map entries except keys that are omitted from copies.
macro_rules! entries {
    ($scene:expr, $map:expr, { $($key:literal: $value:expr),+ $(,)? }) => {
        $(if !$scene.omits($key) { $map.serialize_entry($key, &$value)?; })+
    };
}

/// `provider` in a course.
#[derive(Debug)]
pub(crate) struct ProviderCopy<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) id: Id,
    pub(crate) provider: &'a Provider,
}

impl Serialize for ProviderCopy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        entries!(self.scene, map, { "remote_id": self.provider.remote_id, "name": self.provider.name });
        map.end()
    }
}

/// `skill` in a skill assignment.
#[derive(Debug)]
pub(super) struct SkillCopy<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) id: Id,
    pub(super) skill: &'a Skill,
}

impl Serialize for SkillCopy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.scene.shown(&self.skill.meta);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        entries!(self.scene, map, {
            "remote_id": shown.soft(self.skill.meta.remote_id.as_deref()),
            "name": shown.soft(self.skill.name.as_deref()),
        });
        map.end()
    }
}

/// `user` in a progression.
#[derive(Debug)]
pub(super) struct UserCopy<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) id: Id,
    pub(super) user: &'a User,
}

impl Serialize for UserCopy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.scene.shown(&self.user.meta);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        entries!(self.scene, map, {
            "remote_id": shown.hard(self.user.meta.remote_id.as_deref()),
            "first_name": shown.soft(self.user.first_name.as_deref()),
            "last_name": shown.soft(self.user.last_name.as_deref()),
            "work_email": shown.soft(self.user.work_email.as_deref()),
        });
        map.end()
    }
}

/// `course_revision` in a progression.
#[derive(Debug)]
pub(super) struct RevisionCopy<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) id: Id,
    pub(super) revision: &'a Revision,
}

#[derive(Serialize)]
struct CourseCopy<'a> {
    id: Id,
    remote_id: Option<&'a str>,
}

impl Serialize for RevisionCopy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.scene.shown(&self.revision.meta);
        let course = self.revision.course_id.and_then(|it| self.scene.tables.courses.get_key_value(&it));
        let course = course.map(|(id, course)| CourseCopy {
            id: *id,
            remote_id: self.scene.shown(&course.meta).hard(course.meta.remote_id.as_deref()),
        });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        entries!(self.scene, map, {
            "remote_id": shown.hard(self.revision.meta.remote_id.as_deref()),
            "title": shown.soft(self.revision.title.as_deref()),
            "course": course,
        });
        map.end()
    }
}
