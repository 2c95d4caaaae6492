use std::fmt;

use serde::Serialize;
use serde_path_to_error::{Path, Segment};

/// One thing that is wrong with a JSON document, for the one who wrote it. It never repeats the value that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: a JSON pointer (RFC 6901). Empty for the whole document.
    pub pointer: String,
    /// What is wrong, and what was expected.
    pub detail: String,
}

/// All that is wrong with a JSON document; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// One problem with the whole document.
    #[must_use]
    pub fn whole(detail: impl Into<String>) -> Self {
        Self::at("", detail)
    }

    /// One problem with what stands at `pointer`.
    #[must_use]
    pub fn at(pointer: &str, detail: impl Into<String>) -> Self {
        Self(vec![Problem { pointer: pointer.to_owned(), detail: detail.into() }])
    }

    /// The same problems of a document that stands at `pointer` in another.
    #[must_use]
    pub fn under(mut self, pointer: &str) -> Self {
        for problem in &mut self.0 {
            problem.pointer.insert_str(0, pointer);
        }
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { pointer, detail }) in self.0.iter().enumerate() {
            let (comma, colon) = (if i == 0 { "" } else { "; " }, if pointer.is_empty() { "" } else { ": " });
            write!(f, "{comma}{pointer}{colon}{detail}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A field's name as a part of a JSON pointer (RFC 6901, section 3).
#[must_use]
pub fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A path of serde's as a JSON pointer.
pub(super) fn pointer(path: &Path) -> String {
    let steps = path.iter().filter_map(|step| match step {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", segment(key))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    steps.collect()
}

/// What serde says, in words of JSON and not of Rust, without the value that it repeats and the position that means nothing inside a field.
pub(super) fn explain(error: &serde_json::Error, json: &str) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if text == "number out of range" {
        return "expected a smaller number".to_owned();
    }
    if error.is_syntax() || error.is_eof() {
        if let Some(name) = python_number(error, json) {
            return format!("is not JSON: {name} is no number there (line {}, column {})", error.line(), error.column());
        }
        return format!("is not JSON: {text} (line {}, column {})", error.line(), error.column());
    }
    match text.rsplit_once(", expected ") {
        Some((found, expected)) if found.starts_with("unknown ") => format!("expected {}", expected.replace('`', "")),
        Some((_, expected)) => match (in_json(expected), kind_of(json)) {
            // A number that is wrong by its size or its fraction.
            (expected, "a number") if expected.contains("number") => format!("expected {expected}"),
            (expected, got) => format!("expected {expected}, got {got}"),
        },
        None if ["expected ", "missing field ", "duplicate field "].iter().any(|words| text.starts_with(words)) => text.replace('`', ""),
        // A type's own words may repeat the value.
        None => "is not what is taken here".to_owned(),
    }
}

/// What JSON calls what serde expects.
fn in_json(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        "a borrowed string" | "str" | "a character" => "a string",
        "unit" => "null",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("tuple ") || other.starts_with("a tuple ") => "an array",
        other if other.contains(" enum ") || other.starts_with("enum ") => "another value",
        other => other,
    }
}

/// What Python writes for numbers that JSON does not have, if that is what was found.
fn python_number(error: &serde_json::Error, json: &str) -> Option<&'static str> {
    let line = json.lines().nth(error.line().checked_sub(1)?)?;
    let found = line.get(error.column().checked_sub(1)?..)?;
    ["NaN", "Infinity"].into_iter().find(|name| found.starts_with(name))
}

pub(super) fn kind_of(json: &str) -> &'static str {
    match json.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, de::DeserializeOwned};

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Point {
        _x: i8,
    }

    fn told<T: DeserializeOwned>(json: &str) -> String {
        explain(&serde_json::from_str::<T>(json).err().unwrap(), json)
    }

    #[test]
    fn no_type_of_rusts_and_no_value_is_told() {
        for (told, wanted) in [
            (told::<u32>(r#""hunter2""#), "expected a whole number that is not negative, got a string"),
            (told::<u32>("-5"), "expected a whole number that is not negative"),
            (told::<u8>("300"), "expected a whole number that is not negative"),
            (told::<i64>("1.5"), "expected a whole number"),
            (told::<f64>("[1]"), "expected a number, got an array"),
            (told::<f64>("1e999"), "expected a smaller number"),
            (told::<bool>(r#""yes""#), "expected a boolean, got a string"),
            (told::<String>("7"), "expected a string, got a number"),
            (told::<Vec<u8>>("{}"), "expected an array, got an object"),
            (told::<BTreeMap<String, u8>>("[]"), "expected an object, got an array"),
            (told::<Point>("7"), "expected an object, got a number"),
            (told::<Point>(r#"{"hunter":2}"#), "expected _x"),
            (told::<Point>("{}"), "missing field _x"),
            (told::<Colour>(r#""hunter2""#), "expected red or green"),
            (told::<()>("7"), "expected null, got a number"),
            (told::<std::net::IpAddr>(r#""hunter2""#), "is not what is taken here"),
        ] {
            assert_eq!(told, wanted);
        }
    }
}
