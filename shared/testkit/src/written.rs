//! JSON that a parser of numbers, maps or texts changes: wherever it is handed on, it arrives as it was written.

use errand_core::{Json, json::Object};

/// Such values.
pub const VALUES: [&str; 9] = [
    "1e400",
    "12345678901234567890123",
    "100.10",
    "1E+2",
    "20e1",
    "-0.0",
    r#""\u00e9\/\ud83d\ude00""#,
    r#"{ "z": null, "a": [ ] }"#,
    "0.1000000000000000055511151231257827",
];

/// All of them in an array.
#[must_use]
pub fn array() -> Json {
    parse(&format!("[{}]", VALUES.join(", ")))
}

/// All of them in an object, whose fields are not sorted.
#[must_use]
pub fn object() -> Json {
    let mut object = Object::new();
    VALUES.iter().enumerate().rev().for_each(|(place, value)| object.field(&format!("n{place}"), value));
    parse(&object.end())
}

fn parse(text: &str) -> Json {
    Json::parse(text.as_bytes()).unwrap_or_default()
}
