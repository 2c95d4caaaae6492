use std::collections::BTreeMap;

use errand_core::{Environment, Message, SettingsError};

/// The queues that the settings name: `ERRAND_QUEUE_URL` as `default`, and those of `ERRAND_QUEUES`.
#[derive(Clone)]
pub struct Queues {
    urls: BTreeMap<String, String>,
    default: String,
}

const DEFAULT: &str = "default";

impl Queues {
    /// Reads the settings.
    ///
    /// # Errors
    /// One is missing or wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let default = url("ERRAND_QUEUE_URL", env.required("ERRAND_QUEUE_URL")?)?;
        let mut urls = BTreeMap::new();
        if let Some(json) = env.get("ERRAND_QUEUES") {
            let wrong =
                |_| SettingsError::invalid("ERRAND_QUEUES", r#"expected a JSON object of names and URLs, such as {"fast":"https://…"}"#);
            for (name, address) in serde_json::from_str::<BTreeMap<String, String>>(json).map_err(wrong)? {
                urls.insert(name, url("ERRAND_QUEUES", &address)?);
            }
        }
        urls.insert(DEFAULT.to_owned(), default.clone());
        Ok(Self { urls, default })
    }

    /// The queue of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&str> {
        self.urls.get(name).map(String::as_str)
    }

    /// The name of the queue of this ARN: of the one whose URL ends as it does, else of the default one.
    #[must_use]
    pub fn name_of_arn(&self, arn: &str) -> &str {
        self.name_of(arn.rsplit(':').next().unwrap_or_default()).unwrap_or(DEFAULT)
    }

    /// The queue that a message came from.
    pub(crate) fn of_message(&self, message: &Message) -> &str {
        self.named(&message.queue).unwrap_or(&self.default)
    }

    /// The queue of this name in the settings or on AWS, where Celery's transport writes a dot as a hyphen.
    pub(crate) fn known_as(&self, name: &str) -> Option<&str> {
        self.named(name).or_else(|| self.named(self.name_of(name).or_else(|| self.name_of(&kombu(name)))?))
    }

    /// The name of the queue that has this name on AWS.
    fn name_of(&self, on_aws: &str) -> Option<&str> {
        self.urls.iter().find(|(_, url)| last_segment(url) == on_aws).map(|(name, _)| name.as_str())
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.urls.keys().map(String::as_str)
    }

    /// The URLs.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.urls.values().map(String::as_str)
    }
}

/// The name that Celery's transport gives a queue on SQS.
/// <https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.SQS.html>
fn kombu(name: &str) -> String {
    match name.strip_suffix(".fifo") {
        Some(stem) => stem.replace('.', "-") + ".fifo",
        None => name.replace('.', "-"),
    }
}

/// The name of a queue: its URL's last segment.
pub(crate) fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// Whether a queue keeps order. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/fifo-queue-message-identifiers.html>
pub(crate) fn is_fifo(url: &str) -> bool {
    url.ends_with(".fifo")
}

/// A setting's value as a queue's URL.
pub(crate) fn url(setting: &str, text: &str) -> Result<String, SettingsError> {
    let named =
        (text.starts_with("https://") || text.starts_with("http://")) && text.matches('/').count() >= 3 && !last_segment(text).is_empty();
    if named {
        Ok(text.to_owned())
    } else {
        Err(SettingsError::invalid(setting, "expected the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(vars: &[(&str, &str)]) -> Result<Queues, String> {
        Queues::from_env(&vars.iter().copied().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_queue_is_found_by_name_and_by_arn() {
        let queues =
            queues(&[("ERRAND_QUEUE_URL", "https://sqs/1/main"), ("ERRAND_QUEUES", r#"{"fast":"https://sqs/1/fast.fifo"}"#)]).unwrap();
        assert_eq!(
            (queues.named("default"), queues.named("fast"), queues.named("x")),
            (Some("https://sqs/1/main"), Some("https://sqs/1/fast.fifo"), None)
        );
        assert_eq!(queues.name_of_arn("arn:aws:sqs:eu-west-1:1:fast.fifo"), "fast");
        assert_eq!(queues.name_of_arn("arn:aws:sqs:eu-west-1:1:other"), "default");
    }

    #[test]
    fn celerys_name_of_a_queue_is_known() {
        let queues = queues(&[("ERRAND_QUEUE_URL", "https://sqs/1/main"), ("ERRAND_QUEUES", r#"{"m":"https://sqs/1/mail-high.fifo"}"#)]);
        let queues = queues.unwrap();
        for name in ["m", "mail-high.fifo", "mail.high.fifo"] {
            assert_eq!(queues.known_as(name), Some("https://sqs/1/mail-high.fifo"), "{name}");
        }
        assert_eq!((queues.known_as("main"), queues.known_as("other")), (Some("https://sqs/1/main"), None));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        assert_eq!(queues(&[]).err().unwrap(), "ERRAND_QUEUE_URL: must be set");
        assert!(queues(&[("ERRAND_QUEUE_URL", "main")]).err().unwrap().starts_with("ERRAND_QUEUE_URL: expected the URL of a queue"));
        assert!(queues(&[("ERRAND_QUEUE_URL", "https://sqs/1/q"), ("ERRAND_QUEUES", "[]")]).err().unwrap().starts_with("ERRAND_QUEUES: "));
    }
}
