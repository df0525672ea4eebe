//! Renders rows as JSON like Kombo. The only place that does.

mod course;
mod nested;
mod progression;
mod skill;
mod user;

use chrono::TimeDelta;
use serde::{Serialize, Serializer};

pub(crate) use course::{CourseView, RevisionView};
pub(crate) use progression::ProgressionView;
pub(crate) use skill::SkillView;
pub(crate) use user::UserView;

use crate::{Behaviour, Json, Meta, Progression, Stamp, Tables};

/// The context of rendering a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) now: Stamp,
    /// Whether deleted nested revisions are listed.
    pub(crate) include_deleted: bool,
}

/// The fields of a row that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All fields.
    Full,
    /// Nullable fields are null.
    Blank,
    /// All fields except `id`, `changed_at` and `remote_deleted_at` are null.
    Bare,
}

impl Shown {
    /// Returns the value, unless it is nullable and the row is anonymised.
    pub(crate) fn soft<T>(self, value: Option<T>) -> Option<T> {
        value.filter(|_| self == Self::Full)
    }

    /// Returns the value, unless the row is anonymised beyond the contract.
    pub(crate) fn hard<T>(self, value: Option<T>) -> Option<T> {
        value.filter(|_| self != Self::Bare)
    }
}

impl Scene<'_> {
    fn shown_if(self, anonymised: bool, deleted_at: Option<Stamp>) -> Shown {
        let days = self.behaviour.anonymise_after_days.map(|days| TimeDelta::days(days.into()));
        let expired = deleted_at.zip(days).is_some_and(|(at, days)| at.plus(days) <= self.now);
        match (anonymised || expired, self.behaviour.anonymise_hard) {
            (false, _) => Shown::Full,
            (true, false) => Shown::Blank,
            (true, true) => Shown::Bare,
        }
    }

    /// Returns which fields of a record are shown now.
    pub(crate) fn shown(self, meta: &Meta) -> Shown {
        self.shown_if(meta.anonymised, meta.remote_deleted_at)
    }

    /// Returns which fields of a progression are shown now.
    pub(crate) fn progression_shown(self, row: &Progression) -> Shown {
        self.shown_if(row.anonymised, row.remote_deleted_at)
    }

    pub(crate) fn omits(self, key: &str) -> bool {
        self.behaviour.omit_nested.iter().any(|it| it == key)
    }
}

/// The last fields of every record except a progression.
#[derive(Debug, Serialize)]
pub(crate) struct Tail<'a> {
    remote_created_at: Option<Stamp>,
    remote_deleted_at: Option<Stamp>,
    changed_at: Stamp,
    remote_data: Option<&'a Json>,
    custom_fields: Option<&'a Json>,
    integration_fields: JsonArray<'a>,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(meta: &'a Meta, shown: Shown) -> Self {
        Self {
            remote_created_at: shown.soft(meta.remote_created_at),
            remote_deleted_at: meta.remote_deleted_at,
            changed_at: meta.changed_at,
            remote_data: shown.soft(meta.remote_data.as_ref()),
            custom_fields: shown.soft(meta.custom_fields.as_ref()),
            integration_fields: JsonArray(shown.soft(meta.integration_fields.as_ref())),
        }
    }
}

/// A JSON array; `None` renders as an empty one.
#[derive(Debug)]
struct JsonArray<'a>(Option<&'a Json>);

impl Serialize for JsonArray<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(json) => json.serialize(serializer),
            None => serializer.collect_seq(std::iter::empty::<()>()),
        }
    }
}
