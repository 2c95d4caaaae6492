//! What every transport must do, tested over a [`crate::Stub`] that speaks as its service.

use std::time::Duration;

use errand_core::{Envelope, PublishError, Timestamp, Transport};

/// An envelope with this id.
#[must_use]
pub fn envelope(id: &str) -> Envelope {
    Envelope::new(id.to_owned(), "email".to_owned())
}

/// An envelope that is due after this long.
#[must_use]
pub fn delayed(id: &str, delay: Duration) -> Envelope {
    Envelope { run_after: Some(Timestamp::now() + delay), ..envelope(id) }
}

/// Publishes to a service that works, to one that fails for good and to nobody. `working` and `failing` call services that do; `nobody` calls a
/// port where none listens.
///
/// # Panics
/// The transport breaks the contract; the message says how.
pub async fn conformance<T: Transport>(working: &T, failing: &T, nobody: &T) {
    assert!(working.publish(&[]).await.is_empty(), "nothing to publish is no error");
    let mut unknown = envelope("unknown");
    unknown.queue = "no-such-queue".to_owned();
    let mut batch: Vec<Envelope> = (0..25).map(|i| envelope(&format!("id-{i}"))).collect();
    batch.insert(7, unknown);
    let answers = working.publish(&batch).await;
    assert_eq!(answers.len(), batch.len(), "one answer for each envelope");
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), place != 7, "one refused envelope does not stop the others: {place} got {answer:?}");
    }
    assert!(matches!(answers[7], Err(PublishError::Refused(_))), "a queue that is not there is the caller's mistake");
    assert_eq!(working.check().await, Ok(()));

    for broken in [failing, nobody] {
        let answers = broken.publish(&[envelope("a"), envelope("b")]).await;
        assert!(answers.len() == 2 && answers.iter().all(|answer| matches!(answer, Err(PublishError::Unavailable(_)))), "{answers:?}");
        assert!(matches!(broken.check().await, Err(PublishError::Unavailable(_))));
    }
}
