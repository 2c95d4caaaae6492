//! Variables that look like settings and are none.

use std::fmt;

use super::{Environment, PREFIX, Reader, Setting, all};
use crate::nearest;

/// A variable `ERRAND_…` that is set, and that whoever starts does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Its name.
    pub name: String,
    /// Why it is not read.
    pub why: Unread,
}

/// Why a variable is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// No setting has this name. Perhaps another one was meant.
    Unknown(Option<&'static str>),
    /// It is a setting of what this build does not have.
    Lacking(&'static str),
    /// It is a setting of others.
    Elsewhere,
}

impl Environment {
    /// The variables `ERRAND_…` that `reader` does not read: neither as settings of its own nor as those in `more`, which what it was given has. `lacking` are
    /// the names of providers and runners that a build may have, and this one has not.
    #[must_use]
    pub fn strangers(&self, reader: Reader, more: &[Setting], lacking: &[&'static str]) -> Vec<Stranger> {
        let named = |settings: &'static [Setting], name: &str| settings.iter().find(|setting| setting.name == name);
        let mut strangers = Vec::new();
        for name in self.names().filter(|name| name.starts_with(PREFIX)) {
            let why = match named(all::ALL, name) {
                Some(setting) if setting.readers.contains(&reader) => continue,
                Some(_) => Unread::Elsewhere,
                None if more.iter().any(|setting| setting.name == name) => continue,
                None => match lacking.iter().find(|provider| name.starts_with(&prefix(provider))) {
                    Some(provider) => Unread::Lacking(provider),
                    None => Unread::Unknown(nearest(name, all::ALL.iter().chain(more).map(|setting| setting.name))),
                },
            };
            strangers.push(Stranger { name: name.to_owned(), why });
        }
        strangers
    }
}

/// How the names of a provider's or runner's settings begin.
fn prefix(name: &str) -> String {
    format!("{PREFIX}{}_", name.to_uppercase().replace('-', "_"))
}

impl Stranger {
    /// Whether nobody at all reads it.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self.why, Unread::Unknown(_))
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.why {
            Unread::Unknown(Some(meant)) => write!(f, "{name}: is no setting; did you mean {meant}?"),
            Unread::Unknown(None) => write!(f, "{name}: is no setting; docs/settings.md lists them"),
            Unread::Lacking(provider) => write!(f, "{name}: is not read, since this build does not have {provider}"),
            Unread::Elsewhere => write!(f, "{name}: is not read here"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        const OWN;
        /// A token.
        TOKEN = "ERRAND_SHIP_TOKEN", Secret("a token"), "", [Consumer];
    }

    #[test]
    fn what_nobody_reads_is_told_with_what_was_meant() {
        let names = ["ERRAND_TABEL", "ERRAND_SHIP_TOKN", "ERRAND_COLOUR", "ERRAND_SLACK_TOKEN", "ERRAND_API_KEYS"];
        let fine = ["ERRAND_TABLE", "ERRAND_SHIP_TOKEN", "AWS_REGOIN", "PATH"];
        let env: Environment = names.into_iter().chain(fine).map(|name| (name, "hunter2")).collect();
        let told: Vec<String> = env.strangers(Reader::Consumer, OWN, &["slack"]).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "ERRAND_API_KEYS: is not read here",
                "ERRAND_COLOUR: is no setting; docs/settings.md lists them",
                "ERRAND_SHIP_TOKN: is no setting; did you mean ERRAND_SHIP_TOKEN?",
                "ERRAND_SLACK_TOKEN: is not read, since this build does not have slack",
                "ERRAND_TABEL: is no setting; did you mean ERRAND_TABLE?",
            ]
        );
        assert_eq!(TOKEN, OWN[0]);
    }
}
