//! A payload of several parts: they are to it what payloads are to a bulk, but that one call may deliver some of them together, and the time decides how many calls there are.

use std::collections::BTreeMap;

use errand_core::{DeliveryError, Envelope, ErrorKind, Job, Json, Parts, Progress, Task, Work};
use futures_util::{FutureExt, StreamExt, stream};

use crate::{
    Event, Unknown,
    call::read,
    circuit::Stop,
    round::{Round, by_none},
    share::{End, InParts, Reached, Share, untried},
};

/// What came of a payload's parts.
pub(crate) enum Parted {
    /// How far the payload came by that.
    Ended(End, Box<InParts>),
    /// Nothing of it was done, and this one of the list knows it otherwise: it can have it whole. With why those before did not do it, and who said stop.
    Left(usize, Option<DeliveryError>, Option<Stop>),
}

/// A part that is to be delivered.
struct Waiting {
    /// The one of the list that is next.
    leg: usize,
    /// Why the one before did not do it, in this invocation.
    last: Option<DeliveryError>,
    /// Whether one before did not do it in an invocation before.
    failed_before: bool,
}

/// A payload's parts on their way.
struct Under {
    unknown: Unknown,
    /// The one of the list that knows the parts, and how many they are.
    base: usize,
    total: usize,
    progress: Progress,
    waiting: BTreeMap<usize, Waiting>,
    share: Share,
    stopped: Option<Stop>,
}

/// What came of a step.
enum Step {
    /// It was done; an answer for each part.
    Called(Vec<Result<Json, DeliveryError>>),
    /// The one that would do it is left alone.
    Stopped(Stop),
    /// There was no time for it.
    Short,
}

impl Round<'_> {
    /// Goes on with a payload that was begun by the one of the list that knows its parts.
    pub(crate) async fn go_on_in_parts(&self, envelope: &Envelope, leg: usize, progress: Progress) -> Parted {
        let Some(task) = self.way.leg(leg) else { return Parted::Left(leg, None, None) };
        match read(task, envelope) {
            Ok(work) if work.parts().is_some() => self.part_by_part(envelope, leg, &*work, progress).await,
            // It was another build that knew parts.
            Ok(_) => Parted::Left(leg, None, None),
            Err(failure) => Parted::Ended(End::Failed(failure), Box::new(InParts { leg, progress, called: false })),
        }
    }

    /// Takes a payload's parts as far as they get in this invocation: each through the list, from the one on that has read them.
    pub(crate) async fn part_by_part(&self, envelope: &Envelope, base: usize, work: &dyn Work, progress: Progress) -> Parted {
        let total = work.parts().map_or(1, Parts::count);
        let mut under = Under::new(self.engine.policy.unknown, base, total, progress);
        for (leg, task) in self.way.from(base) {
            let here: Vec<usize> = under.waiting.iter().filter(|(_, part)| part.leg == leg).map(|(part, _)| *part).collect();
            if here.is_empty() {
                continue;
            }
            let other = if leg == base { None } else { Some(read(task, envelope)) };
            let work = match &other {
                None => work,
                Some(Ok(other)) => &**other,
                Some(Err(failure)) => {
                    here.iter().for_each(|part| under.end(*part, End::Failed(like(failure))));
                    continue;
                }
            };
            let Some(parts) = work.parts().filter(|parts| parts.count() == total) else {
                if here.len() == total {
                    return Parted::Left(leg, under.waiting.into_values().find_map(|part| part.last), under.stopped);
                }
                // Whose parts are others has no place for what is left of these.
                under.pass_on(&here);
                continue;
            };
            // Payloads of a bulk are in flight together.
            let together = if self.envelope.context.bulk { 1 } else { parts.together().max(1) };
            let steps: Vec<Vec<usize>> = here.chunks(parts.at_once().max(1)).map(<[usize]>::to_vec).collect();
            let steps = steps.into_iter().map(|step| async move {
                let came = self.step(envelope, leg, task, parts, &step).await;
                (step, came)
            });
            let mut steps = std::pin::pin!(stream::iter(steps).buffer_unordered(together));
            while let Some((step, came)) = steps.next().await {
                if let Some(failure) = under.note(leg, &step, came)
                    && leg + 1 < self.way.len()
                {
                    self.engine.saw(&Event::LeftToNext { envelope, provider: task.provider(), error: failure });
                }
            }
        }
        under.ended()
    }

    /// Has some parts delivered by one call, if it may begin.
    async fn step(&self, envelope: &Envelope, leg: usize, task: &dyn Task, parts: &dyn Parts, step: &[usize]) -> Step {
        if let Err(stop) = self.ask(leg, task) {
            return Step::Stopped(stop);
        }
        if !self.fits(leg) {
            return Step::Short;
        }
        self.pass(leg, task);
        let run = parts.deliver(step, Job { envelope, number: self.number, report: None }).map(Ok).boxed();
        let (answers, wait) = self.call(task, envelope, run, |answers: &Vec<_>| decides(answers)).await;
        let mut answers = answers.unwrap_or_else(|failure| step.iter().map(|_| Err(like(&failure))).collect());
        let told = answers.len();
        answers.resize_with(step.len(), || {
            let why = format!("provider {} answered for {told} of {} parts", task.provider(), step.len());
            Err(DeliveryError::new(ErrorKind::Panicked, why))
        });
        let waits = |failure: DeliveryError| if failure.stops { failure.retry_after(wait) } else { failure };
        Step::Called(answers.into_iter().map(|answer| answer.map_err(waits)).collect())
    }
}

