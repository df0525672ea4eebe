use std::hash::Hash;

use kombo_model::{
    Course, CourseProgression, CourseRevision, CourseRevisionCopy, FreeJson, Maybe, ProviderCopy, Skill, SkillCopy,
    Timestamp, User, UserCopy,
};

use super::batch::{Batch, Incoming, Members, Standing};
use super::json::{clean_json, clean_text, depth, is_deeper};
use super::model::{ColumnKind, Model};
use super::repeats::Repeats;
use super::row::{Key, Row, Value};
use crate::port::Record;

/// How deep `custom_fields` and `integration_fields` may nest: they must be comparable after a database rewrote them.
pub const MAX_DOCUMENT_DEPTH: usize = 120;
/// How deep `remote_data` may nest: `PostgreSQL` checks even JSON that it does not rewrite, on its stack.
pub const MAX_OPAQUE_DEPTH: usize = 1_000;
/// Longer ids cannot be keys: PostgreSQL's indexes take 2,704 bytes, in which two ids and the integration's have to fit.
pub const MAX_ID_BYTES: usize = 800;

/// A record that no database can hold as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unstorable {
    /// Where in the record.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Adds to `batch` what `record` says: a row of its own model, and rows of the models nested in it.
///
/// Nothing is added if the record cannot be stored.
pub fn decompose(record: Record, observed_at: Timestamp, batch: &mut Batch) -> Result<(), Unstorable> {
    take_apart(record, observed_at, batch, None)
}

/// As [`decompose`], but for the copies that say what `repeats` has met already.
pub(crate) fn decompose_news(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: &mut Repeats,
) -> Result<(), Unstorable> {
    let added = take_apart(record, observed_at, batch, Some(repeats));
    match added {
        Ok(()) => repeats.keep(),
        Err(_) => repeats.forget(),
    }
    added
}

fn take_apart(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: Option<&mut Repeats>,
) -> Result<(), Unstorable> {
    let (rows, members) = (batch.rows.len(), batch.members.len());
    let mut writer = Writer { batch, observed_at, repeats };
    match record {
        Record::User(user) => writer.user(user),
        Record::Course(course) => writer.course(course),
        Record::CourseProgression(progression) => writer.progression(progression),
        Record::Skill(skill) => writer.skill(skill),
    }
    let checked = check(batch.rows.get(rows..).unwrap_or_default());
    if checked.is_err() {
        batch.rows.truncate(rows);
        batch.members.truncate(members);
    }
    checked
}

struct Writer<'a> {
    batch: &'a mut Batch,
    observed_at: Timestamp,
    repeats: Option<&'a mut Repeats>,
}

