//! From a claim to what came of it.

use std::sync::atomic::AtomicBool;

use errand_core::{DeliveryError, Envelope, ErrorKind, Task, Way, Work};
use serde_json::value::RawValue;

use crate::{
    Engine, Verdict,
    call::read,
    claim::Claimed,
    round::{Round, all_fit},
    time::Time,
};

/// What an envelope asks for, as it was read.
pub(crate) enum Asked<'a> {
    /// One payload, as one of a list has read it.
    One(Box<dyn Work + 'a>),
    /// A bulk of payloads, of which each is read when its turn comes.
    Bulk(Vec<&'a RawValue>),
}

impl<'a> Asked<'a> {
    /// Reads an envelope for one of a list.
    pub(crate) fn of(envelope: &'a Envelope, leg: &'a dyn Task) -> Result<Self, DeliveryError> {
        if !envelope.context.bulk {
            return read(leg, envelope).map(Self::One);
        }
        let payloads = envelope.payloads();
        let why = "/kwargs: expected an array of payloads, since context.bulk is true";
        payloads.map(Self::Bulk).map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, why))
    }
}

/// Where on its way an attempt begins.
pub(crate) struct Start<'a> {
    pub(crate) way: Way<'a>,
    /// The one with which an untried payload begins.
    pub(crate) first: usize,
    /// The one that has let this attempt pass, and its place.
    pub(crate) leg: usize,
    pub(crate) task: &'a dyn Task,
    /// What that has read, where the arguments were at hand.
    pub(crate) asked: Option<Asked<'a>>,
}

impl Engine {
    /// Fetches what is missing, takes the envelope as far as it gets in this invocation, and settles what came of it.
    pub(crate) async fn deliver(&self, start: Start<'_>, mut claimed: Claimed<'_>, time: Time) -> Verdict {
        let Start { way, first, leg, task, asked } = start;
        let envelope = match self.check_out(claimed.envelope).await {
            Ok(envelope) => envelope,
            Err(error) => return Box::pin(self.fail(claimed, error)).await,
        };
        let asked = match asked.map_or_else(|| Asked::of(&envelope, task), Ok) {
            Ok(asked) => asked,
            Err(error) => return Box::pin(self.fail(claimed, error)).await,
        };
        let (number, report, mut progress) = (claimed.number, claimed.report.take(), std::mem::take(&mut claimed.progress));
        let passed = AtomicBool::new(false);
        let round = Round { engine: self, way, envelope: &envelope, number, report: report.as_ref(), time, first, admitted: leg, passed };
        let came = match asked {
            Asked::One(work) => round.run_one(work, &mut progress).await,
            Asked::Bulk(payloads) => {
                if self.splits(&envelope) && payloads.len() > 1 && !all_fit(way, payloads.len(), time) {
                    return Box::pin(self.split_bulk(&claimed, &envelope, payloads.into_iter().enumerate())).await;
                }
                // On the heap: nearly all envelopes are no bulk.
                let came = Box::pin(round.run_all(&payloads, &mut progress)).await;
                if self.splits(&envelope)
                    && claimed.message.lane.is_none()
                    && !progress.delivered.is_empty()
                    && progress.delivered.len() < payloads.len()
                {
                    let left = payloads.into_iter().enumerate().filter(|(place, _)| !progress.delivered.contains(*place));
                    return Box::pin(self.split_bulk(&claimed, &envelope, left)).await;
                }
                came
            }
        };
        claimed.progress = progress;
        self.settle(claimed, came).await
    }
}
