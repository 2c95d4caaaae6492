use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http,
    response::IntoResponse,
};

/// A request that a [`Stub`] got.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: http::Method,
    /// Path and query.
    pub uri: http::Uri,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What a [`Stub`] does about a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers with status, headers and body.
    Reply(u16, Vec<(String, String)>, String),
    /// Reads the request and never answers.
    Silence,
    /// Reads the request, and breaks off in its answer: it may have done what it was asked.
    BreakOff,
}

impl Answer {
    /// A status and a JSON body.
    #[must_use]
    pub fn json(status: u16, body: &str) -> Self {
        Self::Reply(status, vec![("content-type".to_owned(), "application/json".to_owned())], body.to_owned())
    }

    /// The answer as HTTP/1.1 has it, for a peer that is no [`Stub`]; of silence, nothing.
    #[must_use]
    pub fn to_http(&self) -> String {
        let Self::Reply(status, headers, body) = self else { return String::new() };
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Reply(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;
type Seen = Arc<Mutex<Vec<Request>>>;

/// An HTTP server on a free loopback port that keeps every request and answers as its script says. It ends with its runtime.
pub struct Stub {
    url: String,
    requests: Seen,
}

impl Stub {
    /// Starts it.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub async fn start(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let requests = Seen::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let script: Script = Arc::new(script);
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state((script, Arc::clone(&requests)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests }
    }

    /// Starts one that does `answer` about every request.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub async fn always(answer: &Answer) -> Self {
        let answer = answer.clone();
        Self::start(move |_| answer.clone()).await
    }

    /// Its address: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    State((script, requests)): State<(Script, Seen)>,
    method: http::Method,
    uri: http::Uri,
    headers: http::HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    let request = Request { method, uri, headers, body };
    let told = script(&request);
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    match told {
        Answer::Reply(status, headers, body) => {
            let mut response = http::Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(axum::body::Body::from(body)).expect("a script's answer is valid HTTP")
        }
        Answer::Silence => std::future::pending().await,
        Answer::BreakOff => {
            let parts = [Ok("{"), Err(std::io::Error::other("on purpose"))];
            http::Response::new(axum::body::Body::from_stream(futures_util::stream::iter(parts)))
        }
    }
}
