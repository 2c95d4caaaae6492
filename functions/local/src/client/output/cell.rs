//! What stands in a place of a table.

use std::borrow::Cow;

use errand_core::{
    Environment, Json, Status, Timestamp, json,
    settings::all::{NO_COLOR, TERM},
};
use jiff::tz::TimeZone;

/// A field of a thing, and how it is shown.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    /// What stands above or before it.
    pub(super) title: &'static str,
    /// A JSON pointer (RFC 6901) to it.
    pointer: &'static str,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    /// RFC 3339; shown by this machine's clock.
    Time,
    /// Of a task.
    Status,
}

impl Field {
    pub(crate) const fn text(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, form: Form::Text }
    }

    pub(crate) const fn time(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, form: Form::Time }
    }

    pub(crate) const fn status(title: &'static str, pointer: &'static str) -> Self {
        Self { title, pointer, form: Form::Status }
    }

    /// How many characters wide it is at most, as far as that is known.
    pub(super) const fn usual_width(&self) -> usize {
        match self.form {
            Form::Text => self.title.len(),
            Form::Time => "2026-11-20 12:00:00".len(),
            Form::Status => "SUCCESSFUL".len(),
        }
    }

    /// What it shows of a thing; nothing where that is not there, null, or an empty list.
    pub(super) fn of(&self, thing: &Json, look: &Look) -> Option<Cell> {
        let value = json::at(thing.get(), self.pointer).filter(|value| !["null", "[]"].contains(&value.get()))?;
        let text = serde_json::from_str::<Cow<'_, str>>(value.get()).unwrap_or(Cow::Borrowed(value.get()));
        Some(match self.form {
            Form::Text => Cell { text: printable(&text), colour: None },
            Form::Time => Cell { text: look.time(&text), colour: None },
            Form::Status => Cell { text: printable(&text), colour: colour(&text).filter(|_| look.colours) },
        })
    }
}

/// How things look here.
pub(super) struct Look {
    colours: bool,
    zone: TimeZone,
}

impl Look {
    /// Colours are for terminals, and not for who does not want them: <https://no-color.org>.
    pub(super) fn new(terminal: bool, env: &Environment, zone: TimeZone) -> Self {
        let unwanted = env.has(&NO_COLOR) || env.get(&TERM) == Some("dumb");
        Self { colours: terminal && !unwanted, zone }
    }

    /// A title, so that it can be told from what it is the title of.
    pub(super) fn title(&self, text: &str) -> Cell {
        Cell { text: text.to_owned(), colour: self.colours.then_some(BOLD) }
    }

    fn time(&self, text: &str) -> String {
        let local = |time: Timestamp| Some(self.zone.to_datetime(jiff::Timestamp::from_second(time.seconds()).ok()?));
        text.parse().ok().and_then(local).map_or_else(|| printable(text), |time| time.to_string().replace('T', " "))
    }
}

/// A text, and its colour by the number that terminals know it by (ECMA-48, Select Graphic Rendition).
#[derive(Default)]
pub(super) struct Cell {
    pub(super) text: String,
    colour: Option<u8>,
}

const BOLD: u8 = 1;
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

impl Cell {
    /// How many characters wide it is.
    pub(super) fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// Its text in its colour.
    pub(super) fn painted(&self) -> Cow<'_, str> {
        match self.colour {
            Some(colour) => Cow::Owned(format!("\x1b[{colour}m{}\x1b[0m", self.text)),
            None => Cow::Borrowed(&self.text),
        }
    }
}

fn colour(status: &str) -> Option<u8> {
    match Status::named(status)? {
        Status::Successful => Some(GREEN),
        Status::Failed | Status::Expired => Some(RED),
        Status::Running | Status::Cancelled => Some(YELLOW),
        Status::Ready | Status::Scheduled => None,
    }
}

/// A text of other people's in one line, without what would speak to the terminal.
fn printable(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
