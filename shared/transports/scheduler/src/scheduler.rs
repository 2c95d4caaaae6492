use std::sync::{Arc, LazyLock};

use aws_sdk_scheduler::{
    Client,
    types::{DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, SqsParameters, Target},
};
use errand_core::{
    Clock, DEFAULT_QUEUE, Envelope, Environment, Init, PublishError, Queues, Setting, SettingsError, is_fifo,
    settings::all::{QUEUE_ARN, SCHEDULER_GROUP, SCHEDULER_ROLE_ARN},
};
use errand_http::aws::{Failure, SdkConfig};

/// The largest input of a schedule's target, in bytes. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html>
pub(crate) const INPUT_LIMIT: usize = 256 * 1024;

/// EventBridge Scheduler as what holds what is due late, and as what runs schedules. Each schedule puts an envelope on its queue.
pub struct EventBridgeScheduler {
    /// Made when it is first used.
    client: LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>,
    pub(crate) group: String,
    pub(crate) clock: Arc<dyn Clock>,
    queues: Queues,
    /// The ARN of the default queue but for its name: the others are of the same account and region.
    arn_prefix: String,
    role_arn: String,
}

impl EventBridgeScheduler {
    /// A scheduler by the settings.
    ///
    /// # Errors
    /// A setting is missing or wrong, or the function that is starting lacks something.
    pub fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let queue_arn = arn(env, &QUEUE_ARN, "sqs")?;
        let (prefix, _) = queue_arn.rsplit_once(':').unwrap_or_default();
        let (arn_prefix, role_arn) = (prefix.to_owned(), arn(env, &SCHEDULER_ROLE_ARN, "iam")?);
        let group = env.required(&SCHEDULER_GROUP)?.to_owned();
        let (sdk, queues) = (cx.shared::<SdkConfig>()?.clone(), cx.shared::<Queues>()?.clone());
        let client = LazyLock::new(Box::new(move || Client::new(&sdk)) as _);
        Ok(Self { client, group, clock: cx.clock()?, queues, arn_prefix, role_arn })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The same; `None` where none of its settings is there.
    ///
    /// # Errors
    /// Some of its settings are there but not all, or one is wrong.
    pub fn from_env(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        if [QUEUE_ARN, SCHEDULER_ROLE_ARN, SCHEDULER_GROUP].iter().all(|setting| !env.has(setting)) {
            return Ok(None);
        }
        Self::new(env, cx).map(Some)
    }

    /// What a schedule does: put the envelope on the queue.
    pub(crate) fn target(&self, envelope: &Envelope) -> Result<Target, PublishError> {
        let queue = self.queues.of(envelope);
        let url = &self.queues.named(queue)?.url;
        let input = errand_wire::encode(envelope);
        if input.len() > INPUT_LIMIT {
            return Err(PublishError::TooLarge { limit: INPUT_LIMIT });
        }
        let dead_letter = self.dead_letter_arn(queue).map(|arn| DeadLetterConfig::builder().arn(arn).build());
        let sqs = is_fifo(url).then(|| SqsParameters::builder().message_group_id(envelope.group.as_deref().unwrap_or("default")).build());
        let target = Target::builder().arn(self.arn(url)).role_arn(&self.role_arn).input(input);
        let target = target.set_dead_letter_config(dead_letter).set_sqs_parameters(sqs).build();
        target.map_err(|_| PublishError::Refused("no schedule can be made of the task".to_owned()))
    }

    /// Where the service puts what it cannot put on a queue: on the queue's dead-letter queue, or on that of the default queue. It takes none that is
    /// first-in-first-out. <https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html>
    fn dead_letter_arn(&self, queue: &str) -> Option<String> {
        let of = |name: &str| self.queues.named(name).ok()?.dead_letter_url.as_deref().filter(|url| !is_fifo(url));
        of(queue).or_else(|| of(DEFAULT_QUEUE)).map(|url| self.arn(url))
    }

    fn arn(&self, url: &str) -> String {
        format!("{}:{}", self.arn_prefix, url.rsplit('/').next().unwrap_or_default())
    }
}

/// No window: as precise as the service can be.
pub(crate) fn at_once() -> Option<FlexibleTimeWindow> {
    FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build().ok()
}

/// The service's name in errors.
pub(crate) const SERVICE: &str = "EventBridge Scheduler";

/// Whether the service answered with this error code.
pub(crate) fn is(failure: &Failure, wanted: &str) -> bool {
    matches!(failure, Failure::Answered { code, .. } if code == wanted)
}

fn arn(env: &Environment, setting: &Setting, service: &str) -> Result<String, SettingsError> {
    let arn = env.required(setting)?;
    if arn.starts_with("arn:") && arn.split(':').nth(2) == Some(service) {
        return Ok(arn.to_owned());
    }
    Err(SettingsError::invalid(setting.name, &format!("expected an ARN, such as arn:aws:{service}:…")))
}
