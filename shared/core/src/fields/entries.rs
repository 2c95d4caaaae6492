//! The fields of an object, as they are written.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// One field.
pub(super) struct Entry<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: &'a RawValue,
    /// Whether a reader has asked for it.
    pub(super) read: Cell<bool>,
}

impl Entry<'_> {
    pub(super) fn is_null(&self) -> bool {
        self.value.get() == "null"
    }
}

/// All fields.
pub(super) struct Entries<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    /// A name that is there twice.
    pub(super) twice: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut entries, mut twice): (Vec<Entry<'de>>, _) = (Vec::with_capacity(8), None);
                while let Some((Key(name), value)) = map.next_entry()? {
                    if entries.iter().any(|known| known.name == name) {
                        twice = Some(name);
                        continue;
                    }
                    entries.push(Entry { name, value, read: Cell::new(false) });
                }
                Ok(Entries { entries, twice })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// An object's key, borrowed where it holds no escape: serde's own `Cow` always copies.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
