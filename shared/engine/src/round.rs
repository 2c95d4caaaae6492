//! One invocation's share of an attempt. An attempt is one round over all payloads that are left: each is taken through the list of what can do it, once. A round takes
//! as many invocations as it needs; what was not begun for lack of time is gone on with in the next.

use std::{panic::AssertUnwindSafe, time::Duration};

use errand_core::{Advice, DeliveryError, Envelope, ErrorKind, Job, Json, Places, Progress, Ran, ReportTo, Task, TaskResult, Way};
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream,
};
use serde_json::value::RawValue;

use crate::{
    Engine, Event, Unknown,
    backoff::spread,
    circuit::Stop,
    time::{GRACE, Time},
};

/// Payloads of a bulk that are in flight together.
const TOGETHER: usize = 10;

/// Kept free beside a call's time-out for its end to be recorded and answered.
const RECORDING: Duration = Duration::from_millis(1500);

/// The largest value that a bulk leaves, in bytes of JSON: what a record keeps of arguments. Beyond that it leaves none.
const VALUE_LIMIT: usize = TaskResult::ARGUMENTS_LIMIT;

/// What this invocation's share came to.
pub(crate) enum Came {
    /// All is delivered, with what that left.
    Done(Json),
    /// A remote worker has it and reports by itself, within this time.
    Handed(Duration),
    /// The round is over, and not all is delivered: why.
    Over(DeliveryError),
    /// The round goes on.
    On {
        /// After this time; `None` where there was no time to begin anything.
        after: Option<Duration>,
        /// Of what failed in this invocation, the failure that decides.
        failure: Option<DeliveryError>,
    },
}

/// How far a payload came in this invocation.
enum End {
    Delivered(Json),
    Handed(Duration),
    Failed(DeliveryError),
    /// There was no time for this one of the list; with why those before did not do it.
    Later(usize, Option<DeliveryError>),
    /// All that could do it said stop: for how long they are left alone, and what was said now.
    Stopped(Duration, Option<DeliveryError>),
}

impl End {
    /// With its failure told of a payload of a bulk.
    fn of(mut self, place: usize) -> Self {
        if let Self::Failed(error) | Self::Later(_, Some(error)) | Self::Stopped(_, Some(error)) = &mut self {
            error.message.insert_str(0, &format!("payload {place}: "));
        }
        self
    }
}

/// An attempt, as far as calls need to know it.
pub(crate) struct Round<'a> {
    pub(crate) engine: &'a Engine,
    /// What can do it, in the order of fail-over.
    pub(crate) way: Way<'a>,
    pub(crate) envelope: &'a Envelope,
    pub(crate) number: u32,
    pub(crate) report: Option<&'a ReportTo>,
    pub(crate) time: Time,
    /// The one of the list with which an untried payload begins.
    pub(crate) first: usize,
    /// The one whose circuit has let this attempt pass: one call.
    pub(crate) admitted: usize,
}

