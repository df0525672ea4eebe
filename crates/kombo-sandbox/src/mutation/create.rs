//! Adds and replaces rows.

use serde_json::{Map, Value};

use super::apply::{Changed, check_provider, check_references, impossible, missing, set_all, unlist};
use crate::{
    Id, Model, SandboxError, Stamp, Tables,
    generate::{self, Dice, GeneratorConfig},
};

fn reference(set: &Map<String, Value>, field: &str) -> Option<Id> {
    set.get(field).and_then(Value::as_str).and_then(|it| it.parse().ok())
}

/// Creates a row, after checking the rows it refers to.
pub(super) fn create(
    tables: &mut Tables,
    model: Model,
    id: Id,
    seed: u64,
    set: &Map<String, Value>,
    at: Stamp,
) -> Result<Changed, SandboxError> {
    let config = GeneratorConfig { deleted_rate: 0.0, until: at, ..GeneratorConfig::default() };
    let mut dice = Dice::new(&config, seed);
    match model {
        Model::Users => {
            let mut user = generate::new_user(&mut dice, id);
            user.meta.changed_at = at;
            set_all(&mut user, set)?;
            tables.users.insert(id, user);
        }
        Model::Courses => {
            let providers: Vec<Id> = tables.providers.keys().copied().collect();
            let mut course = generate::new_course(&mut dice, &providers);
            course.meta.changed_at = at;
            set_all(&mut course, set)?;
            check_provider(tables, &course)?;
            tables.courses.insert(id, course);
        }
        Model::CourseRevisions => return create_revision(tables, &mut dice, id, set, at),
        Model::CourseProviders => {
            let mut provider = generate::new_provider(&mut dice);
            set_all(&mut provider, set)?;
            tables.providers.insert(id, provider);
        }
        Model::Skills => {
            let mut skill = generate::new_skill(&mut dice);
            skill.meta.changed_at = at;
            set_all(&mut skill, set)?;
            tables.skills.insert(id, skill);
        }
        Model::CourseProgressions => {
            let (Some(user), Some(revision)) = (reference(set, "user_id"), reference(set, "course_revision_id")) else {
                return Err(impossible("add without user_id and course_revision_id a row of", model));
            };
            let mut progression = generate::new_progression(&mut dice, user, revision);
            progression.changed_at = at;
            set_all(&mut progression, set)?;
            check_references(tables, &progression)?;
            tables.progressions.insert(id, progression);
        }
        Model::RevisionsSkills | Model::Of(_) => return Err(impossible("add (use assign_skill) to", model)),
    }
    Ok(Changed::from([model]))
}

fn create_revision(
    tables: &mut Tables,
    dice: &mut Dice<'_>,
    id: Id,
    set: &Map<String, Value>,
    at: Stamp,
) -> Result<Changed, SandboxError> {
    let model = Model::CourseRevisions;
    let course_id = reference(set, "course_id").ok_or_else(|| impossible("add without course_id a row of", model))?;
    let skills: Vec<Id> = tables.skills.keys().copied().collect();
    let course = tables.courses.get_mut(&course_id).ok_or_else(|| missing(Model::Courses, course_id))?;
    let mut revision = generate::new_revision(dice, course_id, course.revisions.len(), &skills);
    revision.meta.changed_at = at;
    set_all(&mut revision, set)?;
    course.revisions.retain(|it| *it != id);
    course.revisions.push(id);
    course.revisions_changed_at = at;
    let mut changed = Changed::from([model]);
    let taught = !revision.skills.is_empty();
    let taught_before = tables.revisions.insert(id, revision).is_some_and(|it| !it.skills.is_empty());
    if taught || taught_before {
        changed.insert(Model::RevisionsSkills);
    }
    Ok(changed)
}

/// Replaces the content of a row but keeps its id and relations: a course keeps its revisions, and a revision its
/// course unless `set` names another.
pub(super) fn recreate(
    tables: &mut Tables,
    model: Model,
    id: Id,
    seed: u64,
    set: &Map<String, Value>,
    at: Stamp,
) -> Result<Changed, SandboxError> {
    let mut set = set.clone();
    match model {
        Model::Courses => {
            let kept = tables.courses.get(&id).map(|it| (it.revisions.clone(), it.revisions_changed_at));
            let changed = create(tables, model, id, seed, &set, at)?;
            if let (Some((revisions, moved)), Some(course)) = (kept, tables.courses.get_mut(&id)) {
                course.revisions = revisions;
                course.revisions_changed_at = moved;
            }
            return Ok(changed);
        }
        Model::CourseRevisions => {
            if let Some(old) = tables.revisions.get(&id) {
                let old_course = old.course_id;
                if let Some(course) = old_course {
                    set.entry("course_id").or_insert_with(|| Value::from(course.as_str()));
                }
                let new_course = reference(&set, "course_id");
                if old_course != new_course && new_course.is_some_and(|it| tables.courses.contains_key(&it)) {
                    unlist(tables, old_course, id, at);
                }
            }
        }
        Model::CourseProgressions => {
            if let Some(old) = tables.progressions.get(&id) {
                set.entry("user_id").or_insert_with(|| Value::from(old.user_id.as_str()));
                set.entry("course_revision_id").or_insert_with(|| Value::from(old.course_revision_id.as_str()));
            }
        }
        Model::Users | Model::CourseProviders | Model::Skills | Model::RevisionsSkills | Model::Of(_) => {}
    }
    create(tables, model, id, seed, &set, at)
}
