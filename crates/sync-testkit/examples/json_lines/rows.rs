//! Rows as a line holds them: by the names of their columns, so that a column more or less changes nothing for the others.

use std::collections::BTreeMap;

use kombo_model::{IntegrationId, Timestamp};
use serde::{Deserialize, Serialize};
use sync_core::mirror::{Column, ColumnKind, Key, Model, Row, StoredRow, Value};

/// Rows of one table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Line", try_from = "Line")]
pub(crate) struct Rows {
    pub(crate) model: Model,
    pub(crate) integration_id: IntegrationId,
    pub(crate) stored: Vec<StoredRow>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    model: Model,
    integration_id: IntegrationId,
    rows: Vec<RowLine>,
}

#[derive(Serialize, Deserialize)]
struct RowLine {
    key: Vec<String>,
    /// Null is what is not there. JSON is kept as a text: its meaning, its depth and its line breaks are no matter then.
    values: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removed_at: Option<Timestamp>,
    synced_at: Timestamp,
}

impl From<Rows> for Line {
    fn from(rows: Rows) -> Self {
        let Rows { model, integration_id, stored } = rows;
        Self { model, integration_id, rows: stored.into_iter().map(|row| RowLine::new(model, &row)).collect() }
    }
}

impl TryFrom<Line> for Rows {
    type Error = String;

    fn try_from(line: Line) -> Result<Self, String> {
        let Line { model, integration_id, rows } = line;
        let stored: Result<_, _> = rows.into_iter().map(|row| row.read(model)).collect();
        Ok(Self { model, integration_id, stored: stored? })
    }
}

impl RowLine {
    fn new(model: Model, stored: &StoredRow) -> Self {
        let key = match &stored.row.key {
            Key::Id(id) => vec![id.clone()],
            Key::Pair(first, second) => vec![first.clone(), second.clone()],
        };
        let columns = model.columns().iter().zip(stored.row.values());
        let values = columns.filter_map(|(column, value)| Some((column.name.to_owned(), written(value)?))).collect();
        Self { key, values, removed_at: stored.removed_at, synced_at: stored.synced_at }
    }

    fn read(mut self, model: Model) -> Result<StoredRow, String> {
        let mut key = self.key.into_iter();
        let key = Key::of(model, key.next().unwrap_or_default(), key.next().unwrap_or_default());
        let values: Result<Vec<Value>, String> =
            model.columns().iter().map(|column| read(*column, self.values.remove(column.name))).collect();
        let row = Row::new(model, key, values?);
        if let Some((name, _)) = self.values.first_key_value() {
            return Err(format!("{model} has no column {name}"));
        }
        Ok(StoredRow { row, removed_at: self.removed_at, synced_at: self.synced_at })
    }
}

fn written(value: &Value) -> Option<String> {
    match value {
        Value::Absent | Value::Null => None,
        Value::Text(text) | Value::Json(text) => Some(text.clone()),
        Value::Time(time) => Some(time.to_string()),
    }
}

fn read(column: Column, text: Option<String>) -> Result<Value, String> {
    let Some(text) = text else { return Ok(Value::Null) };
    match column.kind {
        ColumnKind::Text => Ok(Value::Text(text)),
        ColumnKind::Document | ColumnKind::Opaque => Ok(Value::Json(text)),
        ColumnKind::Time => match text.parse() {
            Ok(time) => Ok(Value::Time(time)),
            Err(error) => Err(format!("{}: {error}", column.name)),
        },
    }
}
