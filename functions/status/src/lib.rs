//! Tells how tasks stand, moves and cancels them, and takes what remote workers report; keeps schedules, templates and keys; lets dead letters be looked at,
//! replayed and dropped.

mod backends;
mod dead_letters;
mod keys;
mod openapi;
mod page;
mod report;
mod schedules;
mod tasks;
mod templates;

use std::{process::ExitCode, sync::Arc};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Managing, Operation, ProblemDocument, Query, Request, Response, Route, gateway};
use errand_core::{
    Backends, Clock, Dispatch, DynDeadLetters, DynNoteList, DynNotes, DynObjects, DynResults, DynSchedules, Environment, Init, Payloads,
    Queues, Reader, SettingsError, limits, settings::all::TABLE,
};
use errand_http::References;
use errand_runtime::TokioClock;
use errand_store_dynamodb::DynamoStore;
use errand_transport_scheduler::EventBridgeScheduler;
use errand_transport_sqs::SqsDeadLetters;
use http::StatusCode;
use lambda_runtime::LambdaEvent;

pub use backends::backends;

use crate::backends::HOME;

/// A status function's whole `main`; `backends` adds the kinds of transports that it has.
pub fn serve(backends: impl FnOnce(&mut Backends<false>)) -> ExitCode {
    errand_runtime::serve(Reader::Status, |env| {
        let operations = Arc::new(Operations::from_env(env, backends)?);
        Ok(move |event| Arc::clone(&operations).invoke(event))
    })
}

/// The function. Holds no state: any number of calls may run at once.
pub struct Operations {
    /// Who may call.
    pub access: Access,
    /// The tasks and queues that schedules and edited dead letters may name.
    pub payloads: Payloads,
    /// Where tasks are remembered.
    pub store: Arc<dyn DynResults>,
    /// Where keys and templates are kept.
    pub notes: Arc<dyn DynNotes>,
    /// The same, for lists of them.
    pub note_list: Arc<dyn DynNoteList>,
    /// Where moved tasks and replayed dead letters go.
    pub dispatch: Dispatch,
    /// What runs schedules.
    pub schedules: Option<Arc<dyn DynSchedules>>,
    /// What was given up.
    pub dead_letters: Option<Arc<dyn DynDeadLetters>>,
}

impl Operations {
    /// The function with all that its settings and this build give it; `backends` adds the kinds of transports.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment, backends: impl FnOnce(&mut Backends<false>)) -> Result<Self, SettingsError> {
        errand_runtime::tell_strangers(&env.strangers(Reader::Status, &[], &errand_payloads::providers()));
        let sdk = errand_http::aws::sdk_config(env)?;
        let cx = Init::default().with(env.clone()).with(sdk.clone()).with(Arc::new(TokioClock) as Arc<dyn Clock>);
        let store = Arc::new(DynamoStore::from_env(env, &cx)?.ok_or_else(|| SettingsError::missing(TABLE.name))?);
        let access = Access::new(env, Some(store.clone()))?;
        #[cfg(feature = "claim-check")]
        let objects = errand_object_s3::S3Objects::from_env(env, &sdk).map(|objects| Arc::new(objects) as Arc<dyn DynObjects>);
        #[cfg(not(feature = "claim-check"))]
        let objects: Option<Arc<dyn DynObjects>> = None;
        let (queues, dead_letters) = (Queues::from_env(env)?, SqsDeadLetters::from_env(env, &sdk)?);
        let references = References::new(env, &cx)?;
        let cx = cx.with(queues.clone()).with(references);
        let scheduler = EventBridgeScheduler::from_env(env, &cx)?.map(Arc::new);
        let dispatch = Dispatch::from_env(env, backends, HOME, &cx)?.with_objects(objects);
        let payloads = errand_payloads::payloads().with_transports(dispatch.transports()).with_routes(env)?;
        Ok(Self {
            access,
            payloads: payloads.with_consumer(env).with_queues(queues.names()),
            store: store.clone(),
            notes: store.clone(),
            note_list: store,
            dispatch: dispatch.with_hold(scheduler.clone().map(|scheduler| scheduler as _)),
            schedules: scheduler.map(|scheduler| scheduler as _),
            dead_letters: dead_letters.map(|letters| Arc::new(letters) as _),
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
            Ok((route, caller)) => caller.answer(self.answer(request, route).await),
            Err(problem) => problem.into(),
        }
    }

