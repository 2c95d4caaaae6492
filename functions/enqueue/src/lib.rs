//! Checks a task and hands it to a transport: `POST /v1/tasks`, `GET /v1/health`.

mod call;
mod health;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Operation, ProblemDocument, Request, Response, gateway, json, json_body, route};
use errand_core::{
    BODY_LIMIT, DynRegister, Envelope, Environment, OBJECT_LIMIT, Outbox, Payloads, SettingsError, Status, TaskResult, Timestamp,
};
use http::{HeaderValue, StatusCode, header};
use lambda_runtime::LambdaEvent;

/// The function. Holds no state: any number of calls may run at once.
pub struct Enqueue {
    /// Who may call.
    pub access: Access,
    /// The tasks that may be called.
    pub payloads: Payloads,
    /// Where tasks go.
    pub outbox: Outbox,
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
            outbox: errand_catalog::outbox(env, &sdk)?,
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
        let mut envelope = call::read(json_body(request, self.body_limit())?, trace(request), &self.payloads, now)?;
        let transport = self.outbox.publish(&mut envelope, now).await.map_err(ProblemDocument::from)?;
        Ok(self.accepted(&envelope, transport, now).await)
    }

    /// The largest body that is accepted, in bytes.
    fn body_limit(&self) -> usize {
        if self.outbox.objects.is_some() { OBJECT_LIMIT } else { BODY_LIMIT }
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
