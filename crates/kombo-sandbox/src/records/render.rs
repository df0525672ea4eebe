//! Renders rows as JSON, as the catalogue describes them.

use chrono::TimeDelta;
use kombo_model::Endpoint;
use kombo_model::catalogue::{Model, Nested, Shape, SlotTo, Source};
use serde_json::{Map, Value, json};

use super::{Record, Records, is_join, own_columns, target, words};
use crate::{Behaviour, Id, NestedReading, Stamp, TruthRow};

/// The context of rendering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renderer<'a> {
    pub(crate) records: &'a Records,
    pub(crate) behaviour: &'a Behaviour,
    pub(crate) now: Stamp,
    /// Whether deleted members of lists are shown.
    pub(crate) include_deleted: bool,
}

/// A row, or a container without a row of its own that stands for one.
#[derive(Clone, Copy)]
struct Around<'a> {
    model: Model,
    id: Id,
    row: &'a Record,
}

impl<'a> Renderer<'a> {
    /// Renders a record of an endpoint.
    pub(crate) fn record(self, endpoint: Endpoint, id: Id, row: &'a Record) -> Map<String, Value> {
        let mut record = self.node(&endpoint.info().shape, Around { model: endpoint.lists(), id, row }, None);
        for (key, value) in words::left_out(endpoint) {
            record.insert((*key).to_owned(), value());
        }
        record
    }

    fn node(self, shape: &'static Shape, of: Around<'a>, join: Option<&Map<String, Value>>) -> Map<String, Value> {
        let mut object = Map::new();
        let width = shape.model.map_or(0, |model| model.columns().len());
        for slot in shape.slots {
            let value = match slot.to {
                SlotTo::Id => Value::from(of.id.as_str()),
                SlotTo::Value { place, .. } if place >= width => {
                    join.and_then(|row| row.get(slot.key)).cloned().unwrap_or_default()
                }
                SlotTo::Value { place, .. } if is_hidden(shape, place) => continue,
                SlotTo::Value { .. } => self.value(of, slot.key),
                SlotTo::Nested(place) => match shape.nested.get(place) {
                    Some(nested) => self.nested(nested, of),
                    None => Value::Null,
                },
            };
            if shape.source != Source::Copy || !self.behaviour.omit_nested.iter().any(|omitted| omitted == slot.key) {
                object.insert(slot.key.to_owned(), value);
            }
        }
        object
    }

    /// Renders a copy.
    fn copy(
        self,
        nested: &'static Nested,
        around: Model,
        of: Around<'a>,
        join: Option<&Map<String, Value>>,
    ) -> Map<String, Value> {
        let mut object = self.node(&nested.shape, of, join);
        for key in words::more_in_copies(around, nested.field) {
            object.entry((*key).to_owned()).or_insert_with(|| self.value(of, key));
        }
        object
    }

    fn value(self, of: Around<'a>, column: &str) -> Value {
        match column {
            "changed_at" => json!(of.row.changed_at),
            "remote_deleted_at" => json!(of.row.deleted_at),
            _ if self.is_anonymised(of.row)
                && (self.behaviour.anonymise_hard || !words::is_required(of.model, column)) =>
            {
                if column == "integration_fields" { json!([]) } else { Value::Null }
            }
            _ => of.row.values.get(column).cloned().unwrap_or_default(),
        }
    }

    fn is_anonymised(self, row: &Record) -> bool {
        let days = self.behaviour.anonymise_after_days.map(|days| TimeDelta::days(days.into()));
        row.anonymised || row.deleted_at.zip(days).is_some_and(|(at, days)| at.plus(days) <= self.now)
    }

    fn nested(self, nested: &'static Nested, around: Around<'a>) -> Value {
        if nested.is_list {
            return self
                .members(nested, around)
                .map(|(of, join)| self.element(nested, around.model, of, join))
                .collect();
        }
        match self.linked(nested, around) {
            Some(of) => Value::Object(self.copy(nested, around.model, of, None)),
            None => Value::Null,
        }
    }

    /// Renders an element of a list. The target of a join is the element, or nested in it.
    fn element(
        self,
        nested: &'static Nested,
        around: Model,
        of: Around<'a>,
        join: Option<&'a Map<String, Value>>,
    ) -> Value {
        let mut object = self.copy(nested, around, of, join);
        let to = nested.shape.join.as_ref().and_then(|join| join.to).and_then(|to| nested.shape.nested.get(to));
        if let Some(to) = to {
            object.insert(to.field.to_owned(), Value::Object(self.node(&to.shape, of, None)));
        }
        Value::Object(object)
    }

