use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose message an envelope came in: what gave it its meaning. What only carried it, such as a topic, does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// A caller of the HTTP API, or any other that writes Errand's own form.
    #[default]
    Native,
    /// Celery, by its broker transport for SQS.
    Celery,
    /// An SDK or publisher of CloudEvents.
    #[serde(rename = "cloudevents")]
    CloudEvents,
    /// django-notifs, by its backend for SQS and Lambda.
    DjangoNotifs,
    /// django-tasks-cloud, by any of its AWS backends.
    DjangoTasksCloud,
    /// An Amazon SNS topic: what reached it in no form that asks for a task.
    Sns,
    /// Amazon SES, which tells what became of a mail.
    Ses,
    /// An Amazon EventBridge rule.
    #[serde(rename = "eventbridge")]
    EventBridge,
    /// Amazon EventBridge Scheduler.
    Scheduler,
    /// A bucket of Amazon S3 that tells of its objects.
    S3,
    /// An extended client of SQS, which puts large bodies into S3.
    ExtendedClient,
}

impl Sender {
    /// Every sender.
    pub const ALL: [Self; 11] = [
        Self::Native,
        Self::Celery,
        Self::CloudEvents,
        Self::DjangoNotifs,
        Self::DjangoTasksCloud,
        Self::Sns,
        Self::Ses,
        Self::EventBridge,
        Self::Scheduler,
        Self::S3,
        Self::ExtendedClient,
    ];

    /// Its name in results, reasons and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Celery => "celery",
            Self::CloudEvents => "cloudevents",
            Self::DjangoNotifs => "django-notifs",
            Self::DjangoTasksCloud => "django-tasks-cloud",
            Self::Sns => "sns",
            Self::Ses => "ses",
            Self::EventBridge => "eventbridge",
            Self::Scheduler => "scheduler",
            Self::S3 => "s3",
            Self::ExtendedClient => "extended-client",
        }
    }

    /// Whether it tells what has happened, and asks for nothing: where no route says what is done about that, nothing will be.
    #[must_use]
    pub const fn is_notice(self) -> bool {
        match self {
            Self::Sns | Self::Ses | Self::EventBridge | Self::Scheduler | Self::S3 => true,
            Self::Native | Self::Celery | Self::CloudEvents | Self::DjangoNotifs | Self::DjangoTasksCloud | Self::ExtendedClient => false,
        }
    }

    /// The sender of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sender| sender.as_str() == name)
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_has_one_name_everywhere() {
        for sender in Sender::ALL {
            assert_eq!(serde_json::to_value(sender).unwrap(), sender.as_str());
            assert_eq!(Sender::named(sender.as_str()), Some(sender));
        }
        assert_eq!(Sender::named("pigeon"), None);
    }
}
