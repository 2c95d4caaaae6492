//! What one invocation adds to a round.

use std::time::Duration;

use errand_core::{Advice, DeliveryError, ErrorKind, HandedOn, Json, Places, Progress, TaskResult};

use crate::{Unknown, backoff::spread};

/// The largest value that a bulk leaves, in bytes of JSON: what a record keeps of arguments. Beyond that it leaves none.
const VALUE_LIMIT: usize = TaskResult::ARGUMENTS_LIMIT;

/// What this invocation's share came to.
pub(crate) enum Came {
    /// All is delivered, with what that left.
    Done(Json),
    /// A remote worker has it and reports by itself, within this time.
    Handed(Duration),
    /// Other people's workers have it, and are to be asked.
    HandedOn(HandedOn),
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

/// How far a payload, or a part of one, came in this invocation.
pub(crate) enum End {
    Delivered(Json),
    Handed(Duration),
    HandedOn(HandedOn),
    Failed(DeliveryError),
    /// There was no time for this one of the list; with why those before did not do it.
    Later(usize, Option<DeliveryError>),
    /// All that could do it said stop: for how long they are left alone, and what was said now.
    Stopped(Duration, Option<DeliveryError>),
}

impl End {
    /// With its failure told of one of several: a payload of a bulk, a part of a payload.
    pub(crate) fn of(mut self, what: &str, place: usize) -> Self {
        if let Self::Failed(error) | Self::Later(_, Some(error)) | Self::Stopped(_, Some(error)) = &mut self {
            error.message.insert_str(0, &format!("{what} {place}: "));
        }
        self
    }
}

/// How far the parts of a payload came, where it has several.
pub(crate) struct InParts {
    /// The one of the list that knows the parts.
    pub(crate) leg: usize,
    pub(crate) progress: Progress,
    /// Whether anything was called for one of them.
    pub(crate) called: bool,
}

/// What of several was not begun in this round, or not taken to its end: what was not begun first.
pub(crate) fn untried(total: usize, progress: &Progress) -> Vec<usize> {
    let Progress { delivered, refused, failed, legs, .. } = progress;
    let mut left: Vec<usize> =
        (0..total).filter(|place| ![delivered, refused, failed].iter().any(|known| known.contains(*place))).collect();
    left.sort_by_key(|place| legs.contains_key(place));
    left
}

/// Whether a failure is the last word on a payload.
pub(crate) fn is_final(failure: &DeliveryError, unknown: Unknown) -> bool {
    let held = unknown == Unknown::Hold && failure.kind.may_have_delivered();
    held || failure.kind.advice() == Advice::Never
}

/// What one invocation adds to a round.
#[derive(Default)]
pub(crate) struct Share {
    values: Vec<(usize, Json)>,
    /// Of the failures that others may follow on, and of those that none does, the one that decides.
    failed: Option<DeliveryError>,
    refused: Option<DeliveryError>,
    /// The shortest time after which one that said stop may be asked again.
    pub(crate) stopped: Option<Duration>,
    /// Whether anything was called, and whether there was no time for something.
    pub(crate) called: bool,
    pub(crate) short: bool,
}

/// How far several came together.
pub(crate) enum Reached {
    /// All are delivered, with what they left.
    All(Json),
    /// None is left in this round; the failure that decides.
    Over(DeliveryError),
    /// The round goes on; of what failed now, the failure that decides.
    Some(Box<Share>, Option<DeliveryError>),
}

impl Share {
    pub(crate) fn note(&mut self, progress: &mut Progress, place: usize, end: End, in_parts: Option<Box<InParts>>, unknown: Unknown) {
        progress.legs.remove(&place);
        progress.parts.remove(&place);
        if let Some(in_parts) = in_parts {
            self.called |= in_parts.called;
            let InParts { leg, progress: parts, .. } = *in_parts;
            if !parts.is_empty() && !matches!(end, End::Delivered(_)) {
                progress.legs.extend((leg > 0).then_some((place, leg)));
                progress.parts.insert(place, parts);
            }
        }
        match &end {
            End::Delivered(_) | End::Handed(_) | End::HandedOn(_) => progress.delivered.insert(place),
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
            End::Handed(_) | End::HandedOn(_) | End::Later(_, None) | End::Stopped(_, None) => {}
        }
    }

    /// How far `total` of these came, payloads or parts.
    pub(crate) fn reached(mut self, progress: &Progress, total: usize, what: &str) -> Reached {
        if progress.delivered.len() == total {
            return Reached::All(self.value(total));
        }
        let of_all = |mut failure: DeliveryError| {
            failure.message.insert_str(0, &told(progress, total, what));
            failure
        };
        if untried(total, progress).is_empty() {
            return Reached::Over(of_all(self.failure(progress)));
        }
        let failure = self.failed.take().or(self.refused.take()).map(of_all);
        Reached::Some(Box::new(self), failure)
    }

    /// The failure that decides over a round that is over. One that may pass decides over one that cannot, so that no payload is given up with its neighbour.
    pub(crate) fn failure(self, progress: &Progress) -> DeliveryError {
        let (now, before) = if progress.failed.is_empty() { (self.refused, &progress.refusal) } else { (self.failed, &progress.failure) };
        now.or_else(|| before.as_ref().map(DeliveryError::from))
            .unwrap_or_else(|| DeliveryError::new(ErrorKind::Unavailable, "it failed before"))
    }

    /// When the round of this envelope goes on.
    pub(crate) fn goes_on(self, id: &str, failure: Option<DeliveryError>) -> Came {
        let after = match (self.short, self.called, self.stopped) {
            (true, true, _) => Some(Duration::ZERO),
            (true, false, _) => None,
            // One of those that were asked may have opened the way for the others since.
            (false, _, stopped) => Some(spread(stopped.unwrap_or_default(), id)),
        };
        Came::On { after, failure: failure.or(self.failed).or(self.refused) }
    }

    /// What several left: an array with a value for each, null for those of earlier invocations.
    fn value(self, total: usize) -> Json {
        let mut values = vec![Json::default(); total];
        for (place, value) in self.values {
            values[place] = value;
        }
        Some(Json::of(&values)).filter(|values| values.get().len() <= VALUE_LIMIT).unwrap_or_default()
    }
}

/// What is told first of several that are not all delivered: how many are left, and which, as far as a hundred bytes tell it.
fn told(progress: &Progress, total: usize, what: &str) -> String {
    let missing: Places = (0..total).filter(|place| !progress.delivered.contains(*place)).collect();
    let mut places = missing.to_string();
    if places.len() > 100 {
        places.truncate(100); // digits, commas and hyphens
        places.push('…');
    }
    format!("{} of {total} {what} are not delivered ({places}); ", missing.len())
}
