//! The provider against a service that speaks as SES does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, ErrorKind, Init, Payload, Provider};
use errand_payloads::email::Email;
use errand_provider_ses::Ses;
use errand_testkit::{
    Answer, Stub, answers,
    provider::{Contract, attempt, case, conformance},
};

const FROM: &str = "Errand <noreply@example.com>";

fn ses(url: &str) -> Ses {
    ses_from(url, FROM, Init::default())
}

fn ses_from(url: &str, from: &str, cx: Init) -> Ses {
    let env: Environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_ENDPOINT_URL", url),
        ("ERRAND_SES_FROM", from),
        ("ERRAND_SES_CONFIGURATION_SET", "default-set"),
    ]
    .into_iter()
    .collect();
    Ses::new(&env, &cx.with(errand_http::aws::sdk_config(&env).unwrap())).unwrap()
}

#[tokio::test]
async fn a_mail_arrives_with_all_its_parts() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"0100-1"}"#)).await;
    let mail = r#"{"subject":"Grüße","body":"hallo","html":"<b>hallo</b>","to":["a@example.com"],"cc":["c@example.com"],"bcc":"b@example.com","reply_to":["r@example.com"],
        "headers":{"X-A":"1"},"tags":{"kind":"test"},"attachments":[{"filename":"a.png","content":"aGk=","mimetype":"image/png","content_id":"logo"}]}"#;
    let receipt = ses(stub.url()).deliver(Email::from_json(mail).unwrap(), &attempt("order/1")).await.unwrap();
    assert_eq!(receipt.0, serde_json::json!({ "message_id": "0100-1" }).into());
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
async fn what_is_not_ascii_is_encoded() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"MessageId":"0100-1"}"#)).await;
    let mail = r#"{"subject":"s","body":"b","to":["\"Müller, Jürgen\" <j@example.com>","Plain Name <p@example.com>"],"reply_to":"日本語 <r@例え.テスト>",
        "headers":{"X-Note":"Grüße","List-Unsubscribe":"<https://exämple.de/ab>"},"attachments":[{"filename":"ä.txt","content":"aGVs\nbG8="}]}"#;
    ses_from(stub.url(), "Büro <noreply@exämple.de>", Init::default())
        .deliver(Email::from_json(mail).unwrap(), &attempt("a"))
        .await
        .unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
    assert_eq!(
        sent["Destination"]["ToAddresses"],
        serde_json::json!(["=?UTF-8?B?TcO8bGxlciwgSsO8cmdlbg==?= <j@example.com>", "Plain Name <p@example.com>"])
    );
    assert_eq!(sent["ReplyToAddresses"], serde_json::json!(["=?UTF-8?B?5pel5pys6Kqe?= <r@xn--r8jz45g.xn--zckzah>"]));
    assert_eq!(sent["FromEmailAddress"], "=?UTF-8?B?QsO8cm8=?= <noreply@xn--exmple-cua.de>");
    let content = &sent["Content"]["Simple"];
    let headers = serde_json::json!([
        { "Name": "List-Unsubscribe", "Value": "<https://xn--exmple-cua.de/ab>" }, { "Name": "X-Note", "Value": "=?UTF-8?B?R3LDvMOfZQ==?=" },
    ]);
    assert_eq!(content["Headers"], headers);
    // The service encodes what it has a field for.
    assert_eq!((&content["Attachments"][0]["FileName"], &content["Attachments"][0]["RawContent"]), (&"ä.txt".into(), &"aGVsbG8=".into()));
}

const MAIL: &str = r#"{"subject":"secret-subject","body":"secret-body","to":["a@example.com"]}"#;

#[tokio::test]
async fn every_answer_has_its_consequence() {
    answers::check(|url, cx| ses_from(url, FROM, cx), MAIL, include_str!("answers.json"), 35).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_provider_and_repeats_no_address() {
    let mut rejected = case(400, r#"{"message":"Message contains a virus: hunter2 a@example.com"}"#, ErrorKind::Rejected);
    rejected.answer = rejected.answer.header("x-amzn-errortype", "MessageRejected");
    let contract = Contract {
        payload: MAIL,
        secrets: &["hunter2", "a@example.com", "noreply@example.com", "secret-subject", "secret-body"],
        accepted: Answer::json(200, r#"{"MessageId":"0100-1"}"#),
        cases: vec![rejected],
    };
    conformance(|url, cx| ses_from(url, FROM, cx), contract).await;
}

#[test]
fn a_sender_that_is_no_address_stops_the_start() {
    let mut registry = errand_core::Registry::default();
    let wrong: Environment = [("ERRAND_SES_FROM", "nobody")].into_iter().collect();
    let error = registry.add::<Ses>(&wrong, &Init::default()).unwrap_err();
    assert!(error.to_string().starts_with("ERRAND_SES_FROM: expected an e-mail address"), "{error}");
    registry.add::<Ses>(&Environment::default(), &Init::default()).unwrap();
    assert_eq!(registry.find("email").err().unwrap().message, "not configured: set ERRAND_SES_FROM");
}
