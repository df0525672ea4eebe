//! Changes to the rows of HRIS and ATS.

use std::collections::BTreeSet;

use kombo_model::Category;
use kombo_model::catalogue::{self, ColumnKind};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value};

use super::render::target_of_join;
use super::words::{self, Words};
use super::{Records, is_join, own_columns, parents, row, target};
use crate::generate::Dice;
use crate::mutation::{Mutation, impossible, missing};
use crate::{GeneratorConfig, Id, Model, SandboxError, Stamp};

type Changed = BTreeSet<Model>;

/// Applies a mutation to rows of `model` at time `at`, and returns the changed models.
pub(crate) fn apply(
    records: &mut Records,
    model: catalogue::Model,
    mutation: &Mutation,
    at: Stamp,
) -> Result<Changed, SandboxError> {
    let named = Model::of(model);
    let has = |records: &Records, id: &Id| records.rows(model).contains_key(id);
    if is_join(model) != matches!(mutation, Mutation::Link { .. } | Mutation::Unlink { .. }) {
        return Err(impossible("do this to", named));
    }
    match mutation {
        Mutation::Add { id, seed, set, .. } | Mutation::Recreate { id, seed, set, .. } => {
            if matches!(mutation, Mutation::Add { .. }) && has(records, id) {
                return Err(SandboxError::RecordExists { model: named, id: *id });
            }
            let config = GeneratorConfig { until: at, deleted_rate: 0.0, ..GeneratorConfig::default() };
            let mut new = row(&mut Dice::new(&config, *seed), records, model);
            set_all(&mut new.values, model, set)?;
            (new.changed_at, new.members_changed_at) = (at, at);
            records.rows_mut(model).insert(*id, new);
            touch_parents(records, model, *id, at);
        }
        Mutation::Update { id, set, .. } | Mutation::SilentUpdate { id, set, .. } => {
            let is_silent = matches!(mutation, Mutation::SilentUpdate { .. });
            if !is_silent {
                touch_parents(records, model, *id, at);
            }
            let changed = records.rows_mut(model).get_mut(id).ok_or_else(|| missing(named, *id))?;
            set_all(&mut changed.values, model, set)?;
            if is_silent {
                return Ok(Changed::new());
            }
            changed.changed_at = at;
            touch_parents(records, model, *id, at);
        }
        Mutation::Delete { id, .. } | Mutation::Restore { id, .. } => {
            if !model.info().has_times {
                return Err(impossible("delete or restore (they have no tombstone)", named));
            }
            let deleted_at = matches!(mutation, Mutation::Delete { .. }).then_some(at);
            let changed = records.rows_mut(model).get_mut(id).ok_or_else(|| missing(named, *id))?;
            (changed.deleted_at, changed.changed_at) = (deleted_at, at);
            changed.anonymised &= deleted_at.is_some();
            touch_parents(records, model, *id, at);
        }
        Mutation::Purge { id, .. } => {
            if !has(records, id) {
                return Err(missing(named, *id));
            }
            touch_parents(records, model, *id, at);
            records.rows_mut(model).remove(id);
            let mut changed = purge_dependents(records, model, *id, named);
            forget(records, model, *id, at, &mut changed);
            return Ok(changed);
        }
        Mutation::Anonymise { id, .. } => {
            records.rows_mut(model).get_mut(id).ok_or_else(|| missing(named, *id))?.anonymised = true;
            return Ok(Changed::new());
        }
        Mutation::Link { parent, id, set, .. } => {
            let mut values: Map<String, Value> =
                own_columns(model).iter().map(|column| (column.name.to_owned(), Value::Null)).collect();
            for column in own_columns(model).iter().filter(|column| column.kind == ColumnKind::Document) {
                values.insert(column.name.to_owned(), words::document(model.as_str(), column.name, 1));
            }
            set_all(&mut values, model, set)?;
            records.joins_mut(model).insert((*parent, *id), values);
            records.touch(model.parent().map(|around| (around, *parent)).into_iter().collect(), at);
        }
        Mutation::Unlink { parent, id, .. } => {
            if records.joins_mut(model).remove(&(*parent, *id)).is_none() {
                return Err(missing(named, *id));
            }
            records.touch(model.parent().map(|around| (around, *parent)).into_iter().collect(), at);
        }
        Mutation::AssignSkill { .. } | Mutation::UnassignSkill { .. } => return Err(impossible("assign", named)),
    }
    Ok(Changed::from([named]))
}

