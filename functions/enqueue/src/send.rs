//! Hands envelopes over, notes them and answers.

use errand_api::{ProblemDocument, Request, Response, json, json_body, located};
use errand_core::{BODY_LIMIT, Envelope, Fields, Json, OBJECT_LIMIT, PublishError, Status, TaskResult, Timestamp};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Enqueue, call::Call};

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
    Task(Box<TaskResult>),
    Problem(ProblemDocument),
}

impl From<Result<TaskResult, PublishError>> for Answer {
    fn from(sent: Result<TaskResult, PublishError>) -> Self {
        match sent {
            Ok(task) => Self::Task(Box::new(task)),
            Err(error) => Self::Problem(error.into()),
        }
    }
}

impl Enqueue {
    pub(crate) async fn one(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        self.one_of(call.task(json_body(request, self.body_limit())?, 0)?, call).await
    }

    /// Sends an envelope and answers for it.
    pub(crate) async fn one_of(&self, envelope: Envelope, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        match self.send(vec![envelope], call.now).await.pop() {
            Some(Ok(task)) => Ok(located(json(StatusCode::ACCEPTED, &task), "/v1/tasks/", &task.id)),
            Some(Err(error)) => Err(error.into()),
            None => Err(PublishError::Unavailable("the transport did not answer".to_owned()).into()),
        }
    }

    /// Sends what is good of a batch, and answers for each task, in their order.
    pub(crate) async fn batch(&self, request: &Request, call: &Call<'_>) -> Result<Response, ProblemDocument> {
        let body = json_body(request, OBJECT_LIMIT)?;
        let read = |(place, task): (usize, &RawValue)| (task.get().len(), call.task(task.get(), place));
        Ok(self.answer_each(tasks(body)?.into_iter().enumerate().map(read).collect(), body.len(), call).await)
    }

    /// Sends the good ones of what a body of so many bytes holds, each with its own size, and answers for each.
    pub(crate) async fn answer_each(
        &self,
        read: Vec<(usize, Result<Envelope, ProblemDocument>)>,
        size: usize,
        call: &Call<'_>,
    ) -> Response {
        #[derive(Serialize)]
        struct Told {
            tasks: Vec<Answer>,
        }
        let mut answers = Vec::new();
        let (mut places, mut envelopes) = (Vec::new(), Vec::new());
        for (place, (size, envelope)) in read.into_iter().enumerate() {
            answers.push(None);
            match envelope {
                Ok(_) if size > self.body_limit() => {
                    answers[place] = Some(Answer::Problem(PublishError::TooLarge { limit: self.body_limit() }.into()));
                }
                Ok(envelope) => {
                    places.push(place);
                    envelopes.push(envelope);
                }
                Err(problem) => answers[place] = Some(Answer::Problem(problem)),
            }
        }
        for (place, sent) in places.into_iter().zip(self.send(envelopes, call.now).await) {
            let without_arguments = |task| TaskResult { args: Json::default(), kwargs: Json::default(), ..task };
            answers[place] = Some(if size > ECHO_LIMIT { sent.map(without_arguments).into() } else { sent.into() });
        }
        let tasks: Vec<Answer> = answers.into_iter().flatten().collect();
        json(status(&tasks), &Told { tasks })
    }

    /// Hands envelopes over and notes those that were taken; answers in their order.
    pub(crate) async fn send(&self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<Result<TaskResult, PublishError>> {
        let sent = self.outbox.publish_all(envelopes, now).await;
        let noted: Vec<_> = sent.into_iter().map(|(envelope, sent)| self.note(envelope, sent, now)).collect();
        stream::iter(noted).buffered(CONCURRENCY).collect().await
    }

    /// Notes what is on its way. It is, whether or not that can be noted.
    async fn note(&self, envelope: Envelope, sent: Result<&'static str, PublishError>, now: Timestamp) -> Result<TaskResult, PublishError> {
        let backend = sent?;
        let status = if envelope.delay(now).is_zero() { Status::Ready } else { Status::Scheduled };
        if let Some(store) = &self.store
            && let Err(error) = store.register(&envelope, status, backend, now).await
        {
            tracing::error!(id = envelope.id, %error, "sent, and not noted: the store does not answer");
        }
        Ok(TaskResult::new(&envelope, status, backend, now))
    }

    /// The largest task that is accepted, in bytes.
    pub(crate) fn body_limit(&self) -> usize {
        if self.outbox.objects.is_some() { OBJECT_LIMIT } else { BODY_LIMIT }
    }
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
