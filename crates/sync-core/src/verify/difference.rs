use std::collections::HashSet;

use kombo_model::IntegrationId;
use serde::Serialize;

use crate::rows::assess::Finding;
use crate::rows::compare::ChangedField;
use crate::rows::model::Model;
use crate::rows::row::Value;
use crate::stable_hash::stable_hash;

/// Where Kombo and the store do not agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Whose record.
    pub integration_id: IntegrationId,
    /// Which table.
    pub model: Model,
    /// Which row, as the change log names it.
    pub record_id: String,
    /// The column, where only that differs.
    pub field: Option<&'static str>,
    /// How they differ.
    pub what: What,
    /// The value that a full fetch would write, where a column differs.
    pub kombo: Value,
    /// The stored value, where a column differs.
    pub store: Value,
}

/// How Kombo and the store differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Kombo shows a record that is not stored.
    Missing,
    /// A column holds another value.
    Differs,
    /// A record is stored, and not as removed, that Kombo does not show, not even when asked for it by id.
    Extra,
    /// A record is stored as removed that Kombo shows.
    Removed,
    /// Kombo shows a record that cannot be read or stored, so that nothing of it could be compared.
    Unreadable,
}

impl What {
    /// The word used in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Extra => "extra",
            Self::Removed => "removed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A record that could not be compared.
pub(super) fn unreadable(integration: &IntegrationId, model: Model, record_id: String) -> Difference {
    Difference {
        integration_id: integration.clone(),
        model,
        record_id,
        field: None,
        what: What::Unreadable,
        kombo: Value::Null,
        store: Value::Null,
    }
}

/// The differences that a finding comes to.
pub(super) fn of(integration: &IntegrationId, finding: Finding) -> Vec<Difference> {
    let Finding { model, key, is_new, fields, .. } = finding;
    let difference = |field, what, kombo, store| Difference {
        integration_id: integration.clone(),
        model,
        record_id: key.to_string(),
        field,
        what,
        kombo,
        store,
    };
    if is_new {
        return vec![difference(None, What::Missing, Value::Null, Value::Null)];
    }
    let of_field = |ChangedField { name, old, new }| match name {
        "removed_at" if new.is_null() => difference(None, What::Removed, Value::Null, Value::Null),
        "removed_at" => difference(None, What::Extra, Value::Null, Value::Null),
        _ => difference(Some(name), What::Differs, new, old),
    };
    fields.into_iter().map(of_field).collect()
}

/// What was told already. A record that is nested in many others differs in each of them.
#[derive(Debug, Default)]
pub(super) struct ReportedDifference {
    hashes: HashSet<u64>,
}

impl ReportedDifference {
    /// How many are remembered, in at most some ten megabytes. Two among so many have the same hash, which would hide
    /// one of them, once in forty million times.
    const AT_MOST: usize = 900_000;

    pub(super) fn is_news(&mut self, difference: &Difference) -> bool {
        let Difference { model, record_id, field, what, .. } = difference;
        let hash = stable_hash(record_id, &format!("{model} {} {}", field.unwrap_or_default(), what.as_str()));
        if self.hashes.len() < Self::AT_MOST { self.hashes.insert(hash) } else { !self.hashes.contains(&hash) }
    }
}
