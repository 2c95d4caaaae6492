//! Holds what callers are told of a payload against what is read.

use std::collections::BTreeSet;

use errand_core::{Fields, Payload};
use serde_json::{Map, Value, json};

/// A name that no payload has.
const NOBODYS: &str = "nobody-reads-this";

/// Checks that the examples of a payload's schema are taken, that every property and requirement that it tells of is one, and that it is as strict about
/// other properties as the reader is.
///
/// # Panics
/// The schema tells something else than what is read; the message says what.
pub fn check<P: Payload>() {
    let schema: Value = serde_json::from_str(P::SCHEMA).expect("the schema is JSON");
    let examples = schema["examples"].as_array().expect("a schema has examples");
    let refused = |payload: &Value| match P::from_json(&payload.to_string()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.into_iter().map(|problem| problem.pointer).collect::<Vec<_>>(),
    };
    for example in examples {
        assert_eq!(refused(example), Vec::<String>::new(), "an example is refused: {example}");
    }
    for example in examples {
        let mut payload = example.clone();
        payload[NOBODYS] = json!(1);
        let closed = schema["additionalProperties"] == false;
        assert_eq!(!refused(&payload).is_empty(), closed, "another property is refused, or is not, and the schema says otherwise");
        for pointer in closed_objects(&schema, example, "") {
            let mut payload = example.clone();
            payload.pointer_mut(&pointer).expect("an object of the example")[NOBODYS] = json!(1);
            assert_eq!(refused(&payload), [format!("{pointer}/{NOBODYS}")], "another property is not refused there");
        }
    }
    if schema["additionalProperties"] == false {
        let told: BTreeSet<String> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        assert_eq!(told, names::<P>(&examples[0]), "the schema tells of other properties than are read");
    }
    let Some(good) = examples.first().and_then(Value::as_object).filter(|_| schema.get("properties").is_some()) else { return };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // Another name of a field that is there is one too many.
        if P::ALIASES.iter().any(|(alias, _)| alias == name) {
            continue;
        }
        // A value of each type that the property does not have.
        let types = types(property);
        let wrong = [
            ("string", json!("\u{1}")),
            ("boolean", json!(true)),
            ("number", json!(7)),
            ("object", json!({ "": 7 })),
            ("array", json!([7])),
        ];
        for (kind, value) in wrong {
            if types.is_empty() || types.contains(&json!(kind)) {
                continue;
            }
            let mut payload = good.clone();
            payload.insert(name.clone(), value);
            let pointers = refused(&Value::Object(payload));
            assert!(
                pointers.iter().any(|pointer| pointer.starts_with(&format!("/{name}"))),
                "{name}: a {kind} is taken, or told elsewhere: {pointers:?}"
            );
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let payload: Map<String, Value> = good.clone().into_iter().filter(|(field, _)| field != name).collect();
        assert_eq!(refused(&Value::Object(payload)), [format!("/{name}")], "{name} is said to be required");
    }
    for choice in schema["allOf"].as_array().into_iter().flatten() {
        let alternatives = choice["anyOf"].as_array().into_iter().flatten();
        let names: Vec<&str> = alternatives.filter_map(|one| one["required"][0].as_str()).collect();
        assert!(names.len() > 1, "a choice has alternatives");
        let payload: Map<String, Value> = good.clone().into_iter().filter(|(field, _)| !names.contains(&field.as_str())).collect();
        assert!(!refused(&Value::Object(payload)).is_empty(), "one of {names:?} is said to be required");
    }
}

/// The types that a property may be of; none where it may be of any.
fn types(property: &Value) -> Vec<Value> {
    let own = [property["type"].clone()].into_iter().flat_map(|types| types.as_array().cloned().unwrap_or_else(|| vec![types]));
    let alternatives = property["anyOf"].as_array().into_iter().flatten().flat_map(types);
    own.filter(|kind| !kind.is_null()).chain(alternatives).collect()
}

/// The names that a payload's reader asks for, and those that it takes in their place.
fn names<P: Payload>(example: &Value) -> BTreeSet<String> {
    let json = example.to_string();
    let mut fields = Fields::of(&json).expect("an example is an object").strict();
    fields.aliases(P::ALIASES);
    let _ = P::read(&mut fields);
    fields.known().into_iter().map(ToOwned::to_owned).collect()
}

/// Where objects stand in a value that have no other properties than a schema says.
fn closed_objects(schema: &Value, value: &Value, pointer: &str) -> Vec<String> {
    let kind = if value.is_object() { "object" } else { "array" };
    let alternatives = schema["anyOf"].as_array().into_iter().flatten().filter(|one| one["type"] == kind);
    let mut found: Vec<String> = alternatives.flat_map(|one| closed_objects(one, value, pointer)).collect();
    if let Some(object) = value.as_object() {
        found.extend((schema["additionalProperties"] == false).then(|| pointer.to_owned()));
        found.extend(
            object.iter().flat_map(|(name, value)| closed_objects(&schema["properties"][name], value, &format!("{pointer}/{name}"))),
        );
    }
    let items = value.as_array().into_iter().flatten().enumerate();
    found.extend(items.flat_map(|(place, value)| closed_objects(&schema["items"], value, &format!("{pointer}/{place}"))));
    found
}
