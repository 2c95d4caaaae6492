//! What the HTTP functions share: the routes, requests and answers, problem documents, authorisation.
//!
//! A function's handler is a plain function from [`Request`] to [`Response`]. [`gateway`] turns API Gateway's events into these and back;
//! the local server turns real HTTP into them.

mod access;
pub mod gateway;
mod idempotency;
mod keys;
mod problem;
mod query;
mod routes;

pub use access::{Access, Caller, Verified, bearer, key_note};
pub use idempotency::{Begun, Once, replayed, unfinished};
pub use keys::{ApiKey, RATE_LIMIT, Scope, generate_key};
pub use problem::ProblemDocument;
pub use query::{LONGEST_WAIT, Query, query_pairs};
pub use routes::{Managing, Operation, Route, Sending, WORDS_OF_PATHS, check_id, has_words, parameters, route, routes};

use bytes::Bytes;
use errand_core::Timestamp;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An HTTP request with its whole body.
pub type Request = http::Request<Bytes>;

/// An HTTP answer with its whole body.
pub type Response = http::Response<Bytes>;

/// Finds where a call goes, and lets the caller in.
///
/// # Errors
/// There is nothing there, or the caller may not go there: see [`route`] and [`Access::admit`].
pub async fn admit(access: &Access, request: &Request) -> Result<(Route, Caller), ProblemDocument> {
    let route = route(request.method(), request.uri().path())?;
    let caller = access.admit(request, route.scope, Timestamp::now()).await?;
    Ok((route, caller))
}

/// A JSON answer.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => answer(status, "application/json", body),
        Err(_) => ProblemDocument::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON").into(),
    }
}

/// The body of a request of up to `limit` bytes.
///
/// # Errors
/// 415 for one that is compressed, 413 for one over the limit.
pub fn body(request: &Request, limit: usize) -> Result<&Bytes, ProblemDocument> {
    let encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
    if request.headers().get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        let detail = "send the body as it is, without a content-encoding: compressed ones are not taken";
        // RFC 9110, section 15.5.16: what would be taken.
        return Err(ProblemDocument::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).with_header(header::ACCEPT_ENCODING, "identity"));
    }
    if request.body().len() > limit {
        let detail = format!("the body is {} bytes; at most {limit} are accepted", request.body().len());
        return Err(ProblemDocument::new(StatusCode::PAYLOAD_TOO_LARGE, &detail));
    }
    Ok(request.body())
}

/// The text of a JSON request of up to `limit` bytes.
///
/// # Errors
/// 415 for another media type or a compressed body, 413 for one over the limit, 400 for one that is not UTF-8.
pub fn json_body(request: &Request, limit: usize) -> Result<&str, ProblemDocument> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        let detail = "send JSON, with the header content-type: application/json";
        return Err(ProblemDocument::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    std::str::from_utf8(body(request, limit)?).map_err(|_| ProblemDocument::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

/// An answer that tells where what was made is: at `path` and its id.
#[must_use]
pub fn located(mut response: Response, path: &str, id: &str) -> Response {
    if let Ok(location) = HeaderValue::from_str(&format!("{path}{}", errand_core::percent_encode(id))) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// An answer of any media type.
pub fn answer(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    // Results change, and may be personal.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
