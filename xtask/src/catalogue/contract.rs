//! Compares the catalogue with Kombo's `OpenAPI` document: every field of every list endpoint is a column, nested, or
//! left out with a reason, and every parameter a filter.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use kombo_model::Endpoint;
use kombo_model::catalogue::{EndpointInfo, Model, Shape, SlotTo, Source};
use serde_json::Value;

/// Columns that every record with times has.
const TIMES: [&str; 2] = ["changed_at", "remote_deleted_at"];
/// Parameters that are no filters of single endpoints.
const GENERAL: [&str; 7] =
    ["cursor", "page_size", "updated_after", "include_deleted", "ignore_unsupported_filters", "ids", "remote_ids"];

/// Prints the differences. Returns whether there is none.
pub(crate) fn check(path: &Path) -> Result<bool> {
    ensure!(path.is_file(), "no file {}", path.display());
    let document: Value = serde_json::from_str(&fs::read_to_string(path)?).context("read the contract")?;
    let mut check = Check { document: &document, faults: Vec::new(), fields: 0 };
    for endpoint in Endpoint::ALL {
        check.endpoint(endpoint)?;
    }
    check.models()?;
    for fault in &check.faults {
        println!("{fault}");
    }
    println!("{} endpoints, {} fields: {} differences", Endpoint::ALL.len(), check.fields, check.faults.len());
    Ok(check.faults.is_empty())
}

struct Check<'a> {
    document: &'a Value,
    faults: Vec<String>,
    fields: usize,
}

impl<'a> Check<'a> {
    fn endpoint(&mut self, endpoint: Endpoint) -> Result<()> {
        let facts = endpoint.info();
        let pointer = format!("/paths/~1{}/get", endpoint.path().replace('/', "~1"));
        let get = self.document.pointer(&pointer).with_context(|| format!("the contract has no GET /{endpoint}"))?;
        self.parameters(endpoint, facts, get);
        let schema = get.pointer("/responses/200/content/application~1json/schema");
        let schema = schema.with_context(|| format!("GET /{endpoint} has no schema"))?;
        let results = ["data", "results"].into_iter().try_fold(schema, |schema, key| self.property(schema, key));
        let records = results.with_context(|| format!("GET /{endpoint} lists nothing"))?;
        let mut unused: BTreeSet<&str> = facts.left_out.iter().map(|left_out| left_out.name).collect();
        self.object(endpoint, &facts.shape, records, "", &mut unused);
        let parameters = names(get);
        unused.retain(|name| !parameters.contains(*name));
        self.faults.extend(unused.iter().map(|name| format!("{endpoint}: {name} is left out, and is not there")));
        Ok(())
    }

    /// Compares the keys of an object with those that the catalogue reads.
    fn object(
        &mut self,
        endpoint: Endpoint,
        shape: &'static Shape,
        schema: &'a Value,
        at: &str,
        unused: &mut BTreeSet<&str>,
    ) {
        let properties = self.properties(schema);
        let path = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
        let has_times = shape.model.is_some_and(|model| model.info().has_times);
        for (key, schema) in &properties {
            self.fields += 1;
            let path = path(key);
            let slot = shape.slots.iter().find(|slot| slot.key == *key);
            match slot.map(|slot| slot.to) {
                Some(SlotTo::Nested(place)) => {
                    if let Some(nested) = shape.nested.get(place) {
                        self.object(endpoint, &nested.shape, schema, &path, unused);
                    }
                }
                Some(SlotTo::Id | SlotTo::Value { .. }) => {}
                // Copies do not take over the times of the row.
                None if shape.source == Source::Copy && has_times && TIMES.contains(key) => {}
                None if unused.remove(path.as_str()) => {}
                None => self.faults.push(format!("{endpoint}: {path} is no column, and not left out")),
            }
        }
        for slot in shape.slots.iter().filter(|slot| !properties.contains_key(slot.key)) {
            let hidden = match slot.to {
                // The id of a nested record, or of the surrounding one.
                SlotTo::Value { place, .. } => {
                    let is_parent = shape.model.and_then(Model::parent_column) == Some(slot.key);
                    is_parent || shape.nested.iter().any(|nested| nested.sets == Some(place))
                }
                SlotTo::Id | SlotTo::Nested(_) => false,
            };
            if !hidden && !endpoint.info().newer.contains(&path(slot.key).as_str()) {
                self.faults.push(format!("{endpoint}: the contract has no {}", path(slot.key)));
            }
        }
    }

    fn parameters(&mut self, endpoint: Endpoint, facts: &EndpointInfo, get: &Value) {
        let parameters = names(get);
        let flags = [
            ("updated_after", facts.has_updated_after),
            ("include_deleted", facts.has_include_deleted),
            ("page_size", facts.is_paged),
        ];
        for (name, has) in flags {
            if parameters.contains(name) != has {
                self.faults.push(format!("{endpoint}: whether it has {name} is wrong"));
            }
        }
        let filters: BTreeSet<&str> = facts.filters.iter().map(|filter| filter.name).collect();
        let left_out = |name: &str| facts.left_out.iter().any(|left_out| left_out.name == name);
        for name in &parameters {
            if !GENERAL.contains(name) && !filters.contains(name) && !left_out(name) {
                self.faults.push(format!("{endpoint}: {name} is no filter, and not left out"));
            }
        }
        for name in filters.iter().filter(|name| !parameters.contains(*name)) {
            self.faults.push(format!("{endpoint}: the contract has no parameter {name}"));
        }
    }

    /// Checks that each model that a webhook may name is known.
    fn models(&mut self) -> Result<()> {
        let mut named = BTreeSet::new();
        find_names(self.document, &mut named);
        ensure!(!named.is_empty(), "the contract names no models of webhooks");
        for name in named {
            if Model::meant_by(name).next().is_none() {
                self.faults.push(format!("webhooks may name {name}, which is no model"));
            }
        }
        Ok(())
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        while let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let Some(target) = name.strip_prefix('#').and_then(|pointer| self.document.pointer(pointer)) else { break };
            schema = target;
        }
        schema
    }

    fn property(&self, schema: &'a Value, key: &str) -> Option<&'a Value> {
        self.resolve(schema).get("properties")?.get(key)
    }

    /// Returns the properties of an object, of the elements of a list, or of all alternatives.
    fn properties(&self, schema: &'a Value) -> BTreeMap<&'a str, &'a Value> {
        let schema = self.resolve(schema);
        let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut properties: BTreeMap<&str, &Value> = own.map(|(key, schema)| (key.as_str(), schema)).collect();
        let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array());
        for schema in alternatives.flatten().chain(schema.get("items")) {
            properties.extend(self.properties(schema));
        }
        properties
    }
}

fn names(get: &Value) -> BTreeSet<&str> {
    let parameters = get.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let queries = parameters.filter(|parameter| parameter.get("in").is_some_and(|place| place == "query"));
    queries.filter_map(|parameter| parameter.get("name")?.as_str()).collect()
}

/// Finds the enumeration of the models of webhooks.
fn find_names<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(object) => {
            if let Some(listed) = object.get("enum").and_then(Value::as_array)
                && listed.iter().any(|name| name == "lms_course_progressions")
            {
                found.extend(listed.iter().filter_map(Value::as_str));
            }
            object.values().for_each(|value| find_names(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| find_names(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