impl Round<'_> {
    /// Takes an envelope with one payload as far as it gets in this invocation.
    pub(crate) async fn run_one(&self, progress: &mut Progress) -> Came {
        let first = self.first_of(progress, 0);
        match self.through_the_list(self.envelope, first, Some(self.admitted)).await {
            End::Delivered(value) => Came::Done(value),
            End::Handed(within) => Came::Handed(within),
            end => {
                let mut share = Share::default();
                share.note(progress, 0, end, self.engine.policy.unknown);
                if untried(1, progress).is_empty() { Came::Over(share.failure(progress)) } else { share.goes_on(&self.envelope.id) }
            }
        }
    }

    /// Takes a bulk's payloads as far as they get in this invocation: several at once, the untried ones first.
    pub(crate) async fn run_all(&self, payloads: &[&RawValue], progress: &mut Progress) -> Came {
        let (head, total) = (self.envelope.head(), payloads.len());
        let work: Vec<_> = untried(total, progress).into_iter().map(|place| (place, self.first_of(progress, place))).collect();
        let mut admitted = Some(self.admitted);
        let ends = work.into_iter().map(|(place, leg)| {
            let (head, admitted) = (&head, admitted.take());
            async move {
                // Without time for it there is no need to make its envelope.
                let end = if self.fits(leg) {
                    self.through_the_list(&head.part(place, payloads[place]), leg, admitted).await
                } else {
                    End::Later(leg, None)
                };
                (place, end.of(place))
            }
        });
        let mut ends = std::pin::pin!(stream::iter(ends).buffer_unordered(TOGETHER));
        let mut share = Share::default();
        while let Some((place, end)) = ends.next().await {
            share.note(progress, place, end, self.engine.policy.unknown);
        }
        if progress.delivered.len() == total {
            return Came::Done(share.value(total));
        }
        let of_the_bulk = |mut failure: DeliveryError| {
            failure.message.insert_str(0, &told(progress, total));
            failure
        };
        if untried(total, progress).is_empty() {
            return Came::Over(of_the_bulk(share.failure(progress)));
        }
        match share.goes_on(&self.envelope.id) {
            Came::On { after, failure } => Came::On { after, failure: failure.map(of_the_bulk) },
            came => came,
        }
    }

    /// The one of the list with which a payload begins.
    fn first_of(&self, progress: &Progress, place: usize) -> usize {
        progress.legs.get(&place).copied().filter(|leg| *leg < self.way.len()).unwrap_or(self.first)
    }

    fn fits(&self, leg: usize) -> bool {
        self.way.leg(leg).is_some_and(|task| self.time.left(self.engine.clock.now()) >= task.timeout() + RECORDING)
    }

    /// Has a payload done by the first of the list that can, from `first` on: each further one does what the one before certainly did not.
    async fn through_the_list(&self, envelope: &Envelope, first: usize, admitted: Option<usize>) -> End {
        let mut last: Option<DeliveryError> = None;
        let mut stopped: Option<Stop> = None;
        for (leg, task) in self.way.from(first) {
            let is_admitted = admitted == Some(leg);
            if !is_admitted && let Err(stop) = self.engine.ask(task) {
                stopped = Some(stop.or_shorter(stopped));
                continue;
            }
            if !self.fits(leg) {
                return End::Later(leg, last);
            }
            if !is_admitted {
                self.engine.pass(task);
            }
            let failure = match self.call(task, envelope).await {
                Ok(Ran::Done(value)) => return End::Delivered(value),
                Ok(Ran::Handed(within)) => return End::Handed(within),
                Err(failure) => failure,
            };
            if failure.stops {
                let stop = Stop { wait: failure.retry_after.unwrap_or_default(), reason: failure.message.clone() };
                stopped = Some(stop.or_shorter(stopped));
            } else if !failure.kind.elsewhere() {
                return End::Failed(failure);
            }
            if leg + 1 < self.way.len() {
                self.engine.saw(&Event::LeftToNext { envelope, provider: task.provider(), error: &failure });
            }
            // What is no stop decides: it counts.
            last = last.filter(|last| !last.stops).or(Some(failure));
        }
        match (last, stopped) {
            (Some(failure), _) if !failure.stops => End::Failed(failure),
            // Those before it did not do it, in an invocation before this one.
            (None, Some(stop)) if first > 0 => {
                End::Failed(DeliveryError::new(ErrorKind::Unavailable, stop.reason).retry_after(Some(stop.wait)))
            }
            (stop, stopped) => End::Stopped(stopped.map_or(Duration::ZERO, |stop| stop.wait), stop),
        }
    }

    /// One call. A panic, or one that does not end in its time, is a failure of this call alone.
    async fn call(&self, task: &dyn Task, envelope: &Envelope) -> Result<Ran, DeliveryError> {
        let clock = &self.engine.clock;
        let began = clock.now();
        let run = AssertUnwindSafe(task.run(Job { envelope, number: self.number, report: self.report })).catch_unwind();
        let result = match select(run, clock.sleep(task.timeout() + GRACE)).await {
            // Nobody can report of it: that it was taken is all that will be known.
            Either::Left((Ok(Ok(Ran::Handed(_))), _)) if self.report.is_none() => Ok(Ran::Done(Json::default())),
            Either::Left((Ok(result), _)) => result,
            Either::Left((Err(_), _)) => Err(DeliveryError::new(ErrorKind::Panicked, format!("provider {} panicked", task.provider()))),
            Either::Right(((), _)) => {
                Err(DeliveryError::new(ErrorKind::Timeout, format!("provider {} did not end in {:?}", task.provider(), task.timeout())))
            }
        };
        let (error, ended) = (result.as_ref().err(), clock.now());
        let (provider, took) = (task.provider(), ended.since(began));
        self.engine.saw(&Event::Called { envelope, provider, attempt: self.number, took, error });
        let stop = error.filter(|error| error.stops);
        let wait = self.engine.circuits.note(task.circuit(), stop, ended);
        if stop.is_some() {
            self.engine.saw(&Event::Stopped { provider, wait });
        }
        result.map_err(|error| if error.stops { error.retry_after(wait) } else { error })
    }
}

