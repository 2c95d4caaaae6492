//! The words of Errand, and nothing that does work: the [`Envelope`], what carries it ([`Transport`], [`Queue`]), what does what
//! it asks ([`Provider`]), what remembers it ([`Store`]), and how each of them fails. No I/O, no cloud, no async runtime.

mod ascii;
mod base64_text;
mod callback;
mod clock;
mod cron;
mod dead_letters;
mod digest;
mod envelope;
mod erased;
mod error;
mod fields;
mod fingerprint;
mod follow_ups;
mod function;
mod header;
mod init;
mod invocation;
pub mod json;
mod mapping;
mod notes;
mod objects;
mod outbox;
mod payload;
mod progress;
mod provider;
mod queue;
mod queues;
mod record;
mod recurrence;
mod registry;
mod routes;
pub mod runner;
mod schedule;
mod sender;
pub mod settings;
mod signing;
mod store;
mod task;
mod task_result;
mod text;
mod timestamp;
mod transport;
mod unread;

pub use ascii::{ascii_domain, ascii_url};
pub use base64_text::from_base64;
pub use clock::Clock;
pub use cron::{Cron, Days, Numbers};
pub use dead_letters::{Buried, DeadLetters, Epitaph};
pub use digest::{Digest, hex};
pub use envelope::{BODY_LIMIT, Context, DEFAULT_QUEUE, DEPTH_LIMIT, Envelope, OBJECT_LIMIT, limits};
pub use erased::{
    DynCheck, DynClaims, DynDeadLetters, DynForeignObjects, DynForward, DynNoteList, DynNotes, DynObjects, DynQueue, DynRegister,
    DynResultBackend, DynResults, DynSchedules, DynTransport,
};
pub use error::{Advice, DeliveryError, ErrorKind};
pub use fields::{Aliases, Fields, Problem, Problems, nearest, not_known, segment};
pub use fingerprint::Fingerprint;
pub use follow_ups::{FollowUps, ForeignMessage, ForeignResult, Forward, ResultBackend};
pub use header::Header;
pub use init::Init;
pub use invocation::Invocation;
pub use json::Json;
pub use notes::{Note, NoteKind, Notes};
pub use objects::{ForeignObjects, ObjectError, Objects};
pub use outbox::Outbox;
pub use payload::{Lack, Payload, Payloads, Refusal, Texts};
pub use progress::{Places, Progress, Reason};
pub use provider::{Attempt, Provider, Receipt};
pub use queue::{DeadLetter, Message, Queue, QueueError};
pub use queues::{Address, QueueSettings, Queues, celery_queue, is_fifo};
pub use record::{Record, position};
pub use recurrence::{Rate, Recurrence, Unit};
pub use registry::Registry;
pub use routes::{Routes, Target};
pub use runner::{Job, Ran, ReportTo, Runner};
pub use schedule::{Schedule, Schedules};
pub use sender::Sender;
pub use settings::{Environment, Reader, Secret, Setting, SettingsError, Stranger, Takes, Unread};
pub use store::{Begin, Change, Claim, Filter, Finish, Outcome, Page, Report, Store, StoreError};
pub use task::Task;
pub use task_result::{Replaced, Status, TaskError, TaskResult};
pub use text::{Place, Text, is_mention};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use transport::{PublishError, Published, Transport};
pub use unread::tell_unread;

/// A future on the heap, for the traits' erased twins.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;
