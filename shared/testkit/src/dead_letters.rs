//! What every dead-letter queue must do.

use std::{collections::BTreeSet, time::Duration};

use errand_core::{Buried, DeadLetters};

const LEASE: Duration = Duration::from_secs(60);

async fn all<D: DeadLetters>(letters: &D) -> Vec<Buried> {
    let mut all = Vec::new();
    loop {
        let taken = letters.take(LEASE).await.expect("the queue answers");
        if taken.is_empty() {
            return all;
        }
        all.extend(taken);
    }
}

fn bodies(letters: &[Buried]) -> BTreeSet<String> {
    letters.iter().map(|letter| letter.body.clone()).collect()
}

/// Runs all checks on an empty queue; `bury` puts a letter with this body on it, given up as rejected after two attempts at the task `email`.
///
/// # Panics
/// The queue breaks the contract; the message says how.
pub async fn conformance<D: DeadLetters>(letters: &D, bury: impl AsyncFn(&str)) {
    assert!(all(letters).await.is_empty(), "an empty queue has no letters");
    let wanted: BTreeSet<String> = (0..25).map(|i| format!("letter {i} é\u{0}")).collect();
    for body in &wanted {
        bury(body).await;
    }
    let taken = all(letters).await;
    assert_eq!((taken.len(), bodies(&taken)), (25, wanted.clone()), "every letter is taken once");
    let why = &taken[0].letter;
    assert_eq!((why.kind.as_str(), why.attempts, why.task.as_deref()), ("rejected", Some(2), Some("email")));
    assert_eq!(letters.count().await, Ok(25), "those that are hidden are counted");
    assert!(all(letters).await.is_empty(), "what is taken is hidden");
    letters.release(&taken).await.expect("the queue answers");
    let again = all(letters).await;
    assert_eq!(bodies(&again), wanted, "what is released is seen again");
    letters.remove(&again[..12]).await.expect("the queue answers");
    letters.release(&again[12..]).await.expect("the queue answers");
    let left = all(letters).await;
    assert_eq!(bodies(&left), bodies(&again[12..]), "what is removed is gone");
    letters.remove(&left).await.expect("the queue answers");
    assert_eq!(letters.count().await, Ok(0));
}
