use std::hash::Hash;

use kombo_model::{
    Course, CourseProgression, CourseRevision, CourseRevisionCopy, Fault, FreeJson, Maybe, ProviderCopy, Skill,
    SkillCopy, Timestamp, User, UserCopy,
};

use super::batch::{Batch, Incoming, Members, Provenance};
use super::json::{clean_json, clean_text, depth, is_deeper, moderate_numbers};
use super::model::{ColumnKind, Model};
use super::repeats::Repeats;
use super::row::{Key, MirrorRow, Value};
use crate::ports::source::Record;

/// Maximum depth of `custom_fields` and `integration_fields`. They must remain comparable after a database has
/// rewritten them.
pub const MAX_DOCUMENT_DEPTH: usize = 120;
/// Maximum depth of `remote_data`. `PostgreSQL` uses its stack to check JSON, even if it does not rewrite it.
pub const MAX_OPAQUE_DEPTH: usize = 1_000;
/// Maximum length of an id. PostgreSQL's index entries are limited to 2,704 bytes, which must suffice for two ids and
/// the integration's.
pub const MAX_ID_BYTES: usize = 800;

/// Adds the content of `record` to `batch`: a row of its own model, and rows of the models nested in it. Returns the
/// faults of parts that cannot be stored. These parts are left out, so their stored values stay.
///
/// # Errors
/// The record's id cannot be a key. Nothing is added.
pub fn decompose(record: Record, observed_at: Timestamp, batch: &mut Batch) -> Result<Vec<Fault>, Fault> {
    take_apart(record, observed_at, batch, None)
}

/// Decomposes a record like [`decompose`], without the copies that are already in `repeats`.
pub(crate) fn decompose_new(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: &mut Repeats,
) -> Result<Vec<Fault>, Fault> {
    let faults = take_apart(record, observed_at, batch, Some(repeats))?;
    repeats.keep();
    Ok(faults)
}

fn take_apart(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: Option<&mut Repeats>,
) -> Result<Vec<Fault>, Fault> {
    if let Some(fault) = no_key(Model::listed_by(record.endpoint()), &clean_text(record.id().to_owned())) {
        return Err(fault);
    }
    let mut writer = Writer { batch, observed_at, repeats, faults: Vec::new() };
    match record {
        Record::User(user) => writer.user(user),
        Record::Course(course) => writer.course(course),
        Record::CourseProgression(progression) => writer.progression(progression),
        Record::Skill(skill) => writer.skill(skill),
    }
    Ok(writer.faults)
}

struct Writer<'a> {
    batch: &'a mut Batch,
    observed_at: Timestamp,
    repeats: Option<&'a mut Repeats>,
    faults: Vec<Fault>,
}

