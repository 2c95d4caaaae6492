//! What Slack takes within blocks, as far as the JSON tells it: what is over a limit would come back as `invalid_blocks`, after the call was answered.
//! <https://docs.slack.dev/reference/block-kit/blocks>, <https://docs.slack.dev/reference/block-kit/block-elements>,
//! <https://docs.slack.dev/reference/block-kit/composition-objects>

use errand_core::Fields;
use serde_json::{Map, Value};

/// The most blocks of a message, and the most attachments.
pub(super) const MOST_BLOCKS: usize = 50;
const MOST_ATTACHMENTS: usize = 100;

/// The longest texts, in characters, by the type of the object and its field. An object without a type is of the field's name that it stands in.
const TEXTS: [(&str, &str, usize); 29] = [
    ("button", "accessibility_label", 75),
    ("button", "text", 75),
    ("button", "url", 3_000),
    ("button", "value", 2_000),
    ("confirm", "confirm", 30),
    ("confirm", "deny", 30),
    ("confirm", "text", 300),
    ("confirm", "title", 100),
    ("header", "text", 150),
    ("image", "alt_text", 2_000),
    ("image", "image_url", 3_000),
    ("image", "title", 2_000),
    ("input", "hint", 2_000),
    ("input", "label", 2_000),
    ("markdown", "text", 12_000),
    ("mrkdwn", "text", 3_000),
    ("option_groups", "label", 75),
    ("options", "description", 75),
    ("options", "text", 75),
    ("options", "url", 3_000),
    ("options", "value", 150),
    ("plain_text", "text", 3_000),
    ("section", "fields", 2_000),
    ("section", "text", 3_000),
    ("video", "alt_text", 2_000),
    ("video", "author_name", 50),
    ("video", "description", 200),
    ("video", "title", 200),
    ("workflow_button", "text", 75),
];

/// The same for fields of objects of any type.
const ALL_TEXTS: [(&str, usize); 3] = [("action_id", 255), ("block_id", 255), ("placeholder", 150)];

/// The longest lists.
const LISTS: [(&str, &str, usize); 7] = [
    ("actions", "elements", 25),
    ("checkboxes", "options", 10),
    ("context", "elements", 10),
    ("context_actions", "elements", 5),
    ("overflow", "options", 5),
    ("radio_buttons", "options", 10),
    ("section", "fields", 10),
];

/// The same for fields of objects of any type.
const ALL_LISTS: [(&str, usize); 2] = [("option_groups", 100), ("options", 100)];

/// Notes what is wrong with a message's blocks and with those of its attachments.
pub(super) fn check(fields: &mut Fields<'_>) {
    let mut problems = Vec::new();
    if let Some(blocks) = fields.raw("blocks").and_then(|raw| serde_json::from_str(raw.get()).ok()) {
        list(&blocks, "blocks", &mut problems);
    }
    let attachments = fields.raw("attachments").and_then(|raw| serde_json::from_str::<Vec<Value>>(raw.get()).ok()).unwrap_or_default();
    if attachments.len() > MOST_ATTACHMENTS {
        problems.push(("attachments".to_owned(), format!("expected at most {MOST_ATTACHMENTS} attachments, got {}", attachments.len())));
    }
    for (place, attachment) in attachments.iter().enumerate() {
        if let Some(blocks @ Value::Array(_)) = attachment.get("blocks") {
            list(blocks, &format!("attachments/{place}/blocks"), &mut problems);
        }
    }
    for (name, problem) in problems {
        fields.refuse(&name, problem);
    }
}

type Problems = Vec<(String, String)>;

fn list(blocks: &Value, name: &str, problems: &mut Problems) {
    let blocks = blocks.as_array().map(Vec::as_slice).unwrap_or_default();
    if blocks.len() > MOST_BLOCKS {
        problems.push((name.to_owned(), format!("expected at most {MOST_BLOCKS} blocks, got {}", blocks.len())));
    }
    for (place, block) in blocks.iter().enumerate() {
        let name = format!("{name}/{place}");
        match block.as_object().filter(|block| block.get("type").is_some_and(Value::is_string)) {
            Some(block) => self::block(block, &name, problems),
            None => problems.push((name, "expected a block: an object with a type".to_owned())),
        }
    }
}

