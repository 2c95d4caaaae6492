//! How the values of fields are read.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    Fields, Others,
    problem::{Problem, explain, kind_of, segment},
};

impl<'a> Fields<'a> {
    /// A field that must be there.
    pub fn required<T: Deserialize<'a>>(&mut self, name: &'static str) -> Option<T> {
        if self.raw(name).is_none() {
            self.refuse(name, "is required");
            return None;
        }
        self.optional(name)
    }

    /// A field that may be missing or null.
    pub fn optional<T: Deserialize<'a>>(&mut self, name: &'static str) -> Option<T> {
        let raw = self.raw(name)?.get();
        serde_json::from_str(raw).map_err(|error| self.refuse(name, explain(&error, raw))).ok()
    }

    /// A whole number that may be missing or null and must be within `range`.
    pub fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let raw = self.raw(name)?.get();
        let number = raw.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let got = if kind_of(raw) == "a number" { String::new() } else { format!(", got {}", kind_of(raw)) };
            self.refuse(name, format!("expected a whole number from {} to {}{got}", range.start(), range.end()));
        }
        number
    }

    /// A field whose text must fit `rule`: the error is what was expected.
    pub fn text(&mut self, name: &'static str, rule: impl Fn(&str) -> Result<(), &'static str>) -> Option<String> {
        let text: String = self.optional(name)?;
        rule(&text).map_err(|expected| self.refuse(name, format!("expected {expected}"))).ok()?;
        Some(text)
    }

    /// The same for a field that must be there.
    pub fn required_text(&mut self, name: &'static str, rule: impl Fn(&str) -> Result<(), &'static str>) -> Option<String> {
        if self.raw(name).is_none() {
            self.refuse(name, "is required");
        }
        self.text(name, rule)
    }

    /// The JSON text of a field that may be missing or null and must begin as its type does.
    pub fn json(&mut self, name: &'static str, begins: char, expected: &str) -> Option<&'a RawValue> {
        let raw = self.raw(name)?;
        if !raw.get().starts_with(begins) {
            self.refuse(name, format!("expected {expected}, got {}", kind_of(raw.get())));
            return None;
        }
        Some(raw)
    }

    /// A list; each wrong element is a problem of its own. Empty when missing or null.
    pub fn list<T: Deserialize<'a>>(&mut self, name: &'static str) -> Vec<T> {
        self.elements(name, |fields, place, raw| {
            serde_json::from_str(raw).map_err(|error| fields.refuse(&format!("{name}/{place}"), explain(&error, raw))).ok()
        })
    }

    /// An object of whatever names, each with a text; each wrong one is a problem of its own. Empty when missing or null.
    pub fn texts(&mut self, name: &'static str) -> BTreeMap<String, String> {
        let read = |texts: &mut Self| {
            let entries: Vec<(String, &'a RawValue)> = texts.entries().map(|(name, raw)| (name.to_owned(), raw)).collect();
            let text = |(name, raw): (String, &'a RawValue)| {
                let text =
                    serde_json::from_str(raw.get()).map_err(|error| texts.refuse(&segment(&name), explain(&error, raw.get()))).ok()?;
                Some((name, text))
            };
            Some(entries.into_iter().filter_map(text).collect())
        };
        self.object(name, read).unwrap_or_default()
    }

    /// What `read` makes of each field that is not null, by its name, whatever that is: each is an object.
    pub fn each<T>(&mut self, read: impl Fn(&str, &mut Fields<'a>) -> Option<T>) -> BTreeMap<String, T> {
        let entries: Vec<(String, &'a RawValue)> = self.entries().map(|(name, raw)| (name.to_owned(), raw)).collect();
        let each = |(name, raw): (String, &'a RawValue)| {
            let value = self.nested(&segment(&name), raw.get(), |fields| read(&name, fields))?;
            Some((name, value))
        };
        entries.into_iter().filter_map(each).collect()
    }

    /// An object that may be missing or null, read by `read`.
    pub fn object<T>(&mut self, name: &'static str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        let raw = self.raw(name)?;
        self.nested(name, raw.get(), read)
    }

    /// A list of objects, each read by `read`. Empty when missing or null.
    pub fn objects<T>(&mut self, name: &'static str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Vec<T> {
        self.elements(name, |fields, place, raw| fields.nested(&format!("{name}/{place}"), raw, &read))
    }

    fn nested<T>(&mut self, name: &str, raw: &'a str, read: impl Fn(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        match self.alike(raw) {
            Ok(mut inner) => {
                inner.pointer = self.pointer_to(name);
                let value = read(&mut inner);
                inner.settle();
                self.problems.append(&mut inner.problems);
                if let (Others::Noted(unread), Others::Noted(inner)) = (&mut self.others, &mut inner.others) {
                    unread.append(inner);
                }
                value
            }
            Err(problems) => {
                self.adopt(name, problems);
                None
            }
        }
    }

    fn elements<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Self, usize, &'a str) -> Option<T>) -> Vec<T> {
        let elements: Vec<&'a RawValue> = self.optional(name).unwrap_or_default();
        elements.into_iter().enumerate().filter_map(|(place, raw)| read(self, place, raw.get())).collect()
    }

    /// The whole object by its serde type: for payloads that need no more than the first problem.
    pub fn deserialize<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.free();
        serde_json::from_str(self.source)
            .map_err(|error| self.problems.push(Problem { pointer: self.pointer.clone(), detail: explain(&error, self.source) }))
            .ok()
    }
}
