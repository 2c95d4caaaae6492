//! What the HTTP functions share: the routes, requests and answers, problem documents, authorisation.
//!
//! A function's handler is a plain function from [`Request`] to [`Response`]. [`gateway`] turns API Gateway's events into these and back;
//! the local server turns real HTTP into them.

mod access;
pub mod gateway;
mod idempotency;
mod keys;
mod problem;
mod routes;

pub use access::{Access, Caller, Verified, bearer, key_note};
pub use idempotency::{Begun, Once, replayed};
pub use keys::{ApiKey, RATE_LIMIT, Scope, generate_key};
pub use problem::ProblemDocument;
pub use routes::{Operation, Route, WORDS_OF_PATHS, route, routes};

use bytes::Bytes;
use errand_core::Timestamp;
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
pub fn json(status: http::StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => answer(status, "application/json", body),
        Err(_) => ProblemDocument::new(http::StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON").into(),
    }
}

/// The text of a JSON request of up to `limit` bytes.
///
/// # Errors
/// 415 for another media type, 413 for a body over the limit, 400 for one that is not UTF-8.
pub fn json_body(request: &Request, limit: usize) -> Result<&str, ProblemDocument> {
    let media_type = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        return Err(ProblemDocument::new(
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON, with the header content-type: application/json",
        ));
    }
    if request.body().len() > limit {
        let detail = format!("the body is {} bytes; at most {limit} are accepted", request.body().len());
        return Err(ProblemDocument::new(http::StatusCode::PAYLOAD_TOO_LARGE, &detail));
    }
    std::str::from_utf8(request.body()).map_err(|_| ProblemDocument::new(http::StatusCode::BAD_REQUEST, "the body is not UTF-8"))
}

/// A text as one segment of a path.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An answer that tells where what was made is: at `path` and its id.
#[must_use]
pub fn located(mut response: Response, path: &str, id: &str) -> Response {
    if let Ok(location) = http::HeaderValue::from_str(&format!("{path}{}", encode_segment(id))) {
        response.headers_mut().insert(http::header::LOCATION, location);
    }
    response
}

/// The names and values of a query, decoded.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned()
}

/// An answer of any media type.
pub fn answer(status: http::StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    // Results change, and may be personal.
    response.headers_mut().insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
