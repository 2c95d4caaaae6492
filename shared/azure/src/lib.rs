//! Azure: who we are there, how calls of Service Bus and of Storage's queues are authorised, and what their refusals mean. No SDK: each is one HTTP call.
//!
//! What has credentials of its own gives them as a [`TokenCredential`], which is one method.

mod account;
mod assertion;
mod connection_string;
mod credential;
mod default;
mod entra;
mod managed_identity;
mod refusal;
pub mod service_bus;
mod settings;
pub mod storage;
mod xml;

pub use account::{Access, Account, Key, Login};
pub use credential::{AccessToken, TokenCredential};
pub use default::DefaultAzureCredential;
pub use refusal::{publish_error, refused, words};
pub use settings::SETTINGS;
pub use xml::{element, escape};

use std::time::{Duration, UNIX_EPOCH};

use errand_core::{Init, Timestamp};
use errand_http::Client;

/// The client for Azure: the function's own, or where that calls nobody but AWS, another.
#[must_use]
pub fn client(cx: &Init) -> Client {
    cx.shared::<Client>().cloned().unwrap_or_default()
}

/// A time as HTTP has it (RFC 9110, section 5.6.7), which is RFC 1123's: to the second, `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(time: Timestamp) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(u64::try_from(time.millis()).unwrap_or_default()))
}
