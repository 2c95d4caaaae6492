//! E-mail through Amazon SES.

mod ses;
mod settings;

pub use ses::Ses;
pub use settings::{FROM, SETTINGS};
