//! Rows of the categories whose data follows from the catalogue: HRIS and ATS.

mod change;
mod generate;
mod render;
mod words;

use std::collections::BTreeMap;

use kombo_model::catalogue::{Column, Model, Nested, Shape};
use serde_json::{Map, Value};

pub(crate) use change::{apply, choose};
pub(crate) use generate::{generate, row};
pub(crate) use render::Renderer;

use crate::{Id, Stamp};

/// A row with Kombo's own times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// The columns, without the two times of all models.
    pub(crate) values: Map<String, Value>,
    pub(crate) changed_at: Stamp,
    /// When a member was last added to one of its lists, or removed.
    pub(crate) members_changed_at: Stamp,
    pub(crate) deleted_at: Option<Stamp>,
    pub(crate) anonymised: bool,
}

impl Record {
    /// Returns the id in a column.
    pub(crate) fn id_in(&self, column: &str) -> Option<Id> {
        self.values.get(column)?.as_str()?.parse().ok()
    }
}

/// The rows of a join table, by the ids of parent and target.
type Joins = BTreeMap<(Id, Id), Map<String, Value>>;

/// All rows of one integration. Tables are sorted by id, as those of LMS.
#[derive(Clone, Debug, Default)]
pub struct Records {
    rows: BTreeMap<Model, BTreeMap<Id, Record>>,
    joins: BTreeMap<Model, Joins>,
}

static NO_ROWS: BTreeMap<Id, Record> = BTreeMap::new();
static NO_JOINS: Joins = BTreeMap::new();

impl Records {
    pub(crate) fn rows(&self, model: Model) -> &BTreeMap<Id, Record> {
        self.rows.get(&model).unwrap_or(&NO_ROWS)
    }

    pub(crate) fn row(&self, model: Model, id: Id) -> Option<&Record> {
        self.rows(model).get(&id)
    }

    fn rows_mut(&mut self, model: Model) -> &mut BTreeMap<Id, Record> {
        self.rows.entry(model).or_default()
    }

    /// Returns the rows of a join table: parent, target, and columns of its own.
    pub(crate) fn joins(&self, model: Model) -> &Joins {
        self.joins.get(&model).unwrap_or(&NO_JOINS)
    }

    fn joins_mut(&mut self, model: Model) -> &mut Joins {
        self.joins.entry(model).or_default()
    }

    /// Returns the joins of one parent.
    fn joins_of(&self, model: Model, parent: Id) -> impl Iterator<Item = (Id, &Map<String, Value>)> {
        self.joins(model).iter().filter(move |((one, _), _)| *one == parent).map(|((_, other), row)| (*other, row))
    }

    /// Returns the number of rows.
    pub(crate) fn count(&self, model: Model) -> usize {
        if is_join(model) { self.joins(model).len() } else { self.rows(model).len() }
    }

    /// Sets the time at which the lists of these parents changed.
    fn touch(&mut self, parents: Vec<(Model, Id)>, at: Stamp) {
        for (model, id) in parents {
            if let Some(row) = self.rows_mut(model).get_mut(&id) {
                row.members_changed_at = at;
            }
        }
    }
}

/// Returns the rows in whose lists a row of `model` stands.
fn parents(model: Model, row: &Record) -> Vec<(Model, Id)> {
    let mut parents = Vec::new();
    for (around, nested) in places(model) {
        if let Some(column) = nested.parent.and_then(|place| model.columns().get(place))
            && let Some(id) = row.id_in(column.name)
        {
            parents.push((around, id));
        }
    }
    parents
}

/// Whether the rows of a model have no id.
pub(crate) fn is_join(model: Model) -> bool {
    model.key_columns().len() == 2
}

/// The columns of a model without the two times of all models.
pub(crate) fn own_columns(model: Model) -> &'static [Column] {
    let columns = model.columns();
    columns.get(..columns.len().saturating_sub(2)).unwrap_or_default()
}

/// Returns where rows of `model` are nested: the surrounding model and the rule.
fn places(model: Model) -> Vec<(Model, &'static Nested)> {
    fn search(shape: &'static Shape, model: Model, found: &mut Vec<(Model, &'static Nested)>) {
        for nested in shape.nested {
            if nested.shape.model == Some(model)
                && let Some(around) = shape.model
            {
                found.push((around, nested));
            }
            search(&nested.shape, model, found);
        }
    }
    let mut found = Vec::new();
    for endpoint in model.category().endpoints() {
        search(&endpoint.info().shape, model, &mut found);
    }
    found
}

/// Returns the model whose ids a column of `model` holds.
pub(crate) fn target(model: Model, column: &str) -> Option<Model> {
    words::target(model.category(), column)
}