impl Writer<'_> {
    /// Adds a row. Leaves out the columns `unread` and the values that no database can store.
    fn add(&mut self, model: Model, provenance: Provenance, key: Key, mut values: Vec<Value>, unread: &[&'static str]) {
        for (column, value) in model.columns().iter().zip(&mut values) {
            if unread.contains(&column.name) {
                *value = Value::Absent;
            }
            let path = || {
                let path = if provenance == Provenance::Listed { String::new() } else { format!("{model} {key}.") };
                path + column.name
            };
            if let Value::Text(id) = &*value
                && REFERENCES.contains(&column.name)
                && id.len() > MAX_ID_BYTES
            {
                self.faults.push(too_long(path(), id));
                *value = Value::Absent;
                continue;
            }
            let (Value::Json(text), Some(limit)) = (&*value, depth_limit(column.kind)) else { continue };
            if is_deeper(text, limit) {
                let reason = format!("JSON of {} levels; at most {limit} can be stored", depth(text));
                self.faults.push(Fault { path: path(), reason });
                *value = Value::Absent;
            } else if column.kind == ColumnKind::Document
                && let Some(moderate) = moderate_numbers(text)
            {
                *value = Value::Json(moderate);
            }
        }
        let row = MirrorRow::new(model, key, values);
        self.batch.rows.push(Incoming { model, row, provenance, observed_at: self.observed_at });
    }

    /// Returns the id of a nested record without NUL. `None`, with a fault, if the id cannot be a key.
    fn nested_id(&mut self, model: Model, id: impl Into<String>) -> Option<String> {
        let id = clean_text(id.into());
        match no_key(model, &id) {
            Some(fault) => {
                self.faults.push(fault);
                None
            }
            None => Some(id),
        }
    }

    /// Whether a copy of `model`'s row `id` differs from earlier copies.
    fn is_new(&mut self, model: Model, id: &str, says: impl Hash) -> bool {
        self.repeats.as_mut().is_none_or(|repeats| repeats.is_new(model, id, says))
    }

    fn user(&mut self, user: User) {
        let values = vec![
            text(user.remote_id),
            text(user.first_name),
            text(user.last_name),
            text(user.work_email),
            text(user.status.map(kombo_model::ActiveStatus::into_string)),
            user.remote_created_at.into(),
            json(user.remote_data),
            json(user.custom_fields),
            json(user.integration_fields),
            user.changed_at.into(),
            user.remote_deleted_at.into(),
        ];
        self.add(Model::LmsUsers, Provenance::Listed, id(user.id.into_string()), values, &user.unread);
    }

    fn skill(&mut self, skill: Skill) {
        let values = vec![
            text(skill.remote_id),
            text(skill.name),
            skill.remote_created_at.into(),
            json(skill.remote_data),
            json(skill.custom_fields),
            json(skill.integration_fields),
            skill.changed_at.into(),
            skill.remote_deleted_at.into(),
        ];
        self.add(Model::LmsSkills, Provenance::Listed, id(skill.id.into_string()), values, &skill.unread);
    }

    fn course(&mut self, course: Course) {
        let course_id = clean_text(course.id.into_string());
        let values = vec![
            text(course.remote_id),
            text(course.provider_id.map(kombo_model::CourseProviderId::into_string)),
            text(course.origin_id),
            course.remote_created_at.into(),
            json(course.remote_data),
            json(course.custom_fields),
            json(course.integration_fields),
            course.changed_at.into(),
            course.remote_deleted_at.into(),
        ];
        self.add(Model::LmsCourses, Provenance::Listed, Key::Id(course_id.clone()), values, &course.unread);
        if let Maybe::Value(provider) = course.provider {
            self.provider_copy(provider);
        }
        if course.revisions.value().is_none() {
            self.batch.unsaid.push((Model::LmsCourseRevisions, course_id.clone()));
        }
        if let Maybe::Value(revisions) = course.revisions {
            let (mut keys, listed) = (Vec::with_capacity(revisions.len()), revisions.len());
            for revision in revisions {
                keys.extend(self.revision(revision, &course_id).map(Key::Id));
            }
            // If a member could not be read, the list is incomplete: a stored row might be that member.
            if keys.len() == listed && !course.unread.contains(&"revisions") {
                self.list(Model::LmsCourseRevisions, course_id, keys, course.changed_at);
            }
        }
    }

    /// Adds a revision and returns its id.
    fn revision(&mut self, revision: CourseRevision, listed_under: &str) -> Option<String> {
        let revision_id = self.nested_id(Model::LmsCourseRevisions, revision.id)?;
        // Anonymised rows may lose this column, but the list still shows their course.
        let course_id = revision.course_id.map_or_else(|| listed_under.to_owned(), kombo_model::CourseId::into_string);
        let values = vec![
            text(revision.remote_id),
            text(Some(course_id)),
            text(revision.title),
            text(revision.description),
            text(revision.remote_url),
            text(revision.status.map(kombo_model::ActiveStatus::into_string)),
            revision.remote_created_at.into(),
            json(revision.remote_data),
            json(revision.custom_fields),
            json(revision.integration_fields),
            revision.changed_at.into(),
            revision.remote_deleted_at.into(),
        ];
        let key = Key::Id(revision_id.clone());
        self.add(Model::LmsCourseRevisions, Provenance::Owned, key, values, &revision.unread);
        if revision.skill_assignments.value().is_none() {
            self.batch.unsaid.push((Model::LmsJoinRevisionsSkills, revision_id.clone()));
        }
        if let Maybe::Value(assignments) = revision.skill_assignments {
            let (mut keys, listed) = (Vec::with_capacity(assignments.len()), assignments.len());
            for assignment in assignments {
                let Some(skill_id) = self.skill_copy(assignment.skill) else { continue };
                let key = Key::Pair(revision_id.clone(), skill_id);
                keys.push(key.clone());
                self.add(Model::LmsJoinRevisionsSkills, Provenance::Owned, key, vec![Value::Null, Value::Null], &[]);
            }
            if keys.len() == listed && !revision.unread.contains(&"skill_assignments") {
                self.list(Model::LmsJoinRevisionsSkills, revision_id.clone(), keys, revision.changed_at);
            }
        }
        Some(revision_id)
    }

    fn list(&mut self, model: Model, parent: String, keys: Vec<Key>, changed_at: Option<Timestamp>) {
        self.batch.members.push(Members { model, parent, keys, changed_at, observed_at: self.observed_at });
    }

    fn provider_copy(&mut self, provider: ProviderCopy) {
        let Some(provider_id) = self.nested_id(Model::LmsCourseProviders, provider.id) else { return };
        // Kombo has no times for providers.
        let values = vec![said_text(provider.remote_id), said_text(provider.name), Value::Null, Value::Null];
        self.add(Model::LmsCourseProviders, Provenance::Owned, Key::Id(provider_id), values, &[]);
    }

    /// Adds a copy of a skill and returns its id.
    fn skill_copy(&mut self, skill: SkillCopy) -> Option<String> {
        let skill_id = self.nested_id(Model::LmsSkills, skill.id)?;
        if self.is_new(Model::LmsSkills, &skill_id, (&skill.remote_id, &skill.name)) {
            let values = vec![said_text(skill.remote_id), said_text(skill.name)];
            self.add(Model::LmsSkills, Provenance::Copy, Key::Id(skill_id.clone()), values, &[]);
        }
        Some(skill_id)
    }

    fn progression(&mut self, progression: CourseProgression) {
        let values = vec![
            text(progression.remote_id),
            text(progression.user_id.map(kombo_model::UserId::into_string)),
            text(progression.course_revision_id.map(kombo_model::CourseRevisionId::into_string)),
            text(progression.status.map(kombo_model::ProgressionStatus::into_string)),
            progression.enrolled_at.into(),
            progression.completed_at.into(),
            json(progression.remote_data),
            progression.changed_at.into(),
            progression.remote_deleted_at.into(),
        ];
        let key = id(progression.id.into_string());
        self.add(Model::LmsCourseProgressions, Provenance::Listed, key, values, &progression.unread);
        if let Maybe::Value(user) = progression.user {
            self.user_copy(user);
        }
        if let Maybe::Value(revision) = progression.course_revision {
            self.revision_copy(revision);
        }
    }

    fn user_copy(&mut self, user: UserCopy) {
        let Some(user_id) = self.nested_id(Model::LmsUsers, user.id) else { return };
        let says = (&user.remote_id, &user.first_name, &user.last_name, &user.work_email);
        if self.is_new(Model::LmsUsers, &user_id, says) {
            let values = vec![
                said_text(user.remote_id),
                said_text(user.first_name),
                said_text(user.last_name),
                said_text(user.work_email),
            ];
            self.add(Model::LmsUsers, Provenance::Copy, Key::Id(user_id), values, &[]);
        }
    }

    fn revision_copy(&mut self, revision: CourseRevisionCopy) {
        let course = match revision.course {
            Maybe::Absent => Maybe::Absent,
            Maybe::Null => Maybe::Null,
            Maybe::Value(course) => self.nested_id(Model::LmsCourses, course.id).map_or(Maybe::Absent, |course_id| {
                if self.is_new(Model::LmsCourses, &course_id, &course.remote_id) {
                    let values = vec![said_text(course.remote_id)];
                    self.add(Model::LmsCourses, Provenance::Copy, Key::Id(course_id.clone()), values, &[]);
                }
                Maybe::Value(course_id)
            }),
        };
        let Some(revision_id) = self.nested_id(Model::LmsCourseRevisions, revision.id) else { return };
        if self.is_new(Model::LmsCourseRevisions, &revision_id, (&revision.remote_id, &course, &revision.title)) {
            let values = vec![said_text(revision.remote_id), said_text(course), said_text(revision.title)];
            self.add(Model::LmsCourseRevisions, Provenance::Copy, Key::Id(revision_id), values, &[]);
        }
    }
}

