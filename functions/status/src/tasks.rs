//! Tells how tasks stand, moves them and cancels them.

use std::time::Duration;

use errand_api::{ProblemDocument, Query, Request, Response, json, json_body};
use errand_core::{BODY_LIMIT, Change, Context, Envelope, Fields, Filter, Problems, Status, TaskResult, Timestamp};
use errand_wire::native;
use http::StatusCode;
use serde::Serialize;

use crate::{Operations, page::Page};

/// How long to wait between looks at a task, doubling.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How far a task can be moved whose arguments are in the object store for as long as those of tasks that are due at once.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Serialize)]
struct List {
    tasks: Vec<TaskResult>,
    /// Where to go on: the next call's `cursor`. Null at the end.
    cursor: Option<String>,
}

impl Operations {
    /// Tells how a task stands; with `wait`, when it has ended, or when that many seconds are over.
    pub(crate) async fn task(&self, id: &str, query: &Query) -> Result<Response, ProblemDocument> {
        let until = Timestamp::now() + query.wait()?;
        let mut pause = FIRST_PAUSE;
        loop {
            let (task, now) = (self.find(id).await?, Timestamp::now());
            if task.status.ended() || now >= until {
                return Ok(json(StatusCode::OK, &task));
            }
            tokio::time::sleep(pause.min(until.since(now))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(crate) async fn tasks(&self, query: &Query) -> Result<Response, ProblemDocument> {
        let page = self.store.list(&filter(query)?).await?;
        Ok(json(StatusCode::OK, &List { tasks: page.results, cursor: page.cursor }))
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Response, ProblemDocument> {
        let cancelled = changed(self.store.cancel(id, Timestamp::now()).await?, "cancelled")?;
        self.withdraw(&cancelled.id, cancelled.run_after).await;
        self.call_back(&cancelled).await?;
        Ok(json(StatusCode::OK, &cancelled))
    }

    /// Moves a task to another time. A message for that time is sent first: whatever fails after it, the task is run at one of both times, once.
    pub(crate) async fn reschedule(&self, id: &str, request: &Request) -> Result<Response, ProblemDocument> {
        let now = Timestamp::now();
        let run_after = new_time(json_body(request, BODY_LIMIT)?, now).map_err(ProblemDocument::of_body)?;
        let (task, header) = self.store.get(id).await?.ok_or_else(unknown)?;
        if task.status.ended() || (task.status == Status::Running && header.handed_on.is_some()) {
            return Err(refused(&task, "moved"));
        }
        let mut envelope = header.envelope(&task).ok_or_else(|| {
            ProblemDocument::new(
                StatusCode::CONFLICT,
                "the task's arguments are not kept, since they are large: cancel it and send it again",
            )
        })?;
        let leaves_its_arguments = envelope.claim_check.as_ref().is_some_and(|key| key.starts_with("soon/")) && run_after.since(now) > SOON;
        if leaves_its_arguments || envelope.expires.is_some_and(|expires| expires <= run_after) {
            return Err(ProblemDocument::new(
                StatusCode::CONFLICT,
                "the task, or its arguments in the object store, expire before that time",
            ));
        }
        envelope.run_after = Some(run_after);
        let sent = self.dispatch.publish(&mut envelope, now).await;
        sent.map_err(|error| ProblemDocument::not_sent(&error, envelope.backend.as_deref()))?;
        let moved = changed(self.store.reschedule(id, run_after, now).await?, "moved")?;
        if task.run_after != Some(run_after) {
            self.withdraw(id, task.run_after).await;
        }
        Ok(json(StatusCode::OK, &moved))
    }

    /// Sends the result of a task that has ended to where its caller wants to have it, and sees to what its sender wants to follow.
    pub(crate) async fn call_back(&self, task: &TaskResult) -> Result<(), ProblemDocument> {
        let Some((_, header)) = self.store.get(&task.id).await? else { return Ok(()) };
        if let Some(url) = &task.callback_url {
            self.dispatch.publish(&mut task.callback(url), Timestamp::now()).await?;
        }
        // What its sender wants to follow is a consumer's work: a message of the same id comes to one, which finds the task ended.
        if let Some(context) = header.context.raw().map(Context::of).filter(|context| context.follow_ups) {
            let mut message = Envelope { context, ..Envelope::new(task.id.clone(), task.task.clone()) };
            self.dispatch.publish(&mut message, Timestamp::now()).await?;
        }
        Ok(())
    }

    async fn find(&self, id: &str) -> Result<TaskResult, ProblemDocument> {
        self.store.get(id).await?.map(|(task, _)| task).ok_or_else(unknown)
    }

    /// Takes back what waits outside of a queue. It does no harm if it comes.
    async fn withdraw(&self, id: &str, run_after: Option<Timestamp>) {
        if let Some(run_after) = run_after
            && let Err(error) = self.dispatch.withdraw(id, run_after).await
        {
            tracing::warn!(id, %error, "a schedule stays: what it brings will be dropped");
        }
    }
}

fn filter(query: &Query) -> Result<Filter, ProblemDocument> {
    let status = |value: &str| value.parse().map_err(|_| format!("expected one of {}", Status::ALL.map(Status::as_str).join(", ")));
    let Page { limit, cursor } = Page::of(query)?;
    Ok(Filter {
        status: query.parsed("status", status)?,
        task: query.text("task")?,
        queue: query.text("queue")?,
        user: query.text("user")?,
        notification_id: query.text("notification")?,
        since: query.time("since")?,
        until: query.time("until")?,
        limit,
        cursor,
    })
}

/// The body of a move: `run_after`, or `countdown` in seconds.
fn new_time(body: &str, now: Timestamp) -> Result<Timestamp, Problems> {
    let mut fields = Fields::of(body)?.strict();
    let countdown = native::countdown(&mut fields).map(|delay| now + delay);
    let time = if fields.raw("countdown").is_some() { countdown } else { fields.required::<Timestamp>("run_after") };
    if time.is_some_and(|time| time.since(now) > native::LONGEST_DELAY) {
        fields.refuse("run_after", "expected a time within 366 days from now");
    }
    fields.finish(time)
}

fn changed(change: Change, what: &str) -> Result<TaskResult, ProblemDocument> {
    match change {
        Change::Changed(task) => Ok(task),
        Change::Refused(task) => Err(refused(&task, what)),
        Change::Unknown => Err(unknown()),
    }
}

fn refused(task: &TaskResult, what: &str) -> ProblemDocument {
    ProblemDocument::new(StatusCode::CONFLICT, &format!("the task is {}: only one that waits can be {what}", task.status))
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "no task with this id is known")
}
