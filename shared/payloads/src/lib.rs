//! What providers take, each in a folder of its own: its type, how it is read, what kind of text its fields are, and its schema. No provider's client is here, so
//! that who checks calls links none; several providers may take the same, and say what of it they cannot do.

pub mod console;
pub mod email;
pub mod slack;
pub mod webhook;

use std::any::TypeId;

use errand_core::{Payload, Payloads, Taker};

/// Shown every payload by [`each`].
pub trait Visit {
    /// What the task of this name takes, and the providers that do it.
    fn payload<P: Payload>(&mut self, task: &'static str, takers: Vec<Taker<P>>);
}

/// The one list: every payload with its task and the providers that take it.
pub fn each(visit: &mut impl Visit) {
    visit.payload::<console::Line>("console", vec![Taker::of("console")]);
    visit.payload::<email::Email>("email", vec![email::SES]);
    visit.payload::<slack::Message>("slack", vec![slack::SLACK]);
    visit.payload::<webhook::Call>("webhook", vec![Taker::of("webhook")]);
}

/// The tasks that can be called, and what each takes.
#[must_use]
pub fn payloads() -> Payloads {
    #[derive(Default)]
    struct All(Payloads);
    impl Visit for All {
        fn payload<P: Payload>(&mut self, task: &'static str, takers: Vec<Taker<P>>) {
            self.0 = takers.into_iter().fold(std::mem::take(&mut self.0), |payloads, taker| payloads.with(taker, &[task]));
        }
    }
    let mut all = All::default();
    each(&mut all);
    all.0
}

/// The names of all providers, and of the runners, which take anything.
#[must_use]
pub fn providers() -> Vec<&'static str> {
    struct Names(Vec<&'static str>);
    impl Visit for Names {
        fn payload<P: Payload>(&mut self, _: &'static str, takers: Vec<Taker<P>>) {
            self.0.extend(takers.iter().map(Taker::provider));
        }
    }
    let mut names = Names(vec!["http", "lambda"]);
    each(&mut names);
    names.0
}

/// What callers are told of payloads: each type with its schema.
#[must_use]
pub fn schemas() -> Vec<(TypeId, &'static str)> {
    struct Schemas(Vec<(TypeId, &'static str)>);
    impl Visit for Schemas {
        fn payload<P: Payload>(&mut self, _: &'static str, _: Vec<Taker<P>>) {
            self.0.push((TypeId::of::<P>(), P::SCHEMA));
        }
    }
    let mut schemas = Schemas(Vec::new());
    each(&mut schemas);
    schemas.0
}
