use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::value::RawValue;

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
        Self(vec![Problem { pointer: String::new(), detail: detail.into() }])
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

/// The fields of a JSON object, read one by one, so that all that is wrong is found at once: serde stops at the first.
pub struct Fields<'a> {
    pointer: String,
    source: &'a str,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    problems: Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// The fields of `json`.
    ///
    /// # Errors
    /// It is not JSON, no object, or has a field twice.
    pub fn of(json: &'a str) -> Result<Self, Problems> {
        let entries = serde_json::from_str::<Entries<'a>>(json).map_err(|error| Problems::whole(explain(&error, json)))?.0;
        Ok(Self { pointer: String::new(), source: json, entries, problems: Vec::new() })
    }

    /// The JSON text of a field, if it is there and not null.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.entries.iter().find(|(key, value)| key == name && value.get() != "null").map(|(_, value)| *value)
    }

    /// How many fields there are, those that are null included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The fields that are not null, in their order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.entries.iter().filter(|(_, value)| value.get() != "null").map(|(name, value)| (name.as_ref(), *value))
    }

    /// All fields, in their order.
    #[must_use]
    pub fn into_entries(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        self.entries
    }

    /// What is wrong with a text that was read otherwise.
    #[must_use]
    pub fn not_json(error: &serde_json::Error, json: &str) -> Problems {
        Problems::whole(explain(error, json))
    }

    /// The whole object as it was written.
    #[must_use]
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// A field that must be there.
    pub fn required<T: Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        if self.raw(name).is_none() {
            self.refuse(name, "is required");
            return None;
        }
        self.optional(name)
    }

    /// A field that may be missing or null.
    pub fn optional<T: Deserialize<'a>>(&mut self, name: &str) -> Option<T> {
        let raw = self.raw(name)?.get();
        serde_json::from_str(raw).map_err(|error| self.refuse(name, explain(&error, raw))).ok()
    }

    /// A field whose text must fit `rule`: the error is what was expected.
    pub fn text(&mut self, name: &str, rule: impl Fn(&str) -> Result<(), &'static str>) -> Option<String> {
        let text: String = self.optional(name)?;
        rule(&text).map_err(|expected| self.refuse(name, format!("expected {expected}"))).ok()?;
        Some(text)
    }

    /// The JSON text of a field that may be missing or null and must begin as its type does.
    pub fn json(&mut self, name: &str, begins: char, expected: &str) -> Option<&'a RawValue> {
        let raw = self.raw(name)?;
        if !raw.get().starts_with(begins) {
            self.refuse(name, format!("expected {expected}, got {}", kind_of(raw.get())));
            return None;
        }
        Some(raw)
    }

    /// A list; each wrong element is a problem of its own. Empty when missing or null.
    pub fn list<T: Deserialize<'a>>(&mut self, name: &str) -> Vec<T> {
        self.elements(name, |fields, name, raw| serde_json::from_str(raw).map_err(|error| fields.refuse(name, explain(&error, raw))).ok())
    }

    /// An object that may be missing or null, read by `read`.
    pub fn object<T>(&mut self, name: &str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        let raw = self.raw(name)?;
        self.nested(name, raw.get(), read)
    }

    /// A list of objects, each read by `read`. Empty when missing or null.
    pub fn objects<T>(&mut self, name: &str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Vec<T> {
        self.elements(name, |fields, name, raw| fields.nested(name, raw, &read))
    }

    fn nested<T>(&mut self, name: &str, raw: &'a str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        match Fields::of(raw) {
            Ok(mut inner) => {
                inner.pointer = format!("{}/{name}", self.pointer);
                let value = read(&mut inner);
                self.problems.append(&mut inner.problems);
                value
            }
            Err(problems) => {
                self.adopt(name, problems);
                None
            }
        }
    }

    fn elements<T>(&mut self, name: &str, mut read: impl FnMut(&mut Self, &str, &'a str) -> Option<T>) -> Vec<T> {
        let elements: Vec<&'a RawValue> = self.optional(name).unwrap_or_default();
        elements.into_iter().enumerate().filter_map(|(i, raw)| read(self, &format!("{name}/{i}"), raw.get())).collect()
    }

    /// The whole object by its serde type: for payloads that need no more than the first problem.
    pub fn deserialize<T: DeserializeOwned>(&mut self) -> Option<T> {
        serde_json::from_str(self.source)
            .map_err(|error| self.problems.push(Problem { pointer: self.pointer.clone(), detail: explain(&error, self.source) }))
            .ok()
    }

    /// Notes what is wrong with a field; `name` may be a path such as `to/1`.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.problems.push(Problem { pointer: format!("{}/{name}", self.pointer), detail: detail.into() });
    }

    /// Takes in what is wrong with the value of a field.
    pub fn adopt(&mut self, name: &str, problems: Problems) {
        self.problems.extend(problems.under(&format!("{}/{name}", self.pointer)).0);
    }

    /// `value`, unless a problem was noted.
    ///
    /// # Errors
    /// All problems that were noted.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ if self.problems.is_empty() => Err(Problems::whole("is not what this task takes")),
            _ => Err(Problems(self.problems)),
        }
    }
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(8);
                while let Some((Key(key), value)) = map.next_entry()? {
                    if entries.iter().any(|(known, _)| *known == key) {
                        return Err(serde::de::Error::custom("a field of the object is there twice"));
                    }
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// An object's key, borrowed where it holds no escape: serde's own `Cow` always copies.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// What serde says, without the value that it repeats and the position that means nothing inside a field.
fn explain(error: &serde_json::Error, json: &str) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if error.is_syntax() || error.is_eof() {
        if let Some(name) = python_number(error, json) {
            return format!("is not JSON: {name} is no number there (line {}, column {})", error.line(), error.column());
        }
        return format!("is not JSON: {text} (line {}, column {})", error.line(), error.column());
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}, got {}", kind_of(json)),
        None => text.to_owned(),
    }
}

