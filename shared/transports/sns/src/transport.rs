use std::{borrow::Cow, collections::BTreeMap, iter::once, sync::Arc, time::Duration};

use errand_core::{
    Batching, Clock, Entry, Envelope, Environment, ErrorKind, Init, Noted, OptionError, Problems, PublishError, Published, Timestamp,
    Transport, TransportLimits, is_fifo,
    settings::all::{AWS_DEFAULT_TOPIC_NAME, AWS_SNS_ARN_PREFIX},
};
use errand_http::{
    Answer, Meanings, Retry, Service,
    aws::{Api, ONCE, REPEATABLE, element, one_region, refused, refused_alone},
    is,
};
use errand_wire::Format;
use serde::Deserialize;

use crate::{
    attributes::{self, Attributes},
    topics::Topics,
};

/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
const SNS: Api = Api { name: "SNS", id: "SNS", host: "sns", signed_as: "sns" };
const VERSION: &str = "2010-03-31";

/// What a topic takes as a message, and as all messages of a call, in bytes, unless its attribute `MaximumMessageSize` says another size; and the largest that that says.
/// <https://docs.aws.amazon.com/sns/latest/dg/large-message-payloads.html>
const USUAL_SIZE: usize = 256 * 1024;
const LARGEST_SIZE: usize = 1024 * 1024;

/// Publishes to topics.
pub struct SnsTransport {
    sns: Service,
    topics: Topics,
    /// The ARNs that its check asks for: those of the options, and of the alias' queues.
    checked: Noted,
    attributes: BTreeMap<String, String>,
    size: usize,
    format: Format,
    clock: Arc<dyn Clock>,
}

/// What an alias says; names in capitals are django-tasks-cloud's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The region, which is that of the ARNs.
    #[serde(rename = "AWS_REGION")]
    region: Option<String>,
    /// What a topic's name is put behind to be its ARN; when it is not said, the setting of this name.
    #[serde(rename = "AWS_SNS_ARN_PREFIX")]
    prefix: Option<String>,
    /// The topic of the destination `default`: its name or ARN; when it is not said, the setting of this name.
    #[serde(rename = "AWS_DEFAULT_TOPIC_NAME")]
    default_topic: Option<String>,
    /// Topics by destinations: names or ARNs. Any other destination is a topic's name or ARN.
    #[serde(default)]
    topics: BTreeMap<String, String>,
    /// Attributes of every message, for subscriptions to filter by.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// The topics' attribute `MaximumMessageSize`, in bytes.
    #[serde(rename = "MaximumMessageSize")]
    size: Option<usize>,
    /// What those read who take it there.
    #[serde(default)]
    format: Format,
}

/// What SNS is given of an envelope.
pub struct Message {
    body: String,
    attributes: Attributes,
    group: Option<String>,
    /// Of a topic that keeps order: what it knows the message by for five minutes.
    deduplication: Option<String>,
}

impl Batching for SnsTransport {
    type Message = Message;
    const MOST: usize = 10;

    fn bytes(&self) -> usize {
        self.size
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn entry(&self, envelope: &Envelope, _: Timestamp) -> Result<Entry<Message>, PublishError> {
        let topic = self.topics.arn(envelope.destination.as_deref())?;
        let ordered = is_fifo(&topic);
        let body = self.format.encode(envelope)?;
        let attributes = attributes::of(envelope, &self.attributes)?;
        let size = body.len() + attributes::size(&attributes);
        if size > self.size {
            return Err(PublishError::TooLarge { limit: self.size });
        }
        // On another topic a group is a tenant, for the fair queues that are subscribed to it.
        let group = envelope.group.clone().or_else(|| ordered.then(|| "default".to_owned()));
        let deduplication = ordered.then(|| envelope.id.clone());
        Ok(Entry { to: topic, size, ordered, message: Message { body, attributes, group, deduplication } })
    }

    async fn send(&self, topic: &str, messages: &[&Message]) -> Result<Vec<(usize, Result<Published, PublishError>)>, PublishError> {
        let parameters: Parameters<'_> = messages.iter().enumerate().flat_map(|(place, message)| message.parameters(place)).collect();
        // A topic that keeps order knows what it was given before; another one would hand it on twice.
        let retry = if is_fifo(topic) { REPEATABLE } else { ONCE };
        let answer = self.call("PublishBatch", topic, &parameters, retry).await?;
        let xml = String::from_utf8_lossy(answer.body());
        Ok(xml.split("<member>").skip(1).filter_map(answered).collect())
    }
}

impl Transport for SnsTransport {
    const BACKEND: &'static str = "sns";
    type Options = Options;

    fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        let env = cx.shared::<Environment>()?;
        let Options { region, prefix, default_topic, topics, attributes, size, format } = options;
        let or_set = |said: Option<String>, setting| said.or_else(|| env.get(setting).map(ToOwned::to_owned));
        let topics = Topics::new(or_set(prefix, &AWS_SNS_ARN_PREFIX), or_set(default_topic, &AWS_DEFAULT_TOPIC_NAME), topics)?;
        attributes::check(&attributes).map_err(|problems| problems.under("/attributes"))?;
        let size = size.unwrap_or(USUAL_SIZE);
        if !(1024..=LARGEST_SIZE).contains(&size) {
            return Err(Problems::at("/MaximumMessageSize", format!("expected bytes from 1024 to {LARGEST_SIZE}")).into());
        }
        let region = one_region(region.as_deref(), topics.arns()).map_err(Problems::whole)?;
        let sns = SNS.for_transport(region, cx)?;
        let checked = topics.named().cloned().collect();
        Ok(Self { sns, topics, checked, attributes, size, format, clock: cx.clock()? })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: self.size }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        let arn = self.topics.arn(Some(destination)).map_err(|error| error.to_string())?;
        self.checked.note(&arn);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.publish_all(envelopes).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        for topic in self.checked.all() {
            self.call("GetTopicAttributes", &topic, &[], REPEATABLE).await?;
        }
        Ok(())
    }
}

impl SnsTransport {
    /// A call by AWS's query protocol. <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
    async fn call(&self, action: &str, topic: &str, more: &[(String, Cow<'_, str>)], retry: Retry) -> Result<Answer, PublishError> {
        let common = [("Action", action), ("Version", VERSION), ("TopicArn", topic)];
        let form: Vec<(&str, &str)> = common.into_iter().chain(more.iter().map(|(name, value)| (name.as_str(), value.as_ref()))).collect();
        let answer = self.sns.post("/").form(&form).retried(retry).send().await?;
        if answer.success() { Ok(answer) } else { Err(refused(&answer, &MEANINGS).into()) }
    }
}

/// What a call says, by names.
type Parameters<'a> = Vec<(String, Cow<'a, str>)>;

impl Message {
    /// What a call says of it in this place.
    fn parameters(&self, place: usize) -> Parameters<'_> {
        let member = format!("PublishBatchRequestEntries.member.{}", place + 1);
        let named = |name: &str, value| (format!("{member}.{name}"), value);
        let optional = [("MessageGroupId", &self.group), ("MessageDeduplicationId", &self.deduplication)];
        let optional = optional.into_iter().filter_map(|(name, value)| Some(named(name, Cow::Borrowed(value.as_deref()?))));
        let attributes = (1..).zip(&self.attributes).flat_map(|(number, (name, value))| {
            let parts = [("Name", name.as_str()), ("Value.DataType", "String"), ("Value.StringValue", value)];
            parts.map(|(part, value)| named(&format!("MessageAttributes.entry.{number}.{part}"), Cow::Borrowed(value)))
        });
        let own = once(named("Id", place.to_string().into())).chain(once(named("Message", Cow::Borrowed(self.body.as_str()))));
        own.chain(optional).chain(attributes).collect()
    }
}

/// What a member of one of the lists in the answer says of which message.
fn answered(member: &str) -> Option<(usize, Result<Published, PublishError>)> {
    let place = element(member, "Id")?.parse().ok()?;
    if let Some(message_id) = element(member, "MessageId") {
        return Some((place, Ok(Published { message_id: Some(message_id) })));
    }
    let (code, cause) = (element(member, "Code")?, element(member, "Message"));
    Some((
        place,
        Err(if element(member, "SenderFault").as_deref() == Some("false") {
            PublishError::Unavailable(format!("SNS: {code}"))
        } else {
            refused_alone(SNS.name, &code, cause.as_deref(), &MEANINGS)
        }),
    ))
}

/// What SNS's own codes mean. <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html#API_PublishBatch_Errors>
static MEANINGS: Meanings = Meanings {
    codes: &[(
        // The topic, its key or the permissions to them are not there; or its `MaximumMessageSize` is smaller than the alias says.
        "AuthorizationError BatchRequestTooLong EndpointDisabled InvalidSecurity KMSAccessDenied KMSDisabled KMSInvalidState KMSNotFound KMSOptInRequired NotFound",
        is(ErrorKind::Misconfigured),
    )],
    statuses: &[],
};