    async fn answer(&self, request: &Request, route: Route) -> Result<Response, ProblemDocument> {
        let (id, query) = (route.parameter("id"), &Query::of(request, route.operation)?);
        let Operation::Status(operation) = route.operation else { return Err(ProblemDocument::elsewhere()) };
        names_nothing(operation, id)?;
        match operation {
            Managing::GetTask => self.task(id, query).await,
            Managing::ListTasks => self.tasks(query).await,
            Managing::MoveTask => self.reschedule(id, request).await,
            Managing::CancelTask => self.cancel(id).await,
            Managing::ReportResult => self.report(id, request).await,
            Managing::CreateSchedule => self.create_schedule(request).await,
            Managing::ListSchedules => self.list_schedules(query).await,
            Managing::GetSchedule => self.schedule(id).await,
            Managing::ChangeSchedule => self.change_schedule(id, request).await,
            Managing::DeleteSchedule => self.delete_schedule(id).await,
            Managing::PauseSchedule => self.pause_schedule(id, true).await,
            Managing::ResumeSchedule => self.pause_schedule(id, false).await,
            Managing::RunSchedule => self.run_schedule(id).await,
            Managing::ListDeadLetters => self.list_dead_letters(query).await,
            Managing::GetDeadLetter => self.dead_letter(id).await,
            Managing::DropDeadLetter => self.drop_dead_letter(id).await,
            Managing::DropDeadLetters => self.drop_dead_letters(request).await,
            Managing::ReplayDeadLetters => self.replay_dead_letters(request).await,
            Managing::ListTemplates => self.list_templates(query).await,
            Managing::GetTemplate => self.template(id).await,
            Managing::PutTemplate => self.put_template(id, request).await,
            Managing::DeleteTemplate => self.delete_template(id).await,
            Managing::ListKeys => self.list_keys().await,
            Managing::CreateKey => self.create_key(request).await,
            Managing::RevokeKey => self.revoke_key(id).await,
            Managing::OpenApi => Ok(self.document()),
            Managing::Docs => Ok(openapi::page()),
        }
    }
}

/// Refuses what cannot be the id or name of anything: the services would refuse it as a mistake of ours.
fn names_nothing(operation: Managing, id: &str) -> Result<(), ProblemDocument> {
    let rule = match operation {
        Managing::GetTask | Managing::MoveTask | Managing::CancelTask | Managing::ReportResult => limits::id(id),
        Managing::GetSchedule
        | Managing::ChangeSchedule
        | Managing::DeleteSchedule
        | Managing::PauseSchedule
        | Managing::ResumeSchedule
        | Managing::RunSchedule
        | Managing::GetTemplate
        | Managing::DeleteTemplate => limits::schedule(id),
        // Letters and keys are looked for among those that there are; what is put says itself what is wrong with its name.
        Managing::GetDeadLetter | Managing::DropDeadLetter | Managing::PutTemplate | Managing::RevokeKey => Ok(()),
        // These name nothing.
        Managing::ListTasks
        | Managing::CreateSchedule
        | Managing::ListSchedules
        | Managing::ListDeadLetters
        | Managing::DropDeadLetters
        | Managing::ReplayDeadLetters
        | Managing::ListTemplates
        | Managing::ListKeys
        | Managing::CreateKey
        | Managing::OpenApi
        | Managing::Docs => Ok(()),
    };
    rule.map_err(|expected| ProblemDocument::new(StatusCode::NOT_FOUND, &format!("there is nothing of this name: expected {expected}")))
}