impl Under {
    fn new(unknown: Unknown, base: usize, total: usize, progress: Progress) -> Self {
        let waits = |part| {
            let leg = progress.legs.get(&part).copied().unwrap_or(base);
            (part, Waiting { leg, last: None, failed_before: leg > base })
        };
        let waiting = untried(total, &progress).into_iter().map(waits).collect();
        Self { unknown, base, total, progress, waiting, share: Share::default(), stopped: None }
    }

    /// Notes what came of a step; answers why it, or some of it, is left to the next of the list.
    fn note(&mut self, leg: usize, step: &[usize], came: Step) -> Option<&DeliveryError> {
        let answers = match came {
            Step::Called(answers) => answers,
            Step::Stopped(stop) => {
                self.stop(stop);
                self.pass_on(step);
                return None;
            }
            Step::Short => {
                for part in step {
                    let last = self.waiting.get_mut(part).and_then(|waiting| waiting.last.take());
                    self.end(*part, End::Later(leg, last));
                }
                return None;
            }
        };
        self.share.called = true;
        let mut left = None;
        for (part, answer) in step.iter().zip(answers) {
            match answer {
                Ok(value) => self.end(*part, End::Delivered(value)),
                Err(failure) if failure.stops || failure.kind.elsewhere() => {
                    if failure.stops {
                        self.stop(Stop::said(&failure));
                    }
                    self.pass_on(&[*part]);
                    if let Some(waiting) = self.waiting.get_mut(part) {
                        // What is no stop decides: it counts.
                        waiting.last = waiting.last.take().filter(|last| !last.stops).or(Some(failure));
                        left.get_or_insert(*part);
                    }
                }
                Err(failure) => self.end(*part, End::Failed(failure)),
            }
        }
        left.and_then(|part| self.waiting.get(&part)?.last.as_ref())
    }

    fn stop(&mut self, stop: Stop) {
        self.stopped = Some(stop.or_shorter(self.stopped.take()));
    }

    /// Leaves parts to the next of the list.
    fn pass_on(&mut self, parts: &[usize]) {
        for part in parts {
            if let Some(waiting) = self.waiting.get_mut(part) {
                waiting.leg += 1;
            }
        }
    }

    fn end(&mut self, part: usize, end: End) {
        self.waiting.remove(&part);
        self.share.note(&mut self.progress, part, end.of("part", part), None, self.unknown);
    }

    /// How far the payload came.
    fn ended(mut self) -> Parted {
        for (part, Waiting { last, failed_before, .. }) in std::mem::take(&mut self.waiting) {
            let end = if last.is_none() && self.stopped.is_none() {
                End::Failed(DeliveryError::new(ErrorKind::Unavailable, "the rest of the list has other parts"))
            } else {
                by_none(last, self.stopped.clone(), failed_before)
            };
            self.end(part, end);
        }
        let Self { base, total, progress, share, .. } = self;
        let called = share.called;
        let end = match share.reached(&progress, total, "parts") {
            Reached::All(value) => End::Delivered(value),
            Reached::Over(failure) => End::Failed(failure),
            Reached::Some(share, failure) if share.short => End::Later(base, failure),
            Reached::Some(share, failure) => End::Stopped(share.stopped.unwrap_or_default(), failure),
        };
        Parted::Ended(end, Box::new(InParts { leg: base, progress, called }))
    }
}

/// Of what was answered for parts, what decides over who was called.
fn decides(answers: &[Result<Json, DeliveryError>]) -> Option<&DeliveryError> {
    let failures = || answers.iter().filter_map(|answer| answer.as_ref().err());
    failures().find(|failure| failure.stops).or_else(|| failures().next())
}

/// A failure that several have in common.
fn like(failure: &DeliveryError) -> DeliveryError {
    let mut like = DeliveryError::new(failure.kind, failure.message.as_str()).retry_after(failure.retry_after);
    like.stops = failure.stops;
    like
}
