use std::{iter::zip, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use errand_core::{
    Clock, DeadLetter, Dispatch, DynQueue, Envelope, Environment, ErrorKind, Message, Payloads, PublishError, SettingsError, Timestamp,
    settings::all::{OUTBOX_FAILURE, OUTBOX_HOLD_SECONDS},
};
use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tracing::{error, warn};

use crate::{Event, Unreadable, event::group, lanes::Lanes};

/// How long before the end nothing is published any more: for letters, and to say how far it came.
const LAST: Duration = Duration::from_secs(10);

/// How long before the end no further events are begun: a transport takes up to about ten seconds to say that it cannot.
const ENOUGH: Duration = Duration::from_secs(20);

/// What is done about an event that cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It waits, until it has waited for this long since it was written; then it is buried.
    Waits(Duration),
    /// It is buried at once, and those behind it go on.
    Buries,
}

impl Patience {
    /// What `ERRAND_OUTBOX_FAILURE` and `ERRAND_OUTBOX_HOLD_SECONDS` say.
    ///
    /// # Errors
    /// One of them is wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let hold = env.number(&OUTBOX_HOLD_SECONDS)?.unwrap_or_default();
        Ok(if env.word(&OUTBOX_FAILURE)? == "bury" { Self::Buries } else { Self::Waits(Duration::from_secs(hold.into())) })
    }
}

/// What an event that waits holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// All behind it: of a stream, whose place is one number.
    All,
    /// Those of its key: of a table, each row of which says by itself what has become of it.
    Key,
}

/// What has become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The transport has taken it.
    Published,
    /// It is a dead letter.
    Buried,
    /// It could not be published, and waits.
    Waits,
    /// It was not its turn.
    Untried,
}

impl Fate {
    /// Whether nothing is left to be done.
    #[must_use]
    pub const fn ended(self) -> bool {
        matches!(self, Self::Published | Self::Buried)
    }
}

/// Takes events to their transport.
pub struct Relay {
    /// Where they go.
    pub dispatch: Dispatch,
    /// Says which of them another transport is for than the default one.
    pub payloads: Payloads,
    /// Whose dead letters are theirs.
    pub queue: Arc<dyn DynQueue>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What is done about those that cannot be published.
    pub patience: Patience,
}

/// Why an event was not published.
struct Failure {
    kind: ErrorKind,
    reason: String,
    /// Whether it may be published later as it is.
    passes: bool,
}

/// What is to be published, or buried.
type Read = Result<Envelope, Unreadable>;

impl Relay {
    /// Publishes a batch, in the order in which it was written, until `deadline`; answers what has become of each.
    pub async fn relay(&self, batch: &[Event], holds: Holds, deadline: Timestamp) -> Vec<Fate> {
        let now = self.clock.now();
        let read: Vec<Read> = batch.iter().map(|event| event.read().map(|envelope| self.addressed(envelope))).collect();
        let mut lanes = Lanes::of(batch.iter().map(|event| event.key.as_deref()), holds == Holds::All);
        let mut fates = vec![Fate::Untried; batch.len()];
        let until = deadline - LAST;
        // What an invocation is too short for is tried all the same, once.
        let mut goes_on = now < until;
        while goes_on {
            let round = lanes.round();
            if round.is_empty() {
                break;
            }
            let failures = self.publish(&read, &round, until).await;
            for (place, failure) in zip(round, failures) {
                fates[place] = match failure {
                    None => Fate::Published,
                    Some(failure) => self.failed(&batch[place], &read[place], failure).await,
                };
                if fates[place].ended() {
                    lanes.ended(place);
                }
            }
            let waits = fates.contains(&Fate::Waits);
            goes_on = !(waits && holds == Holds::All) && self.clock.now() + ENOUGH < deadline;
        }
        fates
    }

    /// To the transport that its type's route says, else to the default one.
    fn addressed(&self, mut envelope: Envelope) -> Envelope {
        self.payloads.choose(&mut envelope);
        envelope
    }

