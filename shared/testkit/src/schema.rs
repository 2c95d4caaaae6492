//! Holds what callers are told of a payload against what is read, both ways: values at the edge of every limit, pattern, choice and type that the schema
//! tells of, and others that it does not tell of, are taken by the reader where the schema takes them, and nowhere else.
//!
//! What a schema cannot say, it names: a text with a `format` or a `contentEncoding` may be refused though the schema takes it. Another name of a property says
//! `The same as …` first in its description.

use std::collections::BTreeSet;

use errand_core::{Fields, Payload};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// A name that no payload has.
const NOBODYS: &str = "nobody-reads-this";

/// Longer than any text that has no limit of its own has to be, in characters.
const LONG: usize = 3_000;

/// Checks a payload's schema.
///
/// # Panics
/// The schema tells something else than what is read; the message says what.
pub fn check<P: Payload>() {
    let schema: Value = serde_json::from_str(P::SCHEMA).expect("the schema is JSON");
    let examples = schema["examples"].as_array().expect("a schema has examples").clone();
    let kit = Kit::<P> { validator: jsonschema::validator_for(&schema).expect("a schema"), read: P::from_json };
    for example in &examples {
        assert!(kit.takes(example), "the schema refuses its example: {example}");
        kit.compare(example, false, "an example");
    }
    if schema["additionalProperties"] == false {
        let told: BTreeSet<String> = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        assert_eq!(told, names::<P>(&examples[0]), "the schema tells of other properties than are read");
    }
    for required in names_of(&schema["required"]) {
        kit.compare(&without(&examples[0], &[required]), false, &format!("{required} left out"));
    }
    for choice in choices(&schema) {
        assert!(choice.len() > 1, "a choice has alternatives");
        assert!(
            !kit.compare(&without(&examples[0], &choice), false, &format!("none of {choice:?}")),
            "one of {choice:?} is said to be required"
        );
    }
    kit.object(&schema, "", &examples[0], &|object| object);
}

/// A schema and its reader.
struct Kit<P> {
    validator: Validator,
    read: fn(&str) -> Result<P, errand_core::Problems>,
}

impl<P> Kit<P> {
    fn takes(&self, payload: &Value) -> bool {
        self.validator.is_valid(payload)
    }

    /// Compares what the schema and the reader say of a payload; what has a `form` beyond the schema the reader may refuse all the same. Answers whether it is taken.
    fn compare(&self, payload: &Value, form: bool, what: &str) -> bool {
        let read = (self.read)(&payload.to_string());
        let told = read.as_ref().err().map(|problems| problems.to_string().chars().take(300).collect::<String>());
        if self.takes(payload) {
            assert!(form || read.is_ok(), "{what}: the schema takes it, and the reader does not: {told:?}");
        } else {
            assert!(read.is_err(), "{what}: the reader takes what the schema refuses");
        }
        read.is_ok()
    }

