//! Lambda functions of others, invoked asynchronously: the event is the envelope.

use std::{collections::BTreeMap, time::Duration};

use errand_core::{
    DEFAULT_QUEUE, Envelope, Init, Noted, OptionError, Problems, PublishError, Published, Transport, TransportLimits, segment,
};
use errand_http::aws::{Functions, Invoke, LAMBDA, ONCE, one_region};
use errand_wire::Format;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

/// Invokes functions.
pub struct LambdaTransport {
    functions: Functions,
    /// By destinations: names or ARNs.
    named: BTreeMap<String, String>,
    /// The functions that its check asks for: those of the options, and of the alias' queues.
    checked: Noted,
    format: Format,
}

/// What an alias says; names in capitals are django-tasks-cloud's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// The region of the functions: that of their ARNs, or the settings'.
    #[serde(rename = "AWS_REGION")]
    region: Option<String>,
    /// The function of the destination `default`: its name or ARN.
    #[serde(rename = "AWS_DEFAULT_LAMBDA_FUNCTION_NAME")]
    default_function: Option<String>,
    /// Functions by destinations: names or ARNs. Any other destination is a function's name or ARN.
    #[serde(default)]
    functions: BTreeMap<String, String>,
    /// What the functions read.
    #[serde(default)]
    format: Format,
}

impl Transport for LambdaTransport {
    const BACKEND: &'static str = "lambda";
    type Options = Options;

    fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        let Options { region, default_function, functions: mut named, format } = options;
        let check = |function: &str, pointer: &str| Functions::check(function).map_err(|expected| Problems::at(pointer, expected));
        for (destination, function) in &named {
            check(function, &format!("/functions/{}", segment(destination)))?;
        }
        if let Some(function) = default_function {
            check(&function, "/AWS_DEFAULT_LAMBDA_FUNCTION_NAME")?;
            named.entry(DEFAULT_QUEUE.to_owned()).or_insert(function);
        }
        let region = one_region(region.as_deref(), named.values().map(String::as_str)).map_err(Problems::whole)?;
        let checked = named.values().cloned().collect();
        Ok(Self { functions: Functions::new(LAMBDA.for_transport(region, cx)?), named, checked, format })
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: Functions::EVENT_LIMIT }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        self.checked.note(self.function(destination)?);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let calls: Vec<_> = envelopes.iter().map(|envelope| self.invoke(envelope)).collect();
        stream::iter(calls).buffered(CONCURRENCY).collect().await
    }

    async fn check(&self) -> Result<(), PublishError> {
        for function in self.checked.all() {
            self.functions.invoke(&function, Invoke::DryRun, "{}", |call| call.retried(ONCE)).await?;
        }
        Ok(())
    }
}

impl LambdaTransport {
    /// The function of a destination.
    fn function<'a>(&'a self, destination: &'a str) -> Result<&'a str, &'static str> {
        let function = self.named.get(destination).map_or(destination, String::as_str);
        Functions::check(function).map(|()| function)
    }

    async fn invoke(&self, envelope: &Envelope) -> Result<Published, PublishError> {
        let destination = envelope.destination.as_deref().unwrap_or(DEFAULT_QUEUE);
        let function = self.function(destination).map_err(|expected| PublishError::Refused(format!("Lambda: {expected}")))?;
        let event = self.event(envelope)?;
        if event.len() > Functions::EVENT_LIMIT {
            return Err(PublishError::TooLarge { limit: Functions::EVENT_LIMIT });
        }
        let answer = self.functions.invoke(function, Invoke::Event, event, |call| call.of(envelope).retried(ONCE)).await?;
        match answer.status().as_u16() {
            202 => Ok(Published { message_id: answer.header("x-amzn-requestid").map(ToOwned::to_owned) }),
            _ => Err(answer.unclear().into()),
        }
    }

    /// What a function is given: in Errand's own form always with `args` and `kwargs`, since who wrote one for django-tasks-cloud reads both.
    fn event(&self, envelope: &Envelope) -> Result<String, PublishError> {
        let or = |json: &Option<Box<RawValue>>, empty: &str| json.clone().or_else(|| RawValue::from_string(empty.to_owned()).ok());
        match &self.format {
            Format::Native => {
                let (args, kwargs) = (or(&envelope.args, "[]"), or(&envelope.kwargs, "{}"));
                Ok(errand_wire::encode(&Envelope { args, kwargs, ..envelope.clone() }))
            }
            format => format.encode(envelope),
        }
    }
}
