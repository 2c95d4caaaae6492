//! Messages to Slack.

mod blocks;

use errand_core::{Fields, Lack, Payload, Place, Taker, Text};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// The longest text that Slack takes, in characters. <https://docs.slack.dev/reference/methods/chat.postMessage#truncating>
const LONGEST_TEXT: usize = 40_000;

/// Slack, as those need to know it who check calls for it.
pub const SLACK: Taker<Message> = Taker::of("slack").lacking(Message::lacks);

/// The settings that deliver: messages to a channel, and those to none.
const TOKEN: &str = "ERRAND_SLACK_TOKEN";
const WEBHOOK_URL: &str = "ERRAND_SLACK_WEBHOOK_URL";

/// Where incoming webhooks live, on the commercial and the government Slack.
const WEBHOOK_HOSTS: [&str; 2] = ["https://hooks.slack.com/", "https://hooks.slack-gov.com/"];

/// What task `slack` takes: the arguments of `chat.postMessage`, or of an incoming webhook when there is no channel.
/// <https://docs.slack.dev/reference/methods/chat.postMessage>
#[derive(Serialize)]
pub struct Message {
    /// An incoming webhook to send it to, in place of the operator's.
    #[serde(skip)]
    pub webhook_url: Option<String>,
    /// The channel, by id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The text; what is shown in notifications when there are blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The message a reply belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    /// Whether a reply is also shown in the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_broadcast: Option<bool>,
    /// Layout blocks, as Slack has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Box<RawValue>>,
    /// Secondary attachments, as Slack has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Box<RawValue>>,
    /// Metadata, as Slack has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// The name it is posted under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// An emoji for a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_emoji: Option<String>,
    /// A picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    /// Whether Slack's markup in the text is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mrkdwn: Option<bool>,
    /// Whether links are shown with their content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfurl_links: Option<bool>,
    /// Whether links to media are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfurl_media: Option<bool>,
}

impl Payload for Message {
    const SCHEMA: &'static str = include_str!("schema.json");
    const NOTIFICATION: &'static str = r#"{"text": "{{ short_description }}{% if url is defined %}\n{{ url }}{% endif %}"}"#;

    /// A message's text is markup, as are those of its attachments; a block's by the `type` that it has, and markup where none says otherwise. Their other
    /// fields are names, addresses and colours.
    /// <https://docs.slack.dev/reference/block-kit/composition-objects/text-object>, <https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments>
    fn text(place: &Place<'_>) -> Text {
        const LITERAL: [&str; 3] = ["plain_text", "raw_text", "text"];
        const OF_ATTACHMENTS: [&str; 7] = ["author_name", "fallback", "footer", "pretext", "text", "title", "value"];
        let markup = match (place.path, place.field()) {
            (["text"], _) => true,
            ([.., "metadata"] | ["metadata", ..], _) => false,
            (path, "text") if path.contains(&"blocks") => {
                !place.parent.get("type").and_then(Value::as_str).is_some_and(|kind| LITERAL.contains(&kind))
            }
            (path, _) if path.contains(&"blocks") => false,
            (["attachments", ..], field) => OF_ATTACHMENTS.contains(&field),
            _ => return Text::Line,
        };
        if markup { Text::Slack } else { Text::Plain }
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let webhook_url = fields.text("webhook_url", webhook_url);
        let text = fields.text("text", text);
        let message = Self {
            webhook_url,
            channel: fields.text("channel", channel),
            thread_ts: fields.optional("thread_ts"),
            reply_broadcast: fields.optional("reply_broadcast"),
            blocks: fields.json("blocks", '[', "an array of blocks").map(ToOwned::to_owned),
            attachments: fields.json("attachments", '[', "an array of attachments").map(ToOwned::to_owned),
            metadata: fields.json("metadata", '{', "an object").map(ToOwned::to_owned),
            username: fields.optional("username"),
            icon_emoji: fields.optional("icon_emoji"),
            icon_url: fields.optional("icon_url"),
            mrkdwn: fields.optional("mrkdwn"),
            unfurl_links: fields.optional("unfurl_links"),
            unfurl_media: fields.optional("unfurl_media"),
            text,
        };
        blocks::check(fields);
        let blank = message.text.as_ref().is_none_or(|text| text.trim().is_empty());
        let empty =
            |name: &'static str| fields.raw(name).is_none_or(|raw| raw.get().trim_matches(['[', ']', ' ', '\n', '\r', '\t']).is_empty());
        // What is no text is told already.
        if blank && empty("blocks") && empty("attachments") && fields.raw("text").is_none_or(|raw| raw.get().starts_with('"')) {
            fields.refuse("text", "is required and may not be empty, or blocks, or attachments");
        }
        Some(message)
    }
}

impl Message {
    /// What is missing to deliver it where only some settings are set, which `has` tells by their names.
    #[must_use]
    pub fn lacks(&self, has: &dyn Fn(&str) -> bool) -> Option<Lack> {
        let (token, webhook) = (has(TOKEN), has(WEBHOOK_URL));
        match (&self.channel, &self.webhook_url) {
            _ if !token && !webhook => Some(Lack::Setting(TOKEN)),
            (_, Some(_)) => None,
            (Some(_), None) if !token => Some(Lack::Setting(TOKEN)),
            (None, None) if !webhook => Some(Lack::Field("channel", WEBHOOK_URL)),
            _ => None,
        }
    }
}

fn channel(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) { Err("a channel's id or name") } else { Ok(()) }
}

fn text(text: &str) -> Result<(), &'static str> {
    if blocks::length(text) > LONGEST_TEXT { Err("at most 40,000 characters") } else { Ok(()) }
}

