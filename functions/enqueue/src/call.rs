//! What a caller sends: an envelope's fields, and `countdown`.

use errand_api::{ProblemDocument, check_id};
use errand_core::{Envelope, Fields, OBJECT_LIMIT, Payloads, Problems, Timestamp, limits};
use errand_wire::native;

/// An envelope that a call asks for.
pub(crate) struct Asked {
    pub(crate) envelope: Envelope,
    /// Whether a call that comes again has the same id: it was said, or is made of the call.
    pub(crate) named: bool,
}

/// What is the same for all that one call sends.
pub(crate) struct Call<'a> {
    /// The tasks that may be called.
    pub(crate) payloads: &'a Payloads,
    /// The call's own `traceparent`.
    pub(crate) trace: Option<&'a str>,
    /// What ids are made of when they are not said, where the same call must make the same.
    pub(crate) seed: Option<&'a str>,
    /// When it came.
    pub(crate) now: Timestamp,
}

impl Call<'_> {
    /// Reads a task, and checks the payload against the task's own type. `place` tells it from others of the call.
    pub(crate) fn task(&self, body: &str, place: usize) -> Result<Asked, ProblemDocument> {
        errand_wire::check_body(body, OBJECT_LIMIT).and_then(|()| self.read(body, place)).map_err(ProblemDocument::of_body)
    }

    fn read(&self, body: &str, place: usize) -> Result<Asked, Problems> {
        let mut fields = Fields::of(body)?.strict();
        let named = fields.has("id") || self.seed.is_some();
        let mut envelope = native::read(&mut fields, || self.new_id(place));
        if let Some(envelope) = &mut envelope {
            self.complete(&mut fields, envelope);
            self.payloads.check_call(&mut fields, envelope);
            if let Err(expected) = check_id(&envelope.id) {
                fields.refuse("id", expected);
            }
            if envelope.claim_check.is_some() {
                fields.refuse("claim_check", "is not for callers: send kwargs of any size");
            }
        }
        if fields.has("fingerprint") {
            fields.refuse("fingerprint", "is not for callers: it is made of what they send");
        }
        fields.finish(envelope.map(|envelope| Asked { envelope, named }))
    }

    /// An id for what names none.
    pub(crate) fn new_id(&self, place: usize) -> String {
        self.seed.map_or_else(|| uuid::Uuid::now_v7().to_string(), |seed| format!("{seed}-{place}"))
    }

    /// The call's own `traceparent`, if it is one.
    pub(crate) fn own_trace(&self) -> Option<String> {
        self.trace.filter(|trace| limits::traceparent(trace).is_ok()).map(ToOwned::to_owned)
    }

    /// Puts in what a call says otherwise than a message, and checks the times.
    pub(crate) fn complete(&self, fields: &mut Fields<'_>, envelope: &mut Envelope) {
        envelope.trace = envelope.trace.take().or_else(|| self.own_trace());
        if let Some(delay) = native::countdown(fields) {
            envelope.run_after = Some(self.now + delay);
        }
        native::refuse_follow_ups(fields, envelope);
        if envelope.delay(self.now) > native::LONGEST_DELAY {
            fields.refuse("run_after", "expected a time within 366 days from now");
        }
        if envelope.expires.is_some_and(|expires| expires <= self.now.max(envelope.run_after.unwrap_or(self.now))) {
            fields.refuse("expires", "expected a time that is ahead, and after run_after");
        }
    }
}
