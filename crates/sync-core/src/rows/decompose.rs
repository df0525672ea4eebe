use std::hash::{Hash, Hasher};

use kombo_model::catalogue::{Content, Field, Nested, Node, Record, Shape, Source};
use kombo_model::{Fault, Timestamp};

use super::batch::{Batch, Incoming, Members, Provenance};
use super::json::{clean_json, clean_text, depth, is_deeper, moderate_numbers};
use super::repeats::Repeats;
use super::row::{Key, MirrorRow, Value};
use crate::rows::{ColumnKind, Model};

/// Maximum depth of `custom_fields` and `integration_fields`. They must remain comparable after a database has
/// rewritten them.
pub const MAX_DOCUMENT_DEPTH: usize = 120;
/// Maximum depth of `remote_data`. `PostgreSQL` uses its stack to check JSON, even if it does not rewrite it.
pub const MAX_OPAQUE_DEPTH: usize = 1_000;
/// Maximum length of an id. PostgreSQL's index entries are limited to 2,704 bytes, which must suffice for two ids and
/// the integration's.
pub const MAX_ID_BYTES: usize = 800;

/// Adds the content of `record` to `batch`: a row of its own model, and rows of the models nested in it. Returns the
/// faults of parts that cannot be stored. These parts are left out, so their stored values stay.
///
/// # Errors
/// The record's id cannot be a key. Nothing is added.
pub fn decompose(record: Record, observed_at: Timestamp, batch: &mut Batch) -> Result<Vec<Fault>, Fault> {
    take_apart(record, observed_at, batch, None)
}

/// Decomposes a record like [`decompose`], without the copies that are already in `repeats`.
pub(crate) fn decompose_new(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: &mut Repeats,
) -> Result<Vec<Fault>, Fault> {
    let faults = take_apart(record, observed_at, batch, Some(repeats))?;
    repeats.keep();
    Ok(faults)
}

fn take_apart(
    record: Record,
    observed_at: Timestamp,
    batch: &mut Batch,
    repeats: Option<&mut Repeats>,
) -> Result<Vec<Fault>, Fault> {
    if let Some(fault) = no_key(record.endpoint.lists(), &clean_text(record.id().to_owned())) {
        return Err(fault);
    }
    let mut writer = Writer { batch, observed_at, repeats, faults: Vec::new() };
    writer.node(record.node, &record.endpoint.info().shape, None, Around::default());
    Ok(writer.faults)
}

/// What surrounds a nested object.
#[derive(Clone, Copy, Default)]
struct Around<'a> {
    /// Id of the surrounding row.
    id: &'a str,
    /// When one of the surrounding row's own fields last changed.
    changed_at: Option<Timestamp>,
}

struct Writer<'a> {
    batch: &'a mut Batch,
    observed_at: Timestamp,
    repeats: Option<&'a mut Repeats>,
    faults: Vec<Fault>,
}

