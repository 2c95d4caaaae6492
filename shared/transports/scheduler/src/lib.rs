//! EventBridge Scheduler: delays beyond what a queue can hold. A one-time schedule puts the envelope on its queue a minute early, since the
//! Scheduler is precise to the minute; the consumer hides it for the rest.

use std::time::Duration;

use aws_sdk_scheduler::{
    Client,
    types::{ActionAfterCompletion, DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, SqsParameters, Target},
};
use errand_core::{Envelope, Environment, PublishError, Published, SettingsError, Timestamp, Transport};
use errand_http::aws::{Failure, SdkConfig};
use futures_util::{StreamExt, stream};
use ring::digest::{SHA256, digest};

/// The largest input of a schedule's target, in bytes. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html>
const INPUT_LIMIT: usize = 256 * 1024;

/// How long before its time an envelope is put on the queue.
/// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>: an invocation comes within 60 seconds.
const EARLY: Duration = Duration::from_secs(60);

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

const QUEUE_ARN: &str = "ERRAND_QUEUE_ARN";
const ROLE_ARN: &str = "ERRAND_SCHEDULER_ROLE_ARN";
const GROUP: &str = "ERRAND_SCHEDULER_GROUP";

/// Makes a one-time schedule for each envelope.
pub struct SchedulerTransport {
    client: Client,
    queue_arn: String,
    role_arn: String,
    group: String,
    dead_letter_arn: Option<String>,
    encode: fn(&Envelope) -> String,
}

impl SchedulerTransport {
    /// A transport by the settings; `encode` makes a message's body. What the Scheduler itself cannot put on the queue goes to
    /// `ERRAND_DEAD_LETTER_URL`, where that is set and no first-in-first-out queue, which the Scheduler does not take.
    /// <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn new(env: &Environment, sdk: &SdkConfig, encode: fn(&Envelope) -> String) -> Result<Self, SettingsError> {
        let queue_arn = arn(env, QUEUE_ARN, "sqs")?;
        let dead_letter_arn = dead_letter_arn(env, &queue_arn)?;
        let group = env.get(GROUP).unwrap_or("default").to_owned();
        Ok(Self { client: Client::new(sdk), role_arn: arn(env, ROLE_ARN, "iam")?, queue_arn, group, dead_letter_arn, encode })
    }

    async fn schedule(&self, envelope: &Envelope) -> Result<Published, PublishError> {
        if envelope.queue != "default" {
            return Err(PublishError::Refused("a delay of more than 15 minutes is possible on the default queue only".to_owned()));
        }
        let input = (self.encode)(envelope);
        if input.len() > INPUT_LIMIT {
            return Err(PublishError::TooLarge { limit: INPUT_LIMIT });
        }
        let name = name(&envelope.id);
        let call = self.client.create_schedule().name(&name).client_token(&name).group_name(&self.group);
        let call = call
            .schedule_expression(at(envelope))
            .schedule_expression_timezone("UTC")
            .action_after_completion(ActionAfterCompletion::Delete);
        let window = FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().ok();
        match call.set_flexible_time_window(window).set_target(self.target(envelope, input)).send().await {
            Ok(_) => Ok(Published { message_id: Some(name) }),
            Err(error) => match Failure::of(&error) {
                // The same id was scheduled before: it is on its way.
                Failure::Answered { code, .. } if code == "ConflictException" => Ok(Published { message_id: Some(name) }),
                failure => Err(publish_error(&failure)),
            },
        }
    }

    fn target(&self, envelope: &Envelope, input: String) -> Option<Target> {
        let dead_letter = self.dead_letter_arn.as_ref().map(|arn| DeadLetterConfig::builder().arn(arn).build());
        let ordered = self.queue_arn.ends_with(".fifo");
        let sqs = ordered.then(|| SqsParameters::builder().message_group_id(envelope.group.as_deref().unwrap_or("default")).build());
        let target = Target::builder().arn(&self.queue_arn).role_arn(&self.role_arn).input(input);
        target.set_dead_letter_config(dead_letter).set_sqs_parameters(sqs).build().ok()
    }
}

impl Transport for SchedulerTransport {
    const NAME: &'static str = "scheduler";
    const MAX_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        stream::iter(0..envelopes.len()).map(|place| self.schedule(&envelopes[place])).buffered(CONCURRENCY).collect().await
    }

    async fn check(&self) -> Result<(), PublishError> {
        let told = self.client.get_schedule_group().name(&self.group).send().await;
        told.map(drop).map_err(|error| publish_error(&Failure::of(&error)))
    }
}

fn publish_error(failure: &Failure) -> PublishError {
    let told = format!("EventBridge Scheduler: {failure}");
    if failure.passes() { PublishError::Unavailable(told) } else { PublishError::Misconfigured(told) }
}

/// A schedule's name: the SHA-256 of the envelope's id. Names have at most 64 characters out of fewer than an id may have.
fn name(id: &str) -> String {
    digest(&SHA256, id.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// When the schedule fires: early, and not in the past. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time>
fn at(envelope: &Envelope) -> String {
    let now = Timestamp::now();
    let time = (envelope.run_after.unwrap_or(now) - EARLY).max(now).to_string();
    format!("at({})", time.split('.').next().unwrap_or_default())
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
