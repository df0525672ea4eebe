//! The document, corrected where it contradicts itself or the known behaviour of the API.

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
            // The general error lists only PLATFORM codes, but its example has an INTEGRATION code: also allow the
            // codes listed elsewhere in the document.
            let pointer = "/responses/ErrorResponseGeneral/content/application~1json/schema/properties/error/properties/code/enum";
            if let Some(listed) = components.pointer_mut(pointer) {
                *listed = codes.into_iter().map(Value::from).chain([Value::Null]).collect();
            }
        }
        Ok(Self { json })
    }

    /// Returns a validator for the schema at `place`, such as `#/components/schemas/Name`.
    pub(super) fn validator(&self, place: &str) -> Result<Validator, Box<dyn std::error::Error>> {
        let schema = json!({ "$ref": place, "components": self.json.get("components") });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        Ok(options.build(&schema)?)
    }

    /// Returns the names of the query parameters of a GET.
    pub(super) fn query_parameters(&self, path: &str) -> BTreeSet<String> {
        let get = self.json.get("paths").and_then(|it| it.get(path)).and_then(|it| it.get("get"));
        let parameters = get.and_then(|it| it.get("parameters")).and_then(Value::as_array);
        let names = parameters.into_iter().flatten().filter(|it| it.get("in").is_some_and(|it| it == "query"));
        names.filter_map(|it| it.get("name").and_then(Value::as_str).map(str::to_owned)).collect()
    }
}

/// Collects all error codes in the document.
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
    // The webhooks are written in OpenAPI 3.0, where `nullable` is a separate keyword.
    if schema.remove("nullable").is_some_and(|it| it == true)
        && let Some(Value::String(name)) = schema.get("type").cloned()
    {
        schema.insert("type".to_owned(), json!([name, "null"]));
    }
    // An enumeration with a type that allows null also allows it as a value, even if it does not list it.
    let nullable = schema.get("type").and_then(Value::as_array).is_some_and(|it| it.iter().any(|it| it == "null"));
    if nullable
        && let Some(listed) = schema.get_mut("enum").and_then(Value::as_array_mut)
        && !listed.contains(&Value::Null)
    {
        listed.push(Value::Null);
    }
    // Times in requests have a pattern that allows bare dates, as in the document's own example; their format does not.
    if schema.contains_key("pattern") && schema.get("format").is_some_and(|it| it == "date-time") {
        schema.remove("format");
    }
    // An integration field's value is declared as null, but is any JSON by its description and examples.
    let names = schema.get_mut("properties").and_then(Value::as_object_mut);
    if let Some(properties) = names {
        if properties.contains_key("key")
            && properties.contains_key("label")
            && let Some(value) = properties.get_mut("value")
        {
            *value = json!({});
        }
        // The dates of absences are declared as null.
        if properties.contains_key("start_half_day") {
            for name in ["start_date", "end_date", "start_time", "end_time"] {
                properties.insert(name.to_owned(), json!({ "type": ["string", "null"] }));
            }
        }
        // The document allows unknown keys, but the sandbox must not add any.
        schema.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}