impl Writer<'_> {
    /// Adds the rows that an object fills. Returns its id; `None` if it has none that can be a key.
    fn node(&mut self, mut node: Node, shape: &Shape, rule: Option<&Nested>, around: Around<'_>) -> Option<String> {
        let mut ids = Vec::with_capacity(shape.nested.len());
        for (content, nested) in node.nested.iter_mut().zip(shape.nested) {
            // The row needs the id of what it refers to.
            let is_first = nested.sets.is_some();
            ids.push(if is_first { self.reference(std::mem::take(content), nested) } else { Value::Absent });
        }
        let id = clean_text(node.id);
        let id = match shape.model {
            Some(model) => Some(self.checked(model, id)?),
            None if shape.id.is_empty() => None,
            None => Some(self.checked(shape.join.as_ref()?.model, id)?),
        };
        let mut values = node.values;
        let of_join = values.split_off(shape.model.map_or(0, |model| model.columns().len()));
        let mut changed_at = around.changed_at;
        if let (Some(model), Some(id)) = (shape.model, &id) {
            let is_whole = rule.is_none_or(|rule| rule.members == Some(model));
            let mut row = values_of(values, model, is_whole);
            for (value, nested) in ids.into_iter().zip(shape.nested) {
                if let Some(at) = nested.sets.and_then(|place| row.get_mut(place)) {
                    *at = value;
                }
            }
            if let Some(at) = rule.and_then(|rule| rule.parent).and_then(|place| row.get_mut(place))
                && (at.is_null() || at.is_absent() && !is_whole)
            {
                // Anonymised rows may lose this column, but the list still shows their parent.
                *at = Value::Text(around.id.to_owned());
            }
            changed_at = row.len().checked_sub(2).and_then(|place| row.get(place)).and_then(Value::time);
            let provenance = match shape.source {
                Source::Listed => Provenance::Listed,
                Source::Owned => Provenance::Owned,
                Source::Copy => Provenance::Copy,
            };
            if provenance != Provenance::Copy || self.is_new(model, id, &row) {
                self.add(model, provenance, Key::Id(id.clone()), row);
            }
        }
        let inside = Around { id: id.as_deref().unwrap_or(around.id), changed_at };
        let mut targets = Vec::with_capacity(shape.nested.len());
        for (content, nested) in node.nested.into_iter().zip(shape.nested) {
            targets.push(self.content(content, nested, inside));
        }
        if let Some(join) = &shape.join {
            let target = match join.to {
                Some(place) => targets.into_iter().nth(place).flatten(),
                None => id.clone(),
            }?;
            let values = values_of(of_join, join.model, true);
            self.add(join.model, Provenance::Owned, Key::Pair(around.id.to_owned(), target.clone()), values);
            return Some(target);
        }
        id
    }

    /// Adds the rows of something nested. Returns the id of a single object.
    fn content(&mut self, content: Content, nested: &Nested, around: Around<'_>) -> Option<String> {
        let (nodes, mut is_whole) = match content {
            Content::Nodes { nodes, is_whole } => (nodes, is_whole),
            Content::Absent | Content::Null => {
                self.batch.unsaid.extend(nested.members.map(|model| (model, around.id.to_owned())));
                return None;
            }
        };
        let mut keys = Vec::with_capacity(nodes.len());
        for node in nodes {
            match self.node(node, &nested.shape, Some(nested), around) {
                Some(id) => keys.push(id),
                None => is_whole = false,
            }
        }
        if !nested.is_list {
            return keys.pop();
        }
        // If a member could not be read, the list is incomplete: a stored row might be that member.
        if let Some(model) = nested.members.filter(|_| is_whole) {
            let key = |id| match nested.shape.join {
                Some(_) => Key::Pair(around.id.to_owned(), id),
                None => Key::Id(id),
            };
            self.batch.members.push(Members {
                model,
                parent: around.id.to_owned(),
                keys: keys.into_iter().map(key).collect(),
                changed_at: around.changed_at,
                observed_at: self.observed_at,
            });
        }
        None
    }

    /// Adds the rows of a nested object and returns its id as a value of the surrounding row.
    fn reference(&mut self, content: Content, nested: &Nested) -> Value {
        match content {
            Content::Absent => Value::Absent,
            Content::Null => Value::Null,
            nodes @ Content::Nodes { .. } => {
                self.content(nodes, nested, Around::default()).map_or(Value::Absent, Value::Text)
            }
        }
    }

    /// Adds a row. Leaves out the values that no database can store.
    fn add(&mut self, model: Model, provenance: Provenance, key: Key, mut values: Vec<Value>) {
        for (column, value) in model.columns().iter().zip(&mut values) {
            let path = || {
                let path = if provenance == Provenance::Listed { String::new() } else { format!("{model} {key}.") };
                path + column.name
            };
            if let Value::Text(id) = &*value
                && column.kind == ColumnKind::Id
                && id.len() > MAX_ID_BYTES
            {
                self.faults.push(too_long(path(), id));
                *value = Value::Absent;
                continue;
            }
            let (Value::Json(text), Some(limit)) = (&*value, depth_limit(column.kind)) else { continue };
            if is_deeper(text, limit) {
                let reason = format!("JSON of {} levels; at most {limit} can be stored", depth(text));
                self.faults.push(Fault { path: path(), reason });
                *value = Value::Absent;
            } else if column.kind == ColumnKind::Document
                && let Some(moderate) = moderate_numbers(text)
            {
                *value = Value::Json(moderate);
            }
        }
        let row = MirrorRow::new(model, key, values);
        self.batch.rows.push(Incoming { model, row, provenance, observed_at: self.observed_at });
    }

    /// Returns the id of a record. `None`, with a fault, if it cannot be a key.
    fn checked(&mut self, model: Model, id: String) -> Option<String> {
        match no_key(model, &id) {
            Some(fault) => {
                self.faults.push(fault);
                None
            }
            None => Some(id),
        }
    }

    /// Whether a copy of `model`'s row `id` differs from earlier copies.
    fn is_new(&mut self, model: Model, id: &str, values: &[Value]) -> bool {
        self.repeats.as_mut().is_none_or(|repeats| repeats.is_new(model, id, Said(values)))
    }
}

