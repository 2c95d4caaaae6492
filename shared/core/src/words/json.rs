//! JSON that is other people's: arguments, payloads, contexts, return values. It is handed on as it was written, digit for digit and in its order, and
//! never parsed into numbers or maps of ours on its way.

use std::{borrow::Cow, fmt};

use memchr::memchr2_iter;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use crate::{DEPTH_LIMIT, Fields, Problems, segment};

/// JSON as it was written; `null` where nothing was.
///
/// Two are equal when they are written alike. serde can read it from JSON's text alone, and not through a type that buffers (`flatten`, `untagged`).
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The JSON of a value of ours; `null` where serde refuses it.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).unwrap_or_default())
    }

    /// The JSON that a text or an answer's body is, if it is any and not nested deeper than [`DEPTH_LIMIT`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if too_deep(text) { None } else { serde_json::from_slice(text).ok() }
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.get() == "null"
    }

    /// The value that it is.
    ///
    /// # Errors
    /// It is none of this type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.get())
    }

    /// The same for who keeps it as serde does; nothing where it is `null`.
    #[must_use]
    pub fn raw(&self) -> Option<Box<RawValue>> {
        if self.is_null() { None } else { Some(self.0.clone()) }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl From<&RawValue> for Json {
    fn from(json: &RawValue) -> Self {
        Self(json.to_owned())
    }
}

impl From<Box<RawValue>> for Json {
    fn from(json: Box<RawValue>) -> Self {
        Self(json)
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::of(&value)
    }
}

/// An object that is made of parts that are JSON already.
pub struct Object(String);

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

impl Object {
    /// An object without fields.
    #[must_use]
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// Adds a field; `json` is its value as it is to stand there.
    pub fn field(&mut self, name: &str, json: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&text(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The object's text.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    /// The object as a value of others.
    #[must_use]
    pub fn raw(self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.end()).ok()
    }
}

/// A text as JSON.
#[must_use]
pub fn text(text: &str) -> String {
    // A text is always JSON.
    serde_json::to_string(text).unwrap_or_default()
}

/// What a pointer (RFC 6901) points to, as it was written.
#[must_use]
pub fn at<'a>(json: &'a str, pointer: &str) -> Option<&'a RawValue> {
    let mut found: &RawValue = serde_json::from_str(json).ok()?;
    for step in pointer.strip_prefix('/').into_iter().flat_map(|steps| steps.split('/')) {
        found = match found.get().as_bytes().first()? {
            b'{' => {
                let name = step.replace("~1", "/").replace("~0", "~");
                Fields::of(found.get()).ok()?.into_entries().into_iter().find(|(field, _)| *field == name)?.1
            }
            // A number has no sign and no zero before it.
            b'[' if step.bytes().all(|byte| byte.is_ascii_digit()) && (step == "0" || !step.starts_with('0')) => {
                let elements: Vec<&RawValue> = serde_json::from_str(found.get()).ok()?;
                elements.get(step.parse::<usize>().ok()?).copied()?
            }
            _ => return None,
        };
    }
    Some(found)
}

/// A text as a JSON merge patch changes it: what the patch does not name stays as it was written. <https://www.rfc-editor.org/rfc/rfc7396#section-2>
///
/// # Errors
/// An object on the way has a field twice, or one of both is no JSON.
pub fn merge(target: &str, patch: &str) -> Result<String, Problems> {
    if !patch.starts_with('{') {
        return Ok(patch.to_owned());
    }
    let known = if target.starts_with('{') { Fields::of(target)?.into_entries() } else { Vec::new() };
    let mut fields: Vec<(Cow<'_, str>, Cow<'_, str>)> = known.into_iter().map(|(name, json)| (name, json.get().into())).collect();
    for (name, change) in Fields::of(patch)?.into_entries() {
        let place = fields.iter().position(|(known, _)| *known == name);
        match (place, change.get()) {
            (Some(place), "null") => drop(fields.remove(place)),
            (None, "null") => {}
            (Some(place), change) => {
                fields[place].1 =
                    merge(&fields[place].1, change).map_err(|problems| problems.under(&format!("/{}", segment(&name))))?.into()
            }
            (None, change) => fields.push((name, merge("null", change)?.into())),
        }
    }
    let mut object = Object::new();
    fields.iter().for_each(|(name, json)| object.field(name, json));
    Ok(object.end())
}

/// Whether objects and arrays are nested deeper than [`DEPTH_LIMIT`]. Most texts have too few brackets for that, which is quick to count.
#[must_use]
pub fn too_deep(json: &[u8]) -> bool {
    if memchr2_iter(b'{', b'[', json).nth(DEPTH_LIMIT).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_as_it_was_written() {
        for text in ["1e400", "12345678901234567890123", "100.10", "1E+2", "20e1", r#"{ "z":1, "a": -0.0 }"#, r#""\u00e9\/é""#, "null"] {
            let json = Json::parse(text.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&json).unwrap(), text);
            assert_eq!(serde_json::to_string(&[&json]).unwrap(), format!("[{text}]"));
        }
        assert_eq!(Json::parse(b"not JSON"), None);
        assert_eq!(Json::parse("[".repeat(99).as_bytes()), None);
        assert_eq!(Json::parse(&[0xff]), None);
        assert_eq!(Json::default().get(), "null");
    }

    #[test]
    fn a_pointer_finds_what_was_written() {
        let json = r#"{"a":[{"b/c":1e400},20e1],"~":{"":"x"},"k":{"0":7}}"#;
        let found = |pointer| at(json, pointer).map(RawValue::get);
        for (pointer, value) in [("/a/0/b~1c", "1e400"), ("/a/1", "20e1"), ("/~0/", r#""x""#), ("/k/0", "7"), ("", json)] {
            assert_eq!(found(pointer), Some(value), "{pointer}");
        }
        for nothing in ["/b", "/a/2", "/a/01", "/a/-", "/a/+1", "/a/1/x", "/a/0/b"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_patch_merges_as_the_rfc_says_and_leaves_all_else_to_the_letter() {
        for (target, patch, wanted) in [
            // From RFC 7396, appendix A.
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"["a","b"]"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{"z":{"n":1e400, "x":[20e1]},"a":100.10}"#, r#"{"z":{"m":1E+2}}"#, r#"{"z":{"n":1e400,"x":[20e1],"m":1E+2},"a":100.10}"#),
        ] {
            assert_eq!(merge(target, patch).as_deref(), Ok(wanted), "{target} with {patch}");
        }
        let twice = merge(r#"{"a":{"b":1,"b":2}}"#, r#"{"a":{"c":3}}"#);
        assert_eq!(twice.unwrap_err().to_string(), "/a/b: is there twice", "neither of the two is lost without a word");
    }

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(!too_deep(nested(DEPTH_LIMIT).as_bytes()) && too_deep(nested(DEPTH_LIMIT + 1).as_bytes()));
        assert!(!too_deep(format!(r#"["{}\"{}"]"#, "[".repeat(99), "{".repeat(99)).as_bytes()));
        assert!(!too_deep("[],".repeat(500).as_bytes()), "wide is not deep");
    }
}
