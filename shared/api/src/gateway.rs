//! API Gateway's HTTP API events (payload format 2.0) as requests and answers.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use aws_lambda_events::{
    apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest, ApiGatewayV2httpResponse},
    encodings::Body,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{ProblemDocument, Request, Response, Verified};

/// What may not stand in a path as it is. The gateway hands the path over decoded.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}').add(b'%');

/// The request in an event.
///
/// # Errors
/// 400 when the event holds no valid path, or a body that is not the base64 that it says.
pub fn request(event: ApiGatewayV2httpRequest) -> Result<Request, ProblemDocument> {
    let context = event.request_context;
    let verified = context.authorizer.and_then(identity);
    let stage = context.stage.filter(|stage| stage != "$default").map(|stage| format!("/{stage}"));
    let path = event.raw_path.unwrap_or_default();
    let path = stage.and_then(|stage| path.strip_prefix(&stage)).unwrap_or(&path);
    let mut uri = utf8_percent_encode(path, PATH).to_string();
    if let Some(query) = event.raw_query_string.filter(|query| !query.is_empty()) {
        uri = format!("{uri}?{query}");
    }
    let bad = |what| ProblemDocument::new(StatusCode::BAD_REQUEST, what);
    let body = match event.body {
        Some(text) if event.is_base64_encoded => Bytes::from(STANDARD.decode(text).map_err(|_| bad("the body is not base64"))?),
        text => Bytes::from(text.unwrap_or_default()),
    };
    let mut request = http::Request::builder().method(context.http.method).uri(uri).body(body).map_err(|_| bad("the path is not valid"))?;
    *request.headers_mut() = event.headers;
    if let Some(name) = verified {
        request.extensions_mut().insert(Verified(name));
    }
    Ok(request)
}

/// Whom the gateway has verified: a user or role of IAM by its ARN, or a JSON Web Token's subject, with who issued it.
fn identity(authorizer: ApiGatewayRequestAuthorizer) -> Option<String> {
    if let Some(iam) = authorizer.iam {
        return Some(iam.user_arn.unwrap_or_default());
    }
    let claims = authorizer.jwt?.claims;
    let claim = |name: &str| claims.get(name).map(String::as_str).unwrap_or_default();
    Some(format!("{} {}", claim("iss"), claim("sub")))
}

/// The event's answer. All of ours are text.
#[must_use]
pub fn response(response: Response) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut answer = ApiGatewayV2httpResponse::default();
    answer.status_code = i64::from(parts.status.as_u16());
    answer.headers = parts.headers;
    answer.body = Some(Body::Text(String::from_utf8_lossy(&body).into_owned()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(changes: serde_json::Value) -> ApiGatewayV2httpRequest {
        let mut event = serde_json::json!({
            "version": "2.0", "rawPath": "/v1/tasks", "rawQueryString": "", "headers": { "content-type": "application/json" }, "isBase64Encoded": false,
            "requestContext": { "stage": "$default", "http": { "method": "POST" } }
        });
        for (key, value) in changes.as_object().unwrap() {
            event[key] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn an_event_becomes_the_request_that_was_made() {
        let request = request(event(
            serde_json::json!({ "rawPath": "/v1/tasks/a%b é", "rawQueryString": "wait=3", "body": "eA==", "isBase64Encoded": true }),
        ))
        .unwrap();
        assert_eq!(request.uri(), "/v1/tasks/a%25b%20%C3%A9?wait=3");
        assert_eq!((request.method().as_str(), &request.body()[..]), ("POST", &b"x"[..]));
        assert!(request.extensions().get::<Verified>().is_none());
    }

    #[test]
    fn a_stage_is_no_part_of_the_path_and_an_identity_is_kept() {
        let context = serde_json::json!({ "stage": "prod", "http": { "method": "GET" }, "authorizer": { "iam": { "userArn": "arn:aws:iam::1:user/x" } } });
        let request = request(event(serde_json::json!({ "rawPath": "/prod/v1/health", "requestContext": context }))).unwrap();
        assert_eq!(request.uri(), "/v1/health");
        assert_eq!(request.extensions().get::<Verified>().unwrap().0, "arn:aws:iam::1:user/x");
        let context = serde_json::json!({ "http": { "method": "GET" }, "authorizer": { "jwt": { "claims": { "iss": "https://id", "sub": "ann" }, "scopes": null } } });
        let request = super::request(event(serde_json::json!({ "requestContext": context }))).unwrap();
        assert_eq!(request.extensions().get::<Verified>().unwrap().0, "https://id ann");
    }

    #[test]
    fn a_body_that_is_not_the_base64_it_says_is_the_callers_mistake() {
        assert_eq!(request(event(serde_json::json!({ "body": "%", "isBase64Encoded": true }))).unwrap_err().status(), 400);
    }
}
