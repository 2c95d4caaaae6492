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
    /// Of payloads that have several parts and are not done, how far these have come, by the parts' places. Their numbers are those of the one of the list that `legs`
    /// tells of the payload.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<usize, Progress>,
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
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.failed = Places::default();
        self.failure = None;
        self.parts.values_mut().for_each(Self::begin_again);
        self.keep_parts();
    }

    /// Forgets the parts of payloads of which nothing is known, and who goes on with what: a payload of which a part is done stays with who knows its parts.
    fn keep_parts(&mut self) {
        self.parts.retain(|_, parts| !parts.is_empty());
        self.legs.retain(|place, _| self.parts.contains_key(place));
    }

    /// What stays known when the payloads are changed: what is delivered and stands in its place as it did.
    pub(crate) fn of_the_same(&self, before: &Json, now: &Json) -> Self {
        let payloads = |json: &Json| json.read::<Vec<Box<RawValue>>>().unwrap_or_else(|_| json.raw().into_iter().collect());
        let (before, now) = (payloads(before), payloads(now));
        let same = |place: usize| before.get(place).zip(now.get(place)).is_some_and(|(before, now)| before.get() == now.get());
        let mut kept = self.at_the_end();
        kept.delivered = kept.delivered.iter().filter(|place| same(*place)).collect();
        kept.parts.retain(|place, _| same(*place));
        kept.keep_parts();
        kept
    }

    /// What stays known when the envelope is given up: replayed, it is not done twice, and everything else is tried anew.
    #[must_use]
    pub fn at_the_end(&self) -> Self {
        let parts = self.parts.iter().map(|(place, parts)| (*place, parts.at_the_end())).collect();
        let mut end = Self { delivered: self.delivered.clone(), legs: self.legs.clone(), parts, ..Self::default() };
        end.keep_parts();
        end
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
            parts: BTreeMap::new(),
        };
        let json = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            json,
            r#"{"delivered":"0-79,85","refused":"81","failed":"82-83","legs":{"84":1},"refusal":{"kind":"recipient_gone","message":"HTTP 410"},"rounds":2}"#
        );
        assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
        assert_eq!(serde_json::to_string(&Progress::default()).unwrap(), "{}");
        assert!(serde_json::from_str::<Progress>("{}").unwrap().is_empty());
        let parts = Progress {
            parts: [(0, Progress { delivered: [0, 1].into_iter().collect(), ..Progress::default() })].into(),
            ..Progress::default()
        };
        let json = serde_json::to_string(&parts).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str(&json).unwrap()), (r#"{"parts":{"0":{"delivered":"0-1"}}}"#, parts));
        for wrong in ["1-", "-1", "a", "0-79;85", "1,,b"] {
            assert!(wrong.parse::<Places>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_parts_were_delivered_outlives_rounds_ends_and_new_neighbours() {
        let some = |places: &[usize]| places.iter().copied().collect::<Places>();
        let parts =
            |delivered: &[usize], failed: &[usize]| Progress { delivered: some(delivered), failed: some(failed), ..Progress::default() };
        let mut progress = Progress {
            failed: some(&[0, 1, 2]),
            legs: [(0, 1), (1, 1)].into(),
            parts: [(0, parts(&[3], &[4])), (1, parts(&[], &[4])), (2, parts(&[5], &[]))].into(),
            ..Progress::default()
        };
        let end = progress.at_the_end();
        let kept = Progress { legs: [(0, 1)].into(), parts: [(0, parts(&[3], &[])), (2, parts(&[5], &[]))].into(), ..Progress::default() };
        assert_eq!(end, kept);
        progress.next_round();
        assert_eq!(progress, Progress { rounds: 1, ..kept.clone() }, "who has begun with parts goes on with them");
        let json = |json: &str| Json::parse(json.as_bytes()).unwrap();
        let edited = kept.of_the_same(&json(r#"[{"a":1},{"a":2},{"a":3}]"#), &json(r#"[{"a":1},{"a":2},{"a":4}]"#));
        assert_eq!(edited, Progress { legs: [(0, 1)].into(), parts: [(0, parts(&[3], &[]))].into(), ..Progress::default() });
        let one = |now: &str| edited.of_the_same(&json(r#"{"a":1}"#), &json(now)).is_empty();
        assert!(!one(r#"{"a":1}"#) && one(r#"{"a":2}"#), "of one payload it is its own");
    }
}
