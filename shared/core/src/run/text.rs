use std::borrow::Cow;

use serde_json::{Map, Value};

crate::named! {
    /// What kind of text a field of a payload is, and so how a value is written into it. What an author wrote stays as it is; a value is somebody
    /// else's word.
    pub enum Text {
        /// Text that is read as it is.
        Plain = "plain",
        /// The same in one line, such as a subject or a name: a value's line breaks and other control characters become a space.
        Line = "line",
        /// HTML.
        Html = "html",
        /// Slack's markup. <https://docs.slack.dev/messaging/formatting-message-text#escaping>
        Slack = "slack",
    }
}

impl Text {
    /// What is written in place of a character that means something in a text of this kind.
    const fn instead(self, character: char) -> Option<&'static str> {
        match (self, character) {
            (Self::Html | Self::Slack, '&') => Some("&amp;"),
            (Self::Html | Self::Slack, '<') => Some("&lt;"),
            (Self::Html | Self::Slack, '>') => Some("&gt;"),
            (Self::Html, '"') => Some("&quot;"),
            (Self::Html, '\'') => Some("&#39;"),
            (Self::Line, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}') => Some(" "),
            _ => None,
        }
    }

    /// A value, as it is written into a text of this kind.
    #[must_use]
    pub fn escape(self, value: &str) -> Cow<'_, str> {
        if !value.chars().any(|character| self.instead(character).is_some()) {
            return Cow::Borrowed(value);
        }
        let mut escaped = String::with_capacity(value.len() + 16);
        for character in value.chars() {
            match self.instead(character) {
                Some(instead) => escaped.push_str(instead),
                None => escaped.push(character),
            }
        }
        Cow::Owned(escaped)
    }
}

/// Whether a value that stands right after a `<` of a text in Slack's markup calls people: `<!channel>`, `<@U1>`, `<#C1>`.
/// <https://docs.slack.dev/messaging/formatting-message-text#special-mentions>
#[must_use]
pub fn is_mention(value: &str) -> bool {
    value.trim_start().starts_with(MENTIONS)
}

/// How what calls people begins.
pub(crate) const MENTIONS: [char; 3] = ['!', '@', '#'];

/// Where a text of a payload stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The payload as it is before anything is rendered: one of its fields may tell what another is.
    pub payload: &'a Map<String, Value>,
    /// The innermost object that the text stands in.
    pub parent: &'a Map<String, Value>,
    /// The names of the fields that lead to it, from the outside in, without places in lists.
    pub path: &'a [&'a str],
}

impl Place<'_> {
    /// The name of the field that the text stands in.
    #[must_use]
    pub fn field(&self) -> &str {
        self.path.last().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_escapes_what_means_something_in_it_and_no_more() {
        let value = "<!channel> & <b>\"Bob\"</b>\r\n'x'";
        let table = [
            (Text::Plain, value),
            (Text::Line, "<!channel> & <b>\"Bob\"</b>  'x'"),
            (Text::Html, "&lt;!channel&gt; &amp; &lt;b&gt;&quot;Bob&quot;&lt;/b&gt;\r\n&#39;x&#39;"),
            (Text::Slack, "&lt;!channel&gt; &amp; &lt;b&gt;\"Bob\"&lt;/b&gt;\r\n'x'"),
        ];
        for (kind, wanted) in table {
            assert_eq!(kind.escape(value), wanted, "{kind:?}");
            assert!(matches!(kind.escape("Zoë 7"), Cow::Borrowed("Zoë 7")));
        }
        assert_eq!(Text::Line.escape("a\u{2028}b\u{85}c\td"), "a b c d");
    }
}
