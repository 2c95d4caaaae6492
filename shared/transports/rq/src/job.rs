use std::borrow::Cow;

use errand_core::{DEFAULT_QUEUE, Digest, Envelope, PublishError, Timestamp};
use errand_redis::redis::{Cmd, cmd};

use errand_wire::{Format, django_notifs};
use serde_json::value::RawValue;

use crate::options::{Options, Retry, is_path};

/// Writes a job and puts it on its queue, or among those that wait for their time; at once, so that no worker sees one without the other. One that is there and
/// has not ended stays as it is, so that the same can be asked for twice.
///
/// Keys: the job, all queues, its queue, those that wait for their time, those that failed. Arguments: id, when, where on the queue, lifetime, fields.
const ENQUEUE: &str = r"
local status = redis.call('HGET', KEYS[1], 'status')
if status and status ~= 'failed' and status ~= 'stopped' and status ~= 'canceled' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
if ARGV[4] ~= '' then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
redis.call('SADD', KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[5], ARGV[1])
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1]) else redis.call(ARGV[3], KEYS[3], ARGV[1]) end
return 1
";

/// How long a job may run, in seconds, where the options do not say: RQ's own default. <https://python-rq.org/docs/#enqueueing-jobs>
const TIMEOUT: i64 = 180;

/// The fields that RQ writes empty.
const EMPTY: [&str; 8] = [
    "success_callback_name",
    "failure_callback_name",
    "stopped_callback_name",
    "started_at",
    "ended_at",
    "last_heartbeat",
    "worker_name",
    "group_id",
];

/// The id that an envelope's job has: its own, or one that is made of it, where RQ takes no such id.
pub(crate) fn job_id(id: &str) -> Cow<'_, str> {
    let is_right = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_right { Cow::Borrowed(id) } else { Cow::Owned(format!("errand-{}", Digest::of(id.as_bytes()).short())) }
}

/// The name of the job in Redis.
pub(crate) fn key(job_id: &str) -> String {
    format!("rq:job:{job_id}")
}

/// What puts an envelope's job on its queue; after `now` where the envelope says so.
///
/// # Errors
/// No job can be made of it.
pub(crate) fn enqueue(envelope: &Envelope, options: &Options, now: Timestamp, limit: usize) -> Result<Cmd, PublishError> {
    let data = match &options.format {
        Format::DjangoNotifs(told) => data(&django_notifs::call(envelope, django_notifs::RQ_FUNCTION, told)?, None),
        _ => data(envelope, options.module.as_deref()),
    }?;
    if data.len() > limit {
        return Err(PublishError::TooLarge { limit });
    }
    let queue = envelope.destination.as_deref().unwrap_or(DEFAULT_QUEUE);
    let id = job_id(&envelope.id);
    let due = envelope.run_after.filter(|due| *due > now);
    let lifetime = envelope.expires.map(|expires| expires.since(now).as_secs().max(1));
    let mut enqueue = cmd("EVAL");
    enqueue.arg(ENQUEUE).arg(5).arg(key(&id)).arg("rq:queues").arg(format!("rq:queue:{queue}"));
    enqueue.arg(format!("rq:scheduled:{queue}")).arg(format!("rq:failed:{queue}")).arg(&*id);
    // To the second, as RQ writes it, and not before it is due.
    enqueue.arg(due.map(|due| (due.millis() + 999).div_euclid(1000)).map_or_else(String::new, |due| due.to_string()));
    enqueue.arg(if options.at_front { "LPUSH" } else { "RPUSH" }).arg(lifetime.map_or_else(String::new, |seconds| seconds.to_string()));
    for name in EMPTY {
        enqueue.arg(name).arg("");
    }
    let mut say = |name: &str, value: String| {
        enqueue.arg(name).arg(value);
    };
    say("data", data);
    say("origin", queue.to_owned());
    // RQ's own holds the arguments, and is logged by its workers.
    say("description", envelope.task.clone());
    say("created_at", time(now));
    match due {
        Some(_) => say("status", "scheduled".to_owned()),
        None => {
            say("enqueued_at", time(now));
            say("status", "queued".to_owned());
        }
    }
    say("timeout", options.job_timeout.unwrap_or(TIMEOUT).to_string());
    let numbers = [
        ("result_ttl", options.result_ttl()),
        ("failure_ttl", options.failure_ttl),
        ("ttl", lifetime.and_then(|seconds| seconds.try_into().ok())),
    ];
    for (name, value) in numbers {
        value.into_iter().for_each(|value| say(name, value.to_string()));
    }
    let retries = envelope.max_attempts.map(|attempts| attempts.saturating_sub(1)).or(options.retry.as_ref().map(|retry| retry.max));
    if let Some(retries) = retries.filter(|retries| *retries > 0) {
        say("retries_left", retries.to_string());
        if let Some(intervals) = options.retry.as_ref().and_then(Retry::intervals) {
            say("retry_intervals", intervals);
        }
    }
    Ok(enqueue)
}

/// A job's function with its arguments, as RQ's `JSONSerializer` has them: `[function, instance, args, kwargs]`. RQ compresses them, and takes them as they are.
fn data(envelope: &Envelope, module: Option<&str>) -> Result<String, PublishError> {
    let Envelope { task, args, kwargs, .. } = envelope;
    let function = match module {
        Some(module) if !task.contains('.') => Cow::Owned(format!("{module}.{task}")),
        _ => Cow::Borrowed(task.as_str()),
    };
    if !is_path(&function) || !function.contains('.') {
        return Err(PublishError::Refused("a task for RQ is the dotted path of a function, such as shop.tasks.ship".to_owned()));
    }
    if envelope.context.bulk {
        return Err(PublishError::Refused("a bulk is no job of RQ: send each of its payloads as a task".to_owned()));
    }
    let args = args.as_deref().map_or("[]", RawValue::get);
    let kwargs = kwargs.as_deref().map_or("{}", RawValue::get);
    Ok(format!(r#"["{function}",null,{args},{kwargs}]"#))
}

/// A time as RQ reads it: six digits of a second, and `Z`. Any other form ends its worker.
fn time(at: Timestamp) -> String {
    at.to_string().replace('Z', "000Z")
}
