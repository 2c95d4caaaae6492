//! What a call is in either protocol, and how it is answered.

use errand_api::{Request, Response, answer};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    error::{Error, SERIALIZATION},
    json, query,
};

/// A call of an operation.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) action: String,
    /// The queue, as the call or its path names it.
    pub(super) queue_url: Option<String>,
    /// Where this server is called, as `http://127.0.0.1:3000`.
    pub(super) origin: String,
    /// The parameters, with the names of the JSON protocol.
    input: Value,
}

impl Call {
    fn new(request: &Request, action: String, input: Value) -> Self {
        let in_path = Some(request.uri().path()).filter(|path| path.len() > 1).map(ToOwned::to_owned);
        let queue_url = input["QueueUrl"].as_str().map(ToOwned::to_owned).or(in_path);
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        Self { action, queue_url, origin: format!("http://{host}"), input }
    }

    /// The parameters as a type of which every field may be missing.
    pub(super) fn input<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.input)
            .map_err(|_| Error::new(SERIALIZATION, format!("a parameter of {} is not of the type that it should be", self.action)))
    }
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>
    Json,
    /// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
    Query,
}

impl Protocol {
    /// The protocol of a call, if it is one of SQS.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if text(json::TARGET).starts_with(json::SERVICE) {
            Some(Self::Json)
        } else if text(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
            Some(Self::Query)
        } else {
            None
        }
    }

    pub(super) fn read(self, request: &Request) -> Result<Call, Error> {
        let (action, input) = match self {
            Self::Json => json::read(request)?,
            Self::Query => query::read(request)?,
        };
        Ok(Call::new(request, action, input))
    }

    pub(super) fn answer(self, action: &str, answer: Result<Value, Error>) -> Response {
        let id = Uuid::new_v4().to_string();
        let response = match (self, answer) {
            (Self::Json, Ok(output)) => self.whole(StatusCode::OK, output.to_string()),
            (Self::Query, Ok(output)) => self.whole(StatusCode::OK, query::output(action, &output, &id)),
            (Self::Json, Err(error)) => {
                let body = json!({ "__type": format!("com.amazonaws.sqs#{}", error.code.json), "message": error.message });
                with(self.whole(error.code.status, body.to_string()), json::QUERY_ERROR, &json::query_error(&error))
            }
            (Self::Query, Err(error)) => self.whole(error.code.status, query::error(&error, &id)),
        };
        with(response, json::REQUEST_ID, &id)
    }

    fn whole(self, status: StatusCode, body: String) -> Response {
        let media_type = match self {
            Self::Json => "application/x-amz-json-1.0",
            Self::Query => "text/xml",
        };
        answer(status, media_type, body.into_bytes())
    }
}

/// With a header beside it, if its value can be one.
fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    response.headers_mut().extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    response
}

/// Reads a whole number, which the older protocol has as text.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(D::Error::custom),
        other => other.as_i64().map(Some).ok_or_else(|| D::Error::custom("no whole number")),
    }
}
