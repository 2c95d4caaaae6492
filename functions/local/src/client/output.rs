//! What commands say.

use serde_json::Value;

/// What a command was asked for: one line of JSON.
#[expect(clippy::print_stdout, reason = "what a command was asked for")]
pub(super) fn say(value: &Value) {
    println!("{value}");
}

/// What it tells beside that.
#[expect(clippy::print_stderr, reason = "what a command tells beside what it was asked for")]
pub(super) fn tell(text: &str) {
    eprintln!("{text}");
}
