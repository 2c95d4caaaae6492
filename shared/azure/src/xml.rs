//! What little of XML there is in the answers and requests of Azure and AWS.

use std::borrow::Cow;

/// The text of the first element of this name that holds no other.
#[must_use]
pub fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text).filter(|text| !text.contains('<'))
}

/// JSON as the text of an element. The two characters that JSON may hold and XML may not are written as JSON's escapes, which mean the same: they stand in strings alone.
/// <https://www.w3.org/TR/xml/#charsets>
#[must_use]
pub fn escape(json: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 6] = ['&', '<', '>', '\r', '\u{fffe}', '\u{ffff}'];
    if !json.contains(SPECIAL) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + json.len() / 8);
    for c in json.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // As it is, a reader makes another character of it.
            '\r' => escaped.push_str("&#13;"),
            '\u{fffe}' => escaped.push_str("\\ufffe"),
            '\u{ffff}' => escaped.push_str("\\uffff"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_and_json_is_written_as_one() {
        let xml = "<Error><Code>401</Code><Detail>no & yes</Detail></Error>";
        assert_eq!((element(xml, "Code"), element(xml, "Detail"), element(xml, "Error")), (Some("401"), Some("no & yes"), None));
        assert_eq!((element("<Code>4", "Code"), element("", "Code")), (None, None));
        assert!(matches!(escape(r#"{"a":"é"}"#), Cow::Borrowed(_)));
        assert_eq!(escape("{\"a\":\"<&>\",\r\n\"b\":\"\u{fffe}\u{ffff}\"}"), "{\"a\":\"&lt;&amp;&gt;\",&#13;\n\"b\":\"\\ufffe\\uffff\"}");
    }
}
