//! Reads the readable parts of a record.

use serde_json::value::RawValue;

use super::{ColumnKind, Content, Field, Nested, Node, Shape, SlotTo};
use crate::in_part::{Part, Reader};
use crate::{Date, Fault, FreeJson, InPart, Timestamp, number};

pub(super) fn read(shape: &Shape, json: &str) -> Result<InPart<Node>, Fault> {
    Reader::record_with(json, |json, reader| node(shape, json, reader))
}

/// Reads an object; `None` after a fault.
fn node(shape: &Shape, json: &RawValue, reader: &mut Reader) -> Option<Node> {
    let object = reader.object(json)?;
    let mut node = Node::new(shape);
    if !shape.id.is_empty() {
        let json = object.get(shape.id);
        node.id = reader.at(shape.id, |reader| match json {
            Some(json) => reader.text_or_number(json),
            None => reader.fault("missing"),
        })?;
    }
    for slot in shape.slots {
        let Some(json) = object.get(slot.key) else { continue };
        reader.at(slot.key, |reader| match slot.to {
            SlotTo::Id => {}
            SlotTo::Value { place, kind } => {
                if let Some(at) = node.values.get_mut(place) {
                    *at = field(kind, json, reader);
                }
            }
            SlotTo::Nested(place) => {
                if let (Some(nested), Some(at)) = (shape.nested.get(place), node.nested.get_mut(place)) {
                    *at = content(nested, json, reader);
                }
            }
        });
    }
    match node.lacks(shape) {
        Some(target) => reader.at(target, |reader| reader.fault("missing")),
        None => Some(node),
    }
}

fn is_null(json: &RawValue) -> bool {
    json.get() == "null"
}

fn content(nested: &Nested, json: &RawValue, reader: &mut Reader) -> Content {
    if is_null(json) {
        return Content::Null;
    }
    if !nested.is_list {
        let node = node(&nested.shape, json, reader);
        let is_whole = node.is_some();
        return Content::Nodes { nodes: node.into_iter().collect(), is_whole };
    }
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(json.get()) else {
        reader.unexpected::<()>("a list", json);
        return Content::Absent;
    };
    let count = elements.len();
    let nodes = elements.into_iter().enumerate();
    let nodes = nodes.filter_map(|(place, json)| reader.at_place(place, |reader| node(&nested.shape, json, reader)));
    let nodes: Vec<Node> = nodes.collect();
    let is_whole = nodes.len() == count;
    Content::Nodes { nodes, is_whole }
}

fn field(kind: ColumnKind, json: &RawValue, reader: &mut Reader) -> Field {
    if is_null(json) {
        return Field::Null;
    }
    let field = match kind {
        ColumnKind::Text => reader.text(json).map(Field::Text),
        ColumnKind::Id => reader.text_or_number(json).map(Field::Text),
        ColumnKind::Time => Timestamp::read(json, reader).map(Field::Time),
        ColumnKind::Document | ColumnKind::Opaque => <FreeJson as Part>::read(json, reader).map(Field::Json),
        ColumnKind::Date => match serde_json::from_str::<Date>(json.get()) {
            Ok(date) => Some(Field::Date(date)),
            Err(_) => reader.fault("not a date such as 2022-08-07"),
        },
        ColumnKind::Flag => match json.get() {
            "true" => Some(Field::Flag(true)),
            "false" => Some(Field::Flag(false)),
            _ => reader.unexpected("true or false", json),
        },
        ColumnKind::Integer => of_number(number::integer(json.get()), json, reader).map(Field::Integer),
        ColumnKind::Number => of_number(number::double(json.get()), json, reader).map(Field::Number),
    };
    field.unwrap_or(Field::Unread)
}

fn of_number<T>(read: Result<T, number::NotHeld>, json: &RawValue, reader: &mut Reader) -> Option<T> {
    match read {
        Ok(number) => Some(number),
        Err(number::NotHeld::NoNumber) => reader.unexpected("a number", json),
        Err(not_held) => reader.fault(&not_held.to_string()),
    }
}