fn block(block: &Map<String, Value>, name: &str, problems: &mut Problems) {
    let kind = block.get("type").and_then(Value::as_str);
    if kind == Some("section") && ["text", "fields"].iter().all(|field| block.get(*field).is_none_or(Value::is_null)) {
        problems.push((format!("{name}/text"), "is required, or fields".to_owned()));
    }
    if matches!(kind, Some("section" | "header")) && block.get("text").and_then(text).is_some_and(str::is_empty) {
        problems.push((format!("{name}/text/text"), "expected a text that is not empty".to_owned()));
    }
    object(block, kind.unwrap_or_default(), name, problems);
}

/// Looks at an object of this type, and at all within it.
fn object(object: &Map<String, Value>, kind: &str, name: &str, problems: &mut Problems) {
    for (field, value) in object {
        let name = format!("{name}/{field}");
        let of_kind = |limits: &[(&str, &str, usize)]| limits.iter().find(|limit| (limit.0, limit.1) == (kind, field)).map(|limit| limit.2);
        let of_all = |limits: &[(&str, usize)]| limits.iter().find(|limit| limit.0 == field).map(|limit| limit.1);
        let longest = of_kind(&TEXTS).or_else(|| of_all(&ALL_TEXTS));
        let Value::Array(items) = value else {
            value_of(value, field, longest, &name, problems);
            continue;
        };
        let most = of_kind(&LISTS).or_else(|| of_all(&ALL_LISTS));
        if let Some(most) = most.filter(|most| items.len() > *most) {
            problems.push((name.clone(), format!("expected at most {most}, got {}", items.len())));
        }
        for (place, item) in items.iter().enumerate() {
            value_of(item, field, longest, &format!("{name}/{place}"), problems);
        }
    }
}

/// Looks at a field's value: a text, or an object with a text, of so many characters, or anything else.
fn value_of(value: &Value, field: &str, longest: Option<usize>, name: &str, problems: &mut Problems) {
    let inner = value.as_object();
    if let Some((longest, length)) = longest.zip(text(value).map(length)).filter(|(longest, length)| length > longest) {
        let name = if inner.is_some() { format!("{name}/text") } else { name.to_owned() };
        problems.push((name, format!("expected at most {longest} characters, got {length}")));
    } else if let Some(inner) = inner {
        object(inner, inner.get("type").and_then(Value::as_str).unwrap_or(field), name, problems);
    }
}

/// A text, or that of a text object.
fn text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("text")?.as_str())
}

/// How long a text is that is shown, in characters: what is escaped is one.
pub(super) fn length(text: &str) -> usize {
    let escaped = |entity: &str| text.matches(entity).count() * (entity.len() - 1);
    text.chars().count() - escaped("&amp;") - escaped("&lt;") - escaped("&gt;")
}

#[cfg(test)]
mod tests {
    use errand_core::Payload;
    use serde_json::json;

    use super::*;
    use crate::slack::Message;

    fn told(blocks: &Value) -> String {
        Message::from_json(&json!({ "text": "x", "blocks": blocks }).to_string())
            .err()
            .map(|problems| problems.to_string())
            .unwrap_or_default()
    }

