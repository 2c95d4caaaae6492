//! What is sent, how and when: transports, what workers behind them leave, large arguments, schedules, and what follows on a task.

mod backends;
mod batches;
mod callback;
mod cron;
mod destinations;
mod dispatch;
mod follow_ups;
mod inline;
mod objects;
mod recurrence;
mod schedule;
mod transport;
mod workers;

pub use backends::{Backends, Transports, backends_of};
pub use batches::{Batching, Entry};
pub use cron::{Cron, Days, Numbers};
pub use destinations::Destinations;
pub use dispatch::{Dispatch, Taken};
pub use follow_ups::{DynForward, DynResultBackend, FollowUps, ForeignMessage, ForeignResult, Forward, ResultBackend};
pub use inline::NotInline;
pub use objects::{DynForeignObjects, DynObjects, ForeignObjects, Objects};
pub use recurrence::{Rate, Recurrence, Unit};
pub use schedule::{DynSchedules, Schedule, Schedules};
pub use transport::{DynCheck, DynHold, DynTransport, Hold, NoOptions, OptionError, PublishError, Published, Transport, TransportLimits};
pub use workers::{FollowUp, HandedOn, WorkerResult};
