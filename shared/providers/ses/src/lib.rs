//! E-mail: the payload of task `email`, and, with feature `client`, its delivery through Amazon SES.

mod address;
pub mod mime;
mod payload;
#[cfg(feature = "client")]
mod ses;
mod settings;

pub use payload::{Attachment, Email};
#[cfg(feature = "client")]
pub use ses::Ses;
pub use settings::{FROM, SETTINGS};

/// The tasks that this crate does.
pub const TASKS: &[&str] = &["email"];
