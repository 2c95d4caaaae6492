use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::value::RawValue;

use crate::{
    Begin, Change, Claim, Envelope, Fingerprint, Finish, Header, Outcome, Progress, Report, Status, TaskError, TaskResult, Timestamp,
};

/// What a store keeps of an envelope, and the only ways in which it changes: for stores that read, change and write a whole record in one
/// step. (One that cannot says the same in the conditions of its writes.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What is told of it.
    pub result: TaskResult,
    /// Until when a running attempt holds it.
    pub lease_until: Timestamp,
    /// How far it has come.
    #[serde(default, alias = "done", deserialize_with = "progress", skip_serializing_if = "Progress::is_empty")]
    pub progress: Progress,
    /// How many attempts do not count.
    #[serde(default)]
    pub spared: u32,
    /// The envelope, beside what `result` tells of it.
    #[serde(default)]
    pub header: Header,
    /// What a remote worker has to show to report of the last attempt.
    #[serde(default)]
    pub token: Option<String>,
}

impl Record {
    /// The record of an envelope that is seen for the first time.
    #[must_use]
    pub fn new(envelope: &Envelope, status: Status, backend: &str, now: Timestamp) -> Self {
        let result = TaskResult::new(envelope, status, backend, now);
        Self { result, lease_until: now, progress: Progress::default(), spared: 0, header: Header::of(envelope), token: None }
    }

    /// Whether registering this content finds it in the way: not where it has other content that was never sent.
    #[must_use]
    pub fn stands(&self, content: Fingerprint) -> bool {
        !self.header.unsent || self.header.is_of(content)
    }

    /// [`Register::sent`](crate::Register::sent) on this record.
    pub fn sent(&mut self, envelope: &Envelope, failed: Option<&TaskError>) {
        if self.result.status.ended() || !self.header.is_of(envelope.content()) {
            return;
        }
        match failed {
            Some(error) if self.result.attempts == 0 => {
                self.header.unsent = true;
                self.push_errors(std::slice::from_ref(error));
            }
            Some(_) => {}
            None => {
                self.header.unsent = false;
                self.header.claim_check.clone_from(&envelope.claim_check);
            }
        }
    }

    /// [`Claims::begin`](crate::Claims::begin) on this record.
    pub fn begin(&mut self, claim: &Claim<'_>) -> Begin {
        match claim.turned_away(&self.result, &self.header) {
            Some(answer @ (Begin::Other(_) | Begin::Ended(_) | Begin::HandedOn { .. })) => return answer,
            _ if self.held(claim.now) => return Begin::Held { until: self.lease_until },
            Some(answer) => return answer,
            None => {}
        }
        let died = self.result.status == Status::Running;
        self.lease_until = claim.lease_until;
        self.token = claim.token.map(ToOwned::to_owned);
        self.header.unsent = false;
        self.header.handed_on = None;
        self.header.fingerprint = Some(claim.envelope.content());
        let result = &mut self.result;
        result.status = Status::Running;
        result.attempts += 1;
        result.started_at.get_or_insert(claim.now);
        result.last_attempted_at = Some(claim.now);
        result.next_attempt_at = None;
        push_last(&mut result.worker_ids, claim.worker.to_owned());
        Begin::Claimed { attempt: result.attempts, tries: result.attempts - self.spared, died, progress: self.progress.clone() }
    }

    /// [`Claims::refuse`](crate::Claims::refuse) on this record.
    pub fn refuse(&mut self, claim: &Claim<'_>, error: &TaskError) -> Finish {
        self.at_once(claim, &Outcome::Failed { errors: vec![error.clone()], progress: Progress::default() })
    }

    /// [`Register::handed_over`](crate::Register::handed_over) on this record; and any other outcome of a first attempt that is known when it is claimed.
    pub fn at_once(&mut self, claim: &Claim<'_>, outcome: &Outcome) -> Finish {
        if self.result.attempts > 0 || !matches!(self.begin(claim), Begin::Claimed { .. }) {
            return Finish::Stale;
        }
        self.finish(1, outcome, claim.now)
    }

