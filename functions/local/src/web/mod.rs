//! The HTTP API by the functions' own handlers, and the pages beside it.

mod page;
mod sign_in;

pub(crate) use page::Page;
pub(crate) use sign_in::Visitor;

use std::{error::Error, iter::successors, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use errand_api::{Operation, ProblemDocument, Scope, route};
use errand_core::{OBJECT_LIMIT, Timestamp};
use errand_enqueue::Enqueue;
use errand_status::Operations;
use http_body_util::LengthLimitError;
use tokio::sync::watch;

use crate::{
    guard,
    listen::http::Late,
    mail::{self, LocalMail},
    sqs::{self, Sqs},
    web::sign_in::Sessions,
};

/// What answers before a stop is over that was only asked; more than a look at the store takes.
const GRACE: Duration = Duration::from_millis(500);

/// The functions that answer calls.
#[derive(Clone)]
pub(crate) struct Functions {
    pub(crate) enqueue: Arc<Enqueue>,
    pub(crate) operations: Arc<Operations>,
}

/// Everything that is served.
pub(crate) fn router(functions: Functions, caught: LocalMail, sqs: Sqs) -> Router {
    let stopped = sqs.stopped.clone();
    let pages = mail::routes(caught).layer(middleware::from_fn_with_state(functions.clone(), only_for_holders_of_keys));
    let sessions = Sessions::default();
    Router::new()
        .route("/", get(async || Redirect::to("/mail")))
        .route("/script.js", get(page::script))
        .merge(sign_in::routes())
        .fallback(api)
        .with_state(functions.clone())
        .merge(pages)
        .merge(sqs::routes(sqs))
        .layer(Extension(sessions.clone()))
        .layer(middleware::from_fn_with_state(sessions, sign_in::with_key))
        .layer(middleware::from_fn(not_for_other_sites))
        .layer(middleware::from_fn_with_state(functions, only_for_this_machine))
        .layer(middleware::from_fn(page::for_browsers))
        .layer(middleware::from_fn_with_state(stopped, until_the_stop))
}

/// Who waits for something to happen is told of a stop: it comes back to the server that is next. What changes something is finished.
async fn until_the_stop(State(mut stopped): State<watch::Receiver<bool>>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() {
        return next.run(request).await;
    }
    let told = async {
        // An error is the end of who tells.
        stopped.wait_for(|stopped| *stopped).await.ok();
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        response = next.run(request) => response,
        () = told => {
            let problem = ProblemDocument::new(StatusCode::SERVICE_UNAVAILABLE, "this server stops. Try again").with_header(header::RETRY_AFTER, "1");
            errand_api::Response::from(problem).map(Body::from)
        }
    }
}

async fn api(State(functions): State<Functions>, request: Request) -> Response {
    let request = match whole(request).await {
        Ok(request) => request,
        Err(problem) => return errand_api::Response::from(problem).map(Body::from),
    };
    let response = match route(request.method(), request.uri().path()).map(|route| route.operation) {
        Ok(Operation::Enqueue(_)) => functions.enqueue.handle(&request).await,
        // What nobody does is told by the status function, as it is on AWS.
        Ok(Operation::Status(_)) | Err(_) => functions.operations.handle(&request).await,
    };
    response.map(Body::from)
}

/// Reads a request's body, up to a little more than is accepted: the function then tells the limit.
pub(crate) async fn whole(request: Request) -> Result<errand_api::Request, ProblemDocument> {
    let (parts, body) = request.into_parts();
    match to_bytes(body, 2 * OBJECT_LIMIT).await {
        Ok(body) => Ok(errand_api::Request::from_parts(parts, body)),
        Err(error) if is::<Late>(&error) => Err(ProblemDocument::new(StatusCode::REQUEST_TIMEOUT, &Late.to_string())),
        Err(error) if is::<LengthLimitError>(&error) => {
            Err(ProblemDocument::new(StatusCode::PAYLOAD_TOO_LARGE, &format!("at most {OBJECT_LIMIT} bytes are accepted")))
        }
        Err(_) => Err(ProblemDocument::new(StatusCode::BAD_REQUEST, "the body broke off")),
    }
}

/// Whether an error has this cause.
fn is<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&error| error.source()).any(|error| error.is::<E>())
}

/// A server without keys answers only who calls it by this machine's name.
async fn only_for_this_machine(State(functions): State<Functions>, request: Request, next: Next) -> Response {
    if functions.enqueue.access.is_open() && !guard::names_this_machine(request.headers()) {
        let problem = ProblemDocument::new(StatusCode::FORBIDDEN, "call this server as localhost or 127.0.0.1, or set ERRAND_API_KEYS");
        return errand_api::Response::from(problem).map(Body::from);
    }
    next.run(request).await
}

/// A page of another site changes nothing here, though the browser that shows it can reach this server, and may have signed in.
async fn not_for_other_sites(request: Request, next: Next) -> Response {
    if guard::is_of_another_site(request.method(), request.headers()) {
        let problem = ProblemDocument::new(StatusCode::FORBIDDEN, "a page of another site may change nothing here");
        return errand_api::Response::from(problem).map(Body::from);
    }
    next.run(request).await
}

/// The pages show other people's mail: where there are keys, to see them takes one that may read, and to delete them one that may send.
async fn only_for_holders_of_keys(State(functions): State<Functions>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let scope = if parts.method.is_safe() { Scope::Read } else { Scope::Send };
    let head = errand_api::Request::from_parts(parts, bytes::Bytes::new());
    if let Err(problem) = functions.enqueue.access.admit(&head, Some(scope), Timestamp::now()).await {
        return errand_api::Response::from(problem).map(Body::from);
    }
    let (parts, _) = head.into_parts();
    next.run(Request::from_parts(parts, body)).await.into_response()
}
