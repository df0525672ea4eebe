//! The document, mended where it contradicts itself or what is known of the API.

use std::collections::BTreeSet;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// Kombo's `OpenAPI` document.
#[derive(Debug)]
pub(super) struct Document {
    json: Value,
}

impl Document {
    pub(super) fn read(text: &str) -> Result<Self, serde_json::Error> {
        let mut json: Value = serde_json::from_str(text)?;
        let codes = error_codes(&json);
        if let Some(components) = json.get_mut("components") {
            mend(components);
            // The general error lists PLATFORM codes only, and shows an INTEGRATION code as its example: the codes
            // listed elsewhere in the document are allowed too.
            let pointer = "/responses/ErrorResponseGeneral/content/application~1json/schema/properties/error/properties/code/enum";
            if let Some(listed) = components.pointer_mut(pointer) {
                *listed = codes.into_iter().map(Value::from).chain([Value::Null]).collect();
            }
        }
        Ok(Self { json })
    }

    /// A validator of a schema by its place in the document, such as `#/components/schemas/Name`.
    pub(super) fn validator(&self, place: &str) -> Result<Validator, Box<dyn std::error::Error>> {
        let schema = json!({ "$ref": place, "components": self.json.get("components") });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        Ok(options.build(&schema)?)
    }

    /// The names of the query parameters of a GET.
    pub(super) fn query_parameters(&self, path: &str) -> BTreeSet<String> {
        let get = self.json.get("paths").and_then(|it| it.get(path)).and_then(|it| it.get("get"));
        let parameters = get.and_then(|it| it.get("parameters")).and_then(Value::as_array);
        let names = parameters.into_iter().flatten().filter(|it| it.get("in").is_some_and(|it| it == "query"));
        names.filter_map(|it| it.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
    }
}

/// Every error code that the document lists anywhere.
fn error_codes(json: &Value) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    visit(json, &mut |object| {
        if let Some(listed) = object.get("enum").and_then(Value::as_array)
            && listed.iter().any(|it| it == "PLATFORM.INPUT_INVALID")
        {
            codes.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
        }
    });
    codes
}

fn visit(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|it| visit(it, look));
        }
        Value::Array(items) => items.iter().for_each(|it| visit(it, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mend(value: &mut Value) {
    match value {
        Value::Object(schema) => {
            mend_schema(schema);
            schema.values_mut().for_each(mend);
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mend_schema(schema: &mut Map<String, Value>) {
    // The webhooks are written in OpenAPI 3.0, where null is a keyword of its own.
    if schema.remove("nullable").is_some_and(|it| it == true)
        && let Some(Value::String(name)) = schema.get("type").cloned()
    {
        schema.insert("type".to_owned(), json!([name, "null"]));
    }
    // Where the type allows null, an enumeration that does not list it means to allow it as well.
    let nullable = schema.get("type").and_then(Value::as_array).is_some_and(|it| it.iter().any(|it| it == "null"));
    if nullable
        && let Some(listed) = schema.get_mut("enum").and_then(Value::as_array_mut)
        && !listed.contains(&Value::Null)
    {
        listed.push(Value::Null);
    }
    // Times in requests have a pattern, which allows bare dates, as the document's own example has; its format does not.
    if schema.contains_key("pattern") && schema.get("format").is_some_and(|it| it == "date-time") {
        schema.remove("format");
    }
    // An integration field's value is declared to be null, and is any JSON by its description and its own examples.
    let names = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(properties) = names {
        if properties.contains_key("key")
            && properties.contains_key("label")
            && let Some(value) = properties.get_mut("value")
        {
            *value = json!({});
        }
        // The document allows keys it does not name. The sandbox must not invent any.
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}
