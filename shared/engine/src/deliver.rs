//! From a claim to what came of it.

use errand_core::{DeliveryError, ErrorKind, Way};

use crate::{
    Engine, Verdict,
    claim::Claimed,
    round::{Round, all_fit},
    time::Time,
};

impl Engine {
    /// Fetches what is missing, takes the envelope as far as it gets in this invocation, and settles what came of it.
    pub(crate) async fn deliver(&self, way: Way<'_>, mut claimed: Claimed<'_>, first: usize, admitted: usize, time: Time) -> Verdict {
        let envelope = match self.check_out(claimed.envelope).await {
            Ok(envelope) => envelope,
            Err(error) => return Box::pin(self.fail(claimed, error)).await,
        };
        let (number, report, mut progress) = (claimed.number, claimed.report.take(), std::mem::take(&mut claimed.progress));
        let round = Round { engine: self, way, envelope: &envelope, number, report: report.as_ref(), time, first, admitted };
        let came = if envelope.context.bulk {
            let Ok(payloads) = envelope.payloads() else {
                let why = "/kwargs: expected an array of payloads, since context.bulk is true";
                return Box::pin(self.fail(claimed, DeliveryError::new(ErrorKind::InvalidPayload, why))).await;
            };
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
        } else {
            round.run_one(&mut progress).await
        };
        claimed.progress = progress;
        self.settle(claimed, came).await
    }
}
