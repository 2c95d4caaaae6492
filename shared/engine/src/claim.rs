//! To have an envelope for oneself.

use std::time::Duration;

use errand_core::{Begin, Claim, DeliveryError, Envelope, ErrorKind, Message, Progress, ReportTo, Secret, StorageError, percent_encode};

use crate::{Engine, Event, Unknown, Verdict, time::Time};

/// How long after the end of its invocation a claim holds: covers clocks that differ.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// An envelope that is ours to run.
pub(crate) struct Claimed<'a> {
    pub(crate) message: &'a Message,
    pub(crate) envelope: &'a Envelope,
    /// 1 for the first; the fence of what is recorded.
    pub(crate) number: u32,
    /// How many attempts count against the most that are allowed, this one included.
    pub(crate) tries: u32,
    /// Whether the attempt before died without a word.
    pub(crate) died: bool,
    /// How far it has come.
    pub(crate) progress: Progress,
    /// Where and how a remote worker can report of this attempt.
    pub(crate) report: Option<ReportTo>,
}

impl Engine {
    /// Claims the envelope, or tells what becomes of the message when it is not ours.
    pub(crate) async fn claim<'a>(
        &self,
        message: &'a Message,
        envelope: &'a Envelope,
        report: Option<ReportTo>,
        time: Time,
    ) -> Result<Claimed<'a>, Verdict> {
        let count = message.receive_count;
        let Some(store) = &self.store else {
            self.saw(&Event::Begun { envelope, attempt: count });
            return Ok(Claimed {
                message,
                envelope,
                number: count,
                tries: count,
                died: false,
                progress: Progress::default(),
                report: None,
            });
        };
        let claim = self.claim_of(envelope, report.as_ref(), time);
        match store.begin(&claim).await {
            Ok(Begin::Claimed { attempt, tries, died, progress }) => {
                self.saw(&Event::Begun { envelope, attempt });
                Ok(Claimed { message, envelope, number: attempt, tries, died, progress, report })
            }
            Ok(answer) => Err(self.turned_away(message, envelope, &answer).await),
            Err(error) => Err(Box::pin(self.not_claimed(message, envelope, &error)).await),
        }
    }

    /// This attempt's wish to have an envelope.
    pub(crate) fn claim_of<'a>(&'a self, envelope: &'a Envelope, report: Option<&'a ReportTo>, time: Time) -> Claim<'a> {
        let token = report.map(|report| report.token.expose());
        let (now, lease_until) = (self.clock.now(), time.deadline + LEASE_MARGIN);
        Claim { envelope, now, lease_until, worker: &self.worker, token, backend: &self.backend }
    }

    /// What becomes of a message whose envelope is not ours, as the answer to its claim says.
    pub(crate) async fn turned_away(&self, message: &Message, envelope: &Envelope, answer: &Begin) -> Verdict {
        match *answer {
            Begin::Held { until } => self.hide(message, until.since(self.clock.now())).await,
            Begin::HandedOn { attempt, ref to } => self.follow_later(message, envelope, attempt, to).await,
            Begin::Moved { until } => {
                self.saw(&Event::Moved { envelope, until });
                Verdict::Acknowledge
            }
            Begin::Ended(status) => {
                self.saw(&Event::NothingLeft { envelope, status });
                // Whoever ended it may have died before that was told.
                self.tell(message, envelope, None).await
            }
            // Who ended it elsewhere has left what follows to a consumer, by a message that has no arguments.
            Begin::Other(status)
                if status.ended() && envelope.args.is_none() && envelope.kwargs.is_none() && envelope.claim_check.is_none() =>
            {
                self.tell(message, envelope, None).await
            }
            Begin::Other(status) => {
                self.saw(&Event::LeftOut { envelope, status });
                Verdict::Acknowledge
            }
            // Whoever has it sees to it.
            Begin::Claimed { .. } => Verdict::Keep,
        }
    }

    /// Leaves a message whose envelope the store could not be asked for.
    pub(crate) async fn not_claimed(&self, message: &Message, envelope: &Envelope, error: &StorageError) -> Verdict {
        self.saw(&Event::NotClaimed { envelope, error });
        self.hide_or_bury(message, self.own_wait(message), "the store does not answer").await
    }

    /// Why the envelope is not to be run, though it is ours.
    pub(crate) fn hopeless(&self, claimed: &Claimed<'_>) -> Option<DeliveryError> {
        if claimed.tries > self.max_attempts(claimed.envelope) {
            return Some(DeliveryError::new(ErrorKind::Crashed, format!("{} attempts began and none ended", claimed.tries - 1)));
        }
        let held = claimed.died && self.policy.unknown == Unknown::Hold;
        held.then(|| DeliveryError::new(ErrorKind::OutcomeUnknown, "an attempt died without a word: it may have delivered"))
    }

    /// Where a remote worker can report of an attempt, with a token that only it is given; `None` where no report could be taken.
    pub(crate) fn report_to(&self, envelope: &Envelope) -> Option<ReportTo> {
        let (url, _) = (self.api_url.as_ref()?, self.store.as_ref()?);
        let id = percent_encode(&envelope.id);
        let token = Secret::new(uuid::Uuid::new_v4().simple().to_string());
        Some(ReportTo { url: format!("{}/v1/tasks/{id}/result", url.trim_end_matches('/')), token })
    }
}
