//! Writes the catalogue as Rust.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::source::{Category, Column, Endpoint, Model, Nested, Seen};

/// The columns that all models have, after their own.
const TIMES: [(&str, &str, &str); 2] = [
    ("changed_at", "time", "When one of its own fields last changed."),
    ("remote_deleted_at", "time", "When Kombo no longer found it in the connected tool."),
];

/// All categories, with the columns of each model.
pub(crate) struct Catalogue<'a> {
    endpoints: Vec<(&'a str, &'a Endpoint)>,
    models: Vec<(&'a str, &'a Model)>,
    columns: BTreeMap<&'a str, Vec<Column>>,
}

/// What follows from the rules of nesting for a model.
#[derive(Default)]
struct Relations<'a> {
    owner: Option<&'a Endpoint>,
    embedded_by: Vec<&'a Endpoint>,
    copied_columns: Vec<&'a str>,
    blind_in: Vec<&'a Endpoint>,
    parent: Option<&'a str>,
    members: Vec<&'a str>,
}

impl<'a> Catalogue<'a> {
    pub(crate) fn new(categories: &'a [Category], common: &BTreeMap<String, Column>) -> Self {
        let mut catalogue = Self { endpoints: Vec::new(), models: Vec::new(), columns: BTreeMap::new() };
        for category in categories {
            let name = category.name.as_str();
            assert!(!category.title.is_empty(), "{name}: it needs a title");
            catalogue.endpoints.extend(category.endpoints.iter().map(|endpoint| (name, endpoint)));
            catalogue.models.extend(category.models.iter().map(|model| (name, model)));
            for model in &category.models {
                let mut columns = model.columns(common);
                let times = TIMES.map(|(name, kind, about)| Column(name.into(), kind.into(), about.into()));
                columns.extend(times);
                let is_new = catalogue.columns.insert(&model.name, columns).is_none();
                assert!(is_new, "{} stands twice", model.name);
            }
        }
        catalogue
    }

