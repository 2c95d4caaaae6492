//! Values and items in DynamoDB's own JSON.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html#Programming.LowLevelAPI.DataTypeDescriptors>

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, MapAccess, Visitor},
    ser::SerializeMap as _,
};

/// A value of the kinds that records have. All numbers of records are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    S(Cow<'a, str>),
    N(i64),
    L(Vec<Value<'a>>),
    Bool(bool),
    /// What no record has: somebody else put it there.
    Other,
}

/// A value that was read.
pub(crate) type Owned = Value<'static>;

impl Value<'_> {
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::S(text) = self { Some(text) } else { None }
    }

    pub(crate) fn number(&self) -> Option<i64> {
        if let Self::N(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        if let Self::L(list) = self { Some(list) } else { None }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::S(text) => map.serialize_entry("S", text)?,
            Self::N(number) => map.serialize_entry("N", &format_args!("{number}"))?,
            Self::L(list) => map.serialize_entry("L", list)?,
            Self::Bool(bool) => map.serialize_entry("BOOL", bool)?,
            Self::Other => map.serialize_entry("NULL", &true)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kind;

        impl<'de> Visitor<'de> for Kind {
            type Value = Owned;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value by its kind")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Owned, A::Error> {
                let mut value = Value::Other;
                while let Some(kind) = map.next_key::<Cow<'de, str>>()? {
                    value = match &*kind {
                        "S" => Value::S(Cow::Owned(map.next_value()?)),
                        "N" => map.next_value::<String>()?.parse().map_or(Value::Other, Value::N),
                        "L" => Value::L(map.next_value()?),
                        "BOOL" => Value::Bool(map.next_value()?),
                        _ => map.next_value::<IgnoredAny>().map(|_| Value::Other)?,
                    };
                }
                Ok(value)
            }
        }

        deserializer.deserialize_map(Kind)
    }
}

/// Attributes by their names, each once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Item<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn extend(&mut self, attributes: impl IntoIterator<Item = (&'static str, Value<'a>)>) {
        self.0.extend(attributes.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)));
    }
}

impl<'a, I: IntoIterator<Item = (&'static str, Value<'a>)>> From<I> for Item<'a> {
    fn from(attributes: I) -> Self {
        let mut item = Self::default();
        item.extend(attributes);
        item
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Item<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attributes;

        impl<'de> Visitor<'de> for Attributes {
            type Value = Item<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an item")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut item = Item::default();
                while let Some((name, value)) = map.next_entry::<String, Owned>()? {
                    item.0.push((Cow::Owned(name), value));
                }
                Ok(item)
            }
        }

        deserializer.deserialize_map(Attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_they_are_written() {
        let json = r#"{"id":{"S":"ü\"1\""},"n":{"N":"-12"},"l":{"L":[{"L":[{"S":"a"}]},{"N":"0"}]},"b":{"BOOL":true}}"#;
        let item: Item = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&item).unwrap(), json);
        assert_eq!((item.get("id").and_then(Value::text), item.get("n").and_then(Value::number)), (Some("ü\"1\""), Some(-12)));
        assert_eq!((item.get("l").and_then(Value::list).map(<[_]>::len), item.get("none")), (Some(2), None));
    }

    #[test]
    fn what_somebody_else_put_there_spoils_nothing() {
        let json =
            r#"{"a":{"M":{"x":{"S":"y"}}},"b":{"NULL":true},"c":{"SS":["x"]},"d":{"N":"1.5"},"e":{"B":"AA=="},"f":{},"id":{"S":"1"}}"#;
        let item: Item = serde_json::from_str(json).unwrap();
        assert!(["a", "b", "c", "d", "e", "f"].iter().all(|name| item.get(name) == Some(&Value::Other)));
        assert_eq!(item.get("id").and_then(Value::text), Some("1"));
    }
}