    /// Publishes those at these places together; answers why each was not, if it was not.
    async fn publish(&self, read: &[Read], round: &[usize], until: Timestamp) -> Vec<Option<Failure>> {
        let envelopes: Vec<Envelope> = round.iter().filter_map(|place| read[*place].as_ref().ok().cloned()).collect();
        let (now, count) = (self.clock.now(), envelopes.len());
        // A transport that panics is one that does not answer.
        let sending = AssertUnwindSafe(self.dispatch.publish_all(envelopes, now)).catch_unwind();
        let sent: Vec<Option<PublishError>> = match select(Box::pin(sending), self.clock.sleep(until.since(now))).await {
            Either::Left((Ok(sent), _)) => sent.into_iter().map(|(_, sent)| sent.err()).collect(),
            Either::Left((Err(_), _)) => vec![Some(unknown("the transport panicked")); count],
            Either::Right(_) => vec![Some(unknown("no answer in time")); count],
        };
        let mut sent = sent.into_iter();
        let failure = |place: &usize| match &read[*place] {
            Err(unreadable) => Some(Failure::of_unreadable(unreadable)),
            Ok(_) => sent.next().unwrap_or_else(|| Some(unknown("the transport did not answer"))).as_ref().map(Failure::of),
        };
        round.iter().map(failure).collect()
    }

    /// What becomes of an event that was not published.
    async fn failed(&self, event: &Event, read: &Read, failure: Failure) -> Fate {
        let Failure { kind, reason, passes } = failure;
        let waited = event.written_at.map(|at| self.clock.now().since(at)).unwrap_or_default();
        let (kind, reason) = match self.patience {
            Patience::Waits(longest) if passes && waited < longest => {
                let (id, seconds) = (name(event, read), waited.as_secs());
                error!(id, %kind, reason, seconds, alarm = true, "not published: it waits, and holds what is behind it");
                return Fate::Waits;
            }
            Patience::Waits(_) if passes => {
                (ErrorKind::RetentionEnds, format!("could not be published for {} seconds: {kind}: {reason}", waited.as_secs()))
            }
            Patience::Waits(_) | Patience::Buries => (kind, reason),
        };
        let (message, letter) = letter(event, read, kind, reason);
        if let Err(error) = self.queue.bury(&message, &letter).await {
            error!(id = message.id, %error, alarm = true, "stays: the dead-letter queue did not take it");
            return Fate::Waits;
        }
        warn!(id = message.id, kind = %letter.kind, reason = letter.reason, "given up");
        Fate::Buried
    }
}

impl Failure {
    fn of(error: &PublishError) -> Self {
        // Nothing that anybody mends makes an event smaller.
        Self { kind: error.kind(), reason: error.to_string(), passes: !matches!(error, PublishError::TooLarge { .. }) }
    }

    fn of_unreadable(unreadable: &Unreadable) -> Self {
        Self { kind: unreadable.kind, reason: unreadable.reason.clone(), passes: unreadable.kind != ErrorKind::Malformed }
    }
}

fn unknown(why: &str) -> PublishError {
    PublishError::OutcomeUnknown(why.to_owned())
}

/// What an event is called.
fn name<'a>(event: &'a Event, read: &'a Read) -> &'a str {
    read.as_ref().map_or(&event.name, |envelope| &envelope.id)
}

/// An event as a dead letter: the whole of it, addressed, so that a replay goes where it was to go.
fn letter(event: &Event, read: &Read, kind: ErrorKind, reason: String) -> (Message, DeadLetter) {
    let name = name(event, read).to_owned();
    let (id, task, body) = match read {
        Ok(envelope) => (Some(name.clone()), Some(envelope.task.clone()), errand_wire::encode(envelope)),
        Err(unreadable) => (None, None, unreadable.body.clone()),
    };
    let message =
        Message { id: name, lane: event.key.as_deref().map(group), sent_at: event.written_at, ..errand_wire::lambda::message(body) };
    (message, DeadLetter { kind, reason, attempts: u32::from(read.is_ok()), id, task })
}