    /// Returns the code.
    pub(crate) fn write(&self) -> String {
        let mut code = String::new();
        let endpoints: Vec<Item<'_>> = self
            .endpoints
            .iter()
            .map(|(category, it)| Item {
                name: &it.path,
                category,
                about: endpoint_doc(it),
                facts: self.endpoint(category, it),
            })
            .collect();
        enumeration(&mut code, "Endpoint", "An endpoint that lists records.", &endpoints);
        let models: Vec<Item<'_>> = self
            .models
            .iter()
            .map(|(category, it)| Item {
                name: &it.name,
                category,
                about: it.about.clone(),
                facts: self.model(category, it),
            })
            .collect();
        enumeration(&mut code, "Model", "A model that has a table in the mirror.", &models);
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name).collect();
        let enabled = self.endpoints.iter().filter(|(_, endpoint)| endpoint.enabled);
        let enabled: Vec<&str> = enabled.map(|(_, endpoint)| endpoint.path.as_str()).collect();
        writeln!(code, "/// The names of all endpoints.\npub const ENDPOINT_NAMES: &[&str] = &{names:?};").unwrap();
        writeln!(
            code,
            "/// The names of the endpoints that are fetched unless the configuration says otherwise.\npub const \
             ENABLED_ENDPOINTS: &str = {:?};",
            enabled.join(",")
        )
        .unwrap();
        code
    }

    fn endpoint(&self, category: &str, endpoint: &'a Endpoint) -> String {
        let shape = self.shape(endpoint, "", Some(&endpoint.lists), None);
        let filters: String = endpoint
            .filters
            .iter()
            .map(|(name, kind, about)| {
                format!("Filter {{ name: {name:?}, kind: FilterKind::{}, about: {about:?} }},", variant(kind))
            })
            .collect();
        let left_out: String = endpoint
            .left_out
            .iter()
            .map(|(name, reason)| format!("LeftOut {{ name: {name:?}, reason: {reason:?} }},"))
            .collect();
        format!(
            "EndpointInfo {{ path: {:?}, category: Category::{}, lists: Model::{}, shape: {shape}, \
             has_updated_after: {}, has_include_deleted: {}, is_paged: {}, is_enabled: {}, filters: &[{filters}], \
             left_out: &[{left_out}], newer: &{:?} }}",
            endpoint.path,
            variant(category),
            variant(&endpoint.lists),
            endpoint.updated_after,
            endpoint.include_deleted,
            endpoint.paged,
            endpoint.enabled,
            endpoint.newer,
        )
    }

    fn model(&self, category: &str, model: &'a Model) -> String {
        let relations = self.relations(&model.name);
        let columns: String = self.columns[model.name.as_str()]
            .iter()
            .map(|Column(name, kind, about)| {
                format!("Column {{ name: {name:?}, kind: ColumnKind::{}, about: {about:?} }},", variant(kind))
            })
            .collect();
        if let Some(parent) = &model.parent {
            self.place(&model.name, parent);
        }
        let is_join = model.key.len() == 2;
        assert!(is_join || model.key == ["id"], "{}: a key is an id or two", model.name);
        let parent_column = if is_join { model.key.first() } else { model.parent.as_ref() };
        assert_eq!(parent_column.is_some(), relations.parent.is_some(), "{}: its list and `parent`", model.name);
        let owner = relations.owner.unwrap_or_else(|| panic!("no endpoint shows {}", model.name));
        let endpoints =
            |list: &[&Endpoint]| list.iter().map(|it| format!("Endpoint::{},", variant(&it.path))).collect();
        let (embedded_by, blind_in): (String, String) =
            (endpoints(&relations.embedded_by), endpoints(&relations.blind_in));
        let members: String = relations.members.iter().map(|it| format!("Model::{},", variant(it))).collect();
        format!(
            "ModelInfo {{ name: {:?}, about: {:?}, category: Category::{}, key: &{:?}, columns: &[{columns}], \
             has_times: {}, parent_column: {:?}, parent: {}, members: &[{members}], owner: Endpoint::{}, \
             embedded_by: &[{embedded_by}], copied_columns: &{:?}, blind_in: &[{blind_in}], also: &{:?} }}",
            model.name,
            model.about,
            variant(category),
            model.key,
            model.times,
            parent_column,
            relations.parent.map_or_else(|| "None".to_owned(), |parent| format!("Some(Model::{})", variant(parent))),
            variant(&owner.path),
            relations.copied_columns,
            model.also,
        )
    }

    fn relations(&self, model: &str) -> Relations<'a> {
        let mut relations = Relations::default();
        let of = |name: &Option<String>| name.as_deref() == Some(model);
        for (_, endpoint) in &self.endpoints {
            if endpoint.lists == model {
                assert!(relations.owner.is_none_or(|owner| owner.lists != model), "{model} is listed twice");
                relations.owner = Some(endpoint);
            }
            for nested in &endpoint.nested {
                let is_shown = of(&nested.owned) || of(&nested.list) || of(&nested.join);
                if is_shown && relations.owner.is_none() {
                    relations.owner = Some(endpoint);
                }
                let seen = nested.updated_after;
                let is_blind =
                    if of(&nested.join) || of(&nested.list) { seen == Seen::Blind } else { seen != Seen::All };
                if (is_shown || of(&nested.copy)) && is_blind {
                    push(&mut relations.blind_in, endpoint);
                }
                if of(&nested.copy) {
                    push(&mut relations.embedded_by, endpoint);
                    for column in nested.columns.iter().chain(&nested.parent) {
                        push(&mut relations.copied_columns, column);
                    }
                    let inside = |it: &&Nested| parent_path(&it.field) == Some(&nested.field);
                    for column in endpoint.nested.iter().filter(inside).filter_map(|it| it.sets.as_ref()) {
                        push(&mut relations.copied_columns, column);
                    }
                }
                let surrounding = Self::surrounding(endpoint, nested);
                if of(&nested.list) || of(&nested.join) {
                    assert!(relations.parent.is_none_or(|parent| surrounding == Some(parent)), "{model}: two parents");
                    relations.parent = surrounding;
                }
                if surrounding == Some(model) {
                    for member in nested.list.iter().chain(&nested.join) {
                        push(&mut relations.members, member);
                    }
                }
            }
        }
        let owner = relations.owner;
        relations.embedded_by.retain(|endpoint| owner.is_none_or(|owner| owner.path != endpoint.path));
        relations
    }

    /// Returns the model of the row that surrounds something nested.
    fn surrounding(endpoint: &'a Endpoint, nested: &Nested) -> Option<&'a str> {
        let Some(path) = parent_path(&nested.field) else { return Some(&endpoint.lists) };
        let around = endpoint.nested.iter().find(|it| it.field == path)?;
        around.owned.as_deref().or(around.copy.as_deref()).or(around.list.as_deref())
    }

    /// Returns the shape of the objects at `path`. `model` is that of the row.
    fn shape(&self, endpoint: &'a Endpoint, path: &str, model: Option<&str>, rule: Option<&'a Nested>) -> String {
        let mut slots = String::new();
        let join = rule.and_then(|rule| rule.join.as_deref());
        let id = match rule {
            Some(Nested { from: Some(from), .. }) => from,
            Some(_) | None if model.is_some() => "id",
            _ => "",
        };
        if !id.is_empty() {
            write!(slots, "Slot {{ key: {id:?}, to: SlotTo::Id }},").unwrap();
        }
        let mut width = 0;
        for (of, carried) in [(model, rule.filter(|rule| rule.copy.is_some())), (join, None)] {
            let Some(name) = of else { continue };
            let columns = self.columns.get(name).unwrap_or_else(|| panic!("{}: no model {name}", endpoint.path));
            let has_times = self.models.iter().any(|(_, it)| it.name == name && it.times);
            for (place, Column(column, kind, _)) in columns.iter().enumerate() {
                let is_carried = carried.is_none_or(|rule| rule.columns.contains(column));
                if is_carried && (has_times || place + TIMES.len() < columns.len()) {
                    let kind = variant(kind);
                    let place = width + place;
                    write!(
                        slots,
                        "Slot {{ key: {column:?}, to: SlotTo::Value {{ place: {place}, kind: ColumnKind::{kind} }} }},"
                    )
                    .unwrap();
                }
            }
            if let Some(rule) = carried {
                for column in &rule.columns {
                    self.place(name, column);
                }
            }
            width += columns.len();
        }
        let mut nested = String::new();
        let below = children(endpoint, path);
        for (place, field) in below.iter().enumerate() {
            let key = field.rsplit('.').next().unwrap_or(field);
            write!(slots, "Slot {{ key: {key:?}, to: SlotTo::Nested({place}) }},").unwrap();
            nested.push_str(&self.nested(endpoint, field, key, model));
        }
        let source = match rule {
            None if path.is_empty() => "Listed",
            Some(Nested { copy: Some(_), .. }) => "Copy",
            Some(_) | None => "Owned",
        };
        let to = rule.and_then(|rule| rule.to.as_deref()).map(|to| {
            let place = below.iter().position(|field| field.rsplit('.').next() == Some(to));
            place.unwrap_or_else(|| panic!("{} {path}: nothing nested is at {to}", endpoint.path))
        });
        let join = join.map(|join| format!("Join {{ model: Model::{}, to: {to:?} }}", variant(join)));
        format!(
            "Shape {{ model: {}, source: Source::{source}, id: {id:?}, join: {}, width: {width}, slots: &[{slots}], \
             nested: &[{nested}] }}",
            model.map_or_else(|| "None".to_owned(), |model| format!("Some(Model::{})", variant(model))),
            join.map_or_else(|| "None".to_owned(), |join| format!("Some({join})")),
        )
    }

    fn nested(&self, endpoint: &'a Endpoint, path: &str, key: &str, around: Option<&str>) -> String {
        let rule = endpoint.nested.iter().find(|rule| rule.field == path);
        let model = rule.and_then(|rule| {
            let models = [&rule.owned, &rule.copy, &rule.list];
            let mut models = models.into_iter().filter_map(|model| model.as_deref());
            let model = models.next();
            assert!(models.next().is_none(), "{} {path}: it is one of owned, copy and list", endpoint.path);
            assert!(model.is_some() || rule.join.is_some(), "{} {path}: what is it?", endpoint.path);
            model
        });
        let shape = self.shape(endpoint, path, model, rule);
        let members = rule.and_then(|rule| rule.list.as_ref().or(rule.join.as_ref()));
        let list_parent = rule.and_then(|rule| rule.list.as_ref()).map(|list| {
            let (_, model) = self.models.iter().find(|(_, model)| model.name == *list).unwrap();
            model.parent.clone().unwrap_or_else(|| panic!("{list} needs `parent`"))
        });
        let parent = list_parent.or_else(|| rule.and_then(|rule| rule.parent.clone()));
        let parent = parent.map(|column| self.place(model.unwrap_or_default(), &column));
        let sets = rule.and_then(|rule| rule.sets.as_ref());
        let sets = sets.map(|column| self.place(around.unwrap_or_default(), column));
        let by_name = format!("{key}_id");
        let of_name = |columns: &Vec<Column>| columns.iter().position(|Column(name, ..)| *name == by_name);
        let refers = sets.or_else(|| self.columns.get(around?).and_then(of_name));
        format!(
            "Nested {{ field: {key:?}, is_list: {}, members: {}, shape: {shape}, sets: {sets:?}, refers: {refers:?}, \
             parent: {parent:?} }},",
            members.is_some() || rule.is_some_and(|rule| rule.many),
            members.map_or_else(|| "None".to_owned(), |model| format!("Some(Model::{})", variant(model))),
        )
    }

    /// Returns the place of a column.
    fn place(&self, model: &str, column: &str) -> usize {
        let columns = self.columns.get(model).unwrap_or_else(|| panic!("no model \"{model}\""));
        let place = columns.iter().position(|Column(name, ..)| name == column);
        place.unwrap_or_else(|| panic!("{model} has no column {column}"))
    }
}

