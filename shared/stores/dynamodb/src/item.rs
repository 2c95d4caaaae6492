//! A record as a table's item, and back.

use std::borrow::Cow;

use errand_core::{
    DEFAULT_QUEUE, Digest, Envelope, Fingerprint, HandedOn, Header, Json, Known, Progress, Record, Sender, Status, StorageError, TaskError,
    TaskResult, Timestamp, position,
};
use serde::{Deserialize, Serialize};

use crate::value::{Item, Value};

/// Parts of the index: one part takes 1,000 writes a second.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
pub(crate) const SHARDS: u32 = 8;

pub(crate) fn text<'a>(value: impl Into<Cow<'a, str>>) -> Value<'a> {
    Value::S(value.into())
}

pub(crate) fn number(value: impl Into<i64>) -> Value<'static> {
    Value::N(value.into())
}

pub(crate) fn time(at: Timestamp) -> Value<'static> {
    number(at.millis())
}

/// When a record that changed now may be deleted, in seconds since 1970, as DynamoDB's time to live has it.
pub(crate) fn ttl(now: Timestamp) -> Value<'static> {
    number(now.seconds() + TaskResult::RETENTION_SECONDS)
}

/// An empty list.
pub(crate) fn nothing() -> Value<'static> {
    Value::L(Vec::new())
}

/// How far an envelope has come, as JSON; nothing where it has not begun.
pub(crate) fn progress(progress: &Progress) -> Value<'static> {
    if progress.is_empty() { nothing() } else { serde_json::to_string(progress).map_or_else(|_| nothing(), text) }
}

/// Failures, as a list to append. An id has at most a hundred attempts, so that no list outgrows an item.
pub(crate) fn errors(errors: &[TaskError]) -> Value<'_> {
    Value::L(errors.iter().map(|error| Value::L(vec![text(&error.exception_class_path), text(&error.traceback)])).collect())
}

/// A worker, as a list of one to append.
pub(crate) fn workers(worker: &str) -> Value<'_> {
    Value::L(vec![text(worker)])
}

/// Whose workers have an envelope, as JSON.
pub(crate) fn handed_on(to: &HandedOn) -> Value<'static> {
    text(serde_json::to_string(to).unwrap_or_default())
}

/// The names of the attributes of a record that do not change.
pub(crate) const LASTING: [&str; 11] =
    ["task", "backend", "enqueued_at", "args", "kwargs", "shard", "position", "run_after", "sender", "header", "fingerprint"];

/// These attributes of a record that is seen for the first time. What is not said is there as well: a claim adds what is not there.
pub(crate) fn lasting<'a>(envelope: &Envelope, result: TaskResult) -> impl Iterator<Item = (&'static str, Value<'a>)> + use<'a> {
    let values = [
        text(result.task),
        text(result.backend),
        time(result.enqueued_at),
        text(result.args.get().to_owned()),
        text(result.kwargs.get().to_owned()),
        number(shard(&result.id)),
        text(position(result.enqueued_at, &result.id)),
        run_after(result.run_after),
        text(result.sender.as_str()),
        text(Conditions::of(envelope)),
        text(envelope.content().to_string()),
    ];
    LASTING.into_iter().zip(values)
}

/// When it is not to be run before; 0 where that is not said.
pub(crate) fn run_after(at: Option<Timestamp>) -> Value<'static> {
    at.map_or_else(|| number(0), time)
}

/// What is said of an envelope beside its task and arguments: the attribute `header`, as JSON.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    #[serde(skip_serializing_if = "String::is_empty")]
    queue: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim_check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Json::is_null")]
    context: Json,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    context_too_large: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
}

impl Conditions {
    /// Those of an envelope as JSON; empty where there are none, as of most: DynamoDB charges by size.
    pub(crate) fn of(envelope: &Envelope) -> String {
        let Header { claim_check, context, context_too_large, fingerprint: _, backend, destination, unsent: _, handed_on: _ } =
            Header::of(envelope);
        let conditions = Self {
            queue: if envelope.queue == DEFAULT_QUEUE { String::new() } else { envelope.queue.clone() },
            expires: envelope.expires,
            max_attempts: envelope.max_attempts,
            claim_check,
            callback_url: envelope.callback_url.clone(),
            group: envelope.group.clone(),
            notification_id: envelope.notification_id.clone(),
            user: envelope.user.clone(),
            context,
            context_too_large,
            trace: envelope.trace.clone(),
            backend,
            destination,
        };
        if conditions == Self::default() { String::new() } else { serde_json::to_string(&conditions).unwrap_or_default() }
    }
}

