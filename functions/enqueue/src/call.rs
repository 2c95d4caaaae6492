//! What a caller sends: an envelope's fields, and `countdown`.

use errand_api::ProblemDocument;
use errand_core::{Envelope, Fields, OBJECT_LIMIT, Payloads, Problems, Timestamp, limits};
use errand_wire::native;

/// Reads a call's body, and checks the payload against the task's own type. `trace` is the call's own `traceparent`.
pub(crate) fn read(body: &str, trace: Option<&str>, payloads: &Payloads, now: Timestamp) -> Result<Envelope, ProblemDocument> {
    errand_wire::check_body(body, OBJECT_LIMIT).and_then(|()| envelope(body, payloads, now)).map_err(ProblemDocument::of_body).map(
        |mut envelope| {
            envelope.trace = envelope.trace.or_else(|| trace.filter(|trace| limits::traceparent(trace).is_ok()).map(ToOwned::to_owned));
            envelope
        },
    )
}

fn envelope(body: &str, payloads: &Payloads, now: Timestamp) -> Result<Envelope, Problems> {
    let mut fields = Fields::of(body)?;
    let mut envelope = native::read(&mut fields, || uuid::Uuid::now_v7().to_string());
    if let Some(envelope) = &mut envelope {
        if let Some(delay) = native::countdown(&mut fields) {
            envelope.run_after = Some(now + delay);
        }
        check_times(&mut fields, envelope, now);
        payloads.check_envelope(&mut fields, envelope);
        if envelope.claim_check.is_some() {
            fields.refuse("claim_check", "is not for callers: send kwargs of any size");
        }
    }
    fields.finish(envelope)
}

fn check_times(fields: &mut Fields<'_>, envelope: &Envelope, now: Timestamp) {
    if envelope.delay(now) > native::LONGEST_DELAY {
        fields.refuse("run_after", "expected a time within 366 days from now");
    }
    if envelope.expires.is_some_and(|expires| expires <= now.max(envelope.run_after.unwrap_or(now))) {
        fields.refuse("expires", "expected a time that is ahead, and after run_after");
    }
}
