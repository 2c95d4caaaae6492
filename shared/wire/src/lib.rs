//! Messages on the wire to envelopes, and back. Pure functions over texts.
//!
//! [`decode`] is the only place where formats are told apart. So far there is one: [`native`].

mod guard;
pub mod native;

pub use guard::check as check_body;
pub use native::encode;

use errand_core::{BODY_LIMIT, Envelope, Fields, Problems};

/// The envelope in a message's body. `message_id` is the queue's id of the message: an envelope that has no id takes it.
///
/// # Errors
/// The body is too large, nested too deep, no JSON, or no envelope: all that is wrong with it. No value of the body is repeated.
pub fn decode(body: &str, message_id: &str) -> Result<Envelope, Problems> {
    guard::check(body, BODY_LIMIT)?;
    let mut fields = Fields::of(body)?;
    let envelope = native::read(&mut fields, || message_id.to_owned());
    fields.finish(envelope)
}