/// The part of the index that has a record.
fn shard(id: &str) -> u32 {
    u32::from(Digest::of(id.as_bytes()).bytes()[0]) % SHARDS
}

/// Reads an item's attributes.
pub(crate) struct Reader<'a>(pub(crate) &'a Item<'static>);

impl Reader<'_> {
    pub(crate) fn text(&self, name: &str) -> Result<&str, StorageError> {
        self.0.get(name).and_then(Value::text).ok_or_else(|| wrong(name))
    }

    fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, StorageError> {
        let read = |value: &Value<'_>| value.number().and_then(|number| number.try_into().ok()).ok_or_else(|| wrong(name));
        self.0.get(name).map(read).transpose()
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, StorageError> {
        Ok(self.number(name)?.map(Timestamp::from_millis))
    }

    pub(crate) fn status(&self) -> Result<Status, StorageError> {
        self.text("status")?.parse()
    }

    /// The sender; Errand's own form where none is told.
    fn sender(&self) -> Sender {
        self.text("sender").ok().and_then(Sender::named).unwrap_or_default()
    }

    pub(crate) fn count(&self, name: &str) -> Result<u32, StorageError> {
        Ok(self.number(name)?.unwrap_or_default())
    }

    pub(crate) fn was_running(&self) -> bool {
        self.status().is_ok_and(|status| status == Status::Running)
    }

    fn conditions(&self) -> Result<Conditions, StorageError> {
        match self.0.get("header").map(|_| self.text("header")).transpose()? {
            None | Some("") => Ok(Conditions::default()),
            Some(json) => serde_json::from_str(json).map_err(|_| wrong("header")),
        }
    }

    /// Tells the record's content from any other; nothing in records of before it was noted.
    pub(crate) fn fingerprint(&self) -> Result<Option<Fingerprint>, StorageError> {
        self.0.get("fingerprint").map(|_| self.text("fingerprint")?.parse().map_err(|_| wrong("fingerprint"))).transpose()
    }

    /// The record, but for what a remote worker has to show.
    pub(crate) fn record(&self) -> Result<Record, StorageError> {
        let (result, header) = self.known()?;
        let lease_until = self.time("lease_until")?.unwrap_or(result.enqueued_at);
        Ok(Record { result, header, lease_until, progress: self.progress()?, spared: self.count("spared")?, token: None })
    }

    /// What is known of an id.
    pub(crate) fn known(&self) -> Result<Known, StorageError> {
        let Conditions { claim_check, context, context_too_large, backend, destination, .. } = self.conditions()?;
        let (fingerprint, unsent, handed_on) = (self.fingerprint()?, self.0.get("unsent").is_some(), self.handed_on()?);
        let header = Header { claim_check, context, context_too_large, fingerprint, backend, destination, unsent, handed_on };
        Ok((self.result()?, header))
    }

    pub(crate) fn handed_on(&self) -> Result<Option<HandedOn>, StorageError> {
        let read = |_| serde_json::from_str(self.text("handed_on")?).map_err(|_| wrong("handed_on"));
        self.0.get("handed_on").map(read).transpose()
    }

    pub(crate) fn progress(&self) -> Result<Progress, StorageError> {
        match self.0.get("done") {
            None => Ok(Progress::default()),
            Some(Value::S(json)) => serde_json::from_str(json).map_err(|_| wrong("done")),
            // Records of before hold the places that are delivered, and no more.
            Some(value) => {
                let places = value.list().ok_or_else(|| wrong("done"))?.iter();
                let places = places.map(|place| place.number().and_then(|place| place.try_into().ok()).ok_or_else(|| wrong("done")));
                Ok(Progress { delivered: places.collect::<Result<_, _>>()?, ..Progress::default() })
            }
        }
    }

    fn json(&self, name: &str) -> Result<Json, StorageError> {
        if self.0.get(name).is_some() { serde_json::from_str(self.text(name)?).map_err(|_| wrong(name)) } else { Ok(Json::default()) }
    }

    /// The last elements of a list, as many as are told.
    fn last(&self, name: &str) -> Result<&[Value<'static>], StorageError> {
        let Some(value) = self.0.get(name) else { return Ok(&[]) };
        let list = value.list().ok_or_else(|| wrong(name))?;
        Ok(&list[list.len().saturating_sub(TaskResult::ERRORS_LIMIT)..])
    }

    pub(crate) fn result(&self) -> Result<TaskResult, StorageError> {
        let Conditions { queue, expires, max_attempts, callback_url, group, notification_id, user, trace, .. } = self.conditions()?;
        Ok(TaskResult {
            id: self.text("id")?.to_owned(),
            task: self.text("task")?.to_owned(),
            status: self.status()?,
            enqueued_at: self.time("enqueued_at")?.ok_or_else(|| wrong("enqueued_at"))?,
            started_at: self.time("started_at")?,
            finished_at: self.time("finished_at")?,
            last_attempted_at: self.time("last_attempted_at")?,
            run_after: self.time("run_after")?.filter(|at| at.millis() != 0),
            args: self.json("args")?,
            kwargs: self.json("kwargs")?,
            backend: self.text("backend")?.to_owned(),
            sender: self.sender(),
            errors: self.last("errors")?.iter().map(|value| error(value).ok_or_else(|| wrong("errors"))).collect::<Result<_, _>>()?,
            worker_ids: self.last("workers")?.iter().filter_map(|worker| worker.text().map(ToOwned::to_owned)).collect(),
            return_value: self.json("return_value")?,
            attempts: self.count("attempts")?,
            queue: if queue.is_empty() { DEFAULT_QUEUE.to_owned() } else { queue },
            user,
            notification_id,
            group,
            expires,
            max_attempts,
            next_attempt_at: self.time("next_attempt_at")?,
            callback_url,
            trace,
            replaced: self.json("replaced")?.read::<Option<_>>().map_err(|_| wrong("replaced"))?.unwrap_or_default(),
        })
    }
}

