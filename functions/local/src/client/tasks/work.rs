//! What a command line says of what is to be done.

use clap::Args;
use errand_core::Json;
use serde::Serialize;

/// How a task is to be done.
#[derive(Args, Serialize)]
pub(crate) struct Conditions {
    /// Positional arguments: a JSON array
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    args: Option<Json>,
    /// Attempts before it is given up
    #[arg(long, value_name = "COUNT")]
    max_attempts: Option<u32>,
    /// The queue
    #[arg(long)]
    queue: Option<String>,
    /// Tenant, or ordering key on a FIFO queue
    #[arg(long)]
    group: Option<String>,
    /// The recipient: lists can be asked by it
    #[arg(long)]
    user: Option<String>,
    /// Where its result is to be sent
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
}

/// A value that a command line gives as JSON: it is sent as it was written.
pub(crate) fn json_value(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|error| format!("expected JSON: {error}"))
}
