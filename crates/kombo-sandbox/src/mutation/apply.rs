//! Doing one mutation, with what it moves elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{Mutation, fields::SetField};
use crate::{
    Course, Id, Model, Progression, Revision, SandboxError, Stamp, Tables,
    generate::{self, Dice, GeneratorConfig},
};

type Changed = BTreeSet<Model>;

/// Does `mutation` as of `at` and says which models changed.
pub(crate) fn apply(tables: &mut Tables, mutation: &Mutation, at: Stamp) -> Result<Changed, SandboxError> {
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
        Mutation::AssignSkill { revision_id, skill_id } => assign(tables, *revision_id, *skill_id, true, at),
        Mutation::UnassignSkill { revision_id, skill_id } => assign(tables, *revision_id, *skill_id, false, at),
    }
}

fn exists(tables: &Tables, model: Model, id: &Id) -> bool {
    match model {
        Model::Users => tables.users.contains_key(id),
        Model::Courses => tables.courses.contains_key(id),
        Model::CourseRevisions => tables.revisions.contains_key(id),
        Model::CourseProviders => tables.providers.contains_key(id),
        Model::Skills => tables.skills.contains_key(id),
        Model::CourseProgressions => tables.progressions.contains_key(id),
        Model::RevisionsSkills => false,
    }
}

fn missing(model: Model, id: Id) -> SandboxError {
    SandboxError::NoRecord { model, id }
}

fn impossible(what: &str, model: Model) -> SandboxError {
    SandboxError::Impossible { what: format!("{what} {model}") }
}

fn row<T: SetField>(rows: &mut BTreeMap<Id, T>, id: Id) -> Result<&mut T, SandboxError> {
    rows.get_mut(&id).ok_or_else(|| missing(T::MODEL, id))
}

fn set_all<T: SetField>(row: &mut T, set: &Map<String, Value>) -> Result<(), SandboxError> {
    set.iter().try_for_each(|(field, value)| row.set_field(field, value))
}

/// Moves its time and sets all fields or, where one is refused, does nothing.
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

fn reference(set: &Map<String, Value>, field: &str) -> Option<Id> {
    set.get(field).and_then(Value::as_str).and_then(|it| it.parse().ok())
}

fn create(
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
        Model::RevisionsSkills => return Err(impossible("add (use assign_skill) to", model)),
    }
    Ok(Changed::from([model]))
}

fn check_provider(tables: &Tables, course: &Course) -> Result<(), SandboxError> {
    match course.provider_id {
        Some(id) if !tables.providers.contains_key(&id) => Err(missing(Model::CourseProviders, id)),
        Some(_) | None => Ok(()),
    }
}

fn check_references(tables: &Tables, row: &Progression) -> Result<(), SandboxError> {
    if !tables.users.contains_key(&row.user_id) {
        return Err(missing(Model::Users, row.user_id));
    }
    if !tables.revisions.contains_key(&row.course_revision_id) {
        return Err(missing(Model::CourseRevisions, row.course_revision_id));
    }
    Ok(())
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

/// A row of the same id and of other content. What hangs on it stays: a course keeps its revisions, a revision its
/// course unless `set` names another.
fn recreate(
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
                if old_course != reference(&set, "course_id") {
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
        Model::Users | Model::CourseProviders | Model::Skills | Model::RevisionsSkills => {}
    }
    create(tables, model, id, seed, &set, at)
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
        Model::RevisionsSkills => return Err(impossible("update", model)),
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

fn unlist(tables: &mut Tables, course_id: Option<Id>, revision: Id, at: Stamp) {
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

fn touch_courses_with_skill(tables: &mut Tables, skill: Id, at: Stamp) {
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
        Model::CourseProviders | Model::RevisionsSkills => {
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
        Model::CourseProviders | Model::RevisionsSkills | Model::CourseProgressions => Err(missing(model, id)),
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

fn purge(tables: &mut Tables, model: Model, id: Id, at: Stamp) -> Result<Changed, SandboxError> {
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
            // A course is shown with its provider inside; one without has none to show.
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
        Model::RevisionsSkills => return Err(impossible("purge (use unassign_skill)", model)),
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