    /// Looks at an object that a schema tells of, with `example` for one and `around` for what stands around it.
    fn object(&self, schema: &Value, pointer: &str, example: &Value, around: &dyn Fn(Value) -> Value) {
        let mut with_another = example.clone();
        with_another[NOBODYS] = json!(7);
        self.compare(&around(with_another), !schema["additionalProperties"].is_boolean(), &format!("{pointer}/{NOBODYS}"));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let example = without(example, &same_as(&schema["properties"], name));
            let within = |value: Value| {
                let mut object = example.clone();
                object[name] = value;
                around(object)
            };
            self.value(property, &format!("{pointer}/{name}"), &within);
        }
        if schema["additionalProperties"].is_object() {
            self.value(&schema["additionalProperties"], &format!("{pointer}/X-Any"), &|value| around(json!({ "X-Any": value })));
        }
        if schema["propertyNames"].is_object() {
            let named = |name: Value| {
                let value = sample(&schema["additionalProperties"]);
                around(Value::Object(Map::from_iter([(name.as_str().unwrap_or_default().to_owned(), value)])))
            };
            self.text(&schema["propertyNames"], &format!("{pointer}/*"), &named);
        }
    }

    /// Looks at a value that a schema tells of: of every type that it may have, and of those that it may not.
    fn value(&self, schema: &Value, pointer: &str, around: &dyn Fn(Value) -> Value) {
        if let Some(alternatives) = schema["anyOf"].as_array() {
            alternatives.iter().for_each(|alternative| self.value(alternative, pointer, around));
            return;
        }
        let form = has_form(schema);
        for value in [json!("\u{1}"), json!(true), json!(7), json!(7.5), json!({ "": 7 }), json!([7]), json!([[7]])] {
            self.compare(&around(value.clone()), form, &format!("{pointer}: {value}"));
        }
        for kind in types(schema) {
            match kind {
                "string" => self.text(schema, pointer, around),
                "array" => self.array(schema, pointer, around),
                "object" => self.object(schema, pointer, &sample(&of_type(schema, "object")), around),
                "integer" | "number" => self.number(schema, pointer, around),
                _ => drop(self.compare(&around(sample(&of_type(schema, kind))), form, pointer)),
            }
        }
    }

    fn array(&self, schema: &Value, pointer: &str, around: &dyn Fn(Value) -> Value) {
        let items = |count: u64| Value::from((0..count).map(|_| sample(&schema["items"])).collect::<Vec<_>>());
        let (least, most) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
        for count in edges(least.unwrap_or(1), most) {
            self.compare(&around(items(count)), has_form(schema), &format!("{pointer}: {count} items"));
        }
        let first = |item: Value| {
            let mut items = items(least.unwrap_or(1).max(1));
            items[0] = item;
            around(items)
        };
        self.value(&schema["items"], &format!("{pointer}/0"), &first);
    }

    fn number(&self, schema: &Value, pointer: &str, around: &dyn Fn(Value) -> Value) {
        let (least, most) = (schema["minimum"].as_i64(), schema["maximum"].as_i64());
        let edges = [least, most].into_iter().flatten().flat_map(|edge| [edge - 1, edge, edge + 1]);
        for number in edges.chain([0, -1]) {
            self.compare(&around(json!(number)), has_form(schema), &format!("{pointer}: {number}"));
        }
    }

    fn text(&self, schema: &Value, pointer: &str, around: &dyn Fn(Value) -> Value) {
        let good = sample(&of_type(schema, "string"));
        let good = good.as_str().expect("a text");
        let form = has_form(schema);
        assert!(self.compare(&around(json!(good)), false, pointer), "{pointer}: an example is refused");
        let mut texts: Vec<String> = names_of(&schema["enum"]).into_iter().map(ToOwned::to_owned).collect();
        let lengths = edges(schema["minLength"].as_u64().unwrap_or(1), schema["maxLength"].as_u64());
        texts.extend(lengths.into_iter().map(|length| of_length(good, length)));
        texts.push(of_length(good, LONG as u64));
        for odd in ["", " ", "\n", "\u{1}", "\u{7f}", "\u{85}", "é", "🚀", "/", "\\", "\"", "<", ">", "%", ":", "=", ".", "A", "7"] {
            texts.extend([odd.to_owned(), format!("{odd}{good}"), format!("{good}{odd}")]);
            let middle = good.len() / 2;
            texts.extend(good.is_char_boundary(middle).then(|| format!("{}{odd}{}", &good[..middle], &good[middle..])));
        }
        for text in texts {
            let shown: String = text.chars().take(100).collect();
            self.compare(&around(json!(text)), form, &format!("{pointer}: {shown:?} of {} characters", text.chars().count()));
        }
    }
}

/// The counts at and beside two limits.
fn edges(least: u64, most: Option<u64>) -> BTreeSet<u64> {
    let of_most = most.into_iter().flat_map(|most| [most, most + 1]);
    [least.saturating_sub(1), least].into_iter().chain(of_most).collect()
}

/// A text that is made this long by its last character, or cut.
fn of_length(text: &str, length: u64) -> String {
    let last = text.chars().last().unwrap_or('x');
    text.chars().chain(std::iter::repeat(last)).take(usize::try_from(length).expect("a length")).collect()
}

/// Whether a text has a form that the schema cannot say.
fn has_form(schema: &Value) -> bool {
    schema.get("format").is_some() || schema.get("contentEncoding").is_some() || schema.get("items").is_some_and(has_form)
}

/// The types that a value may be of.
fn types(schema: &Value) -> Vec<&str> {
    schema["type"].as_str().map_or_else(|| names_of(&schema["type"]), |kind| vec![kind])
}

/// The schema of a value of one of its types.
fn of_type(schema: &Value, kind: &str) -> Value {
    let mut schema = schema.clone();
    schema["type"] = json!(kind);
    schema
}

/// The names of the properties that stand for this one: those that are the same as it, and what it is the same as.
fn same_as<'a>(properties: &'a Value, name: &str) -> Vec<&'a str> {
    let canonical = |name: &str| properties[name]["description"].as_str().and_then(|about| about.strip_prefix("The same as "));
    let canonical = |name: &'a str| canonical(name).map_or(name, |rest| rest.split([',', '.']).next().unwrap_or_default());
    let all: Vec<&'a str> = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let own = all.iter().copied().find(|other| *other == name).map_or("", canonical);
    all.into_iter().filter(|other| canonical(other) == own).collect()
}

