//! Checks a task and hands it to a transport: `POST /v1/tasks`, `GET /v1/health`.

mod call;
mod health;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Operation, ProblemDocument, Request, Response, gateway, json, json_body, route};
use errand_core::{DynRegister, DynTransport, Envelope, Environment, Payloads, PublishError, SettingsError, Status, TaskResult, Timestamp};
use http::{HeaderValue, StatusCode, header};
use lambda_runtime::LambdaEvent;

/// The function. Holds no state: any number of calls may run at once.
pub struct Enqueue {
    /// Who may call.
    pub access: Access,
    /// The tasks that may be called.
    pub payloads: Payloads,
    /// Takes what is due soon.
    pub transport: Arc<dyn DynTransport>,
    /// Takes what is due later than `transport` can wait.
    pub scheduler: Option<Arc<dyn DynTransport>>,
    /// Remembers what was sent.
    pub store: Option<Arc<dyn DynRegister>>,
}

impl Enqueue {
    /// The function with all that its settings and this build give it.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let sdk = errand_http::aws::sdk_config(env)?;
        Ok(Self {
            access: Access::from_env(env)?,
            payloads: errand_catalog::payloads(),
            transport: errand_catalog::transport(env, &sdk)?,
            scheduler: errand_catalog::scheduler(env, &sdk)?,
            store: errand_catalog::store(env, &sdk).map(|store| Arc::new(store) as _),
        })
    }

    /// Answers an invocation.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<ApiGatewayV2httpRequest>) -> ApiGatewayV2httpResponse {
        gateway::invoke(event.payload, async |request| self.handle(&request).await).await
    }

    /// Answers a call.
    pub async fn handle(&self, request: &Request) -> Response {
        self.answer(request).await.unwrap_or_else(Response::from)
    }

    async fn answer(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let route = route(request.method(), request.uri().path())?;
        self.access.check(request, route.scope)?;
        match route.operation {
            Operation::Enqueue => self.enqueue(request).await,
            Operation::Health => Ok(self.health().await),
            _ => Err(ProblemDocument::new(StatusCode::NOT_FOUND, "another function answers this path")),
        }
    }

    async fn enqueue(&self, request: &Request) -> Result<Response, ProblemDocument> {
        let now = Timestamp::now();
        let envelope = call::read(json_body(request)?, trace(request), &self.payloads, now)?;
        let transport = self.transport_for(&envelope, now)?;
        match transport.publish(std::slice::from_ref(&envelope)).await.pop() {
            Some(Ok(_)) => Ok(self.accepted(&envelope, transport.name(), now).await),
            Some(Err(error)) => Err(refused(&error)),
            None => Err(refused(&PublishError::Unavailable("the transport did not answer".to_owned()))),
        }
    }

    /// The transport that can keep the envelope until it is due.
    fn transport_for(&self, envelope: &Envelope, now: Timestamp) -> Result<&dyn DynTransport, ProblemDocument> {
        let delay = envelope.delay(now);
        let reaches = |transport: &&Arc<dyn DynTransport>| delay <= transport.max_delay();
        if let Some(transport) = [Some(&self.transport), self.scheduler.as_ref()].into_iter().flatten().find(reaches) {
            return Ok(transport.as_ref());
        }
        let longest = self.scheduler.as_ref().unwrap_or(&self.transport).max_delay().as_secs();
        let hint =
            if self.scheduler.is_none() { "; for more, the operator sets ERRAND_QUEUE_ARN and ERRAND_SCHEDULER_ROLE_ARN" } else { "" };
        Err(ProblemDocument::new(StatusCode::UNPROCESSABLE_ENTITY, &format!("a task can be delayed by {longest} seconds at most{hint}")))
    }

    /// The answer to a call whose envelope is on its way. It is, whether or not that can be noted.
    async fn accepted(&self, envelope: &Envelope, backend: &str, now: Timestamp) -> Response {
        let status = if envelope.delay(now).is_zero() { Status::Ready } else { Status::Scheduled };
        if let Some(store) = &self.store
            && let Err(error) = store.register(envelope, status, backend, now).await
        {
            tracing::error!(id = envelope.id, %error, "sent, and not noted: the store does not answer");
        }
        let mut response = json(StatusCode::ACCEPTED, &TaskResult::new(envelope, status, backend, now));
        if let Ok(location) = HeaderValue::from_str(&format!("/v1/tasks/{}", errand_api::encode_segment(&envelope.id))) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

fn trace(request: &Request) -> Option<&str> {
    request.headers().get("traceparent").and_then(|value| value.to_str().ok())
}

/// Why an envelope was not handed over, for the caller. What an operator must know is logged here.
fn refused(error: &PublishError) -> ProblemDocument {
    match error {
        PublishError::Refused(why) => ProblemDocument::new(StatusCode::UNPROCESSABLE_ENTITY, why),
        PublishError::TooLarge { .. } => ProblemDocument::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("the task is {error}")),
        PublishError::Misconfigured(_) => {
            tracing::error!(%error, alarm = true, "not sent");
            ProblemDocument::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the service is misconfigured; nothing was queued. Its operator finds the reason in the log",
            )
        }
        PublishError::Unavailable(_) => {
            tracing::error!(%error, "not sent");
            ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "the queue does not answer; nothing was queued. Try again")
                .with_header(header::RETRY_AFTER, "1")
        }
    }
}