/// What Python writes for numbers that JSON does not have, if that is what was found.
fn python_number(error: &serde_json::Error, json: &str) -> Option<&'static str> {
    let line = json.lines().nth(error.line().checked_sub(1)?)?;
    let found = line.get(error.column().checked_sub(1)?..)?;
    ["NaN", "Infinity"].into_iter().find(|name| found.starts_with(name))
}

fn kind_of(json: &str) -> &'static str {
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
    use super::*;

    fn problems(json: &str, read: impl Fn(&mut Fields<'_>)) -> Vec<(String, String)> {
        let mut fields = Fields::of(json).unwrap();
        read(&mut fields);
        fields.finish(Some(())).map_or_else(|problems| problems.0.into_iter().map(|p| (p.pointer, p.detail)).collect(), |()| Vec::new())
    }

    #[test]
    fn every_wrong_field_is_found_at_once_and_no_value_is_repeated() {
        let found =
            problems(r#"{"subject":5,"to":["a",true,"hunter2"],"files":[{"name":"x"},7,{}],"when":"hunter2","n":null}"#, |fields| {
                fields.required::<String>("subject");
                fields.list::<String>("to");
                fields.objects("files", |file| file.required::<String>("name"));
                fields.optional::<crate::Timestamp>("when");
                fields.required::<u32>("n");
            });
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/subject", "/to/1", "/files/1", "/files/2/name", "/when", "/n"]);
        assert_eq!(found[0].1, "expected a string, got a number");
        assert_eq!(found[2].1, "expected a JSON object, got a number");
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_object_or_has_a_field_twice_is_refused() {
        for (json, detail) in [
            ("{", "is not JSON: EOF while parsing an object (line 1, column 1)"),
            ("[1]", "expected a JSON object, got an array"),
            (r#"{"a":1,"\u0061":2}"#, "a field of the object is there twice"),
            (r#"{"a":1} x"#, "is not JSON: trailing characters (line 1, column 9)"),
        ] {
            assert_eq!(Fields::of(json).err().map(|problems| problems.to_string()).as_deref(), Some(detail), "{json}");
        }
    }
}