/// A value that a schema takes.
fn sample(schema: &Value) -> Value {
    let given = [&schema["examples"][0], &schema["const"], &schema["enum"][0], &schema["default"]];
    if let Some(given) = given.into_iter().find(|given| !given.is_null()) {
        return given.clone();
    }
    if let Some(alternative) = schema["anyOf"].get(0) {
        return sample(alternative);
    }
    match types(schema).first().copied() {
        Some("string") => json!("x".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(1)).expect("a length"))),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(7)),
        Some("array") => (0..schema["minItems"].as_u64().unwrap_or(1)).map(|_| sample(&schema["items"])).collect(),
        Some("object") => {
            let first_choices = choices(schema).into_iter().filter_map(|choice| choice.first().copied());
            let needed: BTreeSet<&str> = names_of(&schema["required"]).into_iter().chain(first_choices).collect();
            let properties = needed.into_iter().map(|name| (name.to_owned(), sample(&schema["properties"][name])));
            Value::Object(properties.collect())
        }
        _ => json!({ "any": "thing" }),
    }
}

/// The choices of which properties have to be there: each one's names.
fn choices(schema: &Value) -> Vec<Vec<&str>> {
    let all = schema["allOf"].as_array().into_iter().flatten();
    all.map(|choice| choice["anyOf"].as_array().into_iter().flatten().filter_map(|one| one["required"][0].as_str()).collect()).collect()
}

fn names_of(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// An object without some of its properties.
fn without(object: &Value, names: &[&str]) -> Value {
    let rest = object.as_object().into_iter().flatten().filter(|(name, _)| !names.contains(&name.as_str()));
    Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The names that a payload's reader asks for, and those that it takes in their place.
fn names<P: Payload>(example: &Value) -> BTreeSet<String> {
    let json = example.to_string();
    let mut fields = Fields::of(&json).expect("an example is an object").strict();
    fields.aliases(P::ALIASES);
    let _ = P::read(&mut fields);
    fields.known().into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a text of two or three characters, none of them an x.
    fn read(fields: &mut Fields<'_>) -> Option<String> {
        fields.text("a", |text| if (2..=3).contains(&text.chars().count()) && !text.contains('x') { Ok(()) } else { Err("two or three") })
    }

    macro_rules! payload {
        ($name:ident, $properties:literal) => {
            struct $name;

            impl Payload for $name {
                const SCHEMA: &'static str =
                    concat!(r#"{"type":"object","additionalProperties":false,"properties":"#, $properties, r#","examples":[{"a":"aa"}]}"#);

                fn read(fields: &mut Fields<'_>) -> Option<Self> {
                    read(fields).map(|_| Self)
                }
            }
        };
    }

    payload!(Right, r#"{"a":{"type":"string","minLength":2,"maxLength":3,"pattern":"^[^x]*$","examples":["aa"]}}"#);
    payload!(Longer, r#"{"a":{"type":"string","minLength":2,"maxLength":4,"pattern":"^[^x]*$","examples":["aa"]}}"#);
    payload!(Shorter, r#"{"a":{"type":"string","minLength":2,"maxLength":2,"pattern":"^[^x]*$","examples":["aa"]}}"#);
    payload!(Endless, r#"{"a":{"type":"string","minLength":2,"pattern":"^[^x]*$","examples":["aa"]}}"#);
    payload!(Narrower, r#"{"a":{"type":"string","minLength":2,"maxLength":3,"pattern":"^[^x/]*$","examples":["aa"]}}"#);
    payload!(Wider, r#"{"a":{"type":["string","boolean"],"minLength":2,"maxLength":3,"pattern":"^[^x]*$","examples":["aa"]}}"#);
    payload!(More, r#"{"a":{"type":"string","minLength":2,"maxLength":3,"pattern":"^[^x]*$","examples":["aa"]},"b":{"type":"string"}}"#);

    #[test]
    fn a_schema_that_tells_what_is_read_is_right() {
        check::<Right>();
    }

    #[test]
    fn one_that_does_not_is_wrong() {
        let wrong = [check::<Longer>, check::<Shorter>, check::<Endless>, check::<Narrower>, check::<Wider>, check::<More>];
        for (place, check) in wrong.into_iter().enumerate() {
            assert!(std::panic::catch_unwind(check).is_err(), "{place}");
        }
    }
}
