//! Notifications: a task for each channel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use errand_core::{Note, NoteKind, Notes, PublishError};
use errand_testkit::written;
use serde_json::{Value, json};
use world::{World, pointers, request};

const PATH: &str = "/v1/notifications";
const PREVIEW: &str = "/v1/notifications/preview";

async fn template(world: &World, name: &str, template: &Value) {
    Notes::put(&world.notes, &Note { kind: NoteKind::Template, name: name.to_owned(), text: template.to_string(), until: None })
        .await
        .unwrap();
}

#[tokio::test]
async fn each_channel_becomes_a_task_with_its_payload() {
    let world = World::new();
    let call = json!({
        "id": "order-7", "user": "ann", "source": "shop", "action": "shipped", "category": "orders", "obj": 7, "url": "https://shop.example/7",
        "short_description": "Your order is on its way", "extra_data": { "n": 1 }, "silent": true, "countdown": 60, "group": "g", "max_attempts": 3,
        "channels": { "email": { "to": ["ann@example.com"] }, "slack": { "channel": "#ops", "text": "own" } }, "context": { "mine": 1 }
    });
    let (status, answer) = world.post_to(PATH, &call).await;
    assert_eq!((status, &answer["id"], answer["tasks"].as_array().unwrap().len()), (202, &json!("order-7"), 2), "{answer}");
    assert_eq!(
        answer["tasks"][0]["kwargs"],
        json!({ "to": ["ann@example.com"], "subject": "Your order is on its way", "body": "Your order is on its way\n\nhttps://shop.example/7" })
    );
    assert_eq!(answer["tasks"][1]["kwargs"], json!({ "channel": "#ops", "text": "own" }), "what is given is not overwritten");
    let sent = world.soon.envelopes.lock().unwrap();
    let mail = &sent[0];
    assert_eq!(
        (mail.id.as_str(), mail.task.as_str(), mail.user.as_deref(), mail.notification_id.as_deref()),
        ("order-7.email", "email", Some("ann"), Some("order-7"))
    );
    assert_eq!((mail.group.as_deref(), mail.max_attempts, mail.run_after.is_some()), (Some("g"), Some(3), true));
    let context: Value = serde_json::from_str(mail.context.json.as_deref().unwrap().get()).unwrap();
    assert_eq!(
        (&context["mine"], &context["notification"]["silent"], &context["notification"]["obj"]),
        (&json!(1), &json!(true), &json!(7))
    );
}

