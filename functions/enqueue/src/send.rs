//! Hands envelopes over, notes them and answers.

use std::time::Duration;

use errand_api::{ProblemDocument, Request, Response, json, json_body, located};
use errand_core::{
    BODY_LIMIT, Claim, Envelope, Fields, FollowUp, HandedOn, Json, OBJECT_LIMIT, Outcome, PublishError, Published, Record, Status, Taken,
    TaskError, TaskResult, Timestamp,
};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    Enqueue,
    call::{Asked, Call},
};

/// The most tasks of one call.
pub(crate) const MOST: usize = 1_000;

/// Tasks that are noted together.
const CONCURRENCY: usize = 50;

/// A batch whose body is larger, in bytes, is answered without arguments: the answer of a function is 6 MB at most, with every quote escaped.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ECHO_LIMIT: usize = 1024 * 1024;

/// How long a hand-over is this function's: until it is noted how the task stands by that.
const LEASE: Duration = Duration::from_secs(60);

/// What became of one of many.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Task(Box<Sent>),
    Problem(ProblemDocument),
}

impl From<Result<Sent, ProblemDocument>> for Answer {
    fn from(sent: Result<Sent, ProblemDocument>) -> Self {
        match sent {
            Ok(task) => Self::Task(Box::new(task)),
            Err(problem) => Self::Problem(problem),
        }
    }
}

/// A task that is on its way, or that was known already.
#[derive(Serialize)]
pub(crate) struct Sent {
    #[serde(flatten)]
    task: TaskResult,
    /// Whether the same was sent before, under the same id: this is how it stands.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    idempotent_replayed: bool,
    /// Whether it was run before the call is answered.
    #[serde(skip)]
    ran: bool,
    /// The call that runs it again, where it was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<Replay>,
}

#[derive(Serialize)]
struct Replay {
    method: &'static str,
    path: &'static str,
    body: Ids,
}

#[derive(Serialize)]
struct Ids {
    ids: [String; 1],
}

impl Sent {
    fn now(task: TaskResult) -> Self {
        Self { task, idempotent_replayed: false, ran: false, replay: None }
    }

    fn before(task: TaskResult) -> Self {
        let replay = (task.status == Status::Failed).then(|| Replay {
            method: "POST",
            path: "/v1/dead-letters/replay",
            body: Ids { ids: [task.id.clone()] },
        });
        Self { task, idempotent_replayed: true, ran: false, replay }
    }

    /// Without arguments, which the caller has.
    fn without_arguments(self) -> Self {
        Self { task: TaskResult { args: Json::default(), kwargs: Json::default(), ..self.task }, ..self }
    }
}

/// What is to be done about an envelope.
enum Plan {
    /// Send it. What is noted of it already stands beside it, where it has an id that can come again.
    Send(Box<(Envelope, Option<Noted>)>),
    Answer(Box<Result<Sent, ProblemDocument>>),
}

impl Plan {
    fn send(envelope: Envelope, noted: Option<Noted>) -> Self {
        Self::Send(Box::new((envelope, noted)))
    }

    fn answer(answer: Result<Sent, ProblemDocument>) -> Self {
        Self::Answer(Box::new(answer))
    }
}

/// Who has an envelope, and whose workers are asked how it ends.
type Handed<'a> = (Taken<'a>, Option<HandedOn>);

/// What is noted of an envelope before it is sent.
struct Noted {
    /// How it stands; nothing where it was not known before this call.
    known: Option<TaskResult>,
    /// Whether the record says that it was not sent.
    unsent: bool,
}

impl Enqueue {
    pub(crate) async fn one(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        self.one_of(call.task(json_body(request, self.body_limit())?, 0)?, call).await
    }

