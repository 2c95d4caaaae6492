//! Values that kombu's JSON has and JSON has not, `{"__type__": …, "__value__": …}`: as the plain values that kombu wrote before its version 5.3.
//! <https://docs.celeryq.dev/projects/kombu/en/stable/userguide/serialization.html>

use std::borrow::Cow;

use errand_core::{Fields, json::Object};
use serde_json::{Value, value::RawValue};

/// What tells such a value.
const TYPE: &str = "__type__";

/// JSON with every such value as a plain one: times and decimals as their texts, UUIDs with hyphens, bytes as text or else base64. What has a type of its
/// sender's own stays.
pub(super) fn plain(json: &RawValue) -> Cow<'_, RawValue> {
    if !json.get().contains(TYPE) {
        return Cow::Borrowed(json);
    }
    let mut written = String::with_capacity(json.get().len());
    write(json.get(), &mut written);
    // JSON that was parsed before, with values of JSON in place of others.
    RawValue::from_string(written).map_or(Cow::Borrowed(json), Cow::Owned)
}

/// Numbers are copied as they stand: they may be larger than any type here.
fn write(json: &str, out: &mut String) {
    match json.as_bytes().first() {
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            out.push('[');
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(value.get(), out);
            }
            out.push(']');
        }
        Some(b'{') => {
            // An object that has a field twice is not ours to mend.
            let Ok(fields) = Fields::of(json).map(Fields::into_entries) else {
                out.push_str(json);
                return;
            };
            if let Some(value) = value(&fields) {
                out.push_str(&value.to_string());
                return;
            }
            let mut object = Object::new();
            for (name, value) in &fields {
                let mut plain = String::new();
                write(value.get(), &mut plain);
                object.field(name, &plain);
            }
            out.push_str(&object.end());
        }
        _ => out.push_str(json),
    }
}

/// The plain value of a special one.
fn value(fields: &[(Cow<'_, str>, &RawValue)]) -> Option<Value> {
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.get());
    if fields.len() != 2 {
        return None;
    }
    let kind: String = serde_json::from_str(field(TYPE)?).ok()?;
    let value: Value = serde_json::from_str(field("__value__")?).ok()?;
    match kind.as_str() {
        "datetime" | "date" | "time" | "decimal" | "bytes" | "base64" => value.is_string().then_some(value),
        "uuid" => {
            let hex = value["hex"].as_str().filter(|hex| hex.len() == 32 && hex.is_ascii())?;
            Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_values_become_plain_ones_and_all_else_stays_to_the_letter() {
        let json = r#"[{"__type__":"datetime","__value__":"2026-01-02T03:04:05+00:00"},{"d":[{"__type__":"decimal","__value__":"1.50"},1180591620717411303424]},{"__type__":"uuid","__value__":{"hex":"11111111222243338444555555555555"}},{"__type__":"mine","__value__":1},{"__type__":"bytes","__value__":"b","x":1},{"__type__":"base64","__value__":"AP8="},"\u00e9"]"#;
        let raw = RawValue::from_string(json.to_owned()).unwrap();
        assert_eq!(
            plain(&raw).get(),
            r#"["2026-01-02T03:04:05+00:00",{"d":["1.50",1180591620717411303424]},"11111111-2222-4333-8444-555555555555",{"__type__":"mine","__value__":1},{"__type__":"bytes","__value__":"b","x":1},"AP8=","\u00e9"]"#
        );
    }
}
