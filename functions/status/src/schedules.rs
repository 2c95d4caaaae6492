//! Schedules: what is run again and again.

use std::{sync::Arc, time::Duration};

use errand_api::{ProblemDocument, Query, Request, Response, json, json_body, located};
use errand_core::{
    BODY_LIMIT, DynSchedules, Envelope, Fields, Json, Payloads, Problems, Recurrence, Schedule, Status, StorageError, TaskResult,
    Timestamp, json, limits,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use serde::Serialize;

use crate::{Operations, page::Page};

/// How many of the last times are looked up for a run: EventBridge Scheduler may not have come to the last one yet.
const LOOKS: usize = 2;

/// Schedules whose runs are looked up together.
const CONCURRENCY: usize = 16;

/// The last run that was due and of which there is a record.
#[derive(Serialize)]
struct LastRun {
    /// The id of its task.
    id: String,
    /// When it was due.
    at: Timestamp,
    status: Status,
}

#[derive(Serialize)]
struct List {
    schedules: Vec<Json>,
    /// Where to go on: the next call's `cursor`. Null at the end.
    cursor: Option<String>,
}

impl Operations {
    pub(crate) async fn create_schedule(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let schedule = self.read(json_body(request, BODY_LIMIT)?).map_err(ProblemDocument::of_body)?;
        let schedules = self.schedules()?;
        if schedules.create(&schedule).await? {
            return Ok(located(json(StatusCode::CREATED, &self.told(schedule.clone()).await?), "/v1/schedules/", &schedule.name));
        }
        // The same call again is no mistake: an answer may have been lost.
        match schedules.get(&schedule.name).await? {
            Some(known) if said(&known).end() == said(&schedule).end() => Ok(json(StatusCode::OK, &self.told(known).await?)),
            _ => Err(ProblemDocument::new(StatusCode::CONFLICT, "there is another schedule of this name: PATCH changes it")),
        }
    }

    pub(crate) async fn schedule(&self, name: &str) -> Result<Response, ProblemDocument> {
        let schedule = self.find_schedule(name).await?;
        Ok(json(StatusCode::OK, &self.told(schedule).await?))
    }

    pub(crate) async fn list_schedules(&self, query: &Query) -> Result<Response, ProblemDocument> {
        let Page { limit, cursor } = Page::of(query)?;
        let (schedules, cursor) = self.schedules()?.list(limit, cursor.as_deref()).await?;
        let told = stream::iter(schedules).map(|schedule| self.told(schedule)).buffered(CONCURRENCY);
        Ok(json(StatusCode::OK, &List { schedules: told.try_collect().await?, cursor }))
    }

    /// Changes what a schedule says, by a JSON merge patch (RFC 7396) of its fields. It stays paused if it is, and a rate keeps its pace if it stays the same.
    pub(crate) async fn change_schedule(&self, name: &str, request: &Request) -> Result<Response, ProblemDocument> {
        let patch = json_body(request, BODY_LIMIT)?;
        let known = self.find_schedule(name).await?;
        let changed = patched(&known, patch).and_then(|body| self.read(&body)).map_err(ProblemDocument::of_body)?;
        let since = if changed.recurrence == known.recurrence { known.since } else { changed.since };
        self.update(Schedule { since, ..changed }).await
    }

    pub(crate) async fn delete_schedule(&self, name: &str) -> Result<Response, ProblemDocument> {
        let schedule = self.find_schedule(name).await?;
        let told = self.told(schedule).await?;
        if self.schedules()?.delete(name).await? { Ok(json(StatusCode::OK, &told)) } else { Err(unknown()) }
    }

    pub(crate) async fn pause_schedule(&self, name: &str, paused: bool) -> Result<Response, ProblemDocument> {
        let schedule = self.find_schedule(name).await?;
        self.update(Schedule { paused, ..schedule }).await
    }

    /// Sends what a schedule runs, now. The time in its id has milliseconds, so that it is none of those that are due.
    pub(crate) async fn run_schedule(&self, name: &str) -> Result<Response, ProblemDocument> {
        let (schedule, now) = (self.find_schedule(name).await?, Timestamp::now());
        let mut envelope = Envelope { id: schedule.run_id_of(&now.to_string()), ..schedule.envelope };
        let sent = self.dispatch.publish(&mut envelope, now).await;
        let backend = sent.map_err(|error| ProblemDocument::not_sent(&error, envelope.backend.as_deref()))?;
        if let Err(error) = self.store.register(&envelope, Status::Ready, backend, now).await {
            tracing::error!(id = envelope.id, %error, "sent, and not noted: the store does not answer");
        }
        let task = TaskResult::new(&envelope, Status::Ready, backend, now);
        Ok(located(json(StatusCode::ACCEPTED, &task), "/v1/tasks/", &task.id))
    }

    async fn find_schedule(&self, name: &str) -> Result<Schedule, ProblemDocument> {
        self.schedules()?.get(name).await?.ok_or_else(unknown)
    }

    async fn update(&self, schedule: Schedule) -> Result<Response, ProblemDocument> {
        if self.schedules()?.update(&schedule).await? { Ok(json(StatusCode::OK, &self.told(schedule).await?)) } else { Err(unknown()) }
    }

    /// A schedule as its caller wrote it, and how it goes: when it runs next, which is null while it is paused, and its last run.
    async fn told(&self, schedule: Schedule) -> Result<Json, StorageError> {
        let now = Timestamp::now();
        let next_run = errand_calendar::next(&schedule, now).filter(|_| !schedule.paused);
        let mut told = said(&schedule);
        told.field("next_run", Json::of(&next_run).get());
        told.field("last_run", Json::of(&self.last_run(&schedule, now).await?).get());
        Ok(told.raw().map(Json::from).unwrap_or_default())
    }

    async fn last_run(&self, schedule: &Schedule, now: Timestamp) -> Result<Option<LastRun>, StorageError> {
        let before = |at: &Timestamp| errand_calendar::last(schedule, *at - Duration::from_millis(1));
        for at in std::iter::successors(errand_calendar::last(schedule, now), before).take(LOOKS) {
            let id = schedule.run_id(at);
            if let Some((TaskResult { status, .. }, _)) = self.store.get(&id).await? {
                return Ok(Some(LastRun { id, at, status }));
            }
        }
        Ok(None)
    }

    /// Reads the body of a call; each run goes where a task of its own would go.
    fn read(&self, body: &str) -> Result<Schedule, Problems> {
        let mut schedule = read(body, &self.payloads)?;
        self.payloads.choose(&mut schedule.envelope);
        Ok(schedule)
    }

    fn schedules(&self) -> Result<&Arc<dyn DynSchedules>, ProblemDocument> {
        let detail = "there are no schedules here: the operator sets ERRAND_QUEUE_ARN and ERRAND_SCHEDULER_ROLE_ARN";
        self.schedules.as_ref().ok_or_else(|| ProblemDocument::new(StatusCode::NOT_IMPLEMENTED, detail))
    }
}

/// Reads the body of a call: a schedule's fields, and those of the envelope that each run is.
fn read(body: &str, payloads: &Payloads) -> Result<Schedule, Problems> {
    errand_wire::check_body(body, BODY_LIMIT)?;
    let mut fields = Fields::of(body)?.strict();
    let name = fields.required_text("name", limits::schedule).unwrap_or_default();
    let recurrence = recurrence(&mut fields);
    let timezone = timezone(&mut fields);
    let paused = fields.optional::<bool>("paused").unwrap_or_default();
    for other in ["id", "run_after", "countdown", "expires", "claim_check", "fingerprint"] {
        if fields.has(other) {
            fields.refuse(other, "is not for schedules: each run has an id and a time of its own");
        }
    }
    let envelope = errand_wire::native::read(&mut fields, || name.clone());
    if let Some(envelope) = &envelope {
        errand_wire::native::refuse_follow_ups(&mut fields, envelope);
        payloads.check_call(&mut fields, envelope);
    }
    let since = Timestamp::from_millis(Timestamp::now().seconds() * 1000);
    let schedule = recurrence.zip(envelope).map(|(recurrence, envelope)| Schedule { name, recurrence, timezone, since, paused, envelope });
    fields.finish(schedule)
}

fn recurrence(fields: &mut Fields<'_>) -> Option<Recurrence> {
    match (fields.optional::<String>("cron"), fields.optional::<String>("rate")) {
        (Some(cron), None) => cron.parse().map(Recurrence::Cron).map_err(|expected: &str| fields.refuse("cron", expected)).ok(),
        (None, Some(rate)) => rate.parse().map(Recurrence::Rate).map_err(|expected: &str| fields.refuse("rate", expected)).ok(),
        _ => {
            fields.refuse("cron", "expected either cron, such as 0 9 * * mon-fri, or rate, such as 5 minutes");
            None
        }
    }
}

fn timezone(fields: &mut Fields<'_>) -> String {
    let Some(name) = fields.optional::<String>("timezone") else { return "UTC".to_owned() };
    let known = errand_calendar::timezone(&name);
    if known.is_none() {
        fields.refuse("timezone", "expected a time zone that the IANA names, such as Europe/Berlin");
    }
    known.unwrap_or_default()
}

/// A schedule's fields with a merge patch applied. Of `cron` and `rate`, what is given takes the place of the other. A field that is taken away stays as
/// null, so that a name that is none is told.
fn patched(schedule: &Schedule, patch: &str) -> Result<String, Problems> {
    let mut changes = Fields::of(patch)?;
    if changes.optional::<String>("name").is_some_and(|name| name != schedule.name) {
        changes.refuse("name", "stays: a schedule of another name is another schedule");
    }
    let mut said = said(schedule).end();
    for (given, other) in [("cron", "rate"), ("rate", "cron")] {
        if changes.raw(given).is_some() {
            said = json::merge(&said, &format!(r#"{{"{other}":null}}"#))?;
        }
    }
    changes.finish(Some(()))?;
    let merged = json::merge(&said, patch.trim())?;
    let mut patched = json::Object::new();
    let taken = Fields::of(patch)?.into_entries().into_iter().filter(|(_, value)| value.get() == "null");
    Fields::of(&merged)?.into_entries().into_iter().chain(taken).for_each(|(name, value)| patched.field(&name, value.get()));
    Ok(patched.end())
}

/// A schedule as its caller wrote it.
fn said(schedule: &Schedule) -> json::Object {
    let mut said = json::Object::new();
    said.field("name", &json::text(&schedule.name));
    match &schedule.recurrence {
        Recurrence::Cron(cron) => said.field("cron", &json::text(&cron.to_string())),
        Recurrence::Rate(rate) => said.field("rate", &json::text(&rate.to_string())),
    }
    said.field("timezone", &json::text(&schedule.timezone));
    said.field("paused", if schedule.paused { "true" } else { "false" });
    let envelope = errand_wire::encode(&schedule.envelope);
    let fields = Fields::of(&envelope).map(Fields::into_entries).unwrap_or_default();
    fields.iter().filter(|(name, _)| name != "id").for_each(|(name, json)| said.field(name, json.get()));
    said
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "there is no schedule of this name")
}
