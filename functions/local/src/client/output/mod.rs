//! What commands say: for people at a terminal, or JSON for programs.

mod cell;
mod table;

use std::{fmt::Display, io::IsTerminal};

use errand_core::{Environment, Json};
use jiff::tz::TimeZone;

pub(crate) use cell::Field;
use cell::Look;

/// Says what a command was asked for. A program, which is who reads where there is no terminal, gets one line of JSON for each thing, as the API wrote it.
pub(crate) struct Output {
    json: bool,
    look: Look,
}

impl Output {
    pub(super) fn new(json: bool, env: &Environment) -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { json: json || !terminal, look: Look::new(terminal, env, TimeZone::system()) }
    }

    /// One thing, by those of its fields that it has.
    pub(super) fn one(&self, thing: &Json, fields: &[Field]) {
        if self.json { say(&thing.get()) } else { say(&table::labelled(thing, fields, &self.look)) }
    }

    /// Several things, one in a row; `none` says that there are none.
    pub(super) fn list(&self, things: &[Json], columns: &[Field], none: &str) {
        if self.json {
            things.iter().for_each(|thing| say(&thing.get()));
        } else if things.is_empty() {
            tell(none);
        } else {
            say(&table::rows(things, columns, &self.look));
        }
    }

    /// A whole for programs, and its parts, one in a row, for people.
    pub(super) fn parts(&self, whole: &Json, parts: &[Json], columns: &[Field]) {
        if self.json { say(&whole.get()) } else { say(&table::rows(parts, columns, &self.look)) }
    }

    /// One of many things that come one after another.
    pub(super) fn next(&self, thing: &Json, columns: &[Field]) {
        if self.json { say(&thing.get()) } else { say(&table::row(thing, columns, &self.look)) }
    }
}

/// What a command was asked for.
#[expect(clippy::print_stdout, reason = "what a command was asked for")]
pub(crate) fn say(text: &impl Display) {
    println!("{text}");
}

/// What it tells beside that.
#[expect(clippy::print_stderr, reason = "what a command tells beside what it was asked for")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}
