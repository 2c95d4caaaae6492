//! What commands say.

use std::fmt::Display;

/// What a command was asked for: one line of JSON.
#[expect(clippy::print_stdout, reason = "what a command was asked for")]
pub(crate) fn say(value: &impl Display) {
    println!("{value}");
}

/// What it tells beside that.
#[expect(clippy::print_stderr, reason = "what a command tells beside what it was asked for")]
pub(super) fn tell(text: &str) {
    eprintln!("{text}");
}
