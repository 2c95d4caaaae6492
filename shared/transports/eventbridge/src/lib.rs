//! Amazon EventBridge: puts envelopes as CloudEvents on event buses, where rules hand them on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use errand_core::{
    Batching, Clock, DEFAULT_QUEUE, DeliveryError, Entry, Envelope, ErrorKind, Init, Noted, OptionError, Problems, PublishError, Published,
    Timestamp, Transport, TransportLimits, segment,
};
use errand_http::{
    Answer, Meanings, Retry, Service,
    aws::{Api, ONCE, REPEATABLE, code, one_region, refused, refused_alone},
    is,
};
use errand_wire::cloudevents;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
const EVENTBRIDGE: Api = Api { name: "EventBridge", id: "EventBridge", host: "events", signed_as: "events" };

/// The largest entry, and all entries of a call, in bytes: less than 1 MB.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
const LIMIT: usize = 1024 * 1024 - 1;

/// The longest detail-type, in characters: EventBridge answers that it took a longer one, and drops it.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
const LONGEST_DETAIL_TYPE: usize = 128;

/// What is said of a name that no bus has.
const NO_BUS: &str = "expected the name or the ARN of an event bus";

/// Puts events.
pub struct EventBridgeTransport {
    events: Service,
    /// By destinations: names or ARNs.
    buses: BTreeMap<String, String>,
    source: String,
    detail_type: Option<String>,
    /// The buses that its check asks for: those of the options, and of the alias' queues.
    checked: Noted,
    /// The buses that were seen to be there.
    found: Noted,
    clock: Arc<dyn Clock>,
}

/// What an alias says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The region of the buses: that of their ARNs, or the settings'.
    #[serde(rename = "AWS_REGION")]
    region: Option<String>,
    /// Buses by destinations: names or ARNs. Any other destination is a bus' name or ARN; `default` is that of the account.
    #[serde(default)]
    buses: BTreeMap<String, String>,
    /// The `source` of the events, and of the CloudEvents in them: `errand` when it is not said, of which another Errand takes the ids as they are.
    source: Option<String>,
    /// The events' `detail-type`: the task's name when it is not said.
    detail_type: Option<String>,
}

/// An entry of a call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    source: String,
    detail_type: String,
    detail: String,
    event_bus_name: String,
}

/// What is answered.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    entries: Vec<ToldOfOne>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ToldOfOne {
    event_id: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

impl Batching for EventBridgeTransport {
    type Message = Event;
    const MOST: usize = 10;

    fn bytes(&self) -> usize {
        LIMIT
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn entry(&self, envelope: &Envelope, _: Timestamp) -> Result<Entry<Event>, PublishError> {
        let destination = envelope.destination.as_deref().unwrap_or(DEFAULT_QUEUE);
        let bus = self.bus(destination).map_err(|expected| PublishError::Refused(format!("EventBridge: {expected}")))?;
        let detail_type = self.detail_type.as_ref().unwrap_or(&envelope.task);
        if detail_type.chars().count() > LONGEST_DETAIL_TYPE {
            let why = format!("EventBridge takes a detail-type of {LONGEST_DETAIL_TYPE} characters at most, and the task's name is longer");
            return Err(PublishError::Refused(why));
        }
        let detail = cloudevents::encode(envelope, &self.source, None);
        let size = self.source.len() + detail_type.len() + detail.len();
        if size > LIMIT {
            return Err(PublishError::TooLarge { limit: LIMIT });
        }
        let (source, detail_type) = (self.source.clone(), detail_type.clone());
        let event = Event { source, detail_type, detail, event_bus_name: bus.to_owned() };
        Ok(Entry { to: bus.to_owned(), size, ordered: false, message: event })
    }

    async fn send(&self, bus: &str, events: &[&Event]) -> Result<Vec<(usize, Result<Published, PublishError>)>, PublishError> {
        self.find(bus).await?;
        let answer = done(self.call("AWSEvents.PutEvents", &json!({ "Entries": events }), ONCE).await?)?;
        // What it says of each stands in its place, so that one too few or too many would tell of others.
        let told = answer.json::<Told>().filter(|told| told.entries.len() == events.len()).ok_or_else(|| answer.unclear())?;
        Ok(told.entries.into_iter().map(answered).enumerate().collect())
    }
}

impl Transport for EventBridgeTransport {
    const BACKEND: &'static str = "eventbridge";
    type Options = Options;

    fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        let Options { region, buses, source, detail_type } = options;
        if let Some(destination) = buses.iter().find(|(_, bus)| !is_bus(bus)).map(|(destination, _)| destination) {
            let pointer = format!("/buses/{}", segment(destination));
            return Err(Problems::at(&pointer, NO_BUS).into());
        }
        let source = source.unwrap_or_else(|| cloudevents::SOURCE.to_owned());
        if source.is_empty() || source.len() > 256 || source.starts_with("aws.") {
            return Err(Problems::at("/source", "expected 1 to 256 bytes that do not begin with aws., as AWS's own events do").into());
        }
        if detail_type.as_ref().is_some_and(|said| said.is_empty() || said.chars().count() > LONGEST_DETAIL_TYPE) {
            return Err(Problems::at("/detail_type", format!("expected 1 to {LONGEST_DETAIL_TYPE} characters")).into());
        }
        let region = one_region(region.as_deref(), buses.values().map(String::as_str)).map_err(Problems::whole)?;
        let events = EVENTBRIDGE.for_transport(region, cx)?;
        let checked = buses.values().cloned().collect();
        Ok(Self { events, buses, source, detail_type, checked, found: Noted::default(), clock: cx.clock()? })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: LIMIT }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        self.checked.note(self.bus(destination)?);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.publish_all(envelopes).await
    }

    async fn check(&self) -> Result<(), PublishError> {
        for bus in self.checked.all() {
            done(self.describe(&bus).await?)?;
        }
        Ok(())
    }
}

impl EventBridgeTransport {
    /// The bus of a destination.
    fn bus<'a>(&'a self, destination: &'a str) -> Result<&'a str, &'static str> {
        let bus = self.buses.get(destination).map_or(destination, String::as_str);
        if is_bus(bus) { Ok(bus) } else { Err(NO_BUS) }
    }

    /// A call by AWS's JSON protocol. <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>
    async fn call(&self, target: &'static str, body: &serde_json::Value, retry: Retry) -> Result<Answer, DeliveryError> {
        let call = self.events.post("/").json(body).header(CONTENT_TYPE, "application/x-amz-json-1.1").header("x-amz-target", target);
        call.retried(retry).send().await
    }

    async fn describe(&self, bus: &str) -> Result<Answer, DeliveryError> {
        self.call("AWSEvents.DescribeEventBus", &json!({ "Name": bus }), REPEATABLE).await
    }

    /// Makes sure once that a bus is there: EventBridge answers of one that is not that it took the events, and drops them. Whoever lends us a bus may not let us ask.
    async fn find(&self, bus: &str) -> Result<(), PublishError> {
        if self.found.has(bus) {
            return Ok(());
        }
        let answer = self.describe(bus).await?;
        if !code(&answer).is_some_and(|code| code.starts_with("AccessDenied")) {
            done(answer)?;
        }
        self.found.note(bus);
        Ok(())
    }
}

fn done(answer: Answer) -> Result<Answer, DeliveryError> {
    if answer.success() { Ok(answer) } else { Err(refused(&answer, &MEANINGS)) }
}

fn answered(ToldOfOne { event_id, error_code, error_message }: ToldOfOne) -> Result<Published, PublishError> {
    match error_code {
        Some(code) => Err(refused_alone(EVENTBRIDGE.name, &code, error_message.as_deref(), &MEANINGS)),
        None if event_id.is_none() => Err(PublishError::unanswered()),
        None => Ok(Published { message_id: event_id }),
    }
}

/// Whether a text is the name or the ARN of a bus that is not a partner's.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
fn is_bus(bus: &str) -> bool {
    let name = if bus.starts_with("arn:") { bus.split_once(":event-bus/").map_or("", |(_, name)| name) } else { bus };
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) && bus.len() <= 1600
}

/// What EventBridge's own codes mean, of a call and of one entry.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html>
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("InternalException InternalFailure", is(ErrorKind::Unavailable)),
        (
            "InvalidAccountIdException NotAuthorizedForDetailTypeException NotAuthorizedForSourceException ResourceNotFoundException",
            is(ErrorKind::Misconfigured),
        ),
    ],
    statuses: &[],
};
