use aws_sdk_scheduler::{
    Client,
    types::{DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, SqsParameters, Target},
};
use errand_core::{Envelope, Environment, Problems, PublishError, SettingsError};
use errand_http::aws::{Failure, SdkConfig};

/// The largest input of a schedule's target, in bytes. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html>
const INPUT_LIMIT: usize = 256 * 1024;

const QUEUE_ARN: &str = "ERRAND_QUEUE_ARN";
const ROLE_ARN: &str = "ERRAND_SCHEDULER_ROLE_ARN";
const GROUP: &str = "ERRAND_SCHEDULER_GROUP";

/// EventBridge Scheduler as a transport for what is due late, and as what runs schedules. Each schedule puts an envelope on the default queue.
pub struct EventBridgeScheduler {
    pub(crate) client: Client,
    pub(crate) group: String,
    pub(crate) decode: fn(&str, &str) -> Result<Envelope, Problems>,
    encode: fn(&Envelope) -> String,
    queue_arn: String,
    role_arn: String,
    dead_letter_arn: Option<String>,
}

impl EventBridgeScheduler {
    /// A scheduler by the settings; `encode` makes a message's body, and `decode` reads it. What the service itself cannot put on the queue goes to
    /// `ERRAND_DEAD_LETTER_URL`, where that is set and no first-in-first-out queue, which it does not take.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn new(
        env: &Environment,
        sdk: &SdkConfig,
        encode: fn(&Envelope) -> String,
        decode: fn(&str, &str) -> Result<Envelope, Problems>,
    ) -> Result<Self, SettingsError> {
        let queue_arn = arn(env, QUEUE_ARN, "sqs")?;
        let dead_letter_arn = dead_letter_arn(env, &queue_arn)?;
        let group = env.get(GROUP).unwrap_or("default").to_owned();
        Ok(Self { client: Client::new(sdk), role_arn: arn(env, ROLE_ARN, "iam")?, queue_arn, group, dead_letter_arn, encode, decode })
    }

    /// What a schedule does: put the envelope on the queue.
    pub(crate) fn target(&self, envelope: &Envelope) -> Result<Target, PublishError> {
        if envelope.queue != "default" {
            return Err(PublishError::Refused(
                "what is scheduled, or delayed by more than 15 minutes, can be on the default queue only".to_owned(),
            ));
        }
        let input = (self.encode)(envelope);
        if input.len() > INPUT_LIMIT {
            return Err(PublishError::TooLarge { limit: INPUT_LIMIT });
        }
        let dead_letter = self.dead_letter_arn.as_ref().map(|arn| DeadLetterConfig::builder().arn(arn).build());
        let ordered = self.queue_arn.ends_with(".fifo");
        let sqs = ordered.then(|| SqsParameters::builder().message_group_id(envelope.group.as_deref().unwrap_or("default")).build());
        let target = Target::builder().arn(&self.queue_arn).role_arn(&self.role_arn).input(input);
        let target = target.set_dead_letter_config(dead_letter).set_sqs_parameters(sqs).build();
        target.map_err(|_| PublishError::Refused("no schedule can be made of the task".to_owned()))
    }
}

/// No window: as precise as the service can be.
pub(crate) fn at_once() -> Option<FlexibleTimeWindow> {
    FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().ok()
}

pub(crate) fn publish_error(failure: &Failure) -> PublishError {
    let told = format!("EventBridge Scheduler: {failure}");
    if failure.passes() { PublishError::Unavailable(told) } else { PublishError::Misconfigured(told) }
}

/// Whether the service answered with this error code.
pub(crate) fn is(failure: &Failure, wanted: &str) -> bool {
    matches!(failure, Failure::Answered { code, .. } if code == wanted)
}

fn arn(env: &Environment, name: &str, service: &str) -> Result<String, SettingsError> {
    let arn = env.required(name)?;
    if arn.starts_with("arn:") && arn.split(':').nth(2) == Some(service) {
        return Ok(arn.to_owned());
    }
    Err(SettingsError::invalid(name, &format!("expected an ARN, such as arn:aws:{service}:…")))
}

/// The dead-letter queue's ARN: it is of the same account and region as the queue.
fn dead_letter_arn(env: &Environment, queue_arn: &str) -> Result<Option<String>, SettingsError> {
    const DEAD: &str = "ERRAND_DEAD_LETTER_URL";
    let Some(url) = env.get(DEAD).filter(|url| !url.ends_with(".fifo")) else { return Ok(None) };
    let named = url.rsplit_once('/').filter(|(_, name)| !name.is_empty()).zip(queue_arn.rsplit_once(':'));
    let ((_, name), (prefix, _)) = named.ok_or_else(|| SettingsError::invalid(DEAD, "expected the URL of a queue"))?;
    Ok(Some(format!("{prefix}:{name}")))
}
