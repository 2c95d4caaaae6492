use std::collections::BTreeMap;

use errand_core::{DEFAULT_QUEUE, Problems, PublishError, is_fifo, segment};
use errand_http::aws::region_of;

/// Where envelopes go, by their destination.
pub(crate) struct Topics {
    /// ARNs.
    named: BTreeMap<String, String>,
    /// What the name of any other topic is put behind.
    prefix: Option<String>,
}

impl Topics {
    /// `named` are names or ARNs of topics by destinations, `default` is that of the destination `default`. A name needs a `prefix`.
    pub(crate) fn new(prefix: Option<String>, default: Option<String>, mut named: BTreeMap<String, String>) -> Result<Self, Problems> {
        if let Some(prefix) = &prefix
            && !(is_topic(&format!("{prefix}x")) && prefix.ends_with(':'))
        {
            return Err(Problems::at(
                "/AWS_SNS_ARN_PREFIX",
                "expected what the ARNs of topics begin with, such as arn:aws:sns:eu-west-1:123456789012:",
            ));
        }
        let arn = |topic: &str, pointer: &str| {
            let arn = arn(prefix.as_deref(), topic);
            arn.ok_or_else(|| Problems::at(pointer, "expected the ARN of a topic, or with AWS_SNS_ARN_PREFIX its name"))
        };
        for (destination, topic) in &mut named {
            *topic = arn(topic, &format!("/topics/{}", segment(destination)))?;
        }
        if let Some(default) = default {
            let default = arn(&default, "/AWS_DEFAULT_TOPIC_NAME")?;
            named.entry(DEFAULT_QUEUE.to_owned()).or_insert(default);
        }
        if named.is_empty() && prefix.is_none() {
            return Err(Problems::whole("expected AWS_SNS_ARN_PREFIX, AWS_DEFAULT_TOPIC_NAME or topics: to where?"));
        }
        Ok(Self { named, prefix })
    }

    /// The ARNs of those that are named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        self.named.values()
    }

    /// What tells which region they are in.
    pub(crate) fn arns(&self) -> impl Iterator<Item = &str> {
        self.named.values().chain(&self.prefix).map(String::as_str)
    }

    /// The ARN of a destination's topic.
    pub(crate) fn arn(&self, destination: Option<&str>) -> Result<String, PublishError> {
        let destination = destination.unwrap_or(DEFAULT_QUEUE);
        let arn = self.named.get(destination).cloned().or_else(|| arn(self.prefix.as_deref(), destination));
        arn.ok_or_else(|| {
            let known: Vec<&str> = self.named.keys().map(String::as_str).collect();
            PublishError::Refused(format!("SNS: there is no topic for this queue; there are those for: {}", known.join(", ")))
        })
    }
}

/// The ARN of a topic that is said by its ARN, or by its name where there is a prefix.
fn arn(prefix: Option<&str>, topic: &str) -> Option<String> {
    let arn = if topic.starts_with("arn:") { topic.to_owned() } else { format!("{}{topic}", prefix?) };
    is_topic(&arn).then_some(arn)
}

/// Whether a text is the ARN of a topic. <https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html#API_CreateTopic_RequestParameters>
fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, "sns", _, account, name] = parts[..] else { return false };
    let stem = if is_fifo(name) { &name[..name.len() - ".fifo".len()] } else { name };
    let named =
        (1..=256).contains(&name.len()) && !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    named && region_of(arn).is_some() && !account.is_empty() && account.bytes().all(|b| b.is_ascii_digit())
}
