use std::collections::HashSet;

use kombo_model::IntegrationId;
use serde::Serialize;

use crate::rows::Model;
use crate::rows::assess::Finding;
use crate::rows::compare::ChangedField;
use crate::rows::row::Value;
use crate::stable_hash::stable_hash;

/// A difference between Kombo and the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Id of the integration.
    pub integration_id: IntegrationId,
    /// Table of the row.
    pub model: Model,
    /// Key of the row, as in the change log.
    pub record_id: String,
    /// The column, if only a column differs.
    pub field: Option<&'static str>,
    /// Kind of the difference.
    pub what: What,
    /// The value that a full fetch would write, if a column differs.
    pub kombo: Value,
    /// The stored value, if a column differs.
    pub store: Value,
}

/// The kind of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Kombo shows a record that is not stored.
    Missing,
    /// A column has another value.
    Differs,
    /// A record is stored and not marked as removed, but Kombo does not show it, not even in a look-up by id; or its
    /// integration is not registered.
    Extra,
    /// A record is marked as removed, but Kombo shows it.
    Removed,
    /// A record could not be compared: it cannot be read or stored, or Kombo fails on the look-up of its id.
    Unreadable,
}

impl What {
    /// Returns the word used in reports.
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

/// Returns the difference for a record that could not be compared.
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

/// Returns the differences in a finding.
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

/// The differences that were already reported. A nested record differs in each record that contains it.
#[derive(Debug, Default)]
pub(super) struct ReportedDifference {
    hashes: HashSet<u64>,
}

impl ReportedDifference {
    /// Maximum number of remembered differences, in about ten megabytes. With this number, the probability that two
    /// have the same hash, which would hide one of them, is one in forty million.
    const AT_MOST: usize = 900_000;

    pub(super) fn is_new(&mut self, difference: &Difference) -> bool {
        let Difference { model, record_id, field, what, .. } = difference;
        let hash = stable_hash(record_id, &format!("{model} {} {}", field.unwrap_or_default(), what.as_str()));
        if self.hashes.len() < Self::AT_MOST { self.hashes.insert(hash) } else { !self.hashes.contains(&hash) }
    }
}
