//! Applies one mutation with its effects on other rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    Mutation,
    create::{create, recreate},
    fields::SetField,
    purge::purge,
};
use crate::records;
use crate::{Course, Id, Model, Progression, Revision, SandboxError, Stamp, Tables};

pub(super) type Changed = BTreeSet<Model>;

/// Applies `mutation` at time `at` and returns the changed models.
pub(crate) fn apply(tables: &mut Tables, mutation: &Mutation, at: Stamp) -> Result<Changed, SandboxError> {
    if let Some(model) = mutation.of_catalogue() {
        return records::apply(&mut tables.records, model, mutation, at);
    }
    match mutation {
        Mutation::Add { model, id, seed, set } => {
            if exists(tables, *model, id) {
                return Err(SandboxError::RecordExists { model: *model, id: *id });
            }
            create(tables, *model, *id, *seed, set, at)
        }
        Mutation::Recreate { model, id, seed, set } => recreate(tables, *model, *id, *seed, set, at),
        Mutation::Update { model, id, set } => update(tables, *model, *id, set, Some(at)),
        Mutation::SilentUpdate { model, id, set } => {
            update(tables, *model, *id, set, None)?;
            Ok(Changed::new())
        }
        Mutation::Delete { model, id } => tombstone(tables, *model, *id, Some(at), at),
        Mutation::Restore { model, id } => tombstone(tables, *model, *id, None, at),
        Mutation::Purge { model, id } => purge(tables, *model, *id, at),
        Mutation::Anonymise { model, id } => {
            anonymise(tables, *model, *id)?;
            Ok(Changed::new())
        }
        Mutation::Link { model, .. } | Mutation::Unlink { model, .. } => Err(impossible("link", *model)),
        Mutation::AssignSkill { revision_id, skill_id } => assign(tables, *revision_id, *skill_id, true, at),
        Mutation::UnassignSkill { revision_id, skill_id } => assign(tables, *revision_id, *skill_id, false, at),
    }
}

pub(super) fn exists(tables: &Tables, model: Model, id: &Id) -> bool {
    match model {
        Model::Users => tables.users.contains_key(id),
        Model::Courses => tables.courses.contains_key(id),
        Model::CourseRevisions => tables.revisions.contains_key(id),
        Model::CourseProviders => tables.providers.contains_key(id),
        Model::Skills => tables.skills.contains_key(id),
        Model::CourseProgressions => tables.progressions.contains_key(id),
        Model::RevisionsSkills | Model::Of(_) => false,
    }
}

pub(crate) fn missing(model: Model, id: Id) -> SandboxError {
    SandboxError::NoRecord { model, id }
}

pub(crate) fn impossible(what: &str, model: Model) -> SandboxError {
    SandboxError::Impossible { what: format!("{what} {model}") }
}

fn row<T: SetField>(rows: &mut BTreeMap<Id, T>, id: Id) -> Result<&mut T, SandboxError> {
    rows.get_mut(&id).ok_or_else(|| missing(T::MODEL, id))
}

pub(super) fn set_all<T: SetField>(row: &mut T, set: &Map<String, Value>) -> Result<(), SandboxError> {
    set.iter().try_for_each(|(field, value)| row.set_field(field, value))
}

/// Moves the row's time and sets all fields, or does nothing if one is invalid.
fn overlay<T: SetField + Clone>(
    row: &mut T,
    set: &Map<String, Value>,
    touch: impl FnOnce(&mut T),
) -> Result<(), SandboxError> {
    let mut changed = row.clone();
    touch(&mut changed);
    set_all(&mut changed, set)?;
    *row = changed;
    Ok(())
}

