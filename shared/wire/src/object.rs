//! JSON objects that are made of parts that are JSON already.

use serde_json::value::RawValue;

/// An object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a field; `json` is its value as it is to stand there.
    pub(crate) fn field(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&text(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// The object as a value of others.
    pub(crate) fn raw(self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.end()).ok()
    }
}

/// A text as JSON.
pub(crate) fn text(text: &str) -> String {
    // A text is always JSON.
    serde_json::to_string(text).unwrap_or_default()
}
