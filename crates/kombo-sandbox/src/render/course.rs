//! `GET /lms/courses`

use serde::Serialize;

use super::{
    Scene, Shown, Tail,
    nested::{ProviderCopy, SkillCopy},
};
use crate::{Course, Id, Revision};

/// A listed course with everything nested in it.
#[derive(Debug, Serialize)]
pub(crate) struct CourseView<'a> {
    id: Id,
    remote_id: Option<&'a str>,
    provider_id: Option<Id>,
    origin_id: Option<&'a str>,
    #[serde(flatten)]
    tail: Tail<'a>,
    provider: Option<ProviderCopy<'a>>,
    revisions: Vec<RevisionView<'a>>,
}

impl<'a> CourseView<'a> {
    pub(crate) fn new(scene: Scene<'a>, id: Id, course: &'a Course) -> Self {
        let shown = scene.shown(&course.meta);
        let provider = shown.soft(course.provider_id.and_then(|it| scene.tables.providers.get_key_value(&it)));
        let listed = |revision: &&Revision| scene.include_deleted || revision.meta.remote_deleted_at.is_none();
        Self {
            id,
            remote_id: shown.hard(course.meta.remote_id.as_deref()),
            provider_id: shown.soft(course.provider_id),
            origin_id: shown.soft(course.origin_id.as_deref()),
            tail: Tail::new(&course.meta, shown),
            provider: provider.map(|(id, provider)| ProviderCopy { scene, id: *id, provider }),
            revisions: course
                .revisions
                .iter()
                .filter_map(|id| Some((*id, scene.tables.revisions.get(id).filter(listed)?)))
                .map(|(id, revision)| RevisionView::new(scene, id, revision))
                .collect(),
        }
    }
}

/// A revision listed in its course.
#[derive(Debug, Serialize)]
pub(crate) struct RevisionView<'a> {
    id: Id,
    remote_id: Option<&'a str>,
    course_id: Option<Id>,
    title: Option<&'a str>,
    description: Option<&'a str>,
    remote_url: Option<&'a str>,
    status: Option<&'a str>,
    #[serde(flatten)]
    tail: Tail<'a>,
    skill_assignments: Vec<SkillAssignment<'a>>,
}

#[derive(Debug, Serialize)]
struct SkillAssignment<'a> {
    skill: SkillCopy<'a>,
}

impl<'a> RevisionView<'a> {
    pub(crate) fn new(scene: Scene<'a>, id: Id, revision: &'a Revision) -> Self {
        let shown = scene.shown(&revision.meta);
        // Assignments are separate rows, so they stay when the revision's fields become null.
        let skills = if shown == Shown::Bare { &[] } else { revision.skills.as_slice() };
        Self {
            id,
            remote_id: shown.hard(revision.meta.remote_id.as_deref()),
            // The parent shows the id anyway, so only anonymisation beyond the contract clears it.
            course_id: shown.hard(revision.course_id),
            title: shown.soft(revision.title.as_deref()),
            description: shown.soft(revision.description.as_deref()),
            remote_url: shown.soft(revision.remote_url.as_deref()),
            status: shown.soft(revision.status.as_deref()),
            tail: Tail::new(&revision.meta, shown),
            skill_assignments: skills
                .iter()
                .filter_map(|id| scene.tables.skills.get_key_value(id))
                .map(|(id, skill)| SkillAssignment { skill: SkillCopy { scene, id: *id, skill } })
                .collect(),
        }
    }

    /// Returns the listed skills.
    pub(crate) fn skills(&self) -> impl Iterator<Item = Id> {
        self.skill_assignments.iter().map(|it| it.skill.id)
    }
}
