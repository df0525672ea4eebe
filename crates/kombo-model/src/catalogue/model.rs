use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Category, Endpoint, Model};
use crate::ModelName;

/// The facts on a model.
#[derive(Debug)]
pub struct ModelInfo {
    /// Kombo's name, which is also the name of the table.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// The category.
    pub category: Category,
    /// The key columns after the integration's id: `id`, or the two ids of a join.
    pub key: &'static [&'static str],
    /// The columns after the key. The last two are `changed_at` and `remote_deleted_at`.
    pub columns: &'static [Column],
    /// Whether Kombo has `changed_at` and `remote_deleted_at` for the model. Otherwise these columns are null.
    pub has_times: bool,
    /// The column with the id of the record that lists the row.
    pub parent_column: Option<&'static str>,
    /// The model of the records that list the row.
    pub parent: Option<Model>,
    /// The models of the rows that a record of this model lists.
    pub members: &'static [Model],
    /// The endpoint that shows complete rows.
    pub owner: Endpoint,
    /// The endpoints that nest partial copies of rows.
    pub embedded_by: &'static [Endpoint],
    /// The columns that partial copies carry.
    pub copied_columns: &'static [&'static str],
    /// The endpoints with deltas that may miss a change.
    pub blind_in: &'static [Endpoint],
    /// Names in webhooks that also stand for changes of this model.
    pub also: &'static [&'static str],
}

/// A column, except for the key and for bookkeeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Kombo's name of the field.
    pub name: &'static str,
    /// Kind of the content.
    pub kind: ColumnKind,
    /// Meaning.
    pub about: &'static str,
}

/// The kind of a column's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// The id of another row.
    Id,
    /// A time in UTC.
    Time,
    /// A calendar date.
    Date,
    /// A number that a double holds exactly, as far as its decimal digits go.
    Number,
    /// A whole number of 64 bits.
    Integer,
    /// True or false.
    Flag,
    /// JSON for queries.
    Document,
    /// JSON that is stored as received: large and rarely read.
    Opaque,
}

impl Model {
    /// Returns Kombo's name of the model, which is also the name of the table.
    pub fn as_str(self) -> &'static str {
        self.info().name
    }

    /// Returns the model with this name, if it has a table.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.as_str() == name)
    }

    /// Returns the models that a webhook means by this name.
    pub fn meant_by(name: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |model| model.as_str() == name || model.info().also.contains(&name))
    }

    /// Returns the category.
    pub fn category(self) -> Category {
        self.info().category
    }

    /// Returns the columns between the key and `removed_at`. The last two are `changed_at` and `remote_deleted_at`.
    pub fn columns(self) -> &'static [Column] {
        self.info().columns
    }

    /// Returns the key columns after `integration_id`.
    pub fn key_columns(self) -> &'static [&'static str] {
        self.info().key
    }

    /// Returns the column with the id of the parent, the record that lists rows of this model.
    pub fn parent_column(self) -> Option<&'static str> {
        self.info().parent_column
    }

    /// Returns the model of the records that list rows of this model.
    pub fn parent(self) -> Option<Self> {
        self.info().parent
    }

    /// Returns the models of the rows that a record of this model lists.
    pub fn members(self) -> &'static [Self] {
        self.info().members
    }

    /// Returns the endpoint that shows complete rows of this model.
    pub fn owner(self) -> Endpoint {
        self.info().owner
    }

    /// Returns the endpoints that nest partial copies of rows of this model.
    pub fn embedded_by(self) -> &'static [Endpoint] {
        self.info().embedded_by
    }

    /// Returns the columns that partial copies of rows of this model carry.
    pub fn copied_columns(self) -> &'static [&'static str] {
        self.info().copied_columns
    }

    /// Whether a delta of an endpoint that shows the model may miss a change to it, according to Kombo's API reference.
    pub fn blind_in_delta(self, endpoint: Endpoint) -> bool {
        self.info().blind_in.contains(&endpoint)
    }
}

impl From<Model> for ModelName {
    fn from(model: Model) -> Self {
        Self::from(model.as_str())
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| serde::de::Error::custom(format_args!("unknown model \"{name}\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_ends_with_the_two_times() {
        for model in Model::ALL {
            let names: Vec<_> = model.columns().iter().map(|column| column.name).collect();
            assert!(names.ends_with(&["changed_at", "remote_deleted_at"]), "{model}");
            assert_eq!(Model::from_name(model.as_str()), Some(model));
        }
    }

    #[test]
    fn every_listed_model_is_owned_by_its_endpoint() {
        for endpoint in Endpoint::ALL {
            assert_eq!(endpoint.lists().owner(), endpoint);
        }
    }
}
