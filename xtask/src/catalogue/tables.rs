//! The description of the mirror's tables.
#![expect(clippy::format_push_string, reason = "a page is written once")]

use kombo_model::catalogue::{ColumnKind, Endpoint, Model, SlotTo};
use kombo_model::{Category, catalogue::Shape};

const HEAD: &str = "\
# The tables of the mirror

Each model of Kombo is a table with Kombo's name, and each field is a column. [Reading the mirror](data-model.md) explains what all tables
have in common: [the types](data-model.md#where-the-tables-are-and-their-types), the columns `integration_id`, `id`, `changed_at`,
`remote_deleted_at`, `removed_at` and `synced_at`, and [what makes a row live](data-model.md#live-deleted-removed-partial).

The key is `(integration_id, id)` unless stated otherwise. All columns below come from Kombo and may be NULL. `cargo xtask docs` writes this
page from the [catalogue](adding-a-model.md).
";

/// Returns the page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for category in Category::ALL {
        page.push_str(&format!("\n## {}\n", category.as_str().to_uppercase()));
        for model in category.models() {
            page += &table(model);
        }
        page += &not_mirrored(category);
    }
    page
}

fn table(model: Model) -> String {
    let info = model.info();
    let mut text = format!("\n### {model}\n\n{} {}", info.about, source(model));
    let keys = model.key_columns();
    if let [first, second] = keys {
        text.push_str(&format!(" Key `(integration_id, {first}, {second})`; no `id`."));
    }
    if !info.has_times {
        text += " Kombo has no times for it: `changed_at` and `remote_deleted_at` are always NULL.";
    }
    text += &blind_spots(model);
    text += "\n\n| column | type | meaning |\n|---|---|---|\n";
    for key in keys.iter().filter(|_| keys.len() == 2) {
        text.push_str(&format!("| `{key}` | id | part of the key |\n"));
    }
    let columns = model.columns();
    for column in columns.get(..columns.len().saturating_sub(2)).unwrap_or_default() {
        text.push_str(&format!("| `{}` | {} | {} |\n", column.name, kind(column.kind), column.about));
    }
    text
}

fn source(model: Model) -> String {
    let owner = model.owner();
    let mut source = if owner.lists() == model {
        format!("Source: `{owner}`")
    } else {
        let path = path(&owner.info().shape, model).unwrap_or_default();
        format!("Source: `{path}` within `{owner}`")
    };
    if !owner.info().is_enabled {
        source += ", which is off unless enabled";
    }
    if !owner.info().has_updated_after {
        source += ", always in full";
    }
    let copies: Vec<String> = model.embedded_by().iter().map(|endpoint| format!("`{endpoint}`")).collect();
    if !copies.is_empty() {
        source.push_str(&format!("; copies from {}", copies.join(", ")));
    }
    source + "."
}

/// Returns the path of the objects in a record that fill rows of a model.
fn path(shape: &'static Shape, model: Model) -> Option<String> {
    shape.nested.iter().find_map(|nested| {
        let of_join = nested.shape.join.as_ref().is_some_and(|join| join.model == model);
        if of_join || nested.shape.model == Some(model) {
            return Some(nested.field.to_owned());
        }
        Some(format!("{}.{}", nested.field, path(&nested.shape, model)?))
    })
}

fn blind_spots(model: Model) -> String {
    let blind: Vec<String> = Endpoint::ALL
        .into_iter()
        .filter(|endpoint| model.blind_in_delta(*endpoint))
        .map(|endpoint| format!("`{endpoint}`"))
        .collect();
    if blind.is_empty() { String::new() } else { format!(" Deltas of {} may miss its changes.", blind.join(", ")) }
}

fn kind(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Id => "id, indexed",
        ColumnKind::Time => "time",
        ColumnKind::Date => "date",
        ColumnKind::Number => "number",
        ColumnKind::Integer => "count",
        ColumnKind::Flag => "flag",
        ColumnKind::Document => "json",
        ColumnKind::Opaque => "opaque json",
    }
}

fn not_mirrored(category: Category) -> String {
    let mut lines = String::new();
    for endpoint in category.endpoints() {
        for left_out in endpoint.info().left_out {
            if is_field(&endpoint.info().shape, left_out.name) {
                lines.push_str(&format!("| `{endpoint}` | `{}` | {} |\n", left_out.name, left_out.reason));
            }
        }
    }
    if lines.is_empty() {
        return lines;
    }
    let title = category.as_str().to_uppercase();
    format!("\n### Fields of {title} that are not mirrored\n\n| endpoint | field | reason |\n|---|---|---|\n{lines}")
}

/// Whether a name that is left out is that of a field. A field that is a column names a parameter here.
fn is_field(shape: &'static Shape, name: &str) -> bool {
    name.contains('.') || !shape.slots.iter().any(|slot| slot.key == name && matches!(slot.to, SlotTo::Value { .. }))
}