    /// [`Claims::finish`](crate::Claims::finish) on this record.
    pub fn finish(&mut self, attempt: u32, outcome: &Outcome, now: Timestamp) -> Finish {
        if self.result.status != Status::Running || self.result.attempts != attempt {
            return Finish::Stale;
        }
        self.note(outcome, now);
        Finish::Recorded
    }

    /// [`Results::report`](crate::Results::report) on this record.
    pub fn report(&mut self, token: &str, outcome: &Outcome, now: Timestamp) -> Report {
        if self.token.as_deref() != Some(token) {
            Report::Unknown
        } else if self.result.status != Status::Running {
            Report::Ended(self.result.clone())
        } else {
            self.note(outcome, now);
            Report::Recorded(self.result.clone())
        }
    }

    fn note(&mut self, outcome: &Outcome, now: Timestamp) {
        match outcome {
            Outcome::Succeeded(value) => self.result.return_value = value.clone(),
            Outcome::Retry { error, progress, counts, at } => {
                self.push_errors(error.as_slice());
                self.spared += u32::from(!counts);
                self.progress.clone_from(progress);
                self.result.next_attempt_at = Some(*at);
            }
            Outcome::Failed { errors, progress } => {
                self.push_errors(errors);
                self.progress = progress.at_the_end();
            }
            Outcome::Expired => {}
            Outcome::Handed { until } => self.lease_until = *until,
            Outcome::HandedOn(to) => self.header.handed_on = Some(to.clone()),
            Outcome::Started { worker } => push_last(&mut self.result.worker_ids, worker.clone()),
        }
        self.result.status = outcome.status();
        if outcome.status().ended() {
            self.result.finished_at = Some(now);
        }
    }

    fn push_errors(&mut self, errors: &[TaskError]) {
        for error in errors {
            push_last(&mut self.result.errors, error.clone());
        }
    }

    /// [`Results::cancel`](crate::Results::cancel) on this record.
    pub fn cancel(&mut self, now: Timestamp) -> Change {
        self.change(!self.result.status.ended() && !self.held(now), |record| {
            record.result.status = Status::Cancelled;
            record.result.finished_at = Some(now);
            record.result.next_attempt_at = None;
        })
    }

    /// [`Results::reschedule`](crate::Results::reschedule) on this record.
    pub fn reschedule(&mut self, run_after: Timestamp, now: Timestamp) -> Change {
        self.change(!self.result.status.ended() && !self.held(now), |record| {
            record.result.run_after = Some(run_after);
            record.result.next_attempt_at = None;
            record.header.unsent = false;
            record.result.status = if run_after > now { Status::Scheduled } else { Status::Ready };
        })
    }

    /// [`Results::reopen`](crate::Results::reopen) on this record.
    pub fn reopen(&mut self, envelope: &Envelope, now: Timestamp) -> Change {
        let same = self.header.is_of(envelope.content());
        let waits = !self.result.status.ended() && !self.held(now);
        self.change(self.result.status == Status::Failed || (waits && !same), |record| {
            let Self { result: new, header, .. } = Self::new(envelope, Status::Ready, &record.result.backend, record.result.enqueued_at);
            if !same {
                record.result.replace(record.header.context.clone(), now);
                record.progress = record.progress.of_the_same(&record.result.kwargs, &new.kwargs);
            }
            let TaskResult { started_at, last_attempted_at, sender, errors, worker_ids, attempts, replaced, .. } = record.result.clone();
            record.result = TaskResult { started_at, last_attempted_at, sender, errors, worker_ids, attempts, replaced, ..new };
            record.header = header;
            record.spared = attempts;
        })
    }

    fn change(&mut self, allowed: bool, change: impl FnOnce(&mut Self)) -> Change {
        if !allowed {
            return Change::Refused(self.result.clone());
        }
        change(self);
        Change::Changed(self.result.clone())
    }

