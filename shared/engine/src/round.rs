//! One invocation's share of an attempt. An attempt is one round over all payloads that are left: each is taken through the list of what can do it, once. A round takes
//! as many invocations as it needs; what was not begun for lack of time is gone on with in the next.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use errand_core::{DeliveryError, Envelope, ErrorKind, HandedOn, Job, Json, Progress, Ran, ReportTo, Task, Way, Work};
use futures_util::{StreamExt, stream};
use serde_json::value::RawValue;

use crate::{
    Engine, Event,
    call::read,
    circuit::Stop,
    parts::Parted,
    share::{Came, End, InParts, Reached, Share, untried},
    time::Time,
};

/// Payloads of a bulk that are in flight together.
const TOGETHER: usize = 10;

/// Kept free beside a call's time-out for its end to be recorded and answered.
const RECORDING: Duration = Duration::from_millis(1500);

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
    /// The one that has let this attempt pass.
    pub(crate) admitted: usize,
    /// Whether that was used: it is for one call.
    pub(crate) passed: AtomicBool,
}

impl<'a> Round<'a> {
    /// Takes an envelope with one payload as far as it gets in this invocation: `work` is what the one that was admitted has read.
    pub(crate) async fn run_one(&self, work: Box<dyn Work + 'a>, progress: &mut Progress) -> Came {
        let (first, begun) = (self.first_of(progress, 0), progress.parts.get(&0).cloned());
        match self.through_the_list(self.envelope, first, Some(work), begun).await {
            (End::Delivered(value), _) => Came::Done(value),
            (End::Handed(within), _) => Came::Handed(within),
            (End::HandedOn(to), _) => Came::HandedOn(to),
            (end, in_parts) => {
                let mut share = Share::default();
                share.note(progress, 0, end, in_parts, self.engine.policy.unknown);
                if untried(1, progress).is_empty() { Came::Over(share.failure(progress)) } else { share.goes_on(&self.envelope.id, None) }
            }
        }
    }

    /// Takes a bulk's payloads as far as they get in this invocation: several at once, the untried ones first.
    pub(crate) async fn run_all(&self, payloads: &[&RawValue], progress: &mut Progress) -> Came {
        let (head, total) = (self.envelope.head(), payloads.len());
        let begin = |place| (place, self.first_of(progress, place), progress.parts.get(&place).cloned());
        let work: Vec<_> = untried(total, progress).into_iter().map(begin).collect();
        let ends = work.into_iter().map(|(place, leg, begun)| {
            let head = &head;
            async move {
                // Without time for it there is no need to make its envelope.
                if !self.fits(leg) {
                    let in_parts = begun.map(|progress| Box::new(InParts { leg, progress, called: false }));
                    return (place, (End::Later(leg, None), in_parts));
                }
                let (end, in_parts) = self.through_the_list(&head.part(place, payloads[place]), leg, None, begun).await;
                (place, (end.of("payload", place), in_parts))
            }
        });
        let mut ends = std::pin::pin!(stream::iter(ends).buffer_unordered(TOGETHER));
        let mut share = Share::default();
        while let Some((place, (end, in_parts))) = ends.next().await {
            share.note(progress, place, end, in_parts, self.engine.policy.unknown);
        }
        match share.reached(progress, total, "payloads") {
            Reached::All(value) => Came::Done(value),
            Reached::Over(failure) => Came::Over(failure),
            Reached::Some(share, failure) => share.goes_on(&self.envelope.id, failure),
        }
    }

    /// The one of the list with which a payload begins.
    fn first_of(&self, progress: &Progress, place: usize) -> usize {
        progress.legs.get(&place).copied().filter(|leg| *leg < self.way.len()).unwrap_or(self.first)
    }

    pub(crate) fn fits(&self, leg: usize) -> bool {
        self.way.leg(leg).is_some_and(|task| self.time.left(self.engine.clock.now()) >= task.timeout() + RECORDING)
    }

    /// Whether a leg lets a call pass.
    pub(crate) fn ask(&self, leg: usize, task: &dyn Task) -> Result<(), Stop> {
        if leg == self.admitted && !self.passed.load(Ordering::Relaxed) { Ok(()) } else { self.engine.ask(task) }
    }

    /// Notes that a call passes.
    pub(crate) fn pass(&self, leg: usize, task: &dyn Task) {
        if leg != self.admitted || self.passed.swap(true, Ordering::Relaxed) {
            self.engine.pass(task);
        }
    }