    /// Returns the row of a nested object.
    fn linked(self, nested: &'static Nested, around: Around<'a>) -> Option<Around<'a>> {
        let by_name = format!("{}_id", nested.field);
        let column = match nested.refers {
            Some(place) => around.model.columns().get(place)?.name,
            None => own_columns(around.model).iter().map(|column| column.name).find(|name| *name == by_name)?,
        };
        let is_kept = words::is_required(around.model, column) && !self.behaviour.anonymise_hard;
        if self.is_anonymised(around.row) && !is_kept {
            return None;
        }
        let (model, id) = (target(around.model, column)?, around.row.id_in(column)?);
        Some(Around { model, id, row: self.records.row(model, id)? })
    }

    /// Returns the rows of a nested list, with their rows in a join table.
    fn members(
        self,
        nested: &'static Nested,
        around: Around<'a>,
    ) -> impl Iterator<Item = (Around<'a>, Option<&'a Map<String, Value>>)> {
        let joined = joined(nested, around.model);
        let of_join = joined.into_iter().flat_map(move |(join, model)| {
            self.records.joins_of(join, around.id).filter_map(move |(id, row)| {
                // A target without a row is known by its id alone.
                let known = model.and_then(|model| Some(Around { model, id, row: self.records.row(model, id)? }));
                let alone = model.is_none().then_some(Around { id, ..around });
                Some((known.or(alone)?, Some(row)))
            })
        });
        let model = nested.shape.model.filter(|_| joined.is_none());
        let parent =
            model.zip(nested.parent).and_then(|(model, place)| Some((model, model.columns().get(place)?.name)));
        let of_parent = parent.into_iter().flat_map(move |(model, column)| {
            let rows = self.records.rows(model).iter();
            rows.filter(move |(_, row)| row.id_in(column) == Some(around.id))
                .map(move |(id, row)| (Around { model, id: *id, row }, None))
        });
        let include_deleted = self.include_deleted;
        of_join.chain(of_parent).filter(move |(of, _)| include_deleted || of.row.deleted_at.is_none())
    }

    /// Returns the time that `updated_after` compares: that of the record, or of something nested that the reading of
    /// the documentation counts.
    pub(crate) fn moved(self, endpoint: Endpoint, id: Id, row: &'a Record) -> Stamp {
        self.moved_below(&endpoint.info().shape, endpoint, Around { model: endpoint.lists(), id, row })
    }

    fn moved_below(self, shape: &'static Shape, endpoint: Endpoint, of: Around<'a>) -> Stamp {
        let counts = |model: Model| self.behaviour.nested == NestedReading::Guide || !model.blind_in_delta(endpoint);
        let mut moved = of.row.changed_at;
        for nested in shape.nested {
            let members = joined(nested, of.model).map(|(join, _)| join).or(nested.shape.model);
            if nested.is_list && members.is_some_and(counts) {
                moved = moved.max(of.row.members_changed_at);
            }
            let linked: Vec<Around<'a>> = if nested.is_list {
                Self { include_deleted: true, ..self }.members(nested, of).map(|(of, _)| of).collect()
            } else {
                self.linked(nested, of).into_iter().collect()
            };
            for of in linked {
                let to = nested.shape.join.as_ref().and_then(|join| join.to).and_then(|to| nested.shape.nested.get(to));
                let shape = to.map_or(&nested.shape, |to| &to.shape);
                // A container has no row of its own.
                if shape.model.is_none() || counts(of.model) {
                    moved = moved.max(self.moved_below(shape, endpoint, of));
                }
            }
        }
        moved
    }

    /// Returns the rows of a correct mirror.
    pub(crate) fn truth(self, model: Model) -> Vec<TruthRow> {
        if is_join(model) {
            let [first, second] = model.key_columns() else { return Vec::new() };
            let rows = self.records.joins(model).iter();
            return rows
                .map(|((parent, target), row)| {
                    let mut row = row.clone();
                    row.insert((*first).to_owned(), parent.as_str().into());
                    row.insert((*second).to_owned(), target.as_str().into());
                    row
                })
                .collect();
        }
        let rows = self.records.rows(model).iter();
        rows.map(|(id, row)| {
            let of = Around { model, id: *id, row };
            let mut truth = Map::from_iter([("id".to_owned(), Value::from(id.as_str()))]);
            truth.extend(model.columns().iter().map(|column| (column.name.to_owned(), self.value(of, column.name))));
            truth
        })
        .collect()
    }
}

/// Whether records have no key for a column, because a nested record or the list that they stand in shows its value.
fn is_hidden(shape: &Shape, place: usize) -> bool {
    let is_parent = |column: &str| shape.model.is_some_and(|model| model.parent_column() == Some(column));
    let column = shape.model.and_then(|model| model.columns().get(place)).map_or("", |column| column.name);
    shape.nested.iter().any(|nested| nested.sets == Some(place)) || shape.source == Source::Owned && is_parent(column)
}

/// Returns the join table of a nested list and the model of its targets; `None` for a target without a row.
fn joined(nested: &'static Nested, around: Model) -> Option<(Model, Option<Model>)> {
    if !nested.is_list {
        return None;
    }
    let join = match &nested.shape.join {
        Some(join) => join.model,
        // A copy shows a list of its record.
        None if nested.parent.is_none() => around.category().models().find(|model| {
            is_join(*model) && model.parent() == Some(around) && target_of_join(*model) == nested.shape.model
        })?,
        None => return None,
    };
    Some((join, target_of_join(join)))
}

pub(super) fn target_of_join(join: Model) -> Option<Model> {
    join.key_columns().get(1).and_then(|column| target(join, column))
}
