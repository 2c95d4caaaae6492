//! A mail's own HTML, in a frame that shows it and no more.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Mail;

/// What a mail's HTML may do: show itself, and open a link as a page of its own. No script, no form, no request; for pictures of other hosts when one
/// who reads asks for them.
pub(super) fn policy(pictures: bool) -> String {
    let others = if pictures { " http: https:" } else { "" };
    format!("{SANDBOX}; default-src 'none'; img-src data:{others}; style-src 'unsafe-inline'; font-src data:")
}

const SANDBOX: &str = "sandbox allow-popups allow-popups-to-escape-sandbox";

/// The HTML, with the pictures that the mail carries put in place, and links that open a page of their own.
pub(super) fn document(html: &str, mail: &Mail) -> String {
    let mut html = html.to_owned();
    for file in &mail.attachments {
        if let Some(content_id) = &file.content_id {
            html =
                html.replace(&format!("cid:{content_id}"), &format!("data:{};base64,{}", file.media_type, STANDARD.encode(file.bytes())));
        }
    }
    // A doctype stays the first, so that the mail is laid out as it says.
    let start = html.len() - html.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}').len();
    let is_doctype = html.as_bytes().get(start..start + 9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype"));
    let place = if is_doctype { html[start..].find('>').map_or(0, |end| start + end + 1) } else { 0 };
    html.insert_str(place, r#"<base target="_blank">"#);
    html
}

/// Whether the HTML wants pictures of other hosts.
pub(super) fn has_pictures_elsewhere(html: &str) -> bool {
    let html = html.to_ascii_lowercase();
    [
        "src=\"http",
        "src='http",
        "src=http",
        "src=\"//",
        "src='//",
        "srcset=\"http",
        "background=\"http",
        "url(http",
        "url('http",
        "url(\"http",
    ]
    .iter()
    .any(|part| html.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_open_elsewhere_and_a_doctype_stays_the_first() {
        let framed = |html: &str| document(html, &Mail::default());
        assert_eq!(framed("<b>x</b>"), r#"<base target="_blank"><b>x</b>"#);
        assert_eq!(framed(" \n<!DOCTYPE html><html>x"), " \n<!DOCTYPE html><base target=\"_blank\"><html>x");
        assert_eq!(framed("<!doctype"), r#"<base target="_blank"><!doctype"#);
        assert_eq!(framed(""), r#"<base target="_blank">"#);
    }

    #[test]
    fn pictures_of_others_are_known() {
        assert!(
            has_pictures_elsewhere("<IMG SRC='https://x.example/a.png'>")
                && has_pictures_elsewhere("<p style=\"background:url(http://x)\">")
        );
        assert!(!has_pictures_elsewhere("<img src='data:image/png;base64,x'><a href='https://x.example'>x</a><img src=cid:x>"));
    }
}
