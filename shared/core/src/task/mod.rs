//! What is to be done, how far it has come, and why it failed.

mod envelope;
mod error;
mod fingerprint;
mod progress;
mod sender;
mod task_result;

pub use envelope::{BODY_LIMIT, Context, DEFAULT_QUEUE, DEPTH_LIMIT, Envelope, OBJECT_LIMIT, limits};
pub use error::{Advice, Consequence, DeliveryError, Done, ErrorKind};
pub use fingerprint::Fingerprint;
pub use progress::{Places, Progress, Reason};
pub use sender::Sender;
pub use task_result::{Replaced, Status, TaskError, TaskResult};