fn set_all(
    values: &mut Map<String, Value>,
    model: catalogue::Model,
    set: &Map<String, Value>,
) -> Result<(), SandboxError> {
    for (field, value) in set {
        if !own_columns(model).iter().any(|column| column.name == field) {
            let (model, field) = (Model::of(model), field.clone());
            return Err(SandboxError::BadField { model, field, value: value.to_string() });
        }
    }
    values.extend(set.clone());
    Ok(())
}

fn touch_parents(records: &mut Records, model: catalogue::Model, id: Id, at: Stamp) {
    let parents = records.row(model, id).map(|row| parents(model, row)).unwrap_or_default();
    records.touch(parents, at);
}

/// Removes the joins with a row, and the rows that are known only as members of its lists.
fn purge_dependents(records: &mut Records, model: catalogue::Model, id: Id, named: Model) -> Changed {
    let mut changed = Changed::from([named]);
    for join in model.category().models().filter(|it| is_join(*it)) {
        let (of_parent, of_target) = (join.parent() == Some(model), target_of_join(join) == Some(model));
        let before = records.joins(join).len();
        records
            .joins_mut(join)
            .retain(|(parent, target), _| !(of_parent && *parent == id || of_target && *target == id));
        if records.joins(join).len() != before {
            changed.insert(Model::of(join));
        }
    }
    for dependent in model.category().models().filter(|it| !is_join(*it)) {
        for column in words::required_references(dependent, model) {
            let before = records.rows(dependent).len();
            records.rows_mut(dependent).retain(|_, row| row.id_in(column) != Some(id));
            if records.rows(dependent).len() != before {
                changed.insert(Model::of(dependent));
            }
        }
    }
    for member in model.members().iter().copied().filter(|member| !is_join(*member)) {
        let column = member.parent_column().unwrap_or_default();
        records.rows_mut(member).retain(|_, row| row.id_in(column) != Some(id));
        changed.insert(Model::of(member));
    }
    changed
}

/// Sets references to a purged row to null.
fn forget(records: &mut Records, model: catalogue::Model, id: Id, at: Stamp, changed: &mut Changed) {
    for other in model.category().models().filter(|it| !is_join(*it)) {
        for column in own_columns(other).iter().filter(|column| target(other, column.name) == Some(model)) {
            for row in records.rows_mut(other).values_mut().filter(|row| row.id_in(column.name) == Some(id)) {
                row.values.insert(column.name.to_owned(), Value::Null);
                row.changed_at = at;
                changed.insert(Model::of(other));
            }
        }
    }
}

/// Chooses a random mutation; `None` if there are no rows.
pub(crate) fn choose(records: &Records, category: Category, seed: u64) -> Option<Mutation> {
    let mut rng = StdRng::seed_from_u64(seed);
    let models: Vec<catalogue::Model> = category.models().filter(|model| records.count(*model) > 0).collect();
    let model = *models.get(rng.random_range(0..models.len().max(1)))?;
    let named = Model::of(model);
    if is_join(model) {
        let known = records.joins(model).keys().copied().nth(rng.random_range(0..records.count(model)))?;
        if rng.random_bool(0.5) {
            return Some(Mutation::Unlink { model: named, parent: known.0, id: known.1 });
        }
        let parents = records.rows(model.parent()?);
        let parent = parents.keys().copied().nth(rng.random_range(0..parents.len().max(1)))?;
        return Some(Mutation::Link { model: named, parent, id: known.1, set: Map::new() });
    }
    let id = records.rows(model).keys().copied().nth(rng.random_range(0..records.count(model)))?;
    let has_times = model.info().has_times;
    Some(match rng.random_range(0..40) {
        0..4 => Mutation::Add { model: named, id: Id::random(&mut rng), seed, set: Map::new() },
        4..8 if has_times => Mutation::Delete { model: named, id },
        8..12 if has_times => Mutation::Restore { model: named, id },
        12 => Mutation::Purge { model: named, id },
        _ => {
            let texts = own_columns(model).iter().filter(|column| column.kind == ColumnKind::Text);
            let texts: Vec<&str> = texts.map(|column| column.name).collect();
            let column = texts.get(rng.random_range(0..texts.len().max(1)))?;
            let value = match words::words(model.as_str(), column) {
                Words::OneOf(values) => (*values.get(rng.random_range(0..values.len()))?).to_owned(),
                Words::Email => format!("person{}@example.com", rng.random_range(0..100_000)),
                Words::Number(prefix) => format!("{prefix}{}", rng.random_range(0..100_000)),
                Words::Url => format!("https://tool.example.com/{}", rng.random_range(0..100_000)),
            };
            Mutation::update(named, id, column, value)
        }
    })
}
