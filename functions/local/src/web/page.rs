//! What all pages share, and the pages that a browser gets where a program gets a problem document.

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::sign_in;

/// Our pages ask nothing of any other host, and are shown in no other's frame.
const OWN_ALONE: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The longest problem document that is made a page, in bytes.
const PROBLEM_LIMIT: usize = 1024 * 1024;

/// A page.
pub(crate) struct Page {
    pub(crate) title: String,
    /// Whether it is shown by leave of a session, which can be ended.
    pub(crate) signed_in: bool,
    pub(crate) body: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let Self { title, signed_in, body } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · Errand" }
                    style { (PreEscaped(include_str!("style.css"))) }
                    script src="/script.js" defer {}
                }
                body {
                    header {
                        a href="/mail" { "Errand" }
                        @if signed_in { form method="post" action="/sign-out" { button { "Sign out" } } }
                    }
                    main { h1 { (title) } (body) }
                }
            }
        };
        let headers = [
            (header::CONTENT_SECURITY_POLICY, OWN_ALONE),
            (header::CACHE_CONTROL, "no-store"),
            (HeaderName::from_static("referrer-policy"), "same-origin"),
        ];
        (headers, Html(page.into_string())).into_response()
    }
}

/// The script of all pages.
pub(crate) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("script.js"))
}

/// What a problem document says.
#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    detail: String,
}

/// Answers a browser with a page where something went wrong; where that is for want of a key, with one that asks for it. The calls of the API that
/// change something are programs' alone.
pub(crate) async fn for_browsers(request: Request, next: Next) -> Response {
    let program = !request.method().is_safe() && request.uri().path().starts_with("/v1/");
    let wanted = !program && accepts_pages(request.headers());
    let here = request.method().is_safe().then(|| request.uri().path_and_query().map(ToString::to_string)).flatten();
    let response = next.run(request).await;
    let status = response.status();
    let is_page = response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
    if !wanted || is_page || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let told = to_bytes(body, PROBLEM_LIMIT).await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&told).unwrap_or_default();
    let page = if status == StatusCode::UNAUTHORIZED {
        sign_in::form(here.as_deref(), &problem.detail)
    } else {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let another = (status == StatusCode::FORBIDDEN).then(|| html! { p { a href="/sign-in" { "Sign in" } " with another key" } });
        Page { title, signed_in: false, body: html! { p { (sentence(&problem.detail)) } @if let Some(another) = another { (another) } } }
    };
    let (page, body) = page.into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(page.headers);
    Response::from_parts(parts, Body::new(body))
}

fn accepts_pages(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|accept| accept.as_bytes().windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html")))
}

/// A problem's detail as it stands in a page.
pub(crate) fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str().trim_end_matches('.')))
}
