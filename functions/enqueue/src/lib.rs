//! Checks tasks, notifications and events and hands them to a transport: `POST /v1/tasks`, `/v1/tasks/batch`, `/v1/notifications`, `/v1/events`;
//! `GET /v1/health`.
//!
//! An enqueue function with transports of its own is a `main` of a few lines over this library; the status function and the consumer take the same:
//!
//! ```no_run
//! # use std::process::ExitCode;
//! # mod my { pub type Kafka = errand_transport_sqs::SqsTransport; }
//! fn main() -> ExitCode {
//!     errand_enqueue::serve(|backends| {
//!         errand_enqueue::backends(backends); // those of this build's features
//!         backends.add::<my::Kafka>(); // and ours
//!     })
//! }
//! ```

mod backends;
mod call;
mod channels;
mod events;
mod health;
#[cfg(feature = "inline")]
mod inline;
mod notification;
mod send;

use std::{process::ExitCode, sync::Arc};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Begun, Caller, Once, Operation, ProblemDocument, Query, Request, Response, Sending, gateway};
use errand_core::{
    Backends, Clock, Dispatch, DynCheck, DynNotes, DynObjects, DynRegister, Environment, Hold, Init, Payloads, Queues, Reader,
    SettingsError, Timestamp,
};
use errand_http::References;
use errand_runtime::TokioClock;
use errand_store_dynamodb::DynamoStore;
use errand_transport_scheduler::EventBridgeScheduler;
use lambda_runtime::LambdaEvent;

pub use backends::backends;
pub use health::Health;

use crate::{backends::HOME, call::Call};

/// An enqueue function's whole `main`; `backends` adds the kinds of transports that it has.
pub fn serve(backends: impl FnOnce(&mut Backends<true>)) -> ExitCode {
    errand_runtime::serve(Reader::Enqueue, |env| {
        let enqueue = Arc::new(Enqueue::from_env(env, backends)?);
        Ok(move |event| Arc::clone(&enqueue).invoke(event))
    })
}

/// The function. Holds no state: any number of calls may run at once.
pub struct Enqueue {
    /// Who may call.
    pub access: Access,
    /// The tasks that may be called, and the queues that they may be sent to.
    pub payloads: Payloads,
    /// Where tasks go.
    pub dispatch: Dispatch,
    /// Tells whether tasks can go there.
    pub health: Health,
    /// Remembers what was sent.
    pub store: Option<Arc<dyn DynRegister>>,
    /// Remembers calls, and holds the templates of notifications.
    pub notes: Option<Arc<dyn DynNotes>>,
}

impl Enqueue {
    /// The function with all that its settings and this build give it; `backends` adds the kinds of transports.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment, backends: impl FnOnce(&mut Backends<true>)) -> Result<Self, SettingsError> {
        errand_runtime::tell_strangers(&env.strangers(Reader::Enqueue, &[], &errand_payloads::providers()));
        let sdk = errand_http::aws::sdk_config(env)?;
        #[cfg(feature = "claim-check")]
        let objects = errand_object_s3::S3Objects::from_env(env, &sdk).map(|objects| Arc::new(objects) as Arc<dyn DynObjects>);
        #[cfg(not(feature = "claim-check"))]
        let objects: Option<Arc<dyn DynObjects>> = None;
        let queues = Queues::from_env(env)?;
        let cx = Init::default().with(env.clone()).with(sdk).with(queues.clone()).with(Arc::new(TokioClock) as Arc<dyn Clock>);
        let references = References::new(env, &cx)?;
        let cx = cx.with(references);
        let store = DynamoStore::from_env(env, &cx)?.map(Arc::new);
        let hold = EventBridgeScheduler::from_env(env, &cx)?.map(Arc::new);
        #[cfg(feature = "inline")]
        let cx = cx.with(errand_inline::Inline::default());
        let dispatch = Dispatch::from_env(env, backends, HOME, &cx)?.with_objects(objects);
        #[cfg(feature = "inline")]
        inline::begin(env, cx, &dispatch, store.clone().map(|store| store as _))?;
        let mut checks: Vec<(String, Arc<dyn DynCheck>)> = dispatch.checks().map(|(name, check)| (name.to_owned(), check)).collect();
        checks.extend(hold.clone().map(|hold| (EventBridgeScheduler::NAME.to_owned(), hold as Arc<dyn DynCheck>)));
        let payloads = errand_payloads::payloads().with_transports(dispatch.transports()).with_routes(env)?;
        let notes = store.clone().map(|store| store as Arc<dyn DynNotes>);
        Ok(Self {
            access: Access::new(env, notes.clone())?,
            payloads: payloads.with_consumer(env).with_queues(queues.names()),
            dispatch: dispatch.with_hold(hold.map(|hold| hold as _)),
            health: Health::of(checks),
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
            Sending::Health => Ok(self.health(request).await),
            Sending::HealthStatus => Ok(self.health(request).await.map(|body| body.slice(..0))),
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
