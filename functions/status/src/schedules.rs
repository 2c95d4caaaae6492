//! Schedules: what is run again and again.

use std::sync::Arc;

use errand_api::{ProblemDocument, Request, Response, json, json_body, located};
use errand_core::{BODY_LIMIT, DynSchedules, Fields, Json, Payloads, Problems, Recurrence, Schedule, json, limits};
use http::StatusCode;
use serde::Serialize;

use crate::{Operations, query};

#[derive(Serialize)]
struct List {
    schedules: Vec<Json>,
    /// Where to go on: the next call's `cursor`. Null at the end.
    cursor: Option<String>,
}

impl Operations {
    pub(crate) async fn create_schedule(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let schedule = read(json_body(request, BODY_LIMIT)?, &self.payloads).map_err(ProblemDocument::of_body)?;
        let schedules = self.schedules()?;
        let created = schedules.create(&schedule).await?;
        let told = told(&schedule);
        if !created {
            // The same call again is no mistake: an answer may have been lost.
            return match schedules.get(&schedule.name).await? {
                Some(known) if self::told(&known) == told => Ok(json(StatusCode::OK, &told)),
                _ => Err(ProblemDocument::new(StatusCode::CONFLICT, "there is another schedule of this name: delete it first")),
            };
        }
        Ok(located(json(StatusCode::CREATED, &told), "/v1/schedules/", &schedule.name))
    }

    pub(crate) async fn schedule(&self, name: &str) -> Result<Response, ProblemDocument> {
        let schedule = self.schedules()?.get(name).await?.ok_or_else(unknown)?;
        Ok(json(StatusCode::OK, &told(&schedule)))
    }

    pub(crate) async fn list_schedules(&self, query: &str) -> Result<Response, ProblemDocument> {
        let query::Page { limit, cursor } = query::page(query)?;
        let (schedules, cursor) = self.schedules()?.list(limit, cursor.as_deref()).await?;
        Ok(json(StatusCode::OK, &List { schedules: schedules.iter().map(told).collect(), cursor }))
    }

    pub(crate) async fn delete_schedule(&self, name: &str) -> Result<Response, ProblemDocument> {
        let schedules = self.schedules()?;
        let schedule = schedules.get(name).await?.ok_or_else(unknown)?;
        if schedules.delete(name).await? { Ok(json(StatusCode::OK, &told(&schedule))) } else { Err(unknown()) }
    }

    pub(crate) async fn pause_schedule(&self, name: &str, paused: bool) -> Result<Response, ProblemDocument> {
        if self.schedules()?.pause(name, paused).await? { self.schedule(name).await } else { Err(unknown()) }
    }

    fn schedules(&self) -> Result<&Arc<dyn DynSchedules>, ProblemDocument> {
        let detail = "there are no schedules here: the operator sets ERRAND_QUEUE_ARN and ERRAND_SCHEDULER_ROLE_ARN";
        self.schedules.as_ref().ok_or_else(|| ProblemDocument::new(StatusCode::NOT_IMPLEMENTED, detail))
    }
}

/// Reads the body of a call: a schedule's fields, and those of the envelope that each run is.
fn read(body: &str, payloads: &Payloads) -> Result<Schedule, Problems> {
    errand_wire::check_body(body, BODY_LIMIT)?;
    let mut fields = Fields::of(body)?;
    if fields.raw("name").is_none() {
        fields.refuse("name", "is required");
    }
    let name = fields.text("name", limits::schedule).unwrap_or_default();
    let recurrence = recurrence(&mut fields);
    let timezone = fields.text("timezone", timezone).unwrap_or_else(|| "UTC".to_owned());
    let paused = fields.optional::<bool>("paused").unwrap_or_default();
    for other in ["id", "run_after", "countdown", "expires", "claim_check"] {
        if fields.raw(other).is_some() {
            fields.refuse(other, "is not for schedules: each run has an id and a time of its own");
        }
    }
    let envelope = errand_wire::native::read(&mut fields, || name.clone());
    if let Some(envelope) = &envelope {
        errand_wire::native::refuse_follow_ups(&mut fields, envelope);
        payloads.check_envelope(&mut fields, envelope);
    }
    let schedule = recurrence.zip(envelope).map(|(recurrence, envelope)| Schedule { name, recurrence, timezone, paused, envelope });
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

/// The form of the names that the IANA gives: which of them there are is for what runs the schedule to say.
fn timezone(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    if (1..=50).contains(&text.len()) && text.bytes().all(allowed) { Ok(()) } else { Err("the name of a time zone, such as Europe/Berlin") }
}

/// A schedule as its caller wrote it.
fn told(schedule: &Schedule) -> Json {
    let mut told = json::Object::new();
    told.field("name", &json::text(&schedule.name));
    match &schedule.recurrence {
        Recurrence::Cron(cron) => told.field("cron", &json::text(&cron.to_string())),
        Recurrence::Rate(rate) => told.field("rate", &json::text(&rate.to_string())),
    }
    told.field("timezone", &json::text(&schedule.timezone));
    told.field("paused", if schedule.paused { "true" } else { "false" });
    let envelope = errand_wire::encode(&schedule.envelope);
    let fields = Fields::of(&envelope).map(Fields::into_entries).unwrap_or_default();
    fields.iter().filter(|(name, _)| name != "id").for_each(|(name, json)| told.field(name, json.get()));
    told.raw().map(Json::from).unwrap_or_default()
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "there is no schedule of this name")
}
