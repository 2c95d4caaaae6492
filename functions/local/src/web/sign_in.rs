//! Signing in: a key that is entered once opens the pages in a browser, and the API for them. The browser gets a number that means the key as long as
//! this process runs, so that the key lies in no browser.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use errand_api::{Scope, query_pairs};
use errand_core::Secret;
use maud::html;

use super::{
    Functions,
    page::{Page, sentence},
};
use crate::guard;

const COOKIE: &str = "errand_session";

/// Where to go from the form when nothing else is asked for.
const HOME: &str = "/mail";

/// Who has signed in: keys by the number that stands for them.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, Secret>>>);

impl Sessions {
    fn keys(&self) -> MutexGuard<'_, HashMap<String, Secret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: &str) -> String {
        let number = uuid::Uuid::new_v4().simple().to_string();
        self.keys().insert(number.clone(), Secret::new(key));
        number
    }

    fn key(&self, headers: &HeaderMap) -> Option<Secret> {
        self.keys().get(number(headers)?).cloned()
    }

    fn end(&self, headers: &HeaderMap) {
        if let Some(number) = number(headers) {
            self.keys().remove(number);
        }
    }
}

fn number(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    cookies.flat_map(|cookies| cookies.split(';')).find_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Who looks at a page.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) signed_in: bool,
}

/// Lets a request of a session say its key, as a program's does: what a key may do, until when and how often is decided in one place.
pub(crate) async fn with_key(State(sessions): State<Sessions>, mut request: Request, next: Next) -> Response {
    let key = sessions.key(request.headers()).filter(|_| !request.headers().contains_key(header::AUTHORIZATION));
    request.extensions_mut().insert(Visitor { signed_in: key.is_some() });
    request.headers_mut().extend(key.as_ref().and_then(guard::authorization).map(|value| (header::AUTHORIZATION, value)));
    next.run(request).await
}

/// `/sign-in` and `/sign-out`.
pub(crate) fn routes() -> Router<Functions> {
    Router::new().route("/sign-in", get(async || form(None, "")).post(sign_in)).route("/sign-out", post(sign_out))
}

/// The page that asks for a key, and then goes to `to`.
pub(crate) fn form(to: Option<&str>, problem: &str) -> Page {
    let body = html! {
        @if !problem.is_empty() { p role="alert" { (sentence(problem)) } }
        form method="post" action="/sign-in" class="sign-in" {
            input type="hidden" name="to" value=(to.unwrap_or(HOME));
            label { "A key that may read" input type="password" name="key" autocomplete="current-password" required autofocus; }
            button { "Sign in" }
        }
    };
    Page { title: "Sign in".to_owned(), signed_in: false, body }
}

async fn sign_in(State(functions): State<Functions>, Extension(sessions): Extension<Sessions>, body: String) -> Response {
    let fields: HashMap<String, String> = query_pairs(&body).collect();
    let to = fields.get("to").filter(|to| is_path(to)).map_or(HOME, String::as_str);
    let key = Secret::new(fields.get("key").map_or("", |key| key.trim()));
    if let Err(problem) = guard::admit(&functions.enqueue.access, &key, Scope::Read).await {
        let told = if problem.status() == StatusCode::UNAUTHORIZED { "this key is not known, or has expired" } else { problem.detail() };
        return (problem.status(), form(Some(to), told)).into_response();
    }
    // Without an end: the browser drops it when it is closed, and this process when it ends.
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", sessions.begin(key.expose()));
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

async fn sign_out(Extension(sessions): Extension<Sessions>, headers: HeaderMap) -> impl IntoResponse {
    sessions.end(&headers);
    ([(header::SET_COOKIE, format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"))], Redirect::to("/sign-in"))
}

/// Whether this is a path of this server, and not the address of another.
fn is_path(to: &str) -> bool {
    to.starts_with('/') && !to.starts_with("//") && to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_on_to_a_path_of_this_server_alone() {
        assert!(is_path("/mail/1?x=%20") && is_path("/"));
        for elsewhere in ["", "mail", "//evil.example", "/\\evil.example", "https://evil.example", "/x\r\nset-cookie: a=b", "/a b"] {
            assert!(!is_path(elsewhere), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_ends() {
        let sessions = Sessions::default();
        let number = sessions.begin("hunter2");
        assert!(!number.contains("hunter2"));
        let sent = |cookies: String| -> HeaderMap { [(header::COOKIE, cookies.parse().unwrap())].into_iter().collect() };
        let own = sent(format!("a=b; {COOKIE}={number};c=d"));
        assert_eq!(sessions.key(&own).unwrap().expose(), "hunter2");
        for other in [format!("{COOKIE}=x"), format!("x{COOKIE}={number}"), format!("{COOKIE}x={number}"), String::new()] {
            assert!(sessions.key(&sent(other.clone())).is_none(), "{other}");
        }
        sessions.end(&own);
        assert!(sessions.key(&own).is_none());
    }
}
