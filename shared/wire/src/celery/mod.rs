//! Celery's messages, as kombu's transports for SQS and Redis carry them: protocols 2 and 1 in, protocol 2 out.
//! <https://docs.celeryq.dev/en/stable/internals/protocol.html>

mod compression;
mod encode;
mod envelope;
mod message;
mod outcome;
mod protocol_2;
mod sequel;
mod signature;
mod special_types;
mod time;

pub use encode::{Publication, Published, encode};
pub use outcome::{result_key, worker_result};
pub use sequel::follow_ups;

pub(crate) use envelope::read;
pub(crate) use message::{is_celery, unwrap};
