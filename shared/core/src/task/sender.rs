use std::fmt;

crate::named! {
    /// Whose message an envelope came in: what gave it its meaning. What only carried it, such as a topic, does not count.
    #[derive(Default)]
    pub enum Sender {
        /// A caller of the HTTP API, or any other that writes Errand's own form.
        #[default]
        Native = "native",
        /// Celery, by its broker transport for SQS.
        Celery = "celery",
        /// An SDK or publisher of CloudEvents.
        CloudEvents = "cloudevents",
        /// django-notifs, by its backend for SQS and Lambda.
        DjangoNotifs = "django-notifs",
        /// django-tasks-cloud, by any of its AWS backends.
        DjangoTasksCloud = "django-tasks-cloud",
        /// An Amazon SNS topic: what reached it in no form that asks for a task.
        Sns = "sns",
        /// Amazon SES, which tells what became of a mail.
        Ses = "ses",
        /// An Amazon EventBridge rule.
        EventBridge = "eventbridge",
        /// Amazon EventBridge Scheduler.
        Scheduler = "scheduler",
        /// A bucket of Amazon S3 that tells of its objects.
        S3 = "s3",
        /// An extended client of SQS, which puts large bodies into S3.
        ExtendedClient = "extended-client",
    }
}

impl Sender {
    /// Whether it tells what has happened, and asks for nothing: where no route says what is done about that, nothing will be.
    #[must_use]
    pub const fn is_notice(self) -> bool {
        match self {
            Self::Sns | Self::Ses | Self::EventBridge | Self::Scheduler | Self::S3 => true,
            Self::Native | Self::Celery | Self::CloudEvents | Self::DjangoNotifs | Self::DjangoTasksCloud | Self::ExtendedClient => false,
        }
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
