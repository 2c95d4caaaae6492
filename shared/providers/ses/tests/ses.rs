//! The provider against a service that speaks as SES does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, ErrorKind, Init, Payload, Provider};
use errand_provider_ses::{Email, Ses, Settings};
use errand_testkit::{
    Answer, Stub,
    provider::{Case, attempt, case, conformance},
};

fn ses(url: &str) -> Ses {
    let env: Environment =
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_ENDPOINT_URL", url)]
            .into_iter()
            .collect();
    let cx = Init::default().with(errand_http::aws::sdk_config(&env).unwrap());
    Ses::new(Settings { from: "Errand <noreply@example.com>".to_owned(), configuration_set: Some("default-set".to_owned()) }, &cx).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_with_all_its_parts() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"0100-1"}"#)).await;
    let mail = r#"{"subject":"Grüße","body":"hallo","html":"<b>hallo</b>","to":["a@example.com"],"cc":["c@example.com"],"bcc":"b@example.com","reply_to":["r@example.com"],
        "headers":{"X-A":"1"},"tags":{"kind":"test"},"attachments":[{"filename":"a.png","content":"aGk=","mimetype":"image/png","content_id":"logo"}]}"#;
    let receipt = ses(stub.url()).deliver(Email::from_json(mail).unwrap(), &attempt("order/1")).await.unwrap();
    assert_eq!(receipt.0, serde_json::json!({ "message_id": "0100-1" }));
    let request = stub.requests().remove(0);
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", "/v2/email/outbound-emails"));
    let text = |data: &str| serde_json::json!({ "Data": data, "Charset": "UTF-8" });
    let wanted = serde_json::json!({
        "FromEmailAddress": "Errand <noreply@example.com>",
        "Destination": { "ToAddresses": ["a@example.com"], "CcAddresses": ["c@example.com"], "BccAddresses": ["b@example.com"] },
        "ReplyToAddresses": ["r@example.com"],
        "Content": { "Simple": {
            "Subject": text("Grüße"),
            "Body": { "Text": text("hallo"), "Html": text("<b>hallo</b>") },
            "Headers": [{ "Name": "X-A", "Value": "1" }],
            "Attachments": [{ "FileName": "a.png", "RawContent": "aGk=", "ContentType": "image/png", "ContentTransferEncoding": "BASE64", "ContentDisposition": "INLINE", "ContentId": "logo" }],
        } },
        "EmailTags": [{ "Name": "kind", "Value": "test" }, { "Name": "errand-id", "Value": "order_1" }],
        "ConfigurationSetName": "default-set",
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&request.body).unwrap(), wanted);
}

#[tokio::test]
async fn names_that_are_not_ascii_are_encoded() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"0100-1"}"#)).await;
    let mail = r#"{"subject":"s","body":"b","to":["\"Müller, Jürgen\" <j@example.com>","Plain Name <p@example.com>"],"reply_to":"日本語 <r@example.com>"}"#;
    ses(stub.url()).deliver(Email::from_json(mail).unwrap(), &attempt("a")).await.unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
    assert_eq!(
        sent["Destination"]["ToAddresses"],
        serde_json::json!(["=?UTF-8?B?TcO8bGxlciwgSsO8cmdlbg==?= <j@example.com>", "Plain Name <p@example.com>"])
    );
    assert_eq!(sent["ReplyToAddresses"], serde_json::json!(["=?UTF-8?B?5pel5pys6Kqe?= <r@example.com>"]));
}

/// As SES answers: the code in a header, what it has to say in the body.
fn answer(status: u16, code: &str, message: &str, kind: ErrorKind) -> Case {
    let mut case = case(status, &serde_json::json!({ "message": message }).to_string(), kind);
    case.answer = case.answer.header("x-amzn-errortype", code);
    case
}

#[tokio::test]
async fn every_answer_has_its_consequence() {
    use ErrorKind::{Misconfigured, OutcomeUnknown, RateLimited, Rejected, Unavailable};
    let cases = vec![
        answer(429, "TooManyRequestsException", "Maximum sending rate exceeded.", RateLimited),
        answer(400, "LimitExceededException", "Daily message quota exceeded.", RateLimited),
        answer(400, "ThrottlingException", "Rate exceeded", RateLimited),
        answer(429, "Whatever", "", RateLimited),
        answer(400, "AccountSuspendedException", "Account is suspended for mail sending.", Misconfigured),
        answer(400, "SendingPausedException", "Email sending is paused.", Misconfigured),
        answer(400, "MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified.", Misconfigured),
        answer(404, "NotFoundException", "Configuration set <x> does not exist.", Misconfigured),
        answer(
            400,
            "MessageRejected",
            "Email address is not verified. The following identities failed the check in region EU-WEST-1: noreply@example.com",
            Misconfigured,
        ),
        answer(400, "MessageRejected", "Message contains a virus: hunter2", Rejected),
        answer(400, "BadRequestException", "Illegal address a@example.com", Rejected),
        answer(400, "BadRequestException", "Missing final '@domain'", Rejected),
        answer(400, "BadRequestException", "Local address contains control or whitespace", Rejected),
        answer(413, "RequestEntityTooLargeException", "", Rejected),
        answer(403, "AccessDeniedException", "User is not authorized to perform ses:SendEmail on a@example.com", Misconfigured),
        answer(403, "InvalidSignatureException", "The request signature we calculated does not match", Misconfigured),
        answer(403, "ExpiredTokenException", "The security token included in the request is expired", Misconfigured),
        answer(403, "UnrecognizedClientException", "The security token included in the request is invalid.", Misconfigured),
        answer(400, "ValidationException", "1 validation error detected", Rejected),
        answer(500, "InternalFailure", "", Unavailable),
        answer(503, "ServiceUnavailable", "", Unavailable),
        case(502, "<html>Bad Gateway</html>", Unavailable),
        // SES has taken the mail, and who took it cannot be read.
        case(200, "<html>", OutcomeUnknown),
    ];
    let mail = r#"{"subject":"secret-subject","body":"secret-body","to":["a@example.com"]}"#;
    conformance(ses, mail, &["hunter2", "a@example.com", "noreply@example.com", "secret-subject", "secret-body"], cases).await;
}

#[test]
fn a_sender_that_is_no_address_stops_the_start() {
    let mut registry = errand_core::Registry::default();
    let wrong: Environment = [("ERRAND_SES_FROM", "nobody")].into_iter().collect();
    let error = registry.add::<Ses>(&wrong, &Init::default()).unwrap_err();
    assert!(error.to_string().starts_with("ERRAND_SES_FROM: expected an e-mail address"), "{error}");
    registry.add::<Ses>(&Environment::default(), &Init::default()).unwrap();
    assert_eq!(registry.task("email").err().unwrap().message, "not configured: set ERRAND_SES_FROM");
}
