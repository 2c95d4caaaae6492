use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

use crate::{DeliveryError, ErrorKind, Json};

/// How far an envelope has come between attempts, by the places of its payloads: one that is no bulk has one payload, at place 0.
///
/// An attempt is one round over all payloads that are left, over as many invocations as it takes. What is in none of the sets is untried in this round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// What is done.
    #[serde(skip_serializing_if = "Places::is_empty")]
    pub delivered: Places,
    /// What was refused for good, and is not tried again before somebody replays it.
    #[serde(skip_serializing_if = "Places::is_empty")]
    pub refused: Places,
    /// What failed in the round that is not finished, and waits for the next.
    #[serde(skip_serializing_if = "Places::is_empty")]
    pub failed: Places,
    /// For payloads that their list's first ones could not do, which one of the list goes on: 1 for the second.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub legs: BTreeMap<usize, usize>,
    /// Why the first of those that were refused was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Reason>,
    /// Why the first of those that failed did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Reason>,
    /// How many rounds have failed: the wait for the next one grows with them, and not with attempts that died.
    #[serde(skip_serializing_if = "is_none")]
    pub rounds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none(rounds: &u32) -> bool {
    *rounds == 0
}

impl Progress {
    /// Whether nothing has happened yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Begins another round: what failed in this one is untried again.
    pub fn next_round(&mut self) {
        self.rounds = self.rounds.saturating_add(1);
        self.failed = Places::default();
        self.legs.clear();
        self.failure = None;
    }

    /// What stays known when the payloads are changed: what is delivered and stands in its place as it did.
    pub(crate) fn of_the_same(&self, before: &Json, now: &Json) -> Self {
        let payloads = |json: &Json| json.read::<Vec<Box<RawValue>>>().unwrap_or_default();
        let (before, now) = (payloads(before), payloads(now));
        let same = |place: usize| before.get(place).zip(now.get(place)).is_some_and(|(before, now)| before.get() == now.get());
        Self { delivered: self.delivered.iter().filter(|place| same(*place)).collect(), ..Self::default() }
    }

    /// What stays known when the envelope is given up: replayed, it is not done twice, and everything else is tried anew.
    #[must_use]
    pub fn at_the_end(&self) -> Self {
        Self { delivered: self.delivered.clone(), ..Self::default() }
    }
}

/// Places of payloads in a bulk, from 0 on. Written as text, `0-79,85`: most are neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeSet<usize>);

impl Places {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.0.contains(&place)
    }

    /// Adds one.
    pub fn insert(&mut self, place: usize) {
        self.0.insert(place);
    }

    /// The places, in their order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        Self(places.into_iter().collect())
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = places.next() {
            let mut last = first;
            while let Some(next) = places.next_if_eq(&(last + 1)) {
                last = next;
            }
            if first == last { write!(f, "{comma}{first}") } else { write!(f, "{comma}{first}-{last}") }?;
            comma = ",";
        }
        Ok(())
    }
}

impl FromStr for Places {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected places as 0-79,85";
        let mut places = BTreeSet::new();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let place = |text: &str| text.parse::<u32>().map(|place| place as usize).map_err(|_| EXPECTED);
            places.extend(place(first)?..=place(last)?);
        }
        Ok(Self(places))
    }
}

impl Serialize for Places {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A failure as it is kept between attempts: what a dead letter tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Its kind.
    pub kind: ErrorKind,
    /// What happened, for an operator; the first part of a long one.
    pub message: String,
}

impl Reason {
    /// How much of a message is kept, in bytes.
    const MESSAGE_LIMIT: usize = 512;
}

impl From<&DeliveryError> for Reason {
    fn from(error: &DeliveryError) -> Self {
        Self { kind: error.kind, message: error.message[..error.message.floor_char_boundary(Self::MESSAGE_LIMIT)].to_owned() }
    }
}

impl From<&Reason> for DeliveryError {
    fn from(reason: &Reason) -> Self {
        Self::new(reason.kind, reason.message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_written_briefly_and_read_again() {
        let progress = Progress {
            delivered: (0..80).chain([85]).collect(),
            refused: [81].into_iter().collect(),
            failed: [82, 83].into_iter().collect(),
            legs: [(84, 1)].into(),
            refusal: Some(Reason { kind: ErrorKind::RecipientGone, message: "HTTP 410".to_owned() }),
            failure: None,
            rounds: 2,
        };
        let json = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            json,
            r#"{"delivered":"0-79,85","refused":"81","failed":"82-83","legs":{"84":1},"refusal":{"kind":"recipient_gone","message":"HTTP 410"},"rounds":2}"#
        );
        assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
        assert_eq!(serde_json::to_string(&Progress::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<Progress>("{}").unwrap().is_empty());
        for wrong in ["1-", "-1", "a", "0-79;85", "1,,b"] {
            assert!(wrong.parse::<Places>().is_err(), "{wrong}");
        }
    }
}