    /// Has a payload done by the first of the list that can, from `first` on: each further one does what the one before certainly did not. `work` is what the one that was
    /// admitted has read; `begun`, how far its parts came, which the first one knows.
    async fn through_the_list(
        &self,
        envelope: &Envelope,
        first: usize,
        mut work: Option<Box<dyn Work + 'a>>,
        begun: Option<Progress>,
    ) -> (End, Option<Box<InParts>>) {
        let mut last: Option<DeliveryError> = None;
        let mut stopped: Option<Stop> = None;
        let mut next = first;
        if let Some(begun) = begun {
            match Box::pin(self.go_on_in_parts(envelope, first, begun)).await {
                Parted::Ended(end, in_parts) => return (end, Some(in_parts)),
                Parted::Left(leg, failure, stop) => (next, last, stopped) = (leg, failure, stop),
            }
        }
        while let Some(task) = self.way.leg(next) {
            let leg = next;
            next += 1;
            if let Err(stop) = self.ask(leg, task) {
                stopped = Some(stop.or_shorter(stopped));
                continue;
            }
            if !self.fits(leg) {
                return (End::Later(leg, last), None);
            }
            let work = match work.take().filter(|_| leg == self.admitted).map_or_else(|| read(task, envelope), Ok) {
                Ok(work) => work,
                Err(failure) => return (End::Failed(failure), None),
            };
            if work.parts().is_some() {
                match Box::pin(self.part_by_part(envelope, leg, &*work, Progress::default())).await {
                    Parted::Ended(end, in_parts) => return (end, Some(in_parts)),
                    Parted::Left(leg, failure, stop) => (next, last, stopped) = (leg, failure.or(last), stop.or(stopped)),
                }
                continue;
            }
            self.pass(leg, task);
            let job = Job { envelope, number: self.number, report: self.report };
            let failure = match self.call(task, envelope, work.run(job), |_| None).await {
                (Ok(Ran::Done(value)), _) => return (End::Delivered(value), None),
                // Nobody can report of it: that it was taken is all that will be known.
                (Ok(Ran::Handed(_)), _) if self.report.is_none() => return (End::Delivered(Json::default()), None),
                (Ok(Ran::Handed(within)), _) => return (End::Handed(within), None),
                (Ok(Ran::HandedOn { transport, destination, within, .. }), _) if self.engine.follows(self.envelope) => {
                    return (End::HandedOn(HandedOn::now(transport, destination, within, self.engine.clock.now())), None);
                }
                (Ok(Ran::HandedOn { answer, .. }), _) => return (End::Delivered(answer), None),
                (Err(failure), wait) if failure.stops => failure.retry_after(wait),
                (Err(failure), _) => failure,
            };
            if failure.stops {
                stopped = Some(Stop::said(&failure).or_shorter(stopped));
            } else if !failure.kind.elsewhere() {
                return (End::Failed(failure), None);
            }
            if next < self.way.len() {
                self.engine.saw(&Event::LeftToNext { envelope, provider: task.provider(), error: &failure });
            }
            // What is no stop decides: it counts.
            last = last.filter(|last| !last.stops).or(Some(failure));
        }
        (by_none(last, stopped, first > 0), None)
    }
}

/// What becomes of what none of a list did: of what was said now, and how long those are left alone that said stop; those before may have failed in an invocation before this one.
pub(crate) fn by_none(last: Option<DeliveryError>, stopped: Option<Stop>, failed_before: bool) -> End {
    match (last, stopped) {
        (Some(failure), _) if !failure.stops => End::Failed(failure),
        (None, Some(stop)) if failed_before => {
            End::Failed(DeliveryError::new(ErrorKind::Unavailable, stop.reason).retry_after(Some(stop.wait)))
        }
        (stop, stopped) => End::Stopped(stopped.map_or(Duration::ZERO, |stop| stop.wait), stop),
    }
}

/// Whether all of so many payloads can be taken through the list in the time of one invocation, even if every call takes the longest it may.
pub(crate) fn all_fit(way: Way<'_>, count: usize, time: Time) -> bool {
    let rounds = u32::try_from(count.div_ceil(TOGETHER)).unwrap_or(u32::MAX);
    way.timeout().saturating_mul(rounds).saturating_add(RECORDING) <= time.whole()
}
