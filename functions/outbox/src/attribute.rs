//! DynamoDB's values as JSON.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>

use std::collections::BTreeMap;

use errand_core::json::{self, Object};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A value. DynamoDB nests no deeper than 32 of them.
#[derive(Deserialize)]
pub(crate) enum Attribute {
    S(String),
    N(String),
    /// Base64.
    B(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(#[expect(dead_code, reason = "it is always true")] bool),
    M(BTreeMap<String, Attribute>),
    L(Vec<Attribute>),
    #[serde(rename = "SS")]
    Texts(Vec<String>),
    #[serde(rename = "NS")]
    Numbers(Vec<String>),
    #[serde(rename = "BS")]
    Bytes(Vec<String>),
}

impl Attribute {
    /// It as JSON: numbers digit for digit, bytes as base64, sets as arrays.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::S(text) | Self::B(text) => json::text(text),
            Self::N(number) => self::number(number),
            Self::Bool(value) => value.to_string(),
            Self::Null(_) => "null".to_owned(),
            Self::M(fields) => object(fields),
            Self::L(items) => array(items.iter().map(Self::json)),
            Self::Texts(items) | Self::Bytes(items) => array(items.iter().map(|text| json::text(text))),
            Self::Numbers(items) => array(items.iter().map(|text| number(text))),
        }
    }

    /// A text, or a number's.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::S(text) | Self::N(text) => Some(text),
            _ => None,
        }
    }
}

/// An item, or a map in one.
pub(crate) fn object(fields: &BTreeMap<String, Attribute>) -> String {
    let mut object = Object::new();
    fields.iter().for_each(|(name, value)| object.field(name, &value.json()));
    object.end()
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// DynamoDB writes numbers as JSON does; what it might write otherwise is a text.
fn number(text: &str) -> String {
    let is_number =
        serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()));
    if is_number { text.to_owned() } else { json::text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_json() {
        let item = r#"{"m":{"M":{"n":{"N":"12345678901234567890.50"},"e":{"N":"1E+2"}}},"l":{"L":[{"S":"a\"ü"},{"BOOL":true},{"NULL":true}]},
            "b":{"B":"AP8="},"ss":{"SS":["x","y"]},"ns":{"NS":["1","-2.5"]},"bs":{"BS":["AA=="]},"odd":{"N":"NaN"}}"#;
        let item: BTreeMap<String, Attribute> = serde_json::from_str(item).unwrap();
        let wanted = r#"{"b":"AP8=","bs":["AA=="],"l":["a\"ü",true,null],"m":{"e":1E+2,"n":12345678901234567890.50},"ns":[1,-2.5],"odd":"NaN","ss":["x","y"]}"#;
        assert_eq!(object(&item), wanted);
    }
}
