//! Reads and writes Kombo's JSON.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod actions;
mod copies;
mod envelopes;
mod free_json;
mod in_part;
mod privacy;
mod records;
mod timestamps;
mod webhooks;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const USER: &str = include_str!("samples/user.json");
const COURSE: &str = include_str!("samples/course.json");
const PROGRESSION: &str = include_str!("samples/progression.json");
const SKILL: &str = include_str!("samples/skill.json");
const INTEGRATION: &str = include_str!("samples/integration.json");
const WEBHOOKS: &str = include_str!("samples/webhooks.json");

/// Parses the JSON as a tree.
fn tree(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Reads `json` as a `T`, and checks that writing gives the same JSON.
#[track_caller]
fn round_trip<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(json: &str) -> T {
    let value: T = serde_json::from_str(json).unwrap();
    let written = serde_json::to_string(&value).unwrap();
    assert_eq!(tree(&written), tree(json));
    assert_eq!(serde_json::from_str::<T>(&written).unwrap(), value);
    value
}

/// Returns `json` with `key` of the object at `pointer` set to `value`.
fn with(json: &str, pointer: &str, key: &str, value: Value) -> String {
    let mut tree = tree(json);
    tree.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
    tree.to_string()
}