/// What of a bulk was not begun in this round, or not taken to its end: what was not begun first.
fn untried(total: usize, progress: &Progress) -> Vec<usize> {
    let Progress { delivered, refused, failed, legs, .. } = progress;
    let mut left: Vec<usize> =
        (0..total).filter(|place| ![delivered, refused, failed].iter().any(|known| known.contains(*place))).collect();
    left.sort_by_key(|place| legs.contains_key(place));
    left
}

/// Whether all of so many payloads can be taken through the list in the time of one invocation, even if every call takes the longest it may.
pub(crate) fn all_fit(way: Way<'_>, count: usize, time: Time) -> bool {
    let rounds = u32::try_from(count.div_ceil(TOGETHER)).unwrap_or(u32::MAX);
    way.timeout().saturating_mul(rounds).saturating_add(RECORDING) <= time.whole()
}

/// Whether a failure is the last word on a payload.
pub(crate) fn is_final(failure: &DeliveryError, unknown: Unknown) -> bool {
    let held = unknown == Unknown::Hold && failure.kind.may_have_delivered();
    held || failure.kind.advice() == Advice::Never
}

/// What is told first of a bulk that is not delivered whole: how many payloads are left, and which, as far as a hundred bytes tell it.
fn told(progress: &Progress, total: usize) -> String {
    let missing: Places = (0..total).filter(|place| !progress.delivered.contains(*place)).collect();
    let mut places = missing.to_string();
    if places.len() > 100 {
        places.truncate(100); // digits, commas and hyphens
        places.push('…');
    }
    format!("{} of {total} payloads are not delivered ({places}); ", missing.len())
}

/// What one invocation adds to a round.
#[derive(Default)]
struct Share {
    values: Vec<(usize, Json)>,
    /// Of the failures that others may follow on, and of those that none does, the one that decides.
    failed: Option<DeliveryError>,
    refused: Option<DeliveryError>,
    /// The shortest time after which one that said stop may be asked again.
    stopped: Option<Duration>,
    /// Whether anything was called, and whether there was no time for something.
    called: bool,
    short: bool,
}

impl Share {
    fn note(&mut self, progress: &mut Progress, place: usize, end: End, unknown: Unknown) {
        progress.legs.remove(&place);
        match &end {
            End::Delivered(_) | End::Handed(_) => progress.delivered.insert(place),
            End::Failed(failure) if is_final(failure, unknown) => {
                progress.refused.insert(place);
                progress.refusal.get_or_insert_with(|| failure.into());
            }
            End::Failed(failure) => {
                progress.failed.insert(place);
                progress.failure.get_or_insert_with(|| failure.into());
            }
            End::Later(leg, _) => {
                self.short = true;
                progress.legs.extend((*leg > 0).then_some((place, *leg)));
            }
            End::Stopped(wait, _) => self.stopped = Some(self.stopped.map_or(*wait, |known| known.min(*wait))),
        }
        self.called |= !matches!(end, End::Later(_, None) | End::Stopped(_, None));
        match end {
            End::Delivered(value) => self.values.push((place, value)),
            End::Failed(failure) | End::Later(_, Some(failure)) | End::Stopped(_, Some(failure)) => {
                let known = if is_final(&failure, unknown) { &mut self.refused } else { &mut self.failed };
                // One that asks for a time tells more than one that does not.
                if known.as_ref().is_none_or(|known| known.retry_after.is_none() && failure.retry_after.is_some()) {
                    *known = Some(failure);
                }
            }
            End::Handed(_) | End::Later(_, None) | End::Stopped(_, None) => {}
        }
    }

    /// The failure that decides over a round that is over. One that may pass decides over one that cannot, so that no payload is given up with its neighbour.
    fn failure(self, progress: &Progress) -> DeliveryError {
        let (now, before) = if progress.failed.is_empty() { (self.refused, &progress.refusal) } else { (self.failed, &progress.failure) };
        now.or_else(|| before.as_ref().map(DeliveryError::from))
            .unwrap_or_else(|| DeliveryError::new(ErrorKind::Unavailable, "it failed before"))
    }

    fn goes_on(self, id: &str) -> Came {
        let after = match (self.short, self.called, self.stopped) {
            (true, true, _) => Some(Duration::ZERO),
            (true, false, _) => None,
            // One of those that were asked may have opened the way for the others since.
            (false, _, stopped) => Some(spread(stopped.unwrap_or_default(), id)),
        };
        Came::On { after, failure: self.failed.or(self.refused) }
    }

    /// What a bulk left: an array with a value for each payload, null for those of earlier invocations.
    fn value(self, total: usize) -> Json {
        let mut values = vec![Json::default(); total];
        for (place, value) in self.values {
            values[place] = value;
        }
        Some(Json::of(&values)).filter(|values| values.get().len() <= VALUE_LIMIT).unwrap_or_default()
    }
}
