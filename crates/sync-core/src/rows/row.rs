use std::fmt;

use kombo_model::Timestamp;

use super::decompose::MAX_DOCUMENT_DEPTH;
use super::json::{is_deeper, is_json, same_json, to_value};
use super::model::Model;
use crate::horizon;

/// What names a row within its integration and model. Ids repeat across models.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The record's `id`.
    Id(String),
    /// The two ids of a join table, in the order of [`Model::key_columns`].
    Pair(String, String),
}

impl Key {
    /// The key's first column.
    pub fn first(&self) -> &str {
        match self {
            Self::Id(id) | Self::Pair(id, _) => id,
        }
    }

    /// The key's second column, empty where there is one column only.
    pub fn second(&self) -> &str {
        match self {
            Self::Id(_) => "",
            Self::Pair(_, second) => second,
        }
    }

    /// The key of a row of `model` whose key columns hold `first` and `second`.
    pub fn of(model: Model, first: String, second: String) -> Self {
        if model.key_columns().len() == 2 { Self::Pair(first, second) } else { Self::Id(first) }
    }
}

/// As the change log writes it: `id`, or `first/second`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Pair(first, second) => write!(f, "{first}/{second}"),
        }
    }
}

/// What a column holds, or what a record says of it.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing is said. Never stored.
    #[default]
    Absent,
    /// There is no value.
    Null,
    /// Text.
    Text(String),
    /// A moment.
    Time(Timestamp),
    /// JSON text.
    Json(String),
    /// What is stored cannot be read: somebody wrote it by hand in a form that no fetch writes. It equals nothing, so that
    /// a fetch overwrites it.
    Unreadable,
}

impl Value {
    /// Whether nothing is said.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether it says that there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether what is stored cannot be read.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Unreadable => true,
            Self::Json(text) => !is_json(text),
            Self::Absent | Self::Null | Self::Text(_) | Self::Time(_) => false,
        }
    }

    /// The moment, if it is one.
    pub fn time(&self) -> Option<Timestamp> {
        if let Self::Time(time) = self { Some(*time) } else { None }
    }

    /// The text, or the JSON text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json(text) => Some(text),
            Self::Absent | Self::Null | Self::Time(_) | Self::Unreadable => None,
        }
    }

    /// The value as JSON, as the change log writes it. JSON of more than [`MAX_DOCUMENT_DEPTH`] levels stays a text: within
    /// an entry it would be too deep to be read again. A number that has more digits than a 64-bit number holds is a text
    /// with these digits: most readers would round it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Absent | Self::Null | Self::Unreadable => serde_json::Value::Null,
            Self::Text(text) => serde_json::Value::String(text.clone()),
            Self::Time(time) => serde_json::Value::String(time.to_string()),
            Self::Json(text) if is_deeper(text, MAX_DOCUMENT_DEPTH) => serde_json::Value::String(text.clone()),
            Self::Json(text) => to_value(text),
        }
    }
}

/// Equal as data: JSON is compared by what it means, since databases reorder keys and rewrite white space.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) | (Self::Null, Self::Null) => true,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Time(left), Self::Time(right)) => left == right,
            (Self::Json(left), Self::Json(right)) => same_json(left, right),
            _ => false,
        }
    }
}

/// Shows what kind of value it is, never the value: it is a customer's data.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Null => f.write_str("Null"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Time(time) => write!(f, "Time({time})"),
            Self::Json(text) => write!(f, "Json({} bytes)", text.len()),
            Self::Unreadable => f.write_str("Unreadable"),
        }
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Null, Self::Time)
    }
}

/// A row as a record shows it: one value for each of [`Model::columns`].
#[derive(Debug, Clone, PartialEq)]
pub struct MirrorRow {
    /// What names it.
    pub key: Key,
    values: Vec<Value>,
}

impl MirrorRow {
    /// A row of `model`. Missing values are absent, surplus ones are dropped.
    pub fn new(model: Model, key: Key, mut values: Vec<Value>) -> Self {
        values.resize_with(model.columns().len(), Value::default);
        Self { key, values }
    }

    /// The values, in the order of [`Model::columns`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values, to change them.
    pub fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// The value of the column called `name`.
    pub fn get(&self, model: Model, name: &str) -> Option<&Value> {
        let position = model.columns().iter().position(|column| column.name == name)?;
        self.values.get(position)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        /// What an allocator adds to a text.
        const HEADER: usize = 16;
        let texts = self.values.iter().filter_map(Value::text).map(|text| text.len() + HEADER).sum::<usize>();
        let key = self.key.first().len() + self.key.second().len() + HEADER;
        size_of::<Self>() + key + texts + self.values.len() * size_of::<Value>()
    }

    /// When one of the record's own fields last changed.
    pub fn changed_at(&self) -> Option<Timestamp> {
        self.last(2).and_then(Value::time)
    }

    /// When Kombo no longer found the record.
    pub fn remote_deleted_at(&self) -> Option<Timestamp> {
        self.last(1).and_then(Value::time)
    }

    fn last(&self, distance: usize) -> Option<&Value> {
        self.values.len().checked_sub(distance).and_then(|position| self.values.get(position))
    }
}

/// A row as the store holds it: no value is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Key and values.
    pub row: MirrorRow,
    /// Since when a full fetch or its parent's member list no longer shows it.
    pub removed_at: Option<Timestamp>,
    /// When the response was asked for from which the row was last written: what was observed earlier never
    /// overwrites it. [`Timestamp::MIN`] if what is stored is no time that a fetch writes.
    pub synced_at: Timestamp,
}

/// What is stored under the key of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// Nothing.
    Nothing,
    /// A row without `removed_at` that holds every value which the row carries, with its `synced_at`.
    Same(Timestamp),
    /// This row, which may still hold the same values.
    Row(StoredRow),
}

/// A row that is not stored yet. Absent values are stored as null.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// Key and values.
    pub row: &'a MirrorRow,
    /// When the response was asked for from which it is written.
    pub synced_at: Timestamp,
}

impl NewRow<'_> {
    /// The row as it is stored.
    pub fn to_stored(self) -> StoredRow {
        let values = self.row.values.iter().map(|value| match value {
            Value::Absent | Value::Unreadable => Value::Null,
            Value::Null | Value::Text(_) | Value::Time(_) | Value::Json(_) => value.clone(),
        });
        let row = MirrorRow { key: self.row.key.clone(), values: values.collect() };
        StoredRow { row, removed_at: None, synced_at: self.synced_at }
    }
}

impl StoredRow {
    /// When the response was asked for from which the row was last written. A time that lies ahead of all clocks was
    /// written by hand or by a clock that was wrong: it keeps nothing out.
    pub fn observed_at(&self, now: Timestamp) -> Timestamp {
        horizon::happened(Some(self.synced_at), now).unwrap_or(Timestamp::MIN)
    }

    /// Whether [`StoredRow::synced_at`] is a time at which a fetch can have written the row.
    pub fn is_dated(&self, now: Timestamp) -> bool {
        self.observed_at(now) > Timestamp::MIN
    }

    /// Whether the record is there, as far as anybody knows.
    pub fn is_live(&self) -> bool {
        self.removed_at.is_none() && self.row.remote_deleted_at().is_none()
    }
}
