//! The words of Errand, and nothing that does work: the [`Envelope`], what carries it ([`Transport`], [`Queue`]), what does what
//! it asks ([`Provider`]), what remembers it ([`Claims`], [`Register`], [`Results`]), and how each of them fails. No I/O, no cloud, no async runtime.

mod erased;
mod fields;
mod queue;
mod run;
mod send;
pub mod settings;
mod store;
mod task;
mod words;

use erased::erased;

pub use fields::{Aliases, Fields, Problem, Problems, nearest, not_known, segment};
pub use queue::*;
pub use run::*;
pub use send::*;
pub use settings::{
    CallTimeout, Environment, Init, Invocation, Reader, Reference, Secret, Setting, SettingsError, Stranger, Takes, Unread,
};
pub use store::*;
pub use task::*;
pub use words::*;

/// A future on the heap, for the traits' erased twins.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;
