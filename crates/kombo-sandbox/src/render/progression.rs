//! `GET /lms/course-progressions`

use serde::Serialize;

use super::{
    Scene,
    nested::{RevisionCopy, UserCopy},
};
use crate::{Id, Json, Progression, Stamp};

/// A listed progression with its partial copies.
#[derive(Debug, Serialize)]
pub(crate) struct ProgressionView<'a> {
    id: Id,
    remote_id: Option<&'a str>,
    user_id: Option<Id>,
    course_revision_id: Option<Id>,
    status: Option<&'a str>,
    enrolled_at: Option<Stamp>,
    completed_at: Option<Stamp>,
    changed_at: Stamp,
    remote_deleted_at: Option<Stamp>,
    remote_data: Option<&'a Json>,
    user: Option<UserCopy<'a>>,
    course_revision: Option<RevisionCopy<'a>>,
}

impl<'a> ProgressionView<'a> {
    pub(crate) fn new(scene: Scene<'a>, id: Id, row: &'a Progression) -> Self {
        let shown = scene.progression_shown(row);
        let user = shown.hard(scene.tables.users.get_key_value(&row.user_id));
        let revision = shown.hard(scene.tables.revisions.get_key_value(&row.course_revision_id));
        Self {
            id,
            remote_id: shown.hard(row.remote_id.as_deref()),
            user_id: shown.hard(Some(row.user_id)),
            course_revision_id: shown.hard(Some(row.course_revision_id)),
            status: shown.soft(row.status.as_ref().map(crate::ProgressionStatus::as_str)),
            enrolled_at: shown.soft(row.enrolled_at),
            completed_at: shown.soft(row.completed_at),
            changed_at: row.changed_at,
            remote_deleted_at: row.remote_deleted_at,
            remote_data: shown.soft(row.remote_data.as_ref()),
            user: user.map(|(id, user)| UserCopy { scene, id: *id, user }),
            course_revision: revision.map(|(id, revision)| RevisionCopy { scene, id: *id, revision }),
        }
    }
}