    /// Ends a running attempt's hold: whoever had it is known to be dead, but for other people's workers.
    pub fn release(&mut self, now: Timestamp) {
        self.lease_until = self.lease_until.min(now);
    }

    /// Sorts the newest last; the id tells records of the same millisecond apart.
    #[must_use]
    pub fn position(&self) -> String {
        position(self.result.enqueued_at, &self.result.id)
    }

    fn held(&self, now: Timestamp) -> bool {
        self.result.status == Status::Running && (self.lease_until > now || self.header.handed_on.is_some())
    }
}

impl Claim<'_> {
    /// What answers this claim whoever has the id: it is that of other content, has ended or was moved.
    #[must_use]
    pub fn turned_away(&self, known: &TaskResult, header: &Header) -> Option<Begin> {
        if !header.is_of(self.envelope.content()) {
            return Some(Begin::Other(known.status));
        }
        if known.status.ended() {
            return Some(Begin::Ended(known.status));
        }
        if let Some(to) = header.handed_on.as_ref().filter(|_| known.status == Status::Running) {
            return Some(Begin::HandedOn { attempt: known.attempts, to: to.clone() });
        }
        known.run_after.filter(|at| *at > self.due()).map(|until| Begin::Moved { until })
    }
}

/// Where a record stands among all, by the time it was enqueued: text that sorts the newest last. A page's cursor.
#[must_use]
pub fn position(enqueued_at: Timestamp, id: &str) -> String {
    format!("{enqueued_at}#{id}")
}

/// Records of before hold the places that are delivered, and no more.
fn progress<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Progress, D::Error> {
    let written = Box::<RawValue>::deserialize(deserializer)?;
    if !written.get().starts_with('[') {
        return serde_json::from_str(written.get()).map_err(D::Error::custom);
    }
    let places: Vec<usize> = serde_json::from_str(written.get()).map_err(D::Error::custom)?;
    Ok(Progress { delivered: places.into_iter().collect(), ..Progress::default() })
}

fn push_last<T>(list: &mut Vec<T>, value: T) {
    if list.len() == TaskResult::ERRORS_LIMIT {
        list.remove(0);
    }
    list.push(value);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_record_of_before_keeps_what_was_delivered() {
        let record = Record::new(&Envelope::new("a".to_owned(), "t".to_owned()), Status::Ready, "sqs", Timestamp::from_millis(0));
        let mut written = serde_json::to_value(&record).unwrap();
        assert_eq!(written.get("progress"), None, "nothing is written of what has not begun");
        written["done"] = json!([0, 2, 3]);
        let read = |written: &Value| serde_json::from_str::<Record>(&written.to_string()).unwrap().progress;
        assert_eq!(read(&written), Progress { delivered: [0, 2, 3].into_iter().collect(), ..Progress::default() });
        written["done"] = json!([]);
        assert!(read(&written).is_empty());
    }

    #[test]
    fn a_record_of_before_takes_any_content_and_then_that_alone() {
        let envelope = |task: &str| Envelope::new("a".to_owned(), task.to_owned());
        let now = Timestamp::from_millis(0);
        let mut written = serde_json::to_value(Record::new(&envelope("one"), Status::Ready, "sqs", now)).unwrap();
        written["header"].as_object_mut().unwrap().remove("fingerprint");
        let mut record: Record = serde_json::from_str(&written.to_string()).unwrap();
        let begin = |record: &mut Record, task: &str, at: i64| {
            let now = Timestamp::from_millis(at);
            record.begin(&Claim { envelope: &envelope(task), now, lease_until: now, worker: "w", token: None, backend: "sqs" })
        };
        assert!(matches!(begin(&mut record, "other", 1), Begin::Claimed { attempt: 1, .. }));
        assert_eq!(begin(&mut record, "one", 2), Begin::Other(Status::Running));
        assert!(matches!(begin(&mut record, "other", 3), Begin::Claimed { attempt: 2, .. }));
    }
}