    /// The last value that Slack takes and the first that it does not.
    #[test]
    fn what_slack_would_refuse_is_refused_before() {
        let text = |length: usize| json!({ "type": "mrkdwn", "text": "é".repeat(length) });
        let plain = |length: usize| json!({ "type": "plain_text", "text": "x".repeat(length) });
        let many = |count: usize| vec![text(1); count];
        type Make<'a> = &'a dyn Fn(usize) -> Value;
        let options = |count: usize| vec![json!({ "text": plain(75), "value": "v" }); count];
        let select = |options: Vec<Value>| json!({ "type": "static_select", "placeholder": plain(150), "options": options });
        let in_actions = |element: Value| json!({ "type": "actions", "elements": [element] });
        let button = |confirm: usize| json!({ "type": "button", "text": plain(75), "confirm": { "title": plain(100), "text": plain(300), "confirm": plain(confirm), "deny": plain(30) } });
        let cases: [(Make<'_>, usize, &str); 15] = [
            (&|n| json!({ "type": "section", "text": text(n) }), 3_000, "/blocks/0/text/text"),
            (&|n| json!({ "type": "section", "fields": [text(1), text(n)] }), 2_000, "/blocks/0/fields/1/text"),
            (&|n| json!({ "type": "section", "fields": many(n) }), 10, "/blocks/0/fields"),
            (&|n| json!({ "type": "header", "text": plain(n) }), 150, "/blocks/0/text/text"),
            (&|n| json!({ "type": "context", "elements": many(n) }), 10, "/blocks/0/elements"),
            (&|n| json!({ "type": "context", "elements": [text(n)] }), 3_000, "/blocks/0/elements/0/text"),
            (&|n| json!({ "type": "actions", "elements": vec![button(30); n] }), 25, "/blocks/0/elements"),
            (&|n| in_actions(button(n)), 30, "/blocks/0/elements/0/confirm/confirm/text"),
            (&|n| in_actions(select(options(n))), 100, "/blocks/0/elements/0/options"),
            (&|n| in_actions(select(vec![json!({ "text": plain(n), "value": "v" })])), 75, "/blocks/0/elements/0/options/0/text/text"),
            (
                &|n| json!({ "type": "section", "text": text(1), "accessory": { "type": "button", "text": plain(1), "url": "u".repeat(n) } }),
                3_000,
                "/blocks/0/accessory/url",
            ),
            (&|n| json!({ "type": "image", "image_url": "https://x", "alt_text": "a".repeat(n) }), 2_000, "/blocks/0/alt_text"),
            (&|n| json!({ "type": "markdown", "text": "a".repeat(n) }), 12_000, "/blocks/0/text"),
            (&|n| json!({ "type": "divider", "block_id": "a".repeat(n) }), 255, "/blocks/0/block_id"),
            (&|n| json!({ "type": "rich_text", "elements": [], "block_id": "a".repeat(n) }), 255, "/blocks/0/block_id"),
        ];
        for (make, most, pointer) in cases {
            assert_eq!(told(&json!([make(most)])), "", "{pointer} of {most}");
            let over = told(&json!([make(most + 1)]));
            assert!(
                over.starts_with(&format!("{pointer}: expected at most {most}")) && over.ends_with(&format!("got {}", most + 1)),
                "{over}"
            );
        }
    }

    #[test]
    fn what_is_no_block_is_told_and_what_is_not_known_is_left_to_slack() {
        let cases = [
            (json!(["x"]), "/blocks/0: expected a block: an object with a type"),
            (json!([{ "text": "x" }]), "/blocks/0: expected a block: an object with a type"),
            (json!([{ "type": "section" }]), "/blocks/0/text: is required, or fields"),
            (
                json!([{ "type": "header", "text": { "type": "plain_text", "text": "" } }]),
                "/blocks/0/text/text: expected a text that is not empty",
            ),
            (json!([{ "type": "new", "text": { "type": "newer", "text": "x".repeat(50_000) } }]), ""),
            (
                json!([{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [{ "type": "text", "text": "x".repeat(9_000) }] }] }]),
                "",
            ),
        ];
        for (blocks, wanted) in cases {
            assert_eq!(told(&blocks), wanted);
        }
        let attachments = json!({ "attachments": [{ "text": "x" }, { "blocks": [{ "type": "section" }] }] });
        assert_eq!(
            Message::from_json(&attachments.to_string()).err().unwrap().to_string(),
            "/attachments/1/blocks/0/text: is required, or fields"
        );
        // What is escaped is shown as one character.
        assert_eq!(told(&json!([{ "type": "header", "text": { "type": "plain_text", "text": "&amp;&lt;&gt;".repeat(50) } }])), "");
    }
}