pub(super) fn check_provider(tables: &Tables, course: &Course) -> Result<(), SandboxError> {
    match course.provider_id {
        Some(id) if !tables.providers.contains_key(&id) => Err(missing(Model::CourseProviders, id)),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn check_references(tables: &Tables, row: &Progression) -> Result<(), SandboxError> {
    if !tables.users.contains_key(&row.user_id) {
        return Err(missing(Model::Users, row.user_id));
    }
    if !tables.revisions.contains_key(&row.course_revision_id) {
        return Err(missing(Model::CourseRevisions, row.course_revision_id));
    }
    Ok(())
}

fn update(
    tables: &mut Tables,
    model: Model,
    id: Id,
    set: &Map<String, Value>,
    at: Option<Stamp>,
) -> Result<Changed, SandboxError> {
    match model {
        Model::Users => {
            overlay(row(&mut tables.users, id)?, set, |it| it.meta.changed_at = at.unwrap_or(it.meta.changed_at))?;
        }
        Model::Courses => {
            let mut course = row(&mut tables.courses, id)?.clone();
            course.meta.changed_at = at.unwrap_or(course.meta.changed_at);
            set_all(&mut course, set)?;
            check_provider(tables, &course)?;
            tables.courses.insert(id, course);
        }
        Model::CourseRevisions => update_revision(tables, id, set, at)?,
        Model::CourseProviders => {
            overlay(row(&mut tables.providers, id)?, set, |_| {})?;
            if let Some(at) = at {
                touch_courses(tables, at, |course, _| course.provider_id == Some(id));
            }
        }
        Model::Skills => {
            overlay(row(&mut tables.skills, id)?, set, |it| it.meta.changed_at = at.unwrap_or(it.meta.changed_at))?;
            if let Some(at) = at {
                touch_courses_with_skill(tables, id, at);
            }
        }
        Model::CourseProgressions => {
            let mut progression = row(&mut tables.progressions, id)?.clone();
            progression.changed_at = at.unwrap_or(progression.changed_at);
            set_all(&mut progression, set)?;
            check_references(tables, &progression)?;
            tables.progressions.insert(id, progression);
        }
        Model::RevisionsSkills | Model::Of(_) => return Err(impossible("update", model)),
    }
    Ok(Changed::from([model]))
}

fn update_revision(
    tables: &mut Tables,
    id: Id,
    set: &Map<String, Value>,
    at: Option<Stamp>,
) -> Result<(), SandboxError> {
    let old = row(&mut tables.revisions, id)?;
    let mut revision = old.clone();
    let old_course = old.course_id;
    revision.meta.changed_at = at.unwrap_or(revision.meta.changed_at);
    set_all(&mut revision, set)?;
    let course_id = revision.course_id;
    if let Some(course) = course_id.filter(|it| !tables.courses.contains_key(it)) {
        return Err(missing(Model::Courses, course));
    }
    tables.revisions.insert(id, revision);
    if old_course != course_id {
        unlist(tables, old_course, id, at.unwrap_or(Stamp::MIN));
        if let Some(course) = course_id.and_then(|it| tables.courses.get_mut(&it)) {
            course.revisions.push(id);
        }
    }
    if let Some(at) = at {
        touch_course(tables, course_id, at);
    }
    Ok(())
}

fn touch_course(tables: &mut Tables, course_id: Option<Id>, at: Stamp) {
    if let Some(course) = course_id.and_then(|it| tables.courses.get_mut(&it)) {
        course.revisions_changed_at = at;
    }
}

pub(super) fn unlist(tables: &mut Tables, course_id: Option<Id>, revision: Id, at: Stamp) {
    if let Some(course) = course_id.and_then(|it| tables.courses.get_mut(&it)) {
        course.revisions.retain(|it| *it != revision);
        course.revisions_changed_at = course.revisions_changed_at.max(at);
    }
}

fn touch_courses(tables: &mut Tables, at: Stamp, which: impl Fn(&Course, &BTreeMap<Id, Revision>) -> bool) {
    let Tables { courses, revisions, .. } = tables;
    for course in courses.values_mut().filter(|it| which(it, revisions)) {
        course.nested_changed_at = at;
    }
}

pub(super) fn touch_courses_with_skill(tables: &mut Tables, skill: Id, at: Stamp) {
    touch_courses(tables, at, |course, revisions| {
        course.revisions.iter().any(|it| revisions.get(it).is_some_and(|it| it.skills.contains(&skill)))
    });
}

fn tombstone(
    tables: &mut Tables,
    model: Model,
    id: Id,
    deleted_at: Option<Stamp>,
    at: Stamp,
) -> Result<Changed, SandboxError> {
    match model {
        Model::CourseProgressions => {
            let progression = row(&mut tables.progressions, id)?;
            progression.remote_deleted_at = deleted_at;
            progression.changed_at = at;
            progression.anonymised &= deleted_at.is_some();
        }
        Model::CourseProviders | Model::RevisionsSkills | Model::Of(_) => {
            return Err(impossible("delete or restore (they have no tombstone)", model));
        }
        Model::Users | Model::Courses | Model::CourseRevisions | Model::Skills => {
            let meta = meta(tables, model, id)?;
            meta.remote_deleted_at = deleted_at;
            meta.changed_at = at;
            meta.anonymised &= deleted_at.is_some();
            if model == Model::CourseRevisions {
                let course = tables.revisions.get(&id).and_then(|it| it.course_id);
                touch_course(tables, course, at);
            }
        }
    }
    Ok(Changed::from([model]))
}

fn meta(tables: &mut Tables, model: Model, id: Id) -> Result<&mut crate::Meta, SandboxError> {
    match model {
        Model::Users => row(&mut tables.users, id).map(|it| &mut it.meta),
        Model::Courses => row(&mut tables.courses, id).map(|it| &mut it.meta),
        Model::CourseRevisions => row(&mut tables.revisions, id).map(|it| &mut it.meta),
        Model::Skills => row(&mut tables.skills, id).map(|it| &mut it.meta),
        Model::CourseProviders | Model::RevisionsSkills | Model::CourseProgressions | Model::Of(_) => {
            Err(missing(model, id))
        }
    }
}

fn anonymise(tables: &mut Tables, model: Model, id: Id) -> Result<(), SandboxError> {
    if model == Model::CourseProgressions {
        row(&mut tables.progressions, id)?.anonymised = true;
    } else {
        meta(tables, model, id)?.anonymised = true;
    }
    Ok(())
}

fn assign(tables: &mut Tables, revision: Id, skill: Id, teaches: bool, at: Stamp) -> Result<Changed, SandboxError> {
    if !tables.skills.contains_key(&skill) {
        return Err(missing(Model::Skills, skill));
    }
    let row = row(&mut tables.revisions, revision)?;
    if row.skills.contains(&skill) == teaches {
        return Err(SandboxError::Impossible { what: format!("assign or unassign {skill} at {revision} twice") });
    }
    if teaches {
        row.skills.push(skill);
    } else {
        row.skills.retain(|it| *it != skill);
    }
    touch_courses(tables, at, |course, _| course.revisions.contains(&revision));
    Ok(Changed::from([Model::RevisionsSkills]))
}