    /// Sends an envelope and answers for it.
    pub(crate) async fn one_of(&self, asked: Asked, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        match self.send(vec![asked], call.now).await.pop() {
            Some(sent) => sent.map(|sent| {
                let status = if sent.ran && sent.task.status.ended() { StatusCode::OK } else { StatusCode::ACCEPTED };
                let response = located(json(status, &sent), "/v1/tasks/", &sent.task.id);
                if sent.idempotent_replayed { errand_api::replayed(response) } else { response }
            }),
            None => Err(PublishError::OutcomeUnknown("the transport did not answer".to_owned()).into()),
        }
    }

    /// Sends what is good of a batch, and answers for each task, in their order.
    pub(crate) async fn batch(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        let body = json_body(request, OBJECT_LIMIT)?;
        let read = |(place, task): (usize, &RawValue)| (task.get().len(), call.task(task.get(), place));
        Ok(self.answer_each(tasks(body)?.into_iter().enumerate().map(read).collect(), body.len(), call).await)
    }

    /// Sends the good ones of what a body of so many bytes holds, each with its own size, and answers for each.
    pub(crate) async fn answer_each(&self, read: Vec<(usize, Result<Asked, ProblemDocument>)>, size: usize, call: &Call<'_>) -> Response {
        #[derive(Serialize)]
        struct Told<'a> {
            tasks: &'a [Answer],
        }
        let mut answers = Vec::new();
        let (mut places, mut all) = (Vec::new(), Vec::new());
        for (place, (size, asked)) in read.into_iter().enumerate() {
            answers.push(None);
            match asked {
                Ok(_) if size > self.body_limit() => {
                    answers[place] = Some(Answer::Problem(PublishError::TooLarge { limit: self.body_limit() }.into()));
                }
                Ok(asked) => {
                    places.push(place);
                    all.push(asked);
                }
                Err(problem) => answers[place] = Some(Answer::Problem(problem)),
            }
        }
        for (place, sent) in places.into_iter().zip(self.send(all, call.now).await) {
            answers[place] = Some(if size > ECHO_LIMIT { sent.map(Sent::without_arguments).into() } else { sent.into() });
        }
        let tasks: Vec<Answer> = answers.into_iter().flatten().collect();
        answer_all(&tasks, &Told { tasks: &tasks })
    }

    /// Hands envelopes over and notes them; answers in their order.
    pub(crate) async fn send(&self, asked: Vec<Asked>, now: Timestamp) -> Vec<Result<Sent, ProblemDocument>> {
        let plans: Vec<_> = asked.into_iter().map(|asked| self.plan(asked, now)).collect();
        let plans = all(plans).await;
        let (mut answers, mut envelopes, mut noted) = (Vec::new(), Vec::new(), Vec::new());
        for plan in plans {
            match plan {
                Plan::Answer(answer) => answers.push(Some(*answer)),
                Plan::Send(planned) => {
                    let (envelope, before) = *planned;
                    answers.push(None);
                    envelopes.push(envelope);
                    noted.push(before);
                }
            }
        }
        let sent = self.hand_over(envelopes, now).await;
        let ends: Vec<_> = sent.into_iter().zip(noted).map(|((envelope, sent), noted)| self.note(envelope, sent, noted, now)).collect();
        let mut ends = all(ends).await.into_iter();
        answers.into_iter().filter_map(|answer| answer.or_else(|| ends.next())).collect()
    }

    /// Hands envelopes over; answers each with who has it, and whose workers are asked how it ends. That question is on its way before, so that somebody asks whatever
    /// fails after it; where there was nothing to ask about, it ends by itself.
    async fn hand_over(&self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<(Envelope, Result<Handed<'_>, PublishError>)> {
        let handed_on = |envelope: &Envelope| if self.store.is_some() { self.dispatch.handed_on(envelope, now) } else { None };
        let handed_on: Vec<Option<HandedOn>> = envelopes.iter().map(handed_on).collect();
        if handed_on.iter().all(Option::is_none) {
            let sent = self.dispatch.publish_all(envelopes, now).await.into_iter();
            return sent.map(|(envelope, sent)| (envelope, sent.map(|taken| (taken, None)))).collect();
        }
        let question = |(envelope, handed_on): (&Envelope, &Option<HandedOn>)| {
            let follow_up = FollowUp { id: envelope.id.clone(), attempt: 1, handed_on: handed_on.clone()? };
            Some(follow_up.message(envelope))
        };
        let questions: Vec<Envelope> = envelopes.iter().zip(&handed_on).filter_map(question).collect();
        let mut asked = self.dispatch.requeue(&questions).await.into_iter();
        let (mut answers, mut places, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (envelope, handed_on)) in envelopes.into_iter().zip(handed_on).enumerate() {
            answers.push(None);
            match handed_on.as_ref().and_then(|_| asked.next()) {
                Some(Err(error)) => {
                    let error = PublishError::Unavailable(format!("its follow-up was not sent: {error}"));
                    answers[place] = Some((envelope, Err(error)));
                }
                Some(Ok(_)) | None => {
                    places.push((place, handed_on));
                    rest.push(envelope);
                }
            }
        }
        for ((place, handed_on), (envelope, sent)) in places.into_iter().zip(self.dispatch.publish_all(rest, now).await) {
            answers[place] = Some((envelope, sent.map(|taken| (taken, handed_on))));
        }
        answers.into_iter().flatten().collect()
    }

    /// Notes an envelope whose id can come again before it is sent; what came before under it decides whether it is.
    async fn plan(&self, Asked { mut envelope, named }: Asked, now: Timestamp) -> Plan {
        self.payloads.choose(&mut envelope);
        let Some(store) = &self.store else { return Plan::send(envelope, None) };
        envelope.fingerprint = Some(envelope.content());
        if !named {
            return Plan::send(envelope, None);
        }
        let backend = match self.dispatch.route(&envelope, now) {
            Ok(backend) => backend,
            Err(error) => return Plan::answer(Err(ProblemDocument::not_sent(&error, envelope.backend.as_deref()))),
        };
        match store.register(&envelope, waiting(&envelope, now), backend, now).await {
            Ok(None) => Plan::send(envelope, Some(Noted { known: None, unsent: false })),
            Ok(Some((task, header))) if !header.is_of(envelope.content()) => Plan::answer(Err(taken(&task))),
            // Its message may be lost. One that was attempted waits for its next attempt, has ended, or is under way.
            Ok(Some((task, header))) if task.attempts == 0 && !task.status.ended() => {
                Plan::send(header.again(&task, envelope), Some(Noted { known: Some(task), unsent: header.unsent }))
            }
            Ok(Some((task, _))) => Plan::answer(Ok(Sent::before(task))),
            Err(error) => Plan::answer(Err(error.into())),
        }
    }

    /// Notes how sending went, and answers. What is on its way is, whether or not that can be noted.
    async fn note(
        &self,
        envelope: Envelope,
        sent: Result<Handed<'_>, PublishError>,
        noted: Option<Noted>,
        now: Timestamp,
    ) -> Result<Sent, ProblemDocument> {
        let status = waiting(&envelope, now);
        if let (Some(store), Ok((Taken { by, ran: true, .. }, _))) = (&self.store, &sent) {
            // Who ran it has noted how it ended: what is known of its id is the answer.
            let known = store.register(&envelope, status, by, now).await?;
            let lost = || PublishError::OutcomeUnknown("inline: its record is gone".to_owned());
            return known.map(|(task, _)| Sent { ran: true, ..Sent::now(task) }).ok_or_else(|| lost().into());
        }
        let sent = sent.map(|(Taken { by, elsewhere, .. }, handed_on)| (by, elsewhere.map(|published| outcome(&published, handed_on))));
        let told = match (&self.store, &sent, &noted) {
            (None, ..) | (_, Err(_), None) => Ok(()),
            (Some(store), Ok((backend, Some(outcome))), _) => store.handed_over(&claim(&envelope, backend, now), outcome).await.map(drop),
            (Some(store), Ok((backend, None)), None) => store.register(&envelope, status, backend, now).await.map(drop),
            (Some(store), Ok(_), Some(noted)) if noted.unsent || envelope.claim_check.is_some() => store.sent(&envelope, None).await,
            (Some(_), Ok(_), Some(_)) => Ok(()),
            // Of one that was sent before, a message may be on its way, as of one of which nobody knows.
            (Some(store), Err(error), Some(Noted { known: None, .. })) if !matches!(error, PublishError::OutcomeUnknown(_)) => {
                store.sent(&envelope, Some(&TaskError::new("errand.not_sent", &error.to_string()))).await
            }
            (Some(_), Err(_), Some(_)) => Ok(()),
        };
        if let Err(error) = told {
            tracing::error!(id = envelope.id, sent = sent.is_ok(), %error, "not noted: the store does not answer");
        }
        let (backend, outcome) = match sent {
            Ok(sent) => sent,
            Err(error) => return Err(ProblemDocument::not_sent(&error, self.dispatch.elsewhere_at_once(&envelope, now))),
        };
        let known = noted.and_then(|noted| noted.known);
        let before = known.is_some();
        let mut task = known.unwrap_or_else(|| TaskResult::new(&envelope, status, backend, now));
        if let Some(outcome) = outcome {
            let mut record = Record { result: task, ..Record::new(&envelope, status, backend, now) };
            record.at_once(&claim(&envelope, backend, now), &outcome);
            task = record.result;
        }
        Ok(if before { Sent::before(task) } else { Sent::now(task) })
    }

    /// The largest task that is accepted, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        if self.dispatch.has_objects() { OBJECT_LIMIT } else { BODY_LIMIT }
    }
}