fn error(value: &Value<'_>) -> Option<TaskError> {
    match value.list()? {
        [Value::S(kind), Value::S(message)] => {
            Some(TaskError { exception_class_path: kind.clone().into_owned(), traceback: message.clone().into_owned() })
        }
        _ => None,
    }
}

fn wrong(name: &str) -> StorageError {
    StorageError(format!("DynamoDB: a record's {name} is not as this version writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_is_written_and_as_it_was_written_before() {
        let some = Progress { delivered: [0, 2, 3].into_iter().collect(), ..Progress::default() };
        let read = |value| Reader(&Item::from([("done", value)])).progress().unwrap();
        assert_eq!(read(progress(&some)), some);
        assert_eq!(read(Value::L([0, 2, 3].map(number).to_vec())), some);
        assert!(read(progress(&Progress::default())).is_empty() && Reader(&Item::default()).progress().unwrap().is_empty());
    }

    /// Items as versions have left them. None is ever changed: a version that keeps something otherwise adds its own.
    const LEFT: [&str; 1] = [include_str!("../tests/persisted/0.1.0.json")];

    #[test]
    fn the_items_of_every_version_are_read() {
        for json in LEFT {
            let items: Vec<Item<'_>> = serde_json::from_str(json).unwrap();
            let [bulk, done, later, refused] = items.iter().map(Reader).collect::<Vec<_>>().try_into().ok().unwrap();

            let (task, header) = bulk.known().unwrap();
            assert_eq!(
                (task.status, task.attempts, task.next_attempt_at.is_some(), header.context.get()),
                (Status::Ready, 1, true, r#"{"bulk": true}"#)
            );
            let progress = bulk.progress().unwrap();
            assert!(progress.delivered.contains(0) && progress.refused.contains(1) && !progress.delivered.contains(2));

            let (task, header) = done.known().unwrap();
            assert_eq!(
                (task.status, task.user.as_deref(), task.notification_id.as_deref()),
                (Status::Successful, Some("ann"), Some("n-1"))
            );
            assert!(task.return_value.get().contains("message_id") && task.trace.is_some() && header.context.get() == r#"{"k":1e400}"#);
            assert_eq!(header.fingerprint.unwrap().to_string(), "f0880319cbbda6bfd2a27591bd8d0684");

            let (task, _) = later.known().unwrap();
            assert_eq!((task.status, task.max_attempts, task.group.as_deref()), (Status::Scheduled, Some(3), Some("g")));
            assert!(task.run_after.is_some() && task.expires.is_some() && task.callback_url.as_deref() == Some("https://example.com/done"));

            let (task, _) = refused.known().unwrap();
            assert_eq!((task.status, task.errors[0].exception_class_path.as_str()), (Status::Failed, "errand.rejected"));
        }
    }

    #[test]
    fn a_record_is_in_the_same_part_in_every_build() {
        assert_eq!(["", "order-7", "0198f0a1-7c1e-7b6e-9d6f-2f1d3c4b5a69"].map(shard), [3, 7, 2]);
    }
}
