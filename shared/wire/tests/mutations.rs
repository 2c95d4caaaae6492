//! Nothing that is made of real messages by changing them makes decoding panic, take long or answer more than it was given.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{BODY_LIMIT, Message};
use errand_wire::{Content, decode, encode, native};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
struct Seed {
    body: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// The vectors, and Celery's without what is around them: most changes of base64 change nothing that is read.
static SEEDS: LazyLock<Vec<Seed>> = LazyLock::new(|| {
    let read = |json: &str| serde_json::from_str::<Vec<Seed>>(json).unwrap();
    let mut seeds = read(include_str!("vectors/aws.json"));
    seeds.extend(read(include_str!("vectors/celery.json")));
    seeds.extend(read(include_str!("vectors/cloudevents.json")));
    seeds.extend(read(include_str!("vectors/django-notifs.json")));
    seeds.extend(read(include_str!("vectors/django-tasks-cloud.json")));
    seeds.extend(read(include_str!("vectors/poison.json")));
    let bare: Vec<Seed> = seeds
        .iter()
        .filter_map(|seed| Some(Seed { body: String::from_utf8(STANDARD.decode(&seed.body).ok()?).ok()?, ..seed.clone() }))
        .filter(|seed| seed.body.starts_with('{'))
        .collect();
    seeds.extend(bare);
    seeds
});

/// What replaces a part of a text.
const PIECES: [&str; 24] = [
    "",
    "null",
    "{}",
    "[]",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "1e999",
    "-0",
    "\\ud800",
    "\\u0000",
    "true",
    "NaN",
    "\u{feff}",
    "\"task\":\"t\",",
    "\"celery\":",
    "9999-12-31T23:59:59Z",
    "celery.chord",
    "é",
    "ey",
];

/// One change: where, of how many bytes, to what.
type Change = (usize, usize, usize);

fn change(text: &str, changes: &[Change]) -> String {
    let mut text = text.to_owned();
    for (at, length, piece) in changes {
        let at = text.floor_char_boundary(at % (text.len() + 1));
        let end = text.ceil_char_boundary((at + length).min(text.len()));
        text.replace_range(at..end, PIECES[piece % PIECES.len()]);
    }
    text
}

fn check(message: &Message) {
    let Ok(decoded) = decode(message) else { return };
    let Content::Envelopes(envelopes) = decoded.content else { return };
    for envelope in envelopes {
        assert!(envelope.payload().len() <= BODY_LIMIT + 2);
        // What is read can be written, and read again.
        let again = native::decode(&encode(&envelope), "other").unwrap();
        assert_eq!(encode(&again), encode(&envelope));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn changed_messages_are_read_or_refused(seed in 0..1_000_usize, other in 0..1_000_usize, changes in prop::collection::vec((any::<usize>(), 0..40_usize, any::<usize>()), 0..6), base64: bool) {
        let (seed, other) = (&SEEDS[seed % SEEDS.len()], &SEEDS[other % SEEDS.len()]);
        let text = change(&seed.body, &changes);
        let body = if base64 { STANDARD.encode(&text) } else { text };
        let attributes = if changes.len() % 2 == 0 { seed.attributes.clone() } else { other.attributes.clone() };
        check(&Message { id: "m".to_owned(), attributes, ..errand_wire::lambda::message(body) });
    }

    #[test]
    fn any_text_is_read_or_refused(body in any::<String>(), attributes in prop::collection::btree_map("(ce-)?(id|type|source|specversion|task|x)", any::<String>(), 0..5)) {
        check(&Message { id: "m".to_owned(), attributes, ..errand_wire::lambda::message(body) });
    }
}
