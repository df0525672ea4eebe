//! Removes rows completely.

use super::apply::{Changed, exists, impossible, missing, touch_courses_with_skill, unlist};
use crate::{Id, Model, Progression, SandboxError, Stamp, Tables};

pub(super) fn purge(tables: &mut Tables, model: Model, id: Id, at: Stamp) -> Result<Changed, SandboxError> {
    if !exists(tables, model, &id) {
        return Err(missing(model, id));
    }
    let mut changed = Changed::from([model]);
    match model {
        Model::Users => {
            tables.users.remove(&id);
            purge_progressions(tables, &mut changed, |it| it.user_id == id);
        }
        Model::Courses => {
            let revisions = tables.courses.remove(&id).map(|it| it.revisions).unwrap_or_default();
            purge_revisions(tables, &mut changed, &revisions);
        }
        Model::CourseRevisions => {
            let course = tables.revisions.get(&id).and_then(|it| it.course_id);
            unlist(tables, course, id, at);
            purge_revisions(tables, &mut changed, &[id]);
        }
        Model::CourseProviders => {
            tables.providers.remove(&id);
            // A course contains its provider, so losing it changes the course.
            for course in tables.courses.values_mut().filter(|it| it.provider_id == Some(id)) {
                course.provider_id = None;
                course.meta.changed_at = at;
                changed.insert(Model::Courses);
            }
        }
        Model::Skills => {
            touch_courses_with_skill(tables, id, at);
            tables.skills.remove(&id);
            for revision in tables.revisions.values_mut().filter(|it| it.skills.contains(&id)) {
                revision.skills.retain(|it| *it != id);
                changed.insert(Model::RevisionsSkills);
            }
        }
        Model::CourseProgressions => {
            tables.progressions.remove(&id);
        }
        Model::RevisionsSkills | Model::Of(_) => return Err(impossible("purge (use unassign_skill)", model)),
    }
    Ok(changed)
}

fn purge_revisions(tables: &mut Tables, changed: &mut Changed, ids: &[Id]) {
    for id in ids {
        changed.insert(Model::CourseRevisions);
        if tables.revisions.remove(id).is_some_and(|it| !it.skills.is_empty()) {
            changed.insert(Model::RevisionsSkills);
        }
    }
    purge_progressions(tables, changed, |it| ids.contains(&it.course_revision_id));
}

fn purge_progressions(tables: &mut Tables, changed: &mut Changed, which: impl Fn(&Progression) -> bool) {
    let before = tables.progressions.len();
    tables.progressions.retain(|_, row| !which(row));
    if tables.progressions.len() < before {
        changed.insert(Model::CourseProgressions);
    }
}