/// Checks that a URL is an incoming webhook's: a caller names it, and no other host may be called.
///
/// # Errors
/// What was expected.
pub fn webhook_url(text: &str) -> Result<(), &'static str> {
    let known = WEBHOOK_HOSTS.iter().any(|host| text.starts_with(host));
    if known && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("a URL that begins with https://hooks.slack.com/ or https://hooks.slack-gov.com/")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_of_django_notifs_are_passed_on_as_they_are() {
        for json in [
            r##"{"channel":"#general","text":"Deploy done"}"##,
            r#"{"channel":"C012AB3CD","text":"fallback","thread_ts":"1700000000.000100","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*Hi* <@U1> :tada:"}}],"unfurl_links":false}"#,
        ] {
            assert_eq!(serde_json::to_string(&Message::from_json(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn slack_is_not_told_where_its_webhook_is() {
        let message = Message::from_json(r#"{"webhook_url":"https://hooks.slack.com/services/T/B/X","text":"x"}"#).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), r#"{"text":"x"}"#);
    }

    #[test]
    fn no_url_but_slacks_is_an_incoming_webhook() {
        for url in [
            "https://hooks.slack.com/services/T/B/X",
            "https://hooks.slack.com/triggers/T/1/x",
            "https://hooks.slack-gov.com/services/T/B/X",
        ] {
            assert!(webhook_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://hooks.slack.com/x",
            "https://hooks.slack.com.example.com/x",
            "https://hooks.slack.com@example.com/x",
            "https://hooks.slack.com:8443/x",
        ] {
            assert!(webhook_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let many = format!(
            r#"{{"channel":"","blocks":[{}0],"metadata":[],"webhook_url":"https://example.com/","unfurl_links":"no"}}"#,
            "0,".repeat(50)
        );
        let told = Message::from_json(&many).err().unwrap().to_string();
        for problem in [
            "/channel: ",
            "/blocks: expected at most 50 blocks, got 51",
            "/blocks/0: expected a block",
            "/metadata: ",
            "/webhook_url: ",
            "/unfurl_links: ",
        ] {
            assert!(told.contains(problem), "{problem} in {told}");
        }
        for nothing in ["{}", r#"{"text":""}"#, r#"{"text":" \n","blocks":[ ]}"#, r#"{"text":null,"attachments":[]}"#] {
            let told = Message::from_json(nothing).err().unwrap().to_string();
            assert_eq!(told, "/text: is required and may not be empty, or blocks, or attachments", "{nothing}");
        }
        assert!(Message::from_json(r#"{"text":"","blocks":[{"type":"divider"}]}"#).is_ok());
    }

    #[test]
    fn a_message_needs_what_delivers_it() {
        let (to_channel, to_nobody) = (r##"{"channel":"#x","text":"x"}"##, r#"{"text":"x"}"#);
        let own = r#"{"webhook_url":"https://hooks.slack.com/services/T/B/X","text":"x"}"#;
        let (token, webhook, none) = (Some(Lack::Setting(TOKEN)), Some(Lack::Field("channel", WEBHOOK_URL)), None);
        for (json, of_none, of_token, of_webhook, of_both) in
            [(to_channel, token, none, token, none), (to_nobody, token, webhook, none, none), (own, token, none, none, none)]
        {
            let message = Message::from_json(json).unwrap();
            let lacks = |set: &[&str]| message.lacks(&|name| set.contains(&name));
            let told = [lacks(&[]), lacks(&[TOKEN]), lacks(&[WEBHOOK_URL]), lacks(&[TOKEN, WEBHOOK_URL])];
            assert_eq!(told, [of_none, of_token, of_webhook, of_both], "{json}");
        }
    }

    #[test]
    fn a_text_is_of_the_kind_that_its_place_says() {
        let message = json!({
            "text": "slack", "username": "line", "channel": "line", "metadata": { "event_payload": { "text": "plain" } },
            "blocks": [
                { "type": "header", "block_id": "plain", "text": { "type": "plain_text", "text": "plain" } },
                { "type": "section", "text": { "type": "mrkdwn", "text": "slack" }, "fields": [{ "type": "{{ a }}", "text": "slack" }, { "text": "slack" }],
                  "accessory": { "type": "button", "url": "plain", "value": "plain", "text": { "type": "plain_text", "text": "plain" } } },
                { "type": "markdown", "text": "slack" }, { "type": "image", "image_url": "plain", "alt_text": "plain" },
                { "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [{ "type": "text", "text": "plain" }] }] },
            ],
            "attachments": [
                { "color": "plain", "pretext": "slack", "title": "slack", "title_link": "plain", "text": "slack", "fields": [{ "title": "slack", "value": "slack" }] },
                { "blocks": [{ "type": "context", "elements": [{ "type": "plain_text", "text": "plain" }, { "type": "mrkdwn", "text": "slack" }] }] },
            ],
        });
        let mut seen = 0;
        texts(&message, &message, message.as_object().unwrap(), &mut Vec::new(), &mut |place, text| {
            if !["type", "elements"].contains(&place.field()) {
                assert_eq!(Message::text(place).as_str(), text, "{:?}", place.path);
                seen += 1;
            }
        });
        assert_eq!(seen, 25);
    }

    fn texts<'a>(
        message: &'a Value,
        value: &'a Value,
        parent: &'a serde_json::Map<String, Value>,
        path: &mut Vec<&'a str>,
        see: &mut impl FnMut(&Place<'_>, &str),
    ) {
        match value {
            Value::String(text) => see(&Place { payload: message.as_object().unwrap(), parent, path }, text),
            Value::Array(items) => items.iter().for_each(|item| texts(message, item, parent, path, see)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                path.push(name);
                texts(message, value, fields, path, see);
                path.pop();
            }),
            _ => {}
        }
    }
}
