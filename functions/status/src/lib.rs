//! Tells how tasks stand, and cancels them: `GET /v1/tasks/{id}`, `GET /v1/tasks`, `DELETE /v1/tasks/{id}`.

mod query;

use std::sync::Arc;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use errand_api::{Access, Operation, ProblemDocument, Request, Response, gateway, json, route};
use errand_core::{Change, DynResults, Environment, SettingsError, StoreError, TaskResult, Timestamp};
use http::{StatusCode, header};
use lambda_runtime::LambdaEvent;
use serde::Serialize;

/// The function. Holds no state: any number of calls may run at once.
pub struct Tasks {
    /// Who may call.
    pub access: Access,
    /// Where tasks are remembered.
    pub store: Arc<dyn DynResults>,
}

#[derive(Serialize)]
struct List {
    tasks: Vec<TaskResult>,
    /// Where to go on: the next call's `cursor`. Null at the end.
    cursor: Option<String>,
}

impl Tasks {
    /// The function with the store that its settings name.
    ///
    /// # Errors
    /// A setting is missing or wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let sdk = errand_http::aws::sdk_config(env)?;
        let store = errand_catalog::store(env, &sdk).ok_or_else(|| SettingsError::missing("ERRAND_TABLE"))?;
        Ok(Self { access: Access::from_env(env)?, store: Arc::new(store) })
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
            Operation::GetTask => self.get(&route.id).await,
            Operation::ListTasks => self.list(request.uri().query().unwrap_or_default()).await,
            Operation::CancelTask => self.cancel(&route.id).await,
            _ => Err(ProblemDocument::new(StatusCode::NOT_FOUND, "another function answers this path")),
        }
    }

    async fn get(&self, id: &str) -> Result<Response, ProblemDocument> {
        let task = self.store.get(id).await.map_err(unavailable)?.ok_or_else(unknown)?;
        Ok(json(StatusCode::OK, &task))
    }

    async fn list(&self, query: &str) -> Result<Response, ProblemDocument> {
        let page = self.store.list(&query::read(query)?).await.map_err(unavailable)?;
        Ok(json(StatusCode::OK, &List { tasks: page.results, cursor: page.cursor }))
    }

    async fn cancel(&self, id: &str) -> Result<Response, ProblemDocument> {
        match self.store.cancel(id, Timestamp::now()).await.map_err(unavailable)? {
            Change::Changed(task) => Ok(json(StatusCode::OK, &task)),
            Change::Refused(task) => Err(ProblemDocument::new(
                StatusCode::CONFLICT,
                &format!("the task is {}: only one that waits can be cancelled", task.status),
            )),
            Change::Unknown => Err(unknown()),
        }
    }
}

fn unknown() -> ProblemDocument {
    ProblemDocument::new(StatusCode::NOT_FOUND, "no task with this id is known")
}

fn unavailable(error: StoreError) -> ProblemDocument {
    tracing::error!(%error, "the store does not answer");
    ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer. Try again").with_header(header::RETRY_AFTER, "1")
}
