//! What is printed.

use errand_core::{Fields, Payload};

/// What task `console` takes: any JSON object, as it was written.
pub struct Line(pub String);

impl Payload for Line {
    const SCHEMA: &'static str = include_str!("schema.json");
    const NOTIFICATION: &'static str = r#"{"text": "{{ short_description }}"}"#;

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self(fields.source().to_owned()))
    }
}
