//! What every transport, and what holds envelopes back, must do, tested over a [`crate::Stub`] that speaks as its service.

use std::{slice, thread, time::Duration};

use errand_core::{DEFAULT_QUEUE, Envelope, Fields, Hold, PublishError, Published, Timestamp, Transport, TransportLimits};
use futures_util::future::join_all;
use serde_json::value::RawValue;
use tokio::time::sleep;

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

/// One of a queue that is nowhere.
#[must_use]
pub fn on_no_queue() -> Envelope {
    Envelope { queue: "no-such-queue".to_owned(), ..envelope("unknown") }
}

/// What is answered for envelopes.
type Answers = Vec<Result<Published, PublishError>>;

/// Publishes to a service that works; `refused` is what it must not take, if there is something.
///
/// # Panics
/// The transport breaks the contract; the message says how.
pub async fn conformance<T: Transport>(working: &T, refused: Option<Envelope>) {
    assert!(Fields::value::<T::Options>(r#"{"surprise":1}"#).is_err(), "an option that it does not know is refused");
    takes(async |envelopes: &[Envelope]| working.publish(&there(envelopes)).await, working.limits(), refused).await;
    let many: Vec<Vec<Envelope>> =
        (0..8).map(|call| there(&(0..12).map(|i| envelope(&format!("{call}-{i}"))).collect::<Vec<_>>())).collect();
    let answers = join_all(many.iter().map(|envelopes| working.publish(envelopes))).await;
    assert!(
        answers.iter().all(|answers| answers.len() == 12 && answers.iter().all(Result::is_ok)),
        "calls do not stand in each other's way"
    );
    assert_eq!(working.check().await, Ok(()));
}

/// Publishes to a service that fails for good, to nobody, and to one whose answers break off.
///
/// # Panics
/// The transport breaks the contract; the message says how.
pub async fn failures<T: Transport>(failing: &T, nobody: &T, breaking_off: &T) {
    for transport in [failing, nobody] {
        cannot(transport.publish(&there(&[envelope("a"), envelope("b")])).await);
        assert!(matches!(transport.check().await, Err(PublishError::Unavailable(_))));
    }
    perhaps(breaking_off.publish(&there(&[envelope("a"), envelope("b")])).await);
}

/// Publishes so many envelopes, five at once, while the server behind is ended and started again on what it has kept, three times, by `again`. Answers the ids of those that were taken.
///
/// # Panics
/// Nothing was refused, so that nothing was tried; or something was, for another reason than one that passes.
pub async fn taken_while_it_is_started_again<T: Transport>(
    transport: &T,
    envelopes: &[Envelope],
    again: impl Fn() + Clone + Send + 'static,
) -> Vec<String> {
    let (mut taken, mut refused) = (Vec::new(), 0);
    let (rounds, mut restarts) = (envelopes.len().div_ceil(5), Vec::new());
    for (round, together) in envelopes.chunks(5).enumerate() {
        if restarts.len() < 3 && round >= rounds * (restarts.len() + 1) / 4 {
            restarts.push(thread::spawn(again.clone()));
        }
        let sent = join_all(together.iter().map(|envelope| transport.publish(slice::from_ref(envelope)))).await;
        for (envelope, answer) in together.iter().zip(sent.into_iter().flatten()) {
            match answer {
                Ok(_) => taken.push(envelope.id.clone()),
                Err(error) => {
                    assert!(error.passes(), "{error}");
                    refused += 1;
                }
            }
        }
        // What is refused meanwhile is refused at once.
        if restarts.last().is_some_and(|restart| !restart.is_finished()) {
            sleep(Duration::from_millis(5)).await;
        }
    }
    restarts.into_iter().for_each(|restart| restart.join().expect("a server that starts again"));
    assert!(refused > 0 && taken.len() > envelopes.len() / 2, "{refused} were refused and {} taken", taken.len());
    taken
}

/// The same as a transport gets them: each says which of its queues it is for; here it is the one named `default`, unless the envelope says otherwise.
fn there(envelopes: &[Envelope]) -> Vec<Envelope> {
    let there = |envelope: &Envelope| {
        let destination = envelope.destination.clone().or_else(|| (envelope.queue == DEFAULT_QUEUE).then(|| DEFAULT_QUEUE.to_owned()));
        Envelope { destination, ..envelope.clone() }
    };
    envelopes.iter().map(there).collect()
}

/// The same of what holds envelopes back.
///
/// # Panics
/// It breaks the contract; the message says how.
pub async fn hold_conformance<H: Hold>(working: &H, failing: &H, nobody: &H, breaking_off: &H) {
    takes(async |envelopes: &[Envelope]| working.hold(envelopes).await, working.limits(), Some(on_no_queue())).await;
    let for_others = Envelope { backend: Some("partner".to_owned()), ..on_no_queue() };
    assert!(working.hold(&[for_others]).await[0].is_ok(), "what is for another transport waits here whatever its queue is called there");
    for hold in [failing, nobody] {
        cannot(hold.hold(&[envelope("a"), envelope("b")]).await);
        assert!(matches!(hold.withdraw("a", Timestamp::now()).await, Err(PublishError::Unavailable(_))));
    }
    perhaps(breaking_off.hold(&[envelope("a"), envelope("b")]).await);
}

async fn takes(publish: impl AsyncFn(&[Envelope]) -> Answers, limits: TransportLimits, refused: Option<Envelope>) {
    assert!(publish(&[]).await.is_empty(), "nothing to publish is no error");
    let mut batch: Vec<Envelope> = (0..25).map(|i| envelope(&format!("id-{i}"))).collect();
    let bad = refused.map(|refused| {
        batch.insert(7, refused);
        7
    });
    let answers = publish(&batch).await;
    assert_eq!(answers.len(), batch.len(), "one answer for each envelope");
    for (place, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), Some(place) != bad, "one refused envelope does not stop the others: {place} got {answer:?}");
    }
    if let Some(bad) = bad {
        assert!(matches!(answers[bad], Err(PublishError::Refused(_))), "it is the caller's mistake");
    }
    assert!(publish(&[delayed("late", limits.delay)]).await[0].is_ok(), "it waits for as long as its limits say");
    let large = RawValue::from_string(format!(r#"{{"a":"{}"}}"#, "x".repeat(limits.bytes))).unwrap();
    let answers = publish(&[Envelope { kwargs: Some(large), ..envelope("large") }, envelope("small")]).await;
    assert_eq!(answers[0], Err(PublishError::TooLarge { limit: limits.bytes }), "its limits say what is too large");
    assert!(answers[1].is_ok());
}

fn cannot(answers: Answers) {
    assert!(answers.len() == 2 && answers.iter().all(|answer| matches!(answer, Err(PublishError::Unavailable(_)))), "{answers:?}");
}

fn perhaps(answers: Answers) {
    let unknown = |answer: &Result<Published, PublishError>| matches!(answer, Err(PublishError::OutcomeUnknown(_)));
    assert!(answers.len() == 2 && answers.iter().all(unknown), "what was sent and not answered is there perhaps: {answers:?}");
}