#[tokio::test]
async fn a_template_says_it_in_the_users_language() {
    let world = World::new();
    template(
        &world,
        "shipped",
        &json!({
            "channels": { "email": { "subject": "Order {{ order.id }}", "html": "<p>Hi {{ user }}</p>" }, "slack": { "text": "{{ short_description|upper }}" } },
            "locales": { "de": { "email": { "subject": "Bestellung {{ order.id }}", "html": "<p>Hallo {{ user }}</p>" } } }
        }),
    )
    .await;
    let mut call = json!({
        "recipient": "A<B", "template": "shipped", "locale": "de-AT", "variables": { "order": { "id": 7 } }, "short_description": "sent",
        "channels": { "email": { "to": ["a@example.com"] }, "slack": { "channel": "#x" } }
    });
    let (status, told) = world.post_to(PREVIEW, &call).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["channels"]["email"], json!({ "to": ["a@example.com"], "subject": "Bestellung 7", "html": "<p>Hallo A&lt;B</p>" }));
    assert_eq!(told["channels"]["slack"], json!({ "channel": "#x", "text": "SENT" }));
    assert_eq!(world.queued(), 0, "a preview sends nothing");
    assert_eq!((world.post_to(PATH, &call).await.0, world.queued()), (202, 2));

    call["variables"] = json!({ "order": {} });
    let (status, problem) = world.post_to(PATH, &call).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/channels/email/subject"]));
    assert_eq!(problem["errors"][0]["detail"], "cannot be rendered without the variable order.id");
    call["template"] = json!("other");
    let (status, problem) = world.post_to(PATH, &call).await;
    assert_eq!((status, pointers(&problem), world.queued()), (422, vec!["/template"], 2), "a refused call queues nothing");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_and_nothing_is_sent() {
    let world = World::new();
    let cases: [(Value, &[&str]); 12] = [
        (json!({}), &["/channels"]),
        (json!({ "channels": [] }), &["/channels"]),
        (json!({ "channels": "email" }), &["/channels"]),
        (json!({ "channels": { "pigeon": {} }, "short_description": "x" }), &["/channels/pigeon"]),
        (json!({ "channels": { "email": [] }, "short_description": "x" }), &["/channels/email"]),
        (json!({ "channels": ["email"], "short_description": "x" }), &["/channels/email/to"]),
        (json!({ "channels": ["slack"] }), &["/channels/slack/text"]),
        (json!({ "channels": { "a b": {} } }), &["/channels"]),
        (json!({ "channels": ["console"], "short_description": "x", "task": "email", "kwargs": {} }), &["/task", "/kwargs"]),
        (json!({ "channels": ["console"], "short_description": 7, "silent": "yes" }), &["/short_description", "/silent"]),
        (json!({ "channels": ["console"], "short_description": "x", "user": "a", "recipient": "b" }), &["/recipient"]),
        (
            json!({ "channels": ["console"], "short_description": "x", "id": "x".repeat(91), "locale": "?", "countdown": -1 }),
            &["/id", "/countdown", "/locale"],
        ),
    ];
    for (body, wrong) in cases {
        let (status, problem) = world.post_to(PATH, &body).await;
        assert_eq!((status, pointers(&problem).as_slice()), (422, wrong), "{body} got {problem}");
    }
    assert_eq!(world.queued(), 0);
}

#[tokio::test]
async fn bulk_payloads_are_given_as_they_are() {
    let world = World::new();
    let mail = json!({ "to": ["a@example.com"], "subject": "s", "body": "b" });
    let (status, answer) = world.post_to(PATH, json!({ "channels": { "email": [mail, mail] }, "context": { "bulk": true } })).await;
    assert_eq!((status, world.soon.envelopes.lock().unwrap()[0].context.bulk), (202, true), "{answer}");
}

#[tokio::test]
async fn a_notification_of_which_nothing_was_sent_is_no_success() {
    let world = World::answering(Some(PublishError::Unavailable("secret".to_owned())));
    let (status, problem) = world.post_to(PATH, json!({ "channels": ["console"], "short_description": "x" })).await;
    assert!(status == 503 && !problem.to_string().contains("secret"), "{problem}");
}

#[tokio::test]
async fn what_was_given_is_sent_as_it_was_written() {
    let world = World::new();
    let (n, obj) = (written::array(), written::object());
    let call = format!(
        r#"{{"short_description":"Hi","extra_data":{{"z":100.10,"a":1E+2}},"context":{{"z":{obj:?},"none":null}},"channels":{{"slack":{{"metadata":{{"n":{n:?}}},"channel":"c"}}}}}}"#
    );
    let payload = format!(r#"{{"text":"Hi","metadata":{{"n":{n:?}}},"channel":"c"}}"#);
    let response = world.enqueue.handle(&request("POST", PREVIEW, &call)).await;
    assert_eq!(response.body(), &format!(r#"{{"channels":{{"slack":{payload}}}}}"#));
    let response = world.enqueue.handle(&request("POST", PATH, &call)).await;
    assert!(String::from_utf8_lossy(response.body()).contains(&format!(r#""kwargs":{payload},"#)));
    let sent = world.soon.envelopes.lock().unwrap()[0].clone();
    assert_eq!(sent.payload(), payload);
    assert_eq!(
        sent.context.json.unwrap().get(),
        format!(r#"{{"z":{obj:?},"none":null,"notification":{{"short_description":"Hi","extra_data":{{"z":100.10,"a":1E+2}}}}}}"#)
    );
}
