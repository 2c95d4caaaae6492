use errand_core::{Fields, Payload};
use serde::Serialize;
use serde_json::value::RawValue;

/// The longest text that Slack takes, in characters. <https://docs.slack.dev/reference/methods/chat.postMessage#truncating>
const LONGEST_TEXT: usize = 40_000;

/// The most blocks of a message. <https://docs.slack.dev/reference/block-kit/blocks>
const MOST_BLOCKS: usize = 50;

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
    const SCHEMA: &'static str = include_str!("payload.schema.json");
    const NOTIFICATION: &'static str = r#"{"text": "{{ short_description }}{% if url is defined %}\n{{ url }}{% endif %}"}"#;

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let webhook_url = fields.text("webhook_url", webhook_url);
        let text = fields.text("text", text);
        let message = Self {
            webhook_url,
            channel: fields.text("channel", channel),
            thread_ts: fields.optional("thread_ts"),
            reply_broadcast: fields.optional("reply_broadcast"),
            blocks: blocks(fields),
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
        if ["text", "blocks", "attachments"].iter().all(|name| fields.raw(name).is_none()) {
            fields.refuse("text", "is required, or blocks, or attachments");
        }
        Some(message)
    }
}

fn blocks(fields: &mut Fields<'_>) -> Option<Box<RawValue>> {
    let raw = fields.json("blocks", '[', "an array of blocks")?;
    let count = fields.optional::<Vec<&RawValue>>("blocks").map_or(0, |blocks| blocks.len());
    if count > MOST_BLOCKS {
        fields.refuse("blocks", format!("expected at most {MOST_BLOCKS} blocks, got {count}"));
    }
    Some(raw.to_owned())
}

fn channel(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.chars().any(char::is_control) { Err("a channel's id or name") } else { Ok(()) }
}

fn text(text: &str) -> Result<(), &'static str> {
    if text.chars().count() > LONGEST_TEXT { Err("at most 40,000 characters") } else { Ok(()) }
}

/// Checks that a URL is an incoming webhook's: a caller names it, and no other host may be called.
pub(crate) fn webhook_url(text: &str) -> Result<(), &'static str> {
    let known = WEBHOOK_HOSTS.iter().any(|host| text.starts_with(host));
    if known && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("a URL that begins with https://hooks.slack.com/ or https://hooks.slack-gov.com/")
    }
}

#[cfg(test)]
mod tests {
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
        for problem in ["/channel: ", "/blocks: expected at most 50 blocks, got 51", "/metadata: ", "/webhook_url: ", "/unfurl_links: "] {
            assert!(told.contains(problem), "{problem} in {told}");
        }
        assert_eq!(Message::from_json("{}").err().unwrap().to_string(), "/text: is required, or blocks, or attachments");
    }
}
