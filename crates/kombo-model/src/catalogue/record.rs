use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ColumnKind, Endpoint, Shape, Slot, SlotTo};
use crate::{Date, Fault, FreeJson, InPart, Timestamp, number};

/// A record of any endpoint, read as the catalogue describes it.
///
/// ```
/// use kombo_model::catalogue::{Endpoint, Field, Record};
///
/// let record = Record::read(Endpoint::LmsUsers, r#"{"id": "u", "first_name": "Ada", "last_name": null}"#)?;
/// assert_eq!(record.id(), "u");
/// assert_eq!(record.field("first_name"), Some(&Field::Text("Ada".to_owned())));
/// assert_eq!(record.field("work_email"), Some(&Field::Absent));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The endpoint that lists the record.
    pub endpoint: Endpoint,
    /// The content.
    pub node: Node,
}

/// The content of a JSON object, with a value for each place of its [`Shape`].
#[derive(Clone, PartialEq, Default)]
pub struct Node {
    /// The id; empty if the shape has none.
    pub id: String,
    /// The values, in the order of the columns.
    pub values: Vec<Field>,
    /// What is nested, in the order of [`Shape::nested`].
    pub nested: Vec<Content>,
}

/// The value of a key.
#[derive(Clone, PartialEq, Default)]
pub enum Field {
    /// The object has no such key.
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
    Json(FreeJson),
    /// The value is present but could not be read.
    Unread,
}

/// What stands at a key for nested records.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Content {
    /// The object has no such key.
    #[default]
    Absent,
    /// Null.
    Null,
    /// One object or a list.
    Nodes {
        /// The objects that could be read.
        nodes: Vec<Node>,
        /// Whether all of them could be read.
        is_whole: bool,
    },
}

impl Record {
    /// Reads a record from JSON.
    ///
    /// # Errors
    /// Some key does not hold what the catalogue says, or the id is missing.
    pub fn read(endpoint: Endpoint, json: &str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(json);
        let record = Self::deserialize(endpoint, &mut json)?;
        json.end()?;
        Ok(record)
    }

    /// Reads the readable parts of a record from JSON, as [`ReadInPart`](crate::ReadInPart) describes.
    ///
    /// # Errors
    /// The fault that prevents any reading.
    pub fn read_in_part(endpoint: Endpoint, json: &str) -> Result<InPart<Self>, Fault> {
        let read = super::record_in_part::read(&endpoint.info().shape, json)?;
        Ok(InPart { record: Self { endpoint, node: read.record }, faults: read.faults })
    }

    /// Reads a record of `endpoint`. The deserializer must be one of `serde_json` for borrowed text.
    pub fn deserialize<'de, D: Deserializer<'de>>(endpoint: Endpoint, deserializer: D) -> Result<Self, D::Error> {
        let node = NodeSeed(&endpoint.info().shape).deserialize(deserializer)?;
        Ok(Self { endpoint, node })
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.node.id
    }

    /// Returns the value of a column.
    pub fn field(&self, column: &str) -> Option<&Field> {
        let place = self.endpoint.lists().columns().iter().position(|it| it.name == column)?;
        self.node.values.get(place)
    }

    /// Returns when one of the record's own fields last changed.
    pub fn changed_at(&self) -> Option<Timestamp> {
        match self.field("changed_at") {
            Some(Field::Time(time)) => Some(*time),
            _ => None,
        }
    }
}

impl Node {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut node = Self { id: String::new(), values: Vec::new(), nested: Vec::new() };
        node.values.resize_with(shape.width, Field::default);
        node.nested.resize_with(shape.nested.len(), Content::default);
        node
    }

    /// Returns the key of the target of a join, if the object lacks it.
    pub(super) fn lacks(&self, shape: &Shape) -> Option<&'static str> {
        let place = shape.join.as_ref()?.to?;
        let is_lacking = matches!(self.nested.get(place), Some(Content::Absent | Content::Null));
        shape.nested.get(place).filter(|_| is_lacking).map(|nested| nested.field)
    }
}

