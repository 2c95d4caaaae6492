//! Hands envelopes over, notes them and answers.

use errand_api::{ProblemDocument, Request, Response, json, json_body, located};
use errand_core::{BODY_LIMIT, Envelope, Fields, Json, OBJECT_LIMIT, PublishError, Status, TaskError, TaskResult, Timestamp};
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
        Self { task, idempotent_replayed: false, replay: None }
    }

    fn before(task: TaskResult) -> Self {
        let replay = (task.status == Status::Failed).then(|| Replay {
            method: "POST",
            path: "/v1/dead-letters/replay",
            body: Ids { ids: [task.id.clone()] },
        });
        Self { task, idempotent_replayed: true, replay }
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
                let response = located(json(StatusCode::ACCEPTED, &sent), "/v1/tasks/", &sent.task.id);
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
        struct Told {
            tasks: Vec<Answer>,
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
        json(status(&tasks), &Told { tasks })
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
        let sent = self.dispatch.publish_all(envelopes, now).await;
        let ends: Vec<_> = sent.into_iter().zip(noted).map(|((envelope, sent), noted)| self.note(envelope, sent, noted, now)).collect();
        let mut ends = all(ends).await.into_iter();
        answers.into_iter().filter_map(|answer| answer.or_else(|| ends.next())).collect()
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
            Err(error) => return Plan::answer(Err(error.into())),
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
        sent: Result<&str, PublishError>,
        noted: Option<Noted>,
        now: Timestamp,
    ) -> Result<Sent, ProblemDocument> {
        let status = waiting(&envelope, now);
        let told = match (&self.store, &sent, &noted) {
            (None, ..) | (_, Err(_), None) => Ok(()),
            (Some(store), Ok(backend), None) => store.register(&envelope, status, backend, now).await.map(drop),
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
        let backend = sent?;
        Ok(match noted.and_then(|noted| noted.known) {
            Some(task) => Sent::before(task),
            None => Sent::now(TaskResult::new(&envelope, status, backend, now)),
        })
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

/// 202 when all was taken, 207 when some was not.
pub(crate) fn status(answers: &[Answer]) -> StatusCode {
    if answers.iter().all(|answer| matches!(answer, Answer::Task(_))) { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS }
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
