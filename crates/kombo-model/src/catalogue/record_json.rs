use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Content, Field, Node, Record, Shape, SlotTo};

/// Writes the keys that the catalogue knows. What could not be read is left out.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written { node: &self.node, shape: &self.endpoint.info().shape }.serialize(serializer)
    }
}

struct Written<'a> {
    node: &'a Node,
    shape: &'static Shape,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for slot in self.shape.slots {
            match slot.to {
                SlotTo::Id => map.serialize_entry(slot.key, &self.node.id)?,
                SlotTo::Value { place, .. } => match self.node.values.get(place) {
                    None | Some(Field::Absent | Field::Unread) => {}
                    Some(field) => map.serialize_entry(slot.key, field)?,
                },
                SlotTo::Nested(place) => match (self.node.nested.get(place), self.shape.nested.get(place)) {
                    (Some(Content::Null), _) => map.serialize_entry(slot.key, &())?,
                    (Some(Content::Nodes { nodes, .. }), Some(nested)) => {
                        let mut written = nodes.iter().map(|node| Written { node, shape: &nested.shape });
                        if nested.is_list {
                            map.serialize_entry(slot.key, &written.collect::<Vec<_>>())?;
                        } else if let Some(written) = written.next() {
                            map.serialize_entry(slot.key, &written)?;
                        }
                    }
                    (Some(Content::Absent) | None, _) | (_, None) => {}
                },
            }
        }
        map.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null | Self::Unread => serializer.serialize_none(),
            Self::Text(text) => text.serialize(serializer),
            Self::Time(time) => time.serialize(serializer),
            Self::Date(date) => date.serialize(serializer),
            Self::Number(number) => number.serialize(serializer),
            Self::Integer(number) => number.serialize(serializer),
            Self::Flag(flag) => flag.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
        }
    }
}