impl Writer<'_> {
    fn add(&mut self, model: Model, standing: Standing, key: Key, values: Vec<Value>) {
        let row = Row::new(model, key, values);
        self.batch.rows.push(Incoming { model, row, standing, observed_at: self.observed_at });
    }

    /// Whether a copy of `model`'s row `id` says something that was not said before.
    fn is_news(&mut self, model: Model, id: &str, says: impl Hash) -> bool {
        self.repeats.as_mut().is_none_or(|repeats| repeats.is_news(model, id, says))
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
        self.add(Model::LmsUsers, Standing::Listed, id(user.id.into_string()), values);
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
        self.add(Model::LmsSkills, Standing::Listed, id(skill.id.into_string()), values);
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
        self.add(Model::LmsCourses, Standing::Listed, Key::Id(course_id.clone()), values);
        if let Maybe::Value(provider) = course.provider {
            self.provider_copy(provider);
        }
        if let Maybe::Value(revisions) = course.revisions {
            let keys = revisions.iter().map(|revision| id(revision.id.as_str().to_owned())).collect();
            self.list(Model::LmsCourseRevisions, course_id.clone(), keys);
            for revision in revisions {
                self.revision(revision, &course_id);
            }
        }
    }

    fn revision(&mut self, revision: CourseRevision, listed_under: &str) {
        let revision_id = clean_text(revision.id.into_string());
        // Anonymised rows may lose the column while the list that they stand in still says whose they are.
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
        self.add(Model::LmsCourseRevisions, Standing::Owned, Key::Id(revision_id.clone()), values);
        if let Maybe::Value(assignments) = revision.skill_assignments {
            let mut keys = Vec::with_capacity(assignments.len());
            for assignment in assignments {
                let skill_id = clean_text(assignment.skill.id.as_str().to_owned());
                let key = Key::Pair(revision_id.clone(), skill_id);
                keys.push(key.clone());
                self.add(Model::LmsJoinRevisionsSkills, Standing::Owned, key, vec![Value::Null, Value::Null]);
                self.skill_copy(assignment.skill);
            }
            self.list(Model::LmsJoinRevisionsSkills, revision_id, keys);
        }
    }

    fn list(&mut self, model: Model, parent: String, keys: Vec<Key>) {
        self.batch.members.push(Members { model, parent, keys, observed_at: self.observed_at });
    }

    fn provider_copy(&mut self, provider: ProviderCopy) {
        // Kombo has no times of providers.
        let values = vec![said_text(provider.remote_id), said_text(provider.name), Value::Null, Value::Null];
        self.add(Model::LmsCourseProviders, Standing::Owned, id(provider.id.into_string()), values);
    }

    fn skill_copy(&mut self, skill: SkillCopy) {
        let skill_id = clean_text(skill.id.into_string());
        if self.is_news(Model::LmsSkills, &skill_id, (&skill.remote_id, &skill.name)) {
            let values = vec![said_text(skill.remote_id), said_text(skill.name)];
            self.add(Model::LmsSkills, Standing::Copy, Key::Id(skill_id), values);
        }
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
        self.add(Model::LmsCourseProgressions, Standing::Listed, id(progression.id.into_string()), values);
        if let Maybe::Value(user) = progression.user {
            self.user_copy(user);
        }
        if let Maybe::Value(revision) = progression.course_revision {
            self.revision_copy(revision);
        }
    }

    fn user_copy(&mut self, user: UserCopy) {
        let user_id = clean_text(user.id.into_string());
        let says = (&user.remote_id, &user.first_name, &user.last_name, &user.work_email);
        if self.is_news(Model::LmsUsers, &user_id, says) {
            let values = vec![
                said_text(user.remote_id),
                said_text(user.first_name),
                said_text(user.last_name),
                said_text(user.work_email),
            ];
            self.add(Model::LmsUsers, Standing::Copy, Key::Id(user_id), values);
        }
    }

    fn revision_copy(&mut self, revision: CourseRevisionCopy) {
        let course = match revision.course {
            Maybe::Absent => Maybe::Absent,
            Maybe::Null => Maybe::Null,
            Maybe::Value(course) => {
                let course_id = clean_text(course.id.into_string());
                if self.is_news(Model::LmsCourses, &course_id, &course.remote_id) {
                    let values = vec![said_text(course.remote_id)];
                    self.add(Model::LmsCourses, Standing::Copy, Key::Id(course_id.clone()), values);
                }
                Maybe::Value(course_id)
            }
        };
        let revision_id = clean_text(revision.id.into_string());
        if self.is_news(Model::LmsCourseRevisions, &revision_id, (&revision.remote_id, &course, &revision.title)) {
            let values = vec![said_text(revision.remote_id), said_text(course), said_text(revision.title)];
            self.add(Model::LmsCourseRevisions, Standing::Copy, Key::Id(revision_id), values);
        }
    }
}

fn check(rows: &[Incoming]) -> Result<(), Unstorable> {
    for incoming in rows {
        let (key, model) = (&incoming.row.key, incoming.model);
        if key.first().is_empty() {
            return Err(Unstorable { path: "id".to_owned(), reason: format!("empty id of {model}") });
        }
        if let Some(id) = [key.first(), key.second()].into_iter().find(|id| id.len() > MAX_ID_BYTES) {
            return Err(too_long("id", id));
        }
        for (column, value) in model.columns().iter().zip(incoming.row.values()) {
            if let Value::Text(id) = value
                && REFERENCES.contains(&column.name)
                && id.len() > MAX_ID_BYTES
            {
                return Err(too_long(column.name, id));
            }
            let (Value::Json(text), Some(limit)) = (value, depth_limit(column.kind)) else { continue };
            if is_deeper(text, limit) {
                let levels = depth(text);
                return Err(Unstorable {
                    path: column.name.to_owned(),
                    reason: format!("JSON of {levels} levels; at most {limit} can be stored"),
                });
            }
        }
    }
    Ok(())
}

/// Columns with the id of another record.
const REFERENCES: [&str; 5] = ["provider_id", "course_id", "user_id", "course_revision_id", "skill_id"];

fn too_long(path: &str, id: &str) -> Unstorable {
    let reason = format!("an id of {} bytes; at most {MAX_ID_BYTES} can be stored", id.len());
    Unstorable { path: path.to_owned(), reason }
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
