//! What is sent, how and when: transports, large arguments, schedules, and what follows on a task.

mod callback;
mod cron;
mod follow_ups;
mod objects;
mod outbox;
mod recurrence;
mod schedule;
mod transport;

pub use cron::{Cron, Days, Numbers};
pub use follow_ups::{DynForward, DynResultBackend, FollowUps, ForeignMessage, ForeignResult, Forward, ResultBackend};
pub use objects::{DynForeignObjects, DynObjects, ForeignObjects, ObjectError, Objects};
pub use outbox::Outbox;
pub use recurrence::{Rate, Recurrence, Unit};
pub use schedule::{DynSchedules, Schedule, Schedules};
pub use transport::{DynCheck, DynTransport, PublishError, Published, Transport};
