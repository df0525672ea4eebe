//! Sets fields by Kombo's names.

use serde_json::{Value, value::to_raw_value};

use crate::{
    Course, Id, Json, Meta, Model, Progression, ProgressionStatus, Provider, Revision, SandboxError, Skill, Stamp,
    Text, User,
};

/// The field does not exist, or the value has the wrong type.
struct Unfit;

fn text(value: &Value) -> Result<Text, Unfit> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.as_str().into())),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Err(Unfit),
    }
}

fn id(value: &Value) -> Result<Id, Unfit> {
    value.as_str().and_then(|it| it.parse().ok()).ok_or(Unfit)
}

fn stamp(value: &Value) -> Result<Option<Stamp>, Unfit> {
    match text(value)? {
        None => Ok(None),
        Some(text) => Stamp::parse_request(&text).map(Some).ok_or(Unfit),
    }
}

fn json(value: &Value) -> Result<Option<Json>, Unfit> {
    if value.is_null() { Ok(None) } else { to_raw_value(value).map(Some).map_err(|_| Unfit) }
}

fn set_meta(meta: &mut Meta, field: &str, value: &Value) -> Result<(), Unfit> {
    match field {
        "remote_id" => meta.remote_id = text(value)?,
        "remote_created_at" => meta.remote_created_at = stamp(value)?,
        "remote_deleted_at" => meta.remote_deleted_at = stamp(value)?,
        "changed_at" => meta.changed_at = stamp(value)?.ok_or(Unfit)?,
        "remote_data" => meta.remote_data = json(value)?,
        "custom_fields" => meta.custom_fields = json(value)?,
        "integration_fields" => meta.integration_fields = json(value)?,
        _ => return Err(Unfit),
    }
    Ok(())
}

/// A row with fields that can be set by name.
pub(super) trait SetField {
    /// The row's model, for errors.
    const MODEL: Model;

    /// Sets one field.
    fn set_field(&mut self, field: &str, value: &Value) -> Result<(), SandboxError>;
}

fn checked(model: Model, field: &str, value: &Value, done: Result<(), Unfit>) -> Result<(), SandboxError> {
    done.map_err(|Unfit| SandboxError::BadField { model, field: field.to_owned(), value: value.to_string() })
}

macro_rules! settable {
    ($row:ident, $model:expr, |$self:ident, $value:ident, $field:ident| { $($name:literal => $set:expr),+ $(,)? } else $rest:expr) => {
        impl SetField for $row {
            const MODEL: Model = $model;

            fn set_field(&mut self, $field: &str, $value: &Value) -> Result<(), SandboxError> {
                let $self = self;
                let mut set = || -> Result<(), Unfit> {
                    match $field {
                        $($name => $set,)+
                        _ => return $rest,
                    }
                    Ok(())
                };
                let done = set();
                checked($model, $field, $value, done)
            }
        }
    };
}

settable!(User, Model::Users, |row, value, field| {
    "first_name" => row.first_name = text(value)?,
    "last_name" => row.last_name = text(value)?,
    "work_email" => row.work_email = text(value)?,
    "status" => row.status = text(value)?,
} else set_meta(&mut row.meta, field, value));

settable!(Course, Model::Courses, |row, value, field| {
    "provider_id" => row.provider_id = if value.is_null() { None } else { Some(id(value)?) },
    "origin_id" => row.origin_id = text(value)?,
} else set_meta(&mut row.meta, field, value));

settable!(Revision, Model::CourseRevisions, |row, value, field| {
    "course_id" => row.course_id = if value.is_null() { None } else { Some(id(value)?) },
    "title" => row.title = text(value)?,
    "description" => row.description = text(value)?,
    "remote_url" => row.remote_url = text(value)?,
    "status" => row.status = text(value)?,
} else set_meta(&mut row.meta, field, value));

settable!(Provider, Model::CourseProviders, |row, value, field| {
    "remote_id" => row.remote_id = text(value)?,
    "name" => row.name = text(value)?,
} else Err(Unfit));

settable!(Skill, Model::Skills, |row, value, field| {
    "name" => row.name = text(value)?,
} else set_meta(&mut row.meta, field, value));

settable!(Progression, Model::CourseProgressions, |row, value, field| {
    "remote_id" => row.remote_id = text(value)?,
    "user_id" => row.user_id = id(value)?,
    "course_revision_id" => row.course_revision_id = id(value)?,
    "status" => row.status = text(value)?.map(|it| ProgressionStatus::from_text(&it)),
    "enrolled_at" => row.enrolled_at = stamp(value)?,
    "completed_at" => row.completed_at = stamp(value)?,
    "changed_at" => row.changed_at = stamp(value)?.ok_or(Unfit)?,
    "remote_deleted_at" => row.remote_deleted_at = stamp(value)?,
    "remote_data" => row.remote_data = json(value)?,
} else Err(Unfit));
