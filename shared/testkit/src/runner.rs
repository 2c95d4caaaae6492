//! Runners are tried by the kits of providers: their payload is the route.

use errand_core::{
    Attempt, DeliveryError, Envelope, Environment, Fields, Init, Job, Payload, Provider, Ran, Receipt, Runner, SettingsError,
};
use serde_json::{json, value::to_raw_value};

use crate::transport::envelope;

/// What the arguments of each job hold, which no error may tell.
pub const ARGUMENT: &str = "secret-text";

/// A task of this id for somebody's own code.
#[must_use]
pub fn task(id: &str) -> Envelope {
    let raw = |value| to_raw_value(&value).ok();
    Envelope { task: "shop.ship".to_owned(), args: raw(json!([1])), kwargs: raw(json!({ "to": ARGUMENT })), ..envelope(id) }
}

/// A runner as a provider of one task, that of [`task`], for which nobody takes a report.
pub struct Running<R>(pub R);

/// What it takes: what a route says.
pub struct Routed<R: Runner>(R::Route);

impl<R: Runner> Payload for Routed<R> {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.deserialize().map(Self)
    }
}

impl<R: Runner> Provider for Running<R> {
    const NAME: &'static str = R::NAME;
    const TASKS: &'static [&'static str] = &[];
    type Payload = Routed<R>;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        R::new(env, cx).map(Self)
    }

    async fn deliver(&self, Routed(route): Routed<R>, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let Self(runner) = self;
        runner.check(&route).expect("a route that can be taken");
        let envelope = Envelope { trace: attempt.trace.clone(), ..task(&attempt.key) };
        match runner.run(&route, &Job { envelope: &envelope, number: attempt.number, report: None }).await? {
            Ran::Done(value) => Ok(Receipt(value)),
            Ran::Handed(_) | Ran::HandedOn { .. } => panic!("nobody takes a report"),
        }
    }
}
