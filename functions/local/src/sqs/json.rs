//! The JSON protocol, which clients speak since the end of 2023.

use errand_api::Request;
use http::HeaderName;
use serde_json::Value;

use super::error::{Error, SERIALIZATION};

pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// By this clients know an error by its older name: <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>.
pub(super) const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

pub(super) const SERVICE: &str = "AmazonSQS.";

/// The operation and its parameters.
pub(super) fn read(request: &Request) -> Result<(String, Value), Error> {
    let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok()).unwrap_or_default();
    let input: Value = match request.body().as_ref() {
        [] => Value::Object(serde_json::Map::new()),
        body => serde_json::from_slice(body)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| Error::new(SERIALIZATION, "the body is no JSON object"))?,
    };
    Ok((target.trim_start_matches(SERVICE).to_owned(), input))
}

/// What [`QUERY_ERROR`] says of an error.
pub(super) fn query_error(error: &Error) -> String {
    format!("{};{}", error.code.query, if error.by_sender() { "Sender" } else { "Receiver" })
}
