//! The one place where rows become JSON, as Kombo shows them.

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

/// What rendering depends on beside the row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) now: Stamp,
    /// Whether nested revisions that are deleted are listed.
    pub(crate) include_deleted: bool,
}

/// How much of a row is left to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it.
    Full,
    /// What the contract allows to be null is null.
    Blank,
    /// Everything but `id`, `changed_at` and `remote_deleted_at` is null.
    Bare,
}

impl Shown {
    /// The value, unless it may be null and the row is anonymised.
    pub(crate) fn soft<T>(self, value: Option<T>) -> Option<T> {
        value.filter(|_| self == Self::Full)
    }

    /// The value, unless the row is anonymised beyond the contract.
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

    /// How much of a record is left at this time.
    pub(crate) fn shown(self, meta: &Meta) -> Shown {
        self.shown_if(meta.anonymised, meta.remote_deleted_at)
    }

    /// How much of a progression is left at this time.
    pub(crate) fn progression_shown(self, row: &Progression) -> Shown {
        self.shown_if(row.anonymised, row.remote_deleted_at)
    }

    pub(crate) fn omits(self, key: &str) -> bool {
        self.behaviour.omit_nested.iter().any(|it| it == key)
    }
}

/// The fields that every record but a progression ends with.
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

/// An array that is empty where there is nothing.
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