/// Columns that contain the id of another record.
const REFERENCES: [&str; 5] = ["provider_id", "course_id", "user_id", "course_revision_id", "skill_id"];

/// Returns the fault of an id of `model` that cannot be a key.
fn no_key(model: Model, id: &str) -> Option<Fault> {
    if id.is_empty() {
        return Some(Fault { path: "id".to_owned(), reason: format!("empty id of {model}") });
    }
    (id.len() > MAX_ID_BYTES).then(|| too_long("id".to_owned(), id))
}

fn too_long(path: String, id: &str) -> Fault {
    Fault { path, reason: format!("an id of {} bytes; at most {MAX_ID_BYTES} can be stored", id.len()) }
}

fn depth_limit(kind: ColumnKind) -> Option<usize> {
    match kind {
        ColumnKind::Document => Some(MAX_DOCUMENT_DEPTH),
        ColumnKind::Opaque => Some(MAX_OPAQUE_DEPTH),
        ColumnKind::Text | ColumnKind::Time => None,
    }
}

fn id(id: String) -> Key {
    Key::Id(clean_text(id))
}

fn text(text: Option<String>) -> Value {
    text.map(clean_text).into()
}

fn said_text(said: Maybe<String>) -> Value {
    said.said().map_or(Value::Absent, text)
}

fn json(json: Option<FreeJson>) -> Value {
    json.map_or(Value::Null, |json| Value::Json(clean_json(json.into_string())))
}
