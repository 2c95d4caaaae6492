//! Checks tasks, notifications and events and hands them to a transport: `POST /v1/tasks`, `/v1/tasks/batch`, `/v1/notifications`, `/v1/events`;
//! `GET /v1/health`.

mod call;
mod channels;
mod events;
mod health;
mod notification;
mod send;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Begun, Caller, Once, Operation, ProblemDocument, Query, Request, Response, Sending, gateway};
use errand_core::{DynCheck, DynNotes, DynObjects, DynRegister, Environment, Outbox, Payloads, Queues, Reader, SettingsError, Timestamp};
use errand_store_dynamodb::DynamoStore;
use errand_transport_scheduler::EventBridgeScheduler;
use errand_transport_sqs::SqsTransport;
use lambda_runtime::LambdaEvent;

use crate::call::Call;

/// The function. Holds no state: any number of calls may run at once.
pub struct Enqueue {
    /// Who may call.
    pub access: Access,
    /// The tasks that may be called, and the queues that they may be sent to.
    pub payloads: Payloads,
    /// Where tasks go.
    pub outbox: Outbox,
    /// What tells whether tasks can go there.
    pub checks: Vec<Arc<dyn DynCheck>>,
    /// Remembers what was sent.
    pub store: Option<Arc<dyn DynRegister>>,
    /// Remembers calls, and holds the templates of notifications.
    pub notes: Option<Arc<dyn DynNotes>>,
}

impl Enqueue {
    /// The function with all that its settings and this build give it.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        errand_runtime::tell_strangers(&env.strangers(Reader::Enqueue, &[], &errand_payloads::providers()));
        let sdk = errand_http::aws::sdk_config(env)?;
        let store = DynamoStore::from_env(env, &sdk).map(Arc::new);
        #[cfg(feature = "claim-check")]
        let objects = errand_object_s3::S3Objects::from_env(env, &sdk).map(|objects| Arc::new(objects) as Arc<dyn DynObjects>);
        #[cfg(not(feature = "claim-check"))]
        let objects: Option<Arc<dyn DynObjects>> = None;
        let scheduler = EventBridgeScheduler::from_env(env, &sdk, errand_wire::encode, errand_wire::native::decode)?;
        let (soon, late) = (Arc::new(SqsTransport::new(env, &sdk, errand_wire::encode)?), scheduler.map(Arc::new));
        let checks = [Some(Arc::clone(&soon) as Arc<dyn DynCheck>), late.clone().map(|late| late as _)];
        let checks = checks.into_iter().flatten().collect();
        let outbox = Outbox { soon, late: late.map(|late| late as _), objects };
        let notes = store.clone().map(|store| store as Arc<dyn DynNotes>);
        Ok(Self {
            access: Access::new(env, notes.clone())?,
            payloads: errand_payloads::payloads().with_routes(env)?.with_consumer(env).with_queues(Queues::from_env(env)?.names()),
            outbox,
            checks,
            store: store.map(|store| store as _),
            notes,
        })
    }

    /// Answers an invocation.
    pub async fn invoke(self: Arc<Self>, event: LambdaEvent<ApiGatewayV2httpRequest>) -> ApiGatewayV2httpResponse {
        gateway::response(match gateway::request(event.payload) {
            Ok(request) => self.handle(&request).await,
            Err(problem) => problem.into(),
        })
    }

    /// Answers a call.
    pub async fn handle(&self, request: &Request) -> Response {
        match errand_api::admit(&self.access, request).await {
            Ok((route, caller)) => caller.answer(self.answer(request, route.operation, &caller).await),
            Err(problem) => problem.into(),
        }
    }

    async fn answer(&self, request: &Request, operation: Operation, caller: &Caller) -> Result<Response, ProblemDocument> {
        Query::of(request, operation)?;
        let Operation::Enqueue(operation) = operation else { return Err(ProblemDocument::elsewhere()) };
        match operation {
            Sending::Task => self.once(request, caller, async |call| self.one(request, call).await).await,
            Sending::Batch => self.once(request, caller, async |call| self.batch(request, call).await).await,
            Sending::Notification => self.once(request, caller, async |call| self.notify(request, call).await).await,
            Sending::Events => self.once(request, caller, async |call| self.events(request, call).await).await,
            Sending::Preview => self.preview(request, &self.call(request, None, Timestamp::now())).await,
            Sending::Health => Ok(self.health().await),
            Sending::HealthStatus => Ok(self.health().await.map(|body| body.slice(..0))),
        }
    }

    /// Sends what a call says, unless the same call was answered before.
    async fn once(
        &self,
        request: &Request,
        caller: &Caller,
        send: impl AsyncFnOnce(&Call<'_>) -> Result<Response, ProblemDocument>,
    ) -> Result<Response, ProblemDocument> {
        let now = Timestamp::now();
        let once = match Once::begin(self.notes.as_deref(), caller, request, now).await? {
            Begun::Now(once) => once,
            Begun::Before(response) => return Ok(response),
        };
        let seed = once.seed();
        let answer = send(&self.call(request, seed.as_deref(), now)).await;
        once.end(answer).await
    }

    fn call<'a>(&'a self, request: &'a Request, seed: Option<&'a str>, now: Timestamp) -> Call<'a> {
        let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        Call { payloads: &self.payloads, trace, seed, now }
    }
}
