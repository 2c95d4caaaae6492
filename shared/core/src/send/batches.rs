//! Messages of which several go in one call.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt, stream};

use crate::{Clock, Envelope, PublishError, Published, Timestamp};

/// Calls that are under way together.
const CONCURRENCY: usize = 16;

/// How often a message that failed alone for a passing reason is sent at most, and how long is waited between, doubling. Whether a whole call that fails is repeated is
/// for the service to say.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

type Answer = Result<Published, PublishError>;

/// What goes in a call, beside others to the same place.
pub struct Entry<T> {
    /// Where to: a queue, a topic, a bus.
    pub to: String,
    /// What it counts of the [bytes](Batching::bytes) of a call.
    pub size: usize,
    /// Whether the place keeps order: then its calls are made one after another, and none after one that failed.
    pub ordered: bool,
    /// What the service is given.
    pub message: T,
}

/// A service that takes several messages in one call.
pub trait Batching: Sync {
    /// What it is given of one envelope.
    type Message: Send + Sync;

    /// The most messages of a call.
    const MOST: usize;

    /// The most bytes of a call.
    fn bytes(&self) -> usize;

    /// What tells the time, and waits.
    fn clock(&self) -> &dyn Clock;

    /// What is sent of an envelope.
    ///
    /// # Errors
    /// It cannot be sent.
    fn entry(&self, envelope: &Envelope, now: Timestamp) -> Result<Entry<Self::Message>, PublishError>;

    /// Makes one call: its answers, each with the place of its message. What has none was not answered.
    ///
    /// # Errors
    /// The call failed, for all.
    fn send(&self, to: &str, messages: &[&Self::Message]) -> impl Future<Output = Result<Vec<(usize, Answer)>, PublishError>> + Send;

    /// Sends envelopes in as few calls as the service's limits allow: an answer for each, in their order. One that cannot be sent stops no other.
    fn publish_all(&self, envelopes: &[Envelope]) -> impl Future<Output = Vec<Answer>> + Send {
        async {
            let now = self.clock().now();
            let (mut answers, mut entries) = (Vec::with_capacity(envelopes.len()), Vec::with_capacity(envelopes.len()));
            for (place, envelope) in envelopes.iter().enumerate() {
                // What is sent is answered below, in this place.
                answers.push(self.entry(envelope, now).map(|entry| {
                    entries.push((place, entry));
                    Published::default()
                }));
            }
            let sequences = sequences(batches(entries, Self::MOST, self.bytes()));
            let sent = stream::iter(sequences).map(|batches| send_in_turn(self, batches)).buffer_unordered(CONCURRENCY);
            for (place, answer) in sent.concat().await {
                answers[place] = answer;
            }
            answers
        }
    }
}

/// What one call sends, all to one place, each with whose answer it is.
type Batch<T> = Vec<(usize, Entry<T>)>;

/// Sends batches one after another. A call that fails ends it: what comes behind must not overtake, nor wait for a dead service again.
async fn send_in_turn<S: Batching + ?Sized>(service: &S, batches: Vec<Batch<S::Message>>) -> Vec<(usize, Answer)> {
    let (mut answers, mut batches) = (Vec::new(), batches.into_iter());
    while let Some(batch) = batches.next() {
        if let Err((unsent, error)) = send(service, batch, &mut answers).await {
            answers.extend(unsent.into_iter().map(|(place, _)| (place, Err(error.clone()))));
            let behind = error.behind();
            answers.extend(batches.flatten().map(|(place, _)| (place, Err(behind.clone()))));
            break;
        }
    }
    answers
}

