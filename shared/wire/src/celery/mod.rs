//! Celery's messages, as kombu's transport for SQS carries them: protocols 2 and 1.
//! <https://docs.celeryq.dev/en/stable/internals/protocol.html>

mod compression;
mod envelope;
mod message;
mod sequel;
mod signature;
mod special_types;
mod time;

pub use sequel::follow_ups;

pub(crate) use envelope::read;
pub(crate) use message::{is_celery, unwrap};
