use std::fmt;

use kombo_model::{Date, Timestamp};

use super::decompose::MAX_DOCUMENT_DEPTH;
use super::json::{is_deeper, is_json, same_json, to_value};
use crate::horizon;
use crate::rows::Model;

/// The key of a row within its integration and model. Different models may use the same ids.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The record's `id`.
    Id(String),
    /// The two ids of a join table, in the order of [`Model::key_columns`].
    Pair(String, String),
}

impl Key {
    /// Returns the first column of the key.
    pub fn first(&self) -> &str {
        match self {
            Self::Id(id) | Self::Pair(id, _) => id,
        }
    }

    /// Returns the second column of the key; empty if the key has one column.
    pub fn second(&self) -> &str {
        match self {
            Self::Id(_) => "",
            Self::Pair(_, second) => second,
        }
    }

    /// Returns the key of a row of `model` with these values of the key columns.
    pub fn of(model: Model, first: String, second: String) -> Self {
        if model.key_columns().len() == 2 { Self::Pair(first, second) } else { Self::Id(first) }
    }
}

/// The form in the change log: `id` or `first/second`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Pair(first, second) => write!(f, "{first}/{second}"),
        }
    }
}

/// The value of a column, or of a field in a record.
#[derive(Clone, Default)]
pub enum Value {
    /// The record does not contain the field. Never stored.
    #[default]
    Absent,
    /// Null.
    Null,
    /// Text.
    Text(String),
    /// A time.
    Time(Timestamp),
    /// A date.
    Date(Date),
    /// A number.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Flag(bool),
    /// JSON text.
    Json(String),
    /// The stored value cannot be read: it was written by hand in a form that no fetch writes. It equals nothing, so a
    /// fetch overwrites it.
    Unreadable,
}

impl Value {
    /// Whether the value is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the value is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether the stored value cannot be read.
    pub fn is_unreadable(&self) -> bool {
        match self {
            Self::Unreadable => true,
            Self::Json(text) => !is_json(text),
            Self::Absent
            | Self::Null
            | Self::Text(_)
            | Self::Time(_)
            | Self::Date(_)
            | Self::Number(_)
            | Self::Integer(_)
            | Self::Flag(_) => false,
        }
    }

    /// Returns the time, if the value is one.
    pub fn time(&self) -> Option<Timestamp> {
        if let Self::Time(time) = self { Some(*time) } else { None }
    }

    /// Returns the date, if the value is one.
    pub fn date(&self) -> Option<Date> {
        if let Self::Date(date) = self { Some(*date) } else { None }
    }

    /// Returns the number, if the value is one.
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// Returns the whole number, if the value is one.
    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(number) = self { Some(*number) } else { None }
    }

    /// Returns whether it is true, if the value is a flag.
    pub fn flag(&self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(*flag) } else { None }
    }

    /// Returns the text or JSON text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json(text) => Some(text),
            Self::Absent
            | Self::Null
            | Self::Time(_)
            | Self::Date(_)
            | Self::Number(_)
            | Self::Integer(_)
            | Self::Flag(_)
            | Self::Unreadable => None,
        }
    }

    /// Returns the value as JSON, as in the change log. JSON with more than [`MAX_DOCUMENT_DEPTH`] levels stays text,
    /// because it would nest too deep within an entry. A number with more digits than fit in 64 bits becomes text,
    /// because most readers would round it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Absent | Self::Null | Self::Unreadable => serde_json::Value::Null,
            Self::Text(text) => serde_json::Value::String(text.clone()),
            Self::Time(time) => serde_json::Value::String(time.to_string()),
            Self::Date(date) => serde_json::Value::String(date.to_string()),
            Self::Number(number) => (*number).into(),
            Self::Integer(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Json(text) if is_deeper(text, MAX_DOCUMENT_DEPTH) => serde_json::Value::String(text.clone()),
            Self::Json(text) => to_value(text),
        }
    }
}

/// Equality as data. JSON texts are compared by content, because databases reorder keys and rewrite white space.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) | (Self::Null, Self::Null) => true,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::Time(left), Self::Time(right)) => left == right,
            (Self::Date(left), Self::Date(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left == right,
            (Self::Integer(left), Self::Integer(right)) => left == right,
            (Self::Flag(left), Self::Flag(right)) => left == right,
            (Self::Json(left), Self::Json(right)) => same_json(left, right),
            _ => false,
        }
    }
}