/// Returns the paths of what is nested directly below `path`, in order.
fn children(endpoint: &Endpoint, path: &str) -> Vec<String> {
    let mut children: Vec<String> = Vec::new();
    for nested in &endpoint.nested {
        let rest = match path {
            "" => Some(nested.field.as_str()),
            _ => nested.field.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')),
        };
        let Some(first) = rest.and_then(|rest| rest.split('.').next()) else { continue };
        let child = if path.is_empty() { first.to_owned() } else { format!("{path}.{first}") };
        if !children.contains(&child) {
            children.push(child);
        }
    }
    children
}

fn parent_path(path: &str) -> Option<&str> {
    path.rsplit_once('.').map(|(parent, _)| parent)
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn endpoint_doc(endpoint: &Endpoint) -> String {
    let about = if endpoint.about.is_empty() { String::new() } else { format!(": {}", endpoint.about) };
    format!("`GET /{}`{about}", endpoint.path)
}

/// Returns the name of a variant: `LmsCourseProgressions` for `lms/course-progressions`.
fn variant(name: &str) -> String {
    let words = name.split(['/', '-', '_']);
    words
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

/// A variant with its facts.
struct Item<'a> {
    name: &'a str,
    category: &'a str,
    about: String,
    facts: String,
}

fn enumeration(code: &mut String, name: &str, about: &str, items: &[Item<'_>]) {
    let variants: String =
        items.iter().map(|item| format!("    #[doc = {:?}]\n    {},\n", item.about, variant(item.name))).collect();
    let all: String = items.iter().map(|item| format!("Self::{},", variant(item.name))).collect();
    let facts: String = items
        .iter()
        .map(|item| {
            let (variant, facts) = (variant(item.name), &item.facts);
            format!("Self::{variant} => {{ static FACTS: {name}Info = {facts}; &FACTS }}\n")
        })
        .collect();
    let mut categories: Vec<&str> = items.iter().map(|item| item.category).collect();
    categories.dedup();
    let of_categories: String = categories
        .into_iter()
        .map(|category| {
            let of: Vec<_> = items.iter().filter(|item| item.category == category).collect();
            let (count, upper) = (of.len(), category.to_uppercase());
            let of: String = of.into_iter().map(|item| format!("Self::{},", variant(item.name))).collect();
            format!("    /// Those of the category {upper}.\n    pub const {upper}: [Self; {count}] = [{of}];\n\n")
        })
        .collect();
    let derived = "Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash";
    let places: String =
        items.iter().enumerate().map(|(place, item)| format!("Self::{} => {place},\n", variant(item.name))).collect();
    write!(
        code,
        "/// {about}\n#[derive({derived})]\npub enum {name} {{\n{variants}}}\n\nimpl {name} {{\n    /// All of them, in the \
         order of the catalogue.\n    pub const ALL: [Self; {count}] = [{all}];\n\n{of_categories}    /// Returns its place in \
         [`ALL`](Self::ALL).\n    pub const fn place(self) -> usize {{\n        match self {{\n{places}        }}\n    \
         }}\n\n    /// Returns the facts on it.\n    \
         pub fn info(self) -> &'static {name}Info {{\n        match self {{\n{facts}        }}\n    }}\n}}\n\n",
        count = items.len(),
    )
    .unwrap();
}