/// Shows only the id: the rest is a customer's data.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Shows only the kind: the value is a customer's data.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Null => "Null",
            Self::Text(_) => "Text(…)",
            Self::Time(_) => "Time(…)",
            Self::Date(_) => "Date(…)",
            Self::Number(_) => "Number(…)",
            Self::Integer(_) => "Integer(…)",
            Self::Flag(_) => "Flag(…)",
            Self::Json(_) => "Json(…)",
            Self::Unread => "Unread",
        })
    }
}

/// Reads one object.
struct NodeSeed(&'static Shape);

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let shape = self.0;
        let mut node = Node::new(shape);
        let mut has_id = shape.id.is_empty();
        let mut next = 0;
        while let Some(found) = map.next_key_seed(KeySeed { slots: shape.slots, next })? {
            let Some(place) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            next = place + 1;
            let Some(slot) = shape.slots.get(place) else { continue };
            match slot.to {
                SlotTo::Id => {
                    node.id = map.next_value()?;
                    has_id = true;
                }
                SlotTo::Value { place, kind } => {
                    let value = map.next_value_seed(FieldSeed(kind))?;
                    if let Some(field) = node.values.get_mut(place) {
                        *field = value;
                    }
                }
                SlotTo::Nested(place) => {
                    let Some(nested) = shape.nested.get(place) else { continue };
                    let content = map.next_value_seed(ContentSeed { shape: &nested.shape, is_list: nested.is_list })?;
                    if let Some(at) = node.nested.get_mut(place) {
                        *at = content;
                    }
                }
            }
        }
        match (has_id, node.lacks(shape)) {
            (false, _) => Err(A::Error::missing_field("id")),
            (true, Some(target)) => Err(A::Error::missing_field(target)),
            (true, None) => Ok(node),
        }
    }
}

/// Finds a key among the slots, beginning with the one after the last key: Kombo writes keys in a fixed order.
struct KeySeed {
    slots: &'static [Slot],
    next: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        let (before, after) = self.slots.split_at(self.next.min(self.slots.len()));
        let find = |slots: &[Slot]| slots.iter().position(|slot| slot.key == key);
        Ok(find(after).map(|place| place + before.len()).or_else(|| find(before)))
    }
}

/// Reads a list or one object.
struct ContentSeed {
    shape: &'static Shape,
    is_list: bool,
}

impl<'de> DeserializeSeed<'de> for ContentSeed {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_list { "a list" } else { "an object" })
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        let nodes = if self.is_list {
            deserializer.deserialize_seq(ListVisitor(self.shape))?
        } else {
            vec![NodeSeed(self.shape).deserialize(deserializer)?]
        };
        Ok(Content::Nodes { nodes, is_whole: true })
    }
}

struct ListVisitor(&'static Shape);

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Node>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element_seed(NodeSeed(self.0))? {
            nodes.push(node);
        }
        Ok(nodes)
    }
}

/// Reads the value of a column.
struct FieldSeed(ColumnKind);

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field, D::Error> {
        use serde::Deserialize;
        fn or_null<T>(value: Option<T>, field: impl FnOnce(T) -> Field) -> Field {
            value.map_or(Field::Null, field)
        }
        Ok(match self.0 {
            ColumnKind::Text | ColumnKind::Id => or_null(Option::deserialize(deserializer)?, Field::Text),
            ColumnKind::Time => or_null(Option::deserialize(deserializer)?, Field::Time),
            ColumnKind::Date => or_null(Option::deserialize(deserializer)?, Field::Date),
            ColumnKind::Flag => or_null(Option::deserialize(deserializer)?, Field::Flag),
            ColumnKind::Document | ColumnKind::Opaque => or_null(Option::deserialize(deserializer)?, Field::Json),
            ColumnKind::Integer => match Option::<&RawValue>::deserialize(deserializer)? {
                None => Field::Null,
                Some(json) => Field::Integer(number::integer(json.get()).map_err(D::Error::custom)?),
            },
            ColumnKind::Number => match Option::<&RawValue>::deserialize(deserializer)? {
                None => Field::Null,
                Some(json) => Field::Number(number::double(json.get()).map_err(D::Error::custom)?),
            },
        })
    }
}
