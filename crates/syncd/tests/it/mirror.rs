//! Compares the mirror with the sandbox, row by row and column by column.

use std::collections::{BTreeMap, BTreeSet};

use kombo_model::{Category, IntegrationId};
use kombo_sandbox::{Stamp, TruthRow};
use serde_json::Value;
use sync_core::rows::{ColumnKind, Key, Model, StoredRow};

use crate::world::World;

/// More rows than a table of these tests has.
const PLENTY: usize = 1_000_000;

/// A table: values by column and key.
pub type Table = BTreeMap<String, BTreeMap<&'static str, Value>>;

/// The sources of skills in the mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skills {
    /// The assignments in courses, which show two fields of assigned skills.
    FromCourses,
    /// Also their own endpoint, which shows all skills in full.
    FromTheirEndpoint,
}

/// Returns the rows of a table.
pub fn rows(world: &World, integration: &IntegrationId, model: Model) -> Vec<StoredRow> {
    let integration = integration.clone();
    world.read(move |tx| tx.rows_after(model, &integration, None, PLENTY))
}

/// Returns all rows of all tables, including the time of their last write.
pub fn snapshot(world: &World) -> BTreeMap<(IntegrationId, Model, Key), StoredRow> {
    let mut all = BTreeMap::new();
    for integration in world.integrations() {
        for model in Model::LMS {
            for row in rows(world, &integration, model) {
                all.insert((integration.clone(), model, row.row.key.clone()), row);
            }
        }
    }
    all
}

/// Returns the expected content of a table.
pub fn expected(world: &World, integration: &IntegrationId, model: Model, skills: Skills) -> Table {
    let truth = truth(world, integration, model);
    let mut table: Table = truth.iter().map(|row| (key(model, row), columns(model, row))).collect();
    if model == Model::LmsSkills && skills == Skills::FromCourses {
        let assignments = self::truth(world, integration, Model::LmsJoinRevisionsSkills);
        let assigned: BTreeSet<&str> = assignments.iter().filter_map(|row| row["skill_id"].as_str()).collect();
        table.retain(|id, _| assigned.contains(id.as_str()));
        for row in table.values_mut() {
            for (column, value) in row.iter_mut().filter(|(column, _)| !["remote_id", "name"].contains(*column)) {
                assert!(!column.is_empty());
                *value = Value::Null;
            }
        }
    }
    table
}

/// Returns the differences between the mirror of an integration of HRIS or ATS and the sandbox's content. Purged rows
/// count only if `is_whole`: a delta does not show that they are gone.
pub fn differences_of(world: &World, integration: &IntegrationId, category: Category, is_whole: bool) -> Vec<String> {
    let mut found = Vec::new();
    for model in category.models() {
        let shown = shown_by_joins(world, integration, model);
        let mut missing: Table = truth(world, integration, model)
            .iter()
            .filter(|row| model.owner().info().has_include_deleted || row["remote_deleted_at"].is_null())
            .map(|row| (key(model, row), columns(model, row)))
            .filter(|(key, _)| shown.as_ref().is_none_or(|shown| shown.contains(key)))
            .collect();
        for stored in rows(world, integration, model) {
            let at = format!("{model} {}", stored.row.key);
            match missing.remove(&stored.row.key.to_string()) {
                None if !stored.is_live() || !is_whole => {}
                None => found.push(format!("{at}: is not at Kombo")),
                Some(_) if stored.removed_at.is_some() => found.push(format!("{at}: is marked as removed")),
                Some(truth) => {
                    for (column, value) in model.columns().iter().zip(stored.row.values()) {
                        let (stored, truth) = (value.to_json(), &truth[column.name]);
                        let is_time = ["changed_at", "remote_deleted_at"].contains(&column.name);
                        if stored != *truth && (model.info().has_times || !is_time) {
                            found.push(format!("{at}: {} is {stored}, must be {truth}", column.name));
                        }
                    }
                }
            }
        }
        found.extend(missing.into_keys().map(|key| format!("{model} {key}: is missing")));
    }
    found
}

/// Returns the ids of the rows that join tables refer to; `None` for a model that is also shown otherwise.
fn shown_by_joins(world: &World, integration: &IntegrationId, model: Model) -> Option<BTreeSet<String>> {
    if model.owner().lists() == model || model.parent().is_some() {
        return None;
    }
    let name = model.as_str().split_once('_').unwrap().1.strip_suffix('s').unwrap();
    let column = format!("{name}_id");
    let joins = model.category().models().filter(|join| join.key_columns().get(1) == Some(&column.as_str()));
    let ids = joins.flat_map(|join| truth(world, integration, join));
    Some(ids.map(|row| row[column.as_str()].as_str().unwrap().to_owned()).collect())
}

fn truth(world: &World, integration: &IntegrationId, model: Model) -> Vec<TruthRow> {
    let model = kombo_sandbox::Model::by_name(model.as_str()).unwrap();
    world.sandbox.truth(integration.as_str(), model).unwrap()
}

fn key(model: Model, row: &TruthRow) -> String {
    let parts: Vec<&str> = model.key_columns().iter().map(|column| row[*column].as_str().unwrap()).collect();
    parts.join("/")
}

/// Returns the mirror's columns of a row, with times cut to milliseconds.
fn columns(model: Model, row: &TruthRow) -> BTreeMap<&'static str, Value> {
    let columns = model.columns().iter().map(|column| {
        let value = row.get(column.name).cloned().unwrap_or(Value::Null);
        match (column.kind, value.as_str()) {
            (ColumnKind::Time, Some(time)) => {
                let cut = Stamp::parse_request(time).unwrap().to_millis_precision();
                (column.name, Value::from(cut.to_string()))
            }
            _ => (column.name, value),
        }
    });
    columns.collect()
}

/// Fails unless the mirror of every integration has the sandbox's content. It may also contain rows that are marked as
/// gone, and providers and skills that no record shows any more.
#[track_caller]
pub fn assert_faithful(world: &World, skills: Skills) {
    let differences: Vec<String> =
        world.integrations().iter().flat_map(|integration| differences(world, integration, skills)).collect();
    let shown = differences.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences:\n{shown}", differences.len());
}

fn differences(world: &World, integration: &IntegrationId, skills: Skills) -> Vec<String> {
    let mut found = Vec::new();
    for model in Model::LMS {
        let mut missing = expected(world, integration, model, skills);
        for stored in rows(world, integration, model) {
            let at = format!("{integration} {model} {}", stored.row.key);
            match missing.remove(&stored.row.key.to_string()) {
                None if !stored.is_live() => {}
                None if matches!(model, Model::LmsCourseProviders | Model::LmsSkills) => {}
                None => found.push(format!("{at}: is not at Kombo")),
                Some(_) if stored.removed_at.is_some() => found.push(format!("{at}: is marked as removed")),
                Some(truth) => {
                    for (column, value) in model.columns().iter().zip(stored.row.values()) {
                        let (stored, truth) = (value.to_json(), &truth[column.name]);
                        if stored != *truth {
                            found.push(format!("{at}: {} is {stored}, must be {truth}", column.name));
                        }
                    }
                }
            }
        }
        found.extend(missing.into_keys().map(|key| format!("{integration} {model} {key}: is missing")));
    }
    found
}