/// The values of a copy, for comparison with those of other copies.
struct Said<'a>(&'a [Value]);

impl Hash for Said<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for value in self.0 {
            std::mem::discriminant(value).hash(state);
            match value {
                Value::Text(text) | Value::Json(text) => text.hash(state),
                Value::Time(time) => time.hash(state),
                Value::Date(date) => date.hash(state),
                Value::Number(number) => number.to_bits().hash(state),
                Value::Integer(number) => number.hash(state),
                Value::Flag(flag) => flag.hash(state),
                Value::Absent | Value::Null | Value::Unreadable => {}
            }
        }
    }
}

/// Returns the values of a row of `model`. A whole row that lacks a key has no value for it.
fn values_of(fields: Vec<Field>, model: Model, is_whole: bool) -> Vec<Value> {
    let absent = || if is_whole { Value::Null } else { Value::Absent };
    let fields = fields.into_iter().map(|field| match field {
        Field::Absent => absent(),
        Field::Null => Value::Null,
        Field::Text(text) => Value::Text(clean_text(text)),
        Field::Time(time) => Value::Time(time),
        Field::Date(date) => Value::Date(date),
        Field::Number(number) => Value::Number(number),
        Field::Integer(number) => Value::Integer(number),
        Field::Flag(flag) => Value::Flag(flag),
        Field::Json(json) => Value::Json(clean_json(json.into_string())),
        // The stored value stays.
        Field::Unread => Value::Absent,
    });
    let mut values: Vec<Value> = fields.collect();
    if !model.info().has_times {
        let times = values.len().saturating_sub(2);
        values.iter_mut().skip(times).for_each(|time| *time = Value::Null);
    }
    values
}

/// Returns the fault of an id of `model` that cannot be a key.
fn no_key(model: Model, id: &str) -> Option<Fault> {
    if id.is_empty() {
        return Some(Fault { path: "id".to_owned(), reason: format!("empty id of {model}") });
    }
    (id.len() > MAX_ID_BYTES).then(|| too_long("id".to_owned(), id))
}

fn too_long(path: String, id: &str) -> Fault {
    Fault { path, reason: format!("an id of {} bytes; at most {MAX_ID_BYTES} can be stored", id.len()) }
}

fn depth_limit(kind: ColumnKind) -> Option<usize> {
    match kind {
        ColumnKind::Document => Some(MAX_DOCUMENT_DEPTH),
        ColumnKind::Opaque => Some(MAX_OPAQUE_DEPTH),
        ColumnKind::Text
        | ColumnKind::Id
        | ColumnKind::Time
        | ColumnKind::Date
        | ColumnKind::Number
        | ColumnKind::Integer
        | ColumnKind::Flag => None,
    }
}
