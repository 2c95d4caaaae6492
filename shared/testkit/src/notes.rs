//! What every store of notes must do. The checks use names of their own, so that they can share a table with others.

use std::time::Duration;

use errand_core::{Note, NoteKind, Notes, Timestamp};

use crate::tried::{OF_NOTES, Tried};

const MINUTE: Duration = Duration::from_secs(60);

fn name(text: &str) -> String {
    format!("{text}-{}-{}", Timestamp::now().millis(), std::process::id())
}

/// Runs all checks.
///
/// # Panics
/// The store breaks the contract; the message says how.
pub async fn conformance<N: Notes>(notes: N) {
    let notes = Tried::new(notes);
    what_is_kept_is_told_until_it_expires(&notes).await;
    one_of_many_creates(&notes).await;
    counts_are_exact(&notes).await;
    what_lasts_is_listed_by_name(&notes).await;
    notes.all(OF_NOTES);
}

async fn what_is_kept_is_told_until_it_expires<N: Notes>(notes: &N) {
    let (name, now) = (name("kept"), Timestamp::now());
    let note = |text: &str, until| Note { kind: NoteKind::Call, name: name.clone(), text: text.to_owned(), until };
    let get = async |kind, now| notes.get(kind, &name, now).await.expect("the store answers");
    assert_eq!(get(NoteKind::Call, now).await, None);
    assert_eq!(notes.create(&note("é 1", Some(now + MINUTE)), now).await, Ok(None));
    assert_eq!(notes.create(&note("2", Some(now + MINUTE)), now).await, Ok(Some("é 1".to_owned())), "what is there stays");
    assert_eq!(get(NoteKind::Template, now).await, None, "kinds are told apart");
    assert_eq!(get(NoteKind::Call, now + MINUTE - Duration::from_millis(1)).await.as_deref(), Some("é 1"));
    assert_eq!(get(NoteKind::Call, now + MINUTE).await, None, "to the millisecond");
    assert_eq!(notes.create(&note("3", Some(now + MINUTE * 3)), now + MINUTE).await, Ok(None), "what has expired stands in nobody's way");
    notes.put(&note("4", Some(now + MINUTE * 3))).await.expect("the store answers");
    assert_eq!(get(NoteKind::Call, now).await.as_deref(), Some("4"));
    assert_eq!((notes.delete(NoteKind::Call, &name).await, notes.delete(NoteKind::Call, &name).await), (Ok(true), Ok(false)));
    assert_eq!(get(NoteKind::Call, now).await, None);
    notes.put(&note(&"x".repeat(Note::LIMIT), Some(now + MINUTE))).await.expect("a text of the longest is taken");
    assert_eq!(get(NoteKind::Call, now).await.map(|text| text.len()), Some(Note::LIMIT));
}

async fn one_of_many_creates<N: Notes>(notes: &N) {
    let (name, now) = (name("race"), Timestamp::now());
    let all: Vec<Note> =
        (0..20).map(|i: u32| Note { kind: NoteKind::Call, name: name.clone(), text: i.to_string(), until: Some(now + MINUTE) }).collect();
    let answers = futures_util::future::join_all(all.iter().map(|note| notes.create(note, now))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(None)).count(), 1, "{answers:?}");
}

async fn counts_are_exact<N: Notes>(notes: &N) {
    let (name, until) = (name("count"), Timestamp::now() + MINUTE);
    let counts = futures_util::future::join_all((0..20).map(|_| notes.count(NoteKind::Rate, &name, until))).await;
    let mut counts: Vec<u64> = counts.into_iter().map(|count| count.expect("the store answers")).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=20).collect::<Vec<u64>>());
}

async fn what_lasts_is_listed_by_name<N: Notes>(notes: &N) {
    let (prefix, now) = (name("list"), Timestamp::now());
    for (i, until) in [(2, None), (0, None), (1, Some(now + MINUTE)), (3, None)] {
        let note = Note { kind: NoteKind::Template, name: format!("{prefix}-{i}"), text: i.to_string(), until };
        notes.put(&note).await.expect("the store answers");
    }
    let after = async |cursor: &str| {
        let all = notes.list(NoteKind::Template, Some(cursor)).await.expect("the store answers");
        all.into_iter().filter(|(name, _)| name.starts_with(&prefix)).map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert_eq!(after(&prefix).await, ["0", "2", "3"]);
    assert_eq!(after(&format!("{prefix}-2")).await, ["3"]);
    for i in [0, 2, 3] {
        assert_eq!(notes.delete(NoteKind::Template, &format!("{prefix}-{i}")).await, Ok(true));
    }
    assert!(after(&prefix).await.is_empty());
}
