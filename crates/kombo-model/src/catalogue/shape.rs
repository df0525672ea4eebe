use super::{ColumnKind, Model};

/// What becomes of a JSON object: which keys are read, and which rows they fill.
#[derive(Debug)]
pub struct Shape {
    /// The model of the row that the object fills; `None` if it fills none, or only that of a join.
    pub model: Option<Model>,
    /// How much the row counts.
    pub source: Source,
    /// The key with the object's id; empty if it has none.
    pub id: &'static str,
    /// The join row that the object fills, as an element of a list.
    pub join: Option<Join>,
    /// Number of values: one for each column of `model`, then one for each column of the join's model.
    pub width: usize,
    /// The keys to read. Unknown keys are skipped.
    pub slots: &'static [Slot],
    /// The nested objects and lists.
    pub nested: &'static [Nested],
}

/// How much a row counts that an object fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The object is a record of the endpoint's own list.
    Listed,
    /// Only this endpoint shows the row, and shows it in full.
    Owned,
    /// The object is a partial copy of a row that another endpoint lists.
    Copy,
}

/// A key of an object.
#[derive(Debug)]
pub struct Slot {
    /// The key in JSON.
    pub key: &'static str,
    /// What its value is.
    pub to: SlotTo,
}

/// What the value of a key is.
#[derive(Debug, Clone, Copy)]
pub enum SlotTo {
    /// The object's id.
    Id,
    /// The value of a column.
    Value {
        /// Place among the values of the object.
        place: usize,
        /// Kind of the column.
        kind: ColumnKind,
    },
    /// Something in [`Shape::nested`].
    Nested(usize),
}

/// A nested object or list.
#[derive(Debug)]
pub struct Nested {
    /// The key in JSON.
    pub field: &'static str,
    /// Whether it is a list.
    pub is_list: bool,
    /// The model of the members, if the list is complete: a row of the same parent that it does not show is gone.
    pub members: Option<Model>,
    /// Shape of the object, or of each element.
    pub shape: Shape,
    /// The column of the surrounding row that holds the nested object's id, if the row has no key for it.
    pub sets: Option<usize>,
    /// The column of the surrounding row that holds the nested object's id, whether the row has a key for it or not.
    pub refers: Option<usize>,
    /// The column of the nested row that holds the surrounding object's id.
    pub parent: Option<usize>,
}

/// The row of a join table that an element of a list fills: its key is the surrounding object's id and the target's.
#[derive(Debug)]
pub struct Join {
    /// The model of the join table.
    pub model: Model,
    /// The target: something in [`Shape::nested`], or the element itself.
    pub to: Option<usize>,
}