/// Shows only the type: the value is a customer's data.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Null => f.write_str("Null"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Time(time) => write!(f, "Time({time})"),
            Self::Date(_) => f.write_str("Date"),
            Self::Number(_) => f.write_str("Number"),
            Self::Integer(_) => f.write_str("Integer"),
            Self::Flag(_) => f.write_str("Flag"),
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

/// A row from a record, with one value for each of [`Model::columns`].
#[derive(Debug, Clone, PartialEq)]
pub struct MirrorRow {
    /// Key of the row.
    pub key: Key,
    values: Vec<Value>,
}

impl MirrorRow {
    /// Creates a row of `model`. Missing values are absent; surplus values are dropped.
    pub fn new(model: Model, key: Key, mut values: Vec<Value>) -> Self {
        values.resize_with(model.columns().len(), Value::default);
        Self { key, values }
    }

    /// Returns the values, in the order of [`Model::columns`].
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Returns the values mutably, in the order of [`Model::columns`].
    pub fn values_mut(&mut self) -> &mut [Value] {
        &mut self.values
    }

    /// Returns the value of the column called `name`.
    pub fn get(&self, model: Model, name: &str) -> Option<&Value> {
        let position = model.columns().iter().position(|column| column.name == name)?;
        self.values.get(position)
    }

    /// Returns the approximate size in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        /// Overhead of the allocator for each text.
        const HEADER: usize = 16;
        let texts = self.values.iter().filter_map(Value::text).map(|text| text.len() + HEADER).sum::<usize>();
        let key = self.key.first().len() + self.key.second().len() + HEADER;
        size_of::<Self>() + key + texts + self.values.len() * size_of::<Value>()
    }

    /// Returns when one of the record's own fields last changed.
    pub fn changed_at(&self) -> Option<Timestamp> {
        self.last(2).and_then(Value::time)
    }

    /// Returns when Kombo found the record deleted.
    pub fn remote_deleted_at(&self) -> Option<Timestamp> {
        self.last(1).and_then(Value::time)
    }

    fn last(&self, distance: usize) -> Option<&Value> {
        self.values.len().checked_sub(distance).and_then(|position| self.values.get(position))
    }
}

/// A stored row. No value is absent.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Key and values.
    pub row: MirrorRow,
    /// When a full fetch or the member list of its parent stopped showing the row.
    pub removed_at: Option<Timestamp>,
    /// When the response was requested from which the row was last written. An earlier observation never overwrites it.
    /// [`Timestamp::MIN`] if no fetch can have written the stored time.
    pub synced_at: Timestamp,
}

/// The stored state of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// No row is stored.
    Nothing,
    /// The stored row is not removed and equals all values that the row carries. Contains its `synced_at`.
    Same(Timestamp),
    /// The stored row, which may also have the same values.
    Row(StoredRow),
}

/// A row that is not stored yet. Absent values are stored as null.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// Key and values.
    pub row: &'a MirrorRow,
    /// When the response with the row was requested.
    pub synced_at: Timestamp,
}

impl NewRow<'_> {
    /// Returns the row in its stored form.
    pub fn to_stored(self) -> StoredRow {
        let is_readable = |value: &Value| !matches!(value, Value::Absent | Value::Unreadable);
        let values = self.row.values.iter().map(|value| if is_readable(value) { value.clone() } else { Value::Null });
        let row = MirrorRow { key: self.row.key.clone(), values: values.collect() };
        StoredRow { row, removed_at: None, synced_at: self.synced_at }
    }
}

impl StoredRow {
    /// Returns when the response was requested from which the row was last written. A time ahead of all clocks does not
    /// count: it was written by hand, or by a wrong clock.
    pub fn observed_at(&self, now: Timestamp) -> Timestamp {
        horizon::happened(Some(self.synced_at), now).unwrap_or(Timestamp::MIN)
    }

    /// Whether a fetch can have written [`StoredRow::synced_at`].
    pub fn is_dated(&self, now: Timestamp) -> bool {
        self.observed_at(now) > Timestamp::MIN
    }

    /// Whether the record exists: it is neither deleted nor removed.
    pub fn is_live(&self) -> bool {
        self.removed_at.is_none() && self.row.remote_deleted_at().is_none()
    }
}
