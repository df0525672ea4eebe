//! `GET /lms/skills`

use serde::Serialize;

use super::{Scene, Tail};
use crate::{Id, Skill};

/// A listed skill.
#[derive(Debug, Serialize)]
pub(crate) struct SkillView<'a> {
    id: Id,
    remote_id: Option<&'a str>,
    name: Option<&'a str>,
    #[serde(flatten)]
    tail: Tail<'a>,
}

impl<'a> SkillView<'a> {
    pub(crate) fn new(scene: Scene<'a>, id: Id, skill: &'a Skill) -> Self {
        let shown = scene.shown(&skill.meta);
        Self {
            id,
            remote_id: shown.soft(skill.meta.remote_id.as_deref()),
            name: shown.soft(skill.name.as_deref()),
            tail: Tail::new(&skill.meta, shown),
        }
    }
}
