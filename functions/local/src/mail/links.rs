//! Links in a mail.

use std::ops::Range;

/// Where the links of a text are.
pub(super) fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(begin) = ["https://", "http://"].iter().filter_map(|scheme| text[from..].find(scheme)).min().map(|at| from + at) {
        let ends = |letter: char| letter.is_whitespace() || letter.is_control() || "\"'<>`\\".contains(letter);
        let rest = &text[begin..];
        let link = &rest[..rest.find(ends).unwrap_or(rest.len())];
        // What closes a sentence is not of the link, and neither is a bracket that was opened before it.
        let link = link
            .trim_end_matches(|letter: char| ".,;:!?".contains(letter) || (letter == ')' && !link.contains('(')) || "]}".contains(letter));
        from = begin + link.len().max("http://".len());
        if link.len() > "https://".len() {
            found.push(begin..begin + link.len());
        }
    }
    found
}

/// The links that a reader of a mail's HTML and text can follow, each once.
pub(super) fn links(html: Option<&str>, text: Option<&str>) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    let of_html = html.into_iter().flat_map(|html| {
        let followed = ranges(html).into_iter().filter(|range| is_followed(&html[..range.start]));
        followed.map(|range| html[range].replace("&amp;", "&"))
    });
    let of_text = text.into_iter().flat_map(|text| ranges(text).into_iter().map(|range| text[range].to_owned()));
    for link in of_html.chain(of_text) {
        if !links.contains(&link) {
            links.push(link);
        }
    }
    links
}

/// Whether a link behind this part of an HTML is one that a reader follows: of an `href`, or in the text. Those of pictures, styles and names of schemas are not.
fn is_followed(before: &str) -> bool {
    let attribute = before.strip_suffix(['"', '\'']).unwrap_or(before).trim_end();
    let ends_with = |text: &str, end: &str| {
        text.len() >= end.len() && text.is_char_boundary(text.len() - end.len()) && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
    };
    ends_with(attribute, "href=") || !(attribute.ends_with('=') || before.ends_with(['"', '\'']) || ends_with(attribute, "url("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_end_where_a_reader_would_end_them() {
        let found = |text: &str| links(None, Some(text));
        assert_eq!(
            found("See https://a.example/x?y=1&z=2. Or (http://b.example/c), https://a.example/x?y=1&z=2!"),
            ["https://a.example/x?y=1&z=2", "http://b.example/c"]
        );
        assert_eq!(found("https://a.example/wiki/X_(y)\nhttps://ü.example/ß"), ["https://a.example/wiki/X_(y)", "https://ü.example/ß"]);
        assert!(found("http:// https://. no link").is_empty());
    }

    #[test]
    fn links_of_html_are_those_of_its_attributes_and_text() {
        let html = r#"<!DOCTYPE html PUBLIC "x" "http://www.w3.org/TR/x"><html xmlns="http://www.w3.org/1999/xhtml"><p style="background:url(http://p.example/y)">
            <a HREF='https://a.example/?a=1&amp;b=2'>go</a><img src="http://p.example/x.png"><a href=https://b.example>or</a> http://c.example</p>"#;
        assert_eq!(
            links(Some(html), Some("https://a.example/?a=1&b=2 http://d.example")),
            ["https://a.example/?a=1&b=2", "https://b.example", "http://c.example", "http://d.example"]
        );
    }
}
