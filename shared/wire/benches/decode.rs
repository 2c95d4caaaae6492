//! How long it takes to read a message of one kilobyte of each sender: `cargo bench --package errand-wire`.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use errand_core::Message;
use serde_json::{Value, json};

/// What a body holds beside the form that is around it, in bytes.
fn text(size: usize) -> String {
    "Lorem ipsum dolor sit amet, ".repeat(size / 28 + 1)[..size].to_owned()
}

fn message(body: String, attributes: &[(&str, &str)]) -> Message {
    let attributes: BTreeMap<String, String> = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Message { id: "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned(), attributes, ..errand_wire::lambda::message(body) }
}

/// A message of about a kilobyte, whatever is around what it says.
fn of_a_kilobyte(make: impl Fn(Value) -> String) -> String {
    let mail = |size| json!({ "to": ["you@example.com"], "subject": "Hello", "body": text(size) });
    let around = make(mail(0)).len();
    let body = make(mail(1024_usize.saturating_sub(around)));
    // Base64 makes a third more of what is in it, and that of it again.
    if body.len() > 1100 { make(mail((1024_usize.saturating_sub(around)) * 9 / 16)) } else { body }
}

fn celery(mail: Value) -> Value {
    let inner = json!([["you@example.com"], mail, { "callbacks": null, "errbacks": null, "chain": null, "chord": null }]).to_string();
    json!({
        "body": STANDARD.encode(inner), "content-encoding": "utf-8", "content-type": "application/json",
        "headers": { "lang": "py", "task": "notify.send_email", "id": "1ec4b240-d247-4df2-99c5-adb5baf01b51", "eta": null, "expires": null, "group": null, "retries": 0, "root_id": "1ec4b240-d247-4df2-99c5-adb5baf01b51", "parent_id": null, "argsrepr": "('a',)", "kwargsrepr": "{}", "origin": "gen1@host", "ignore_result": false },
        "properties": { "correlation_id": "1ec4b240-d247-4df2-99c5-adb5baf01b51", "reply_to": "fb69dcff-51b7-3c7d-b4e7-df48411e61d8", "delivery_mode": 2, "delivery_info": { "exchange": "", "routing_key": "celery" }, "priority": 0, "body_encoding": "base64", "delivery_tag": "01123014-ca5e-4bb3-bf00-99901809fd00" },
    })
}

fn messages() -> Vec<(&'static str, Message)> {
    let tasks_cloud = |mail: Value| json!({ "task": "email", "args": [], "kwargs": mail }).to_string();
    let event = |mail: Value| {
        json!({ "specversion": "1.0", "id": "A234", "source": "/shop/orders", "type": "email", "time": "2026-11-20T20:30:15.123456Z", "datacontenttype": "application/json", "data": mail }).to_string()
    };
    let sns = |mail: Value| {
        json!({ "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:topic", "Message": tasks_cloud(mail), "Timestamp": "2026-11-20T20:30:15.123Z", "SignatureVersion": "1", "Signature": text(344), "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem", "MessageAttributes": { "tenant": { "Type": "String", "Value": "t1" } } }).to_string()
    };
    let rule = |mail: Value| {
        json!({ "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail-type": "Order Shipped", "source": "my.app", "account": "123456789012", "time": "2026-11-20T21:06:31Z", "region": "eu-west-1", "resources": [], "detail": mail }).to_string()
    };
    let object = json!({ "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1", "eventTime": "2026-11-20T20:30:15.123Z", "eventName": "ObjectCreated:Put", "userIdentity": { "principalId": "AWS:1" }, "requestParameters": { "sourceIPAddress": "127.0.0.1" }, "responseElements": { "x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": text(200) }, "s3": { "s3SchemaVersion": "1.0", "configurationId": "c", "bucket": { "name": "bucket", "ownerIdentity": { "principalId": "A3NL1KOZZKExample" }, "arn": "arn:aws:s3:::bucket" }, "object": { "key": "in+box/Gr%C3%BC%C3%9Fe.txt", "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko", "sequencer": "0055AED6DCD90281E5" } } });
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "A234"),
        ("ce-source", "/shop/orders"),
        ("ce-type", "email"),
        ("content-type", "application/json"),
    ];
    let notification = |mail: Value| {
        json!({ "provider": "email", "provider_class": "notifications.providers.EmailNotificationProvider", "payload": mail, "context": {} }).to_string()
    };
    vec![
        ("native", message(of_a_kilobyte(|mail| json!({ "task": "email", "id": "order-7", "kwargs": mail }).to_string()), &[])),
        ("django-notifs", message(of_a_kilobyte(notification), &[])),
        ("django-tasks-cloud", message(of_a_kilobyte(tasks_cloud), &[])),
        ("celery", message(of_a_kilobyte(|mail| STANDARD.encode(celery(mail).to_string())), &[])),
        ("cloudevents structured", message(of_a_kilobyte(event), &[])),
        ("cloudevents binary", message(of_a_kilobyte(|mail| mail.to_string()), &binary)),
        ("sns", message(of_a_kilobyte(sns), &[])),
        ("eventbridge", message(of_a_kilobyte(rule), &[])),
        ("s3", message(json!({ "Records": [object] }).to_string(), &[])),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, message) in messages() {
        errand_wire::decode(&message).unwrap();
        group.throughput(Throughput::Bytes(message.body.len() as u64));
        group.bench_function(format!("{name}, {} bytes", message.body.len()), |bencher| bencher.iter(|| errand_wire::decode(&message)));
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