/// Does all of this, several at once; answers in its order. Nearly always it is one.
async fn all<F: Future>(mut work: Vec<F>) -> Vec<F::Output> {
    match work.pop() {
        Some(only) if work.is_empty() => vec![only.await],
        last => stream::iter(work.into_iter().chain(last)).buffered(CONCURRENCY).collect().await,
    }
}

/// How a task stands that was handed to others.
fn outcome(published: &Published, handed_on: Option<HandedOn>) -> Outcome {
    handed_on.map_or_else(|| Outcome::Succeeded(published.value()), Outcome::HandedOn)
}

/// The attempt that hands an envelope over.
fn claim<'a>(envelope: &'a Envelope, backend: &'a str, now: Timestamp) -> Claim<'a> {
    Claim { envelope, now, lease_until: now + LEASE, worker: "enqueue", token: None, backend }
}

/// How an envelope stands that waits.
fn waiting(envelope: &Envelope, now: Timestamp) -> Status {
    if envelope.delay(now).is_zero() { Status::Ready } else { Status::Scheduled }
}

/// Why a task is not sent whose id is that of another.
fn taken(task: &TaskResult) -> ProblemDocument {
    let detail = format!(
        "nothing was sent: the id {} is that of another task or other arguments, enqueued at {}, and is {}. Send it again as it was, or this under another id",
        task.id, task.enqueued_at, task.status
    );
    ProblemDocument::new(StatusCode::CONFLICT, &detail)
}

/// 202 when all was taken, 207 when some was not: that is not the last word on it where some may yet pass.
pub(crate) fn answer_all(answers: &[Answer], body: &impl Serialize) -> Response {
    let problems = || answers.iter().filter_map(|answer| if let Answer::Problem(problem) = answer { Some(problem) } else { None });
    let response = json(if problems().next().is_none() { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS }, body);
    if problems().any(ProblemDocument::passes) { errand_api::unfinished(response) } else { response }
}

/// The tasks in a batch's body.
fn tasks(body: &str) -> Result<Vec<&RawValue>, ProblemDocument> {
    let read = || {
        let mut fields = Fields::of(body)?.strict();
        let tasks = fields.required::<Vec<&RawValue>>("tasks");
        if tasks.as_ref().is_some_and(|tasks| !(1..=MOST).contains(&tasks.len())) {
            fields.refuse("tasks", format!("expected 1 to {MOST} tasks"));
        }
        fields.finish(tasks)
    };
    read().map_err(ProblemDocument::of_body)
}
