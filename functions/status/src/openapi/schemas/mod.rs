//! Every schema that calls and answers refer to.

mod answers;
mod calls;

use std::collections::{BTreeMap, HashMap};

use errand_core::Payloads;
use serde_json::{Map, Value, json};

use super::operations::reference;

/// Every schema that calls and answers refer to, and one for the payload of each task.
pub(super) fn all(payloads: &Payloads) -> Map<String, Value> {
    let mut schemas = answers::answers();
    schemas.extend(calls::calls(payloads));
    schemas.extend(of_payloads(payloads).into_iter().map(|(task, schema)| (kwargs(task), payload(schema))));
    schemas
}

/// The schemas of what the tasks take that providers do.
fn of_payloads(payloads: &Payloads) -> BTreeMap<&'static str, Map<String, Value>> {
    let known: HashMap<_, _> = errand_payloads::schemas().into_iter().collect();
    payloads.types().filter_map(|(task, payload)| Some((task, serde_json::from_str(known.get(&payload)?).ok()?))).collect()
}

/// A payload's schema among the others, which are known by their names alone: generators take a title for the name.
fn payload(mut schema: Map<String, Value>) -> Value {
    schema.remove("title");
    may_be_null(Value::from(schema))
}

/// What may stand for a parameter of a path.
pub(super) fn of_parameter(path: &str, parameter: &str) -> Value {
    match (path.split('/').nth(2), parameter) {
        (Some("tasks"), "id") => task_id(),
        (Some("schedules" | "templates"), "id") => name(),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

/// The name of the schema of a task's payload.
fn kwargs(task: &str) -> String {
    format!("Kwargs.{task}")
}

/// A problem document for each status that calls are refused with.
pub(super) fn responses() -> Map<String, Value> {
    let statuses = [
        (400, "The call cannot be read."),
        (401, "There is no key, or it is not known or has expired."),
        (403, "The key lacks the scope."),
        (404, "There is no such thing."),
        (405, "The path answers other methods, which Allow tells: what stands where an id could is a word of paths."),
        (409, "It is in no state for that, or the id is that of another task."),
        (413, "It is too large."),
        (415, "It is not JSON."),
        (422, "Fields are wrong: errors names each."),
        (429, "The key has called too often: see RateLimit and Retry-After."),
        (501, "The operator has not set this up."),
        (503, "A part does not answer: try again."),
    ];
    let problem = |(status, description): (u16, &str)| {
        let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
        (status.to_string(), json!({ "description": description, "content": content }))
    };
    statuses.map(problem).into_iter().collect()
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The same for what is sent: there are no other fields.
fn sent(required: &[&str], properties: Value) -> Value {
    let mut schema = may_be_null(object(required, properties));
    schema["additionalProperties"] = json!(false);
    schema
}

/// Takes the choices out of a schema of which fields have to be there: `allOf` them, each an `anyOf` of conditions with `required`, which are more than that a field
/// is there and not null.
fn choices(schema: &mut Value) -> Vec<Vec<Value>> {
    let choices = schema.as_object_mut().and_then(|schema| schema.remove("allOf"));
    let conditions = |choice: &Value| choice["anyOf"].as_array().into_iter().flatten().cloned().map(there).collect();
    choices.as_ref().and_then(Value::as_array).into_iter().flatten().map(conditions).collect()
}

/// A condition of fields that have to be there, none of them null.
fn there(mut condition: Value) -> Value {
    for name in condition["required"].as_array().cloned().unwrap_or_default().iter().filter_map(Value::as_str) {
        condition["properties"][name]["not"] = json!({ "type": "null" });
    }
    condition
}

/// What is read: a field that need not be there may be null as well, in objects within objects too.
fn may_be_null(mut schema: Value) -> Value {
    let choices = choices(&mut schema);
    if !choices.is_empty() {
        schema["not"] = json!({ "anyOf": choices.iter().map(|conditions| none_of(conditions)).collect::<Vec<_>>() });
    }
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        *property = may_be_null(property.take());
        if !required.contains(&json!(name)) {
            take_null(property);
        }
    }
    if let Some(items) = schema.get_mut("items") {
        *items = may_be_null(items.take());
    }
    if let Some(values) = schema.get_mut("additionalProperties").filter(|values| values.is_object()) {
        *values = may_be_null(values.take());
        take_null(values);
    }
    for alternative in schema.get_mut("anyOf").and_then(Value::as_array_mut).into_iter().flatten() {
        *alternative = may_be_null(alternative.take());
    }
    schema
}

/// Adds null to what a schema takes. What has a form of its own beside its type is kept whole: testers and generators read the form of one type alone.
fn take_null(schema: &mut Value) {
    let null = json!({ "type": "null" });
    if let Some(alternatives) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        alternatives.push(null);
    } else if schema.get("type").is_some() || schema.get("$ref").is_some() {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        *schema = json!({ "anyOf": vec![schema.take(), null] });
        if let Some(description) = description {
            schema["description"] = description;
        }
    }
}

/// Both of two fields, neither of them null.
fn both(one: &str, other: &str) -> Value {
    let there = json!({ "not": { "type": "null" } });
    json!({ "required": [one, other], "properties": { one: there, other: there } })
}

/// None of these conditions: `not` this is at least one of them. Generators take `anyOf` for alternatives of type.
fn none_of(conditions: &[Value]) -> Value {
    let not: Vec<Value> = conditions.iter().map(|condition| json!({ "not": condition })).collect();
    json!({ "allOf": not })
}

/// For each of these fields, that it is there and not null.
fn each_there(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| there(json!({ "required": [name] }))).collect()
}

/// The id of a task.
fn task_id() -> Value {
    json!({ "type": "string", "pattern": "^[!-~]{1,128}$", "not": { "enum": errand_api::WORDS_OF_PATHS } })
}

/// The name of a schedule or a template.
fn name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,62}$" })
}

/// A name of something for people: [`errand_core::limits::label`].
fn label() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$" })
}

fn described(mut schema: Value, description: &str) -> Value {
    schema["description"] = json!(description);
    schema
}

/// Any array, and anything in it.
fn array() -> Value {
    json!({ "type": "array", "items": {} })
}

fn list(name: &str, of: Value) -> Value {
    object(
        &[name, "cursor"],
        json!({ name: { "type": "array", "items": of }, "cursor": { "type": ["string", "null"], "description": "Where to go on; null at the end." } }),
    )
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn optional_text() -> Value {
    json!({ "type": ["string", "null"] })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn optional_time() -> Value {
    json!({ "type": ["string", "null"], "format": "date-time" })
}

fn map(schemas: Value) -> Map<String, Value> {
    match schemas {
        Value::Object(schemas) => schemas,
        _ => Map::new(),
    }
}
