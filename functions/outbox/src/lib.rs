//! Hands the events that an application writes into a DynamoDB table to a transport, as the table's stream brings them.
//!
//! An outbox function with transports of its own is a `main` of a few lines over this library, as for the enqueue function:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # mod my { pub type Kafka = errand_transport_sqs::SqsTransport; }
//! fn main() -> ExitCode {
//!     errand_outbox::serve(|backends| {
//!         errand_outbox::backends(backends); // those of this build's features
//!         backends.add::<my::Kafka>(); // and ours
//!     })
//! }
//! ```

mod attribute;
mod backends;
mod stream;

use std::{process::ExitCode, sync::Arc};

use errand_core::{Backends, Clock, Dispatch, Environment, Init, Queues, Reader, SettingsError, Stranger};
use errand_http::References;
use errand_relay::{Holds, Patience, Relay};
use errand_runtime::TokioClock;
use errand_transport_sqs::SqsQueue;
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;

pub use backends::backends;

use crate::backends::HOME;

/// An outbox function's whole `main`; `backends` adds the kinds of transports that it has.
pub fn serve(backends: impl FnOnce(&mut Backends<false>)) -> ExitCode {
    errand_runtime::serve_raw(Reader::Outbox, |env| {
        let outbox = Arc::new(Outbox::from_env(env, backends)?);
        Ok(move |event| Arc::clone(&outbox).invoke(event))
    })
}

/// The function. Holds no state: what a stream has brought is known to the stream.
pub struct Outbox {
    relay: Relay,
}

/// Which records stay in the stream: that one and all behind it, which Lambda brings again.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
#[derive(Debug, Serialize)]
pub struct Answer {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    sequence_number: String,
}

impl Outbox {
    /// The function with all that its settings and this build give it; `backends` adds the kinds of transports.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment, backends: impl FnOnce(&mut Backends<false>)) -> Result<Self, SettingsError> {
        // What the template gives all functions is not for it alone.
        let strangers: Vec<Stranger> =
            env.strangers(Reader::Outbox, &[], &errand_payloads::providers()).into_iter().filter(Stranger::is_unknown).collect();
        errand_runtime::tell_strangers(&strangers);
        let sdk = errand_http::aws::sdk_config(env)?;
        let queue = Arc::new(SqsQueue::new(env, &sdk)?);
        let clock: Arc<dyn Clock> = Arc::new(TokioClock);
        let cx = Init::default().with(env.clone()).with(sdk).with(Queues::from_env(env)?).with(Arc::clone(&clock));
        let references = References::new(env, &cx)?;
        let dispatch = Dispatch::from_env(env, backends, HOME, &cx.with(references))?;
        let payloads = errand_payloads::payloads().with_transports(dispatch.transports()).with_routes(env)?;
        Ok(Self { relay: Relay { dispatch, payloads, queue, clock, patience: Patience::from_env(env)? } })
    }

    /// Answers an invocation: where it stopped, never with an error, which would bring what was published as well.
    ///
    /// # Errors
    /// It was invoked with something else than records of a stream.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Error> {
        let deadline = errand_runtime::deadline(&event);
        let events = stream::events(event.payload.get())
            .ok_or("expected the records of a DynamoDB stream: a mapping of another source leads here")?;
        let fates = self.relay.relay(&events, Holds::All, deadline).await;
        let first = events.into_iter().zip(fates).find(|(_, fate)| !fate.ended());
        Ok(Answer { failures: first.map(|(event, _)| Failure { sequence_number: event.name }).into_iter().collect() })
    }
}
