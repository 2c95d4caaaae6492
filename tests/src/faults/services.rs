use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use errand_http::Client;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    Dice, Queue, THROTTLES,
    audit::{Audit, Fault, Kind},
};

/// What a consumer asks of SQS and of DynamoDB: the queue of the test, and a real table behind a proxy that throttles.
#[derive(Clone)]
pub struct Services {
    queue: Arc<Queue>,
    audit: Arc<Audit>,
    dice: Arc<Dice>,
    client: Client,
    dynamodb: String,
    /// Calls that are throttled, by what they say: a client that tries again says the same.
    throttled: Arc<Mutex<HashSet<Bytes>>>,
}

impl Services {
    /// Serves on a free loopback port; answers the address. `dynamodb` is where the real table is.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub async fn start(queue: &Arc<Queue>, audit: &Arc<Audit>, dice: &Arc<Dice>, dynamodb: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let (queue, audit, dice) = (Arc::clone(queue), Arc::clone(audit), Arc::clone(dice));
        let services = Self { queue, audit, dice, client: Client::new(), dynamodb: dynamodb.to_owned(), throttled: Arc::default() };
        let router = Router::new().fallback(answer).with_state(services);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn hide(&self, call: &Value) -> Response<String> {
        let seconds = call["VisibilityTimeout"].as_u64().unwrap_or_default();
        if self.queue.change_visibility(call["ReceiptHandle"].as_str().unwrap_or_default(), seconds) {
            reply(StatusCode::OK, "{}")
        } else {
            reply(StatusCode::BAD_REQUEST, r#"{"__type":"com.amazonaws.sqs#ReceiptHandleIsInvalid"}"#)
        }
    }

    fn bury(&self, call: &Value) -> Response<String> {
        let body = call["MessageBody"].as_str().unwrap_or_default();
        let kind = &call["MessageAttributes"]["errand-kind"]["StringValue"];
        // Poison that is given up for another reason is not as it must be.
        let is_poison = |number: u32| matches!(self.audit.kind(number), Kind::Poison(_));
        if let Some(number) = self.audit.number(body).filter(|number| kind == "malformed" || !is_poison(*number)) {
            self.audit.note_message(number, Fault::Buried);
        }
        reply(StatusCode::OK, r#"{"MessageId":"m"}"#)
    }

    /// Hands a call to the real table, or throttles it.
    async fn pass_on(&self, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<String> {
        if self.throttles(&body) {
            let told = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}"#;
            return reply(StatusCode::BAD_REQUEST, told);
        }
        let mut request = http::Request::post(format!("{}{uri}", self.dynamodb)).body(body).expect("a request");
        *request.headers_mut() = headers;
        request.headers_mut().remove("host");
        match self.client.send(request, Duration::from_secs(30)).await {
            Ok(response) => {
                let text = String::from_utf8_lossy(response.body()).into_owned();
                let mut passed = reply(response.status(), &text);
                passed
                    .headers_mut()
                    .extend(response.headers().get("x-amz-crc32").cloned().map(|crc| (http::HeaderName::from_static("x-amz-crc32"), crc)));
                passed
            }
            Err(error) => reply(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    /// Whether a call fails, with all that its client does to repeat it.
    fn throttles(&self, body: &Bytes) -> bool {
        let mut throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        if throttled.contains(body) {
            return true;
        }
        if !self.dice.falls(THROTTLES) {
            return false;
        }
        throttled.insert(body.clone());
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(number) = told["Key"]["id"]["S"].as_str().and_then(|id| self.audit.number(id)) else { return true };
        let fault = match told["ExpressionAttributeValues"][":status"]["S"].as_str() {
            None => Fault::Unclaimed,
            // Only these leave a later claim in the belief that nothing was delivered, or less than was.
            Some("SUCCESSFUL") => Fault::Unrecorded,
            Some(_) if matches!(self.audit.kind(number), Kind::Bulk { .. }) => Fault::Forgotten,
            Some(_) => Fault::Unsettled,
        };
        self.audit.note_message(number, fault);
        true
    }
}

async fn answer(State(services): State<Services>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<String> {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default().to_owned();
    let call = || serde_json::from_slice::<Value>(&body).unwrap_or_default();
    match target.split_once('.') {
        Some(("AmazonSQS", "ChangeMessageVisibility")) => services.hide(&call()),
        Some(("AmazonSQS", "SendMessage")) => services.bury(&call()),
        Some((service, _)) if service.starts_with("DynamoDB") => services.pass_on(uri, headers, body).await,
        _ => reply(StatusCode::NOT_FOUND, &format!("{method} {uri} {target}")),
    }
}

fn reply(status: StatusCode, body: &str) -> Response<String> {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(body.to_owned()).expect("a valid answer")
}
