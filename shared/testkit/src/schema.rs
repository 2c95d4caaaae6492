//! Holds what callers are told of a payload against what is read.

use errand_core::Payload;
use serde_json::{Map, Value, json};

/// Checks that the examples of a payload's schema are taken, and that every property and requirement that it tells of is one.
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
    let Some(good) = examples.first().and_then(Value::as_object).filter(|_| schema.get("properties").is_some()) else { return };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        // A value of each type that the property does not have.
        let types = [property["type"].clone()].into_iter().flat_map(|types| types.as_array().cloned().unwrap_or_else(|| vec![types]));
        let types: Vec<Value> = types.filter(|kind| !kind.is_null()).collect();
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
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let names: Vec<&str> = alternatives.iter().filter_map(|one| one["required"][0].as_str()).collect();
        let payload: Map<String, Value> = good.clone().into_iter().filter(|(field, _)| !names.contains(&field.as_str())).collect();
        assert!(!refused(&Value::Object(payload)).is_empty(), "one of {names:?} is said to be required");
    }
}
