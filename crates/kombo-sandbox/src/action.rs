//! Applies the write endpoints to the rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json, value::to_raw_value};

use crate::{
    Course, Id, Meta, Model, Progression, ProgressionStatus, Revision, Stamp, Tables,
    body::{Completion, CourseItem, Enrolment},
};

/// The models that an action changed.
type Changed = BTreeSet<Model>;

/// The named object does not exist.
#[derive(Debug)]
pub(crate) struct NotFound(pub(crate) &'static str);

/// A background task that writes courses.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) integration: String,
    pub(crate) created_at: Stamp,
    pub(crate) due_at: Stamp,
    pub(crate) items: Vec<CourseItem>,
    /// `COMPLETED` with `data` or `FAILED` with `error`, after the end.
    pub(crate) ended: Option<Map<String, Value>>,
}

impl Task {
    /// Renders `data` of `GET /lms/courses/bulk/{task_id}`.
    pub(crate) fn render(&self, id: &str) -> Value {
        let mut data = self.ended.clone().unwrap_or_else(|| {
            Map::from_iter([("status".to_owned(), json!("PENDING")), ("completed_at".to_owned(), Value::Null)])
        });
        data.insert("task_id".to_owned(), json!(id));
        data.insert("created_at".to_owned(), json!(self.created_at));
        Value::Object(data)
    }
}

/// A forced sync that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct QueuedSync {
    pub(crate) id: Id,
    pub(crate) sync_type: &'static str,
    pub(crate) started_at: Stamp,
    pub(crate) due_at: Stamp,
}

/// Finds a row by Kombo's id, or after `remote:`, by the connected tool's. Deleted rows are not found.
fn find<T>(
    rows: &BTreeMap<Id, T>,
    id: &str,
    about: impl Fn(&T) -> (Option<&str>, Option<Stamp>),
    what: &'static str,
) -> Result<Id, NotFound> {
    let is_live = |row: &T| about(row).1.is_none();
    let found = match id.strip_prefix("remote:") {
        Some(remote) => rows.iter().find(|(_, row)| about(row).0 == Some(remote) && is_live(row)).map(|(id, _)| *id),
        None => id.parse().ok().filter(|id| rows.get(id).is_some_and(is_live)),
    };
    found.ok_or(NotFound(what))
}

fn of_meta(meta: &Meta) -> (Option<&str>, Option<Stamp>) {
    (meta.remote_id.as_deref(), meta.remote_deleted_at)
}

/// Adds a progression with this id, even if the user has others.
pub(crate) fn enrol(tables: &mut Tables, enrolment: &Enrolment, id: Id, at: Stamp) -> Result<Changed, NotFound> {
    let user_id = find(&tables.users, &enrolment.user_id, |it| of_meta(&it.meta), "user_id")?;
    let revision = &enrolment.course_revision_id;
    let course_revision_id = find(&tables.revisions, revision, |it| of_meta(&it.meta), "course_revision_id")?;
    let progression = Progression {
        remote_id: Some(format!("progress-{id}").into()),
        user_id,
        course_revision_id,
        status: Some(ProgressionStatus::Enrolled),
        enrolled_at: Some(at),
        completed_at: None,
        changed_at: at,
        remote_deleted_at: None,
        remote_data: None,
        anonymised: false,
    };
    tables.progressions.insert(id, progression);
    Ok(Changed::from([Model::CourseProgressions]))
}

/// Completes a progression. Returns its id and whether it was already completed.
pub(crate) fn complete(
    tables: &mut Tables,
    id: &str,
    completion: &Completion,
    at: Stamp,
) -> Result<(Id, bool, Changed), NotFound> {
    let what = "course_progression_id";
    let id = find(&tables.progressions, id, |it| (it.remote_id.as_deref(), it.remote_deleted_at), what)?;
    let row = tables.progressions.get_mut(&id).ok_or(NotFound(what))?;
    let again = row.status == Some(ProgressionStatus::Completed);
    row.status = Some(ProgressionStatus::Completed);
    row.completed_at = Some(completion.completed_at.unwrap_or(at));
    row.changed_at = at;
    if let Some(score) = completion.score {
        row.remote_data = to_raw_value(&json!({ "score": score })).ok();
    }
    Ok((id, again, Changed::from([Model::CourseProgressions])))
}

/// Deactivates all revisions of a course. Returns the id of the course and whether they were already inactive.
pub(crate) fn deactivate(tables: &mut Tables, id: &str, at: Stamp) -> Result<(Id, bool, Changed), NotFound> {
    let id = find(&tables.courses, id, |it| of_meta(&it.meta), "course_id")?;
    let course = tables.courses.get_mut(&id).ok_or(NotFound("course_id"))?;
    let mut changed = Changed::new();
    for revision in &course.revisions {
        if let Some(revision) = tables.revisions.get_mut(revision)
            && revision.status.as_deref() != Some("INACTIVE")
        {
            revision.status = Some("INACTIVE".into());
            revision.meta.changed_at = at;
            course.revisions_changed_at = at;
            changed.insert(Model::CourseRevisions);
        }
    }
    Ok((id, changed.is_empty(), changed))
}

/// Writes a course: creates one with the given ids, or updates the newest revision of the one with its `origin_id`.
/// Returns its id, or `None` if the course exists but the tool cannot change courses.
pub(crate) fn upsert(
    tables: &mut Tables,
    item: &CourseItem,
    updates: bool,
    (course_id, revision_id): (Id, Id),
    at: Stamp,
) -> (Option<Id>, Changed) {
    let same = |it: &Course| it.origin_id.as_deref() == Some(&item.origin_id) && it.meta.remote_deleted_at.is_none();
    let Some((id, course)) = tables.courses.iter_mut().find(|(_, it)| same(it)) else {
        return (Some(course_id), insert(tables, item, course_id, revision_id, at));
    };
    if !updates {
        return (None, Changed::new());
    }
    let mut changed = Changed::new();
    if let Some(revision) = course.revisions.last().and_then(|it| tables.revisions.get_mut(it)) {
        revision.title = Some(item.title.as_str().into());
        revision.remote_url = Some(item.course_url.as_str().into());
        if let Some(description) = &item.description {
            revision.description = Some(description.as_str().into());
        }
        revision.meta.remote_data = to_raw_value(&item.rest).ok();
        revision.meta.changed_at = at;
        course.revisions_changed_at = at;
        changed.insert(Model::CourseRevisions);
    }
    (Some(*id), changed)
}

fn insert(tables: &mut Tables, item: &CourseItem, course_id: Id, revision_id: Id, at: Stamp) -> Changed {
    let meta = |kind: &str, id: Id| Meta {
        remote_id: Some(format!("{kind}-{id}").into()),
        remote_created_at: Some(at),
        changed_at: at,
        ..Meta::default()
    };
    let course = Course {
        meta: meta("course", course_id),
        provider_id: None,
        origin_id: Some(item.origin_id.as_str().into()),
        revisions: vec![revision_id],
        revisions_changed_at: at,
        nested_changed_at: at,
    };
    let revision = Revision {
        meta: Meta { remote_data: to_raw_value(&item.rest).ok(), ..meta("revision", revision_id) },
        course_id: Some(course_id),
        title: Some(item.title.as_str().into()),
        description: item.description.as_deref().map(Into::into),
        remote_url: Some(item.course_url.as_str().into()),
        status: Some("ACTIVE".into()),
        skills: Vec::new(),
    };
    tables.courses.insert(course_id, course);
    tables.revisions.insert(revision_id, revision);
    Changed::from([Model::Courses, Model::CourseRevisions])
}