/// Sends one batch, and again what of it failed for a passing reason. The error holds what has no answer when a call fails.
async fn send<S: Batching + ?Sized>(
    service: &S,
    mut batch: Batch<S::Message>,
    answers: &mut Vec<(usize, Answer)>,
) -> Result<(), (Batch<S::Message>, PublishError)> {
    for attempt in 1.. {
        let Some(to) = batch.first().map(|(_, entry)| entry.to.as_str()) else { break };
        let messages: Vec<&S::Message> = batch.iter().map(|(_, entry)| &entry.message).collect();
        let told = match service.send(to, &messages).await {
            Ok(told) => told,
            Err(error) => return Err((batch, error)),
        };
        let mut places = 0..;
        batch.retain(|(whose, _)| {
            let place = places.next();
            let answer = told.iter().find(|(told, _)| Some(*told) == place).map(|(_, answer)| answer.clone());
            let answer = answer.unwrap_or_else(|| Err(PublishError::unanswered()));
            // One that is there perhaps is not sent again at once: it may be there twice then.
            let again = attempt < TRIES && matches!(answer, Err(PublishError::Unavailable(_)));
            if !again {
                answers.push((*whose, answer));
            }
            again
        });
        if !batch.is_empty() {
            service.clock().sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
    }
    Ok(())
}

/// Batches place by place, in order within each.
fn batches<T>(entries: Batch<T>, most: usize, bytes: usize) -> Vec<Batch<T>> {
    let mut places: Vec<Batch<T>> = Vec::new();
    for entry in entries {
        match places.iter_mut().find(|place| goes_to(place, &entry.1.to)) {
            Some(place) => place.push(entry),
            None => places.push(vec![entry]),
        }
    }
    let mut batches: Vec<Batch<T>> = Vec::new();
    for entry in places.into_iter().flatten() {
        let fits = |batch: &&mut Batch<T>| {
            let size: usize = batch.iter().map(|(_, entry)| entry.size).sum();
            goes_to(batch, &entry.1.to) && batch.len() < most && size + entry.1.size <= bytes
        };
        match batches.last_mut().filter(fits) {
            Some(batch) => batch.push(entry),
            None => batches.push(vec![entry]),
        }
    }
    batches
}

/// What must be sent one after another: all batches of a place that keeps order. A batch of another place is alone.
fn sequences<T>(batches: Vec<Batch<T>>) -> Vec<Vec<Batch<T>>> {
    let mut sequences: Vec<Vec<Batch<T>>> = Vec::new();
    for batch in batches {
        let ordered = batch.first().filter(|(_, entry)| entry.ordered).map(|(_, entry)| entry.to.as_str());
        let follows = |sequence: &&mut Vec<Batch<T>>| ordered.is_some_and(|to| goes_to(&sequence[0], to));
        match sequences.last_mut().filter(follows) {
            Some(sequence) => sequence.push(batch),
            None => sequences.push(vec![batch]),
        }
    }
    sequences
}

fn goes_to<T>(batch: &Batch<T>, to: &str) -> bool {
    batch.first().is_some_and(|(_, entry)| entry.to == to)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;

    use super::*;
    use crate::BoxFuture;

    /// A service that takes three messages and ten bytes, of which ids are the size; a place that begins with `o` keeps order. Each call is kept, and answered by `answer`
    /// with the number of calls that have named the same messages.
    struct Service<A> {
        calls: Mutex<Vec<(String, Vec<String>)>>,
        answer: A,
    }

    struct Now;

    impl Clock for Now {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            std::future::ready(()).boxed()
        }
    }

    type Told = Result<Vec<(usize, Answer)>, PublishError>;

    impl<A: Fn(&str, &[&String], usize) -> Told + Sync> Batching for Service<A> {
        type Message = String;
        const MOST: usize = 3;

        fn bytes(&self) -> usize {
            10
        }

        fn clock(&self) -> &dyn Clock {
            &Now
        }

        fn entry(&self, envelope: &Envelope, _: Timestamp) -> Result<Entry<String>, PublishError> {
            let (id, to) = (envelope.id.clone(), envelope.queue.clone());
            if id.len() > 10 {
                Err(PublishError::TooLarge { limit: 10 })
            } else {
                Ok(Entry { size: id.len(), ordered: to.starts_with('o'), to, message: id })
            }
        }

        async fn send(&self, to: &str, messages: &[&String]) -> Told {
            let mut calls = self.calls.lock().unwrap();
            calls.push((to.to_owned(), messages.iter().map(|id| (*id).clone()).collect()));
            (self.answer)(to, messages, calls.len())
        }
    }

    fn publish(ids: &[&str], answer: impl Fn(&str, &[&String], usize) -> Told + Sync) -> (Vec<Answer>, Vec<String>) {
        let envelope = |id: &&str| {
            let (queue, id) = id.split_once(':').unwrap();
            Envelope { queue: queue.to_owned(), ..Envelope::new(id.to_owned(), "t".to_owned()) }
        };
        let service = Service { calls: Mutex::default(), answer };
        let envelopes: Vec<Envelope> = ids.iter().map(envelope).collect();
        let answers = service.publish_all(&envelopes).now_or_never().unwrap();
        let calls = service.calls.into_inner().unwrap();
        (answers, calls.into_iter().map(|(to, ids)| format!("{to}:{}", ids.join(","))).collect())
    }

    fn sent(id: &str) -> Answer {
        Ok(Published { message_id: Some(id.to_owned()) })
    }

    fn all(_: &str, messages: &[&String], _: usize) -> Told {
        // In another order than they were sent in.
        Ok(messages.iter().map(|id| sent(id)).enumerate().collect::<Vec<_>>().into_iter().rev().collect())
    }

    fn unavailable() -> PublishError {
        PublishError::Unavailable("later".to_owned())
    }

    #[test]
    fn calls_are_filled_up_to_their_limits_and_answers_keep_their_places() {
        let (answers, calls) = publish(&["a:1", "b:2", "a:3", "a:elevenbytes", "a:4", "a:5", "b:sixsix", "b:seven77"], all);
        assert_eq!(calls, ["a:1,3,4", "a:5", "b:2,sixsix", "b:seven77"]);
        let places = ["1", "2", "3", "", "4", "5", "sixsix", "seven77"];
        for (place, id) in places.iter().enumerate() {
            assert_eq!(answers[place], if id.is_empty() { Err(PublishError::TooLarge { limit: 10 }) } else { sent(id) });
        }
        assert_eq!(publish(&[], all), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_failed_for_a_passing_reason_is_sent_again_alone_and_what_is_there_perhaps_is_not() {
        let (answers, calls) = publish(&["a:1", "a:2", "a:3"], |_, messages, call| match call {
            1 => Ok(vec![(0, sent("1")), (2, Err(unavailable()))]),
            2 => Ok(vec![(0, Err(unavailable())), (7, sent("none"))]),
            _ => all("a", messages, call),
        });
        assert_eq!(
            (&calls[..], answers),
            (&["a:1,2,3", "a:3", "a:3"].map(str::to_owned)[..], vec![sent("1"), Err(PublishError::unanswered()), sent("3")])
        );
        let (answers, calls) = publish(&["a:1"], |_, _, _| Ok(vec![(0, Err(unavailable()))]));
        assert_eq!((answers, calls.len()), (vec![Err(unavailable())], 3));
        let refused = || Err(PublishError::Refused("no".to_owned()));
        let (answers, calls) = publish(&["a:1", "a:2"], |_, _, _| Ok(vec![(0, refused()), (1, sent("2"))]));
        assert_eq!((answers, calls.len()), (vec![refused(), sent("2")], 1));
    }

    #[test]
    fn nothing_overtakes_what_failed_where_order_is_kept() {
        let fails = |to: &str, messages: &[&String], call| if messages[0] == "1" { Err(unavailable()) } else { all(to, messages, call) };
        let ids = |to: &str| (1..=7).map(|id| format!("{to}:{id}")).collect::<Vec<_>>();
        let of = |to: &str| publish(&ids(to).iter().map(String::as_str).collect::<Vec<_>>(), fails);
        let (answers, calls) = of("o");
        assert_eq!((answers, &calls[..]), (vec![Err(unavailable()); 7], &["o:1,2,3".to_owned()][..]));
        let (answers, _) = publish(&["o:1", "o:2", "o:3", "o:4"], |_, _, _| Err(PublishError::unanswered()));
        assert_eq!(answers[2], Err(PublishError::unanswered()));
        assert!(matches!(answers[3], Err(PublishError::Unavailable(_))), "what was not sent is there for certain not: {:?}", answers[3]);
        let (answers, calls) = of("a");
        assert_eq!((answers.iter().filter(|answer| answer.is_ok()).count(), calls.len()), (4, 3));
    }
}
