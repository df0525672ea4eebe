//! The catalogue's files, as read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The order of the categories is that of endpoints and models in their enums.
pub(crate) const CATEGORIES: [&str; 3] = ["lms", "hris", "ats"];

/// One category.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Category {
    #[serde(rename = "category")]
    pub(crate) name: String,
    pub(crate) title: String,
    #[serde(rename = "endpoint")]
    pub(crate) endpoints: Vec<Endpoint>,
    #[serde(rename = "model")]
    pub(crate) models: Vec<Model>,
}

/// An endpoint that lists records.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    pub(crate) path: String,
    pub(crate) lists: String,
    #[serde(default)]
    pub(crate) about: String,
    #[serde(default = "yes")]
    pub(crate) updated_after: bool,
    #[serde(default = "yes")]
    pub(crate) include_deleted: bool,
    #[serde(default = "yes")]
    pub(crate) paged: bool,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) filters: Vec<(String, String, String)>,
    /// Fields of records that are no columns, and parameters that are no filters, with the reasons.
    #[serde(default)]
    pub(crate) left_out: Vec<(String, String)>,
    /// Paths of fields that Kombo added after the contract that the catalogue is compared with.
    #[serde(default)]
    pub(crate) newer: Vec<String>,
    #[serde(default)]
    pub(crate) nested: Vec<Nested>,
}

/// A nested record or list.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nested {
    pub(crate) field: String,
    pub(crate) owned: Option<String>,
    pub(crate) copy: Option<String>,
    pub(crate) list: Option<String>,
    pub(crate) join: Option<String>,
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    pub(crate) to: Option<String>,
    #[serde(default)]
    pub(crate) many: bool,
    pub(crate) sets: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) from: Option<String>,
    #[serde(default)]
    pub(crate) updated_after: Seen,
}

/// What a delta shows of a nested record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Seen {
    /// Every change.
    #[default]
    All,
    /// That members come and go, but not that one changes.
    Members,
    /// Nothing for certain.
    Blind,
}

/// A model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) about: String,
    #[serde(default = "id")]
    pub(crate) key: Vec<String>,
    pub(crate) parent: Option<String>,
    #[serde(default = "yes")]
    pub(crate) times: bool,
    #[serde(default)]
    pub(crate) also: Vec<String>,
    columns: Vec<ColumnEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ColumnEntry {
    Common(String),
    Own(Column),
}

/// A column: name, kind and meaning.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Column(pub(crate) String, pub(crate) String, pub(crate) String);

#[derive(Deserialize)]
struct Common {
    columns: Vec<Column>,
}

fn yes() -> bool {
    true
}

fn id() -> Vec<String> {
    vec!["id".to_owned()]
}

impl Model {
    /// Returns the columns between the key and the two times that all models have.
    pub(crate) fn columns(&self, common: &BTreeMap<String, Column>) -> Vec<Column> {
        let columns = self.columns.iter().map(|entry| match entry {
            ColumnEntry::Own(column) => column.clone(),
            ColumnEntry::Common(name) => match common.get(name) {
                Some(column) => column.clone(),
                None => panic!("{}: {name} is not a column of common.toml", self.name),
            },
        });
        columns.collect()
    }
}

/// Reads the catalogue's files in `folder`.
pub(crate) fn read(folder: &Path) -> (Vec<Category>, BTreeMap<String, Column>) {
    let text = |name: &str| {
        let path = folder.join(name);
        println!("cargo::rerun-if-changed={}", path.display());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let common: Common = toml::from_str(&text("common.toml")).unwrap_or_else(|error| panic!("common.toml: {error}"));
    let common = common.columns.into_iter().map(|column| (column.0.clone(), column)).collect();
    let category = |name: &str| -> Category {
        let name = format!("{name}.toml");
        toml::from_str(&text(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    (CATEGORIES.iter().map(|name| category(name)).collect(), common)
}
