//! Notifications: a task for each channel.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;

use errand_core::{Note, NoteKind, Notes, PublishError};
use errand_testkit::written;
use serde_json::{Value, json};
use world::{World, pointers, request, told};

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
async fn what_nobody_reads_is_refused_and_a_payload_may_say_it_by_another_name() {
    let world = World::new();
    let call = |field: &str, value: Value| {
        let mut call = json!({ "short_description": "Hi", "channels": { "email": { "to": ["ann@example.com"] } } });
        call[field] = value;
        call
    };
    for (body, pointer) in [
        (call("local", json!("de")), "/local"),
        (call("variable", json!({})), "/variable"),
        (call("channels", json!({ "email": { "to": ["ann@example.com"], "attachment": [] } })), "/channels/email/attachment"),
    ] {
        let (status, problem) = world.post_to(PATH, &body).await;
        assert_eq!((status, pointers(&problem).as_slice()), (422, &[pointer][..]), "{body} got {problem}");
    }
    assert_eq!(world.queued(), 0);
    let (status, told) = world.post_to(PREVIEW, &call("channels", json!({ "email": { "to": "ann@example.com", "text": "own" } }))).await;
    assert_eq!((status, &told["channels"]["email"]), (200, &json!({ "to": "ann@example.com", "subject": "Hi", "text": "own" })), "{told}");
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

/// Each rendering takes its time; the one thread that answers does not wait for them.
#[tokio::test]
async fn others_are_answered_while_a_template_is_rendered() {
    let world = Arc::new(World::new());
    let nested = "{% for a in list %}{% for b in list %}{% for c in list %}x{% endfor %}{% endfor %}{% endfor %}";
    template(&world, "endless", &json!({ "channels": { "console": { "text": nested } } })).await;
    let call = json!({ "template": "endless", "channels": ["console"], "variables": { "list": vec![0; 400] } });
    let rendering: Vec<_> = (0..40)
        .map(|_| {
            let (world, call) = (Arc::clone(&world), call.clone());
            tokio::spawn(async move { world.post_to(PREVIEW, call).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let (status, health) = told(&world.enqueue.handle(&request("GET", "/v1/health", "")).await);
    assert_eq!((status, &health["status"]), (200, &json!("ok")));
    assert!(rendering.iter().any(|call| !call.is_finished()), "the renderings were over before anything else was answered");
    for call in rendering {
        let (status, problem) = call.await.unwrap();
        assert_eq!((status, pointers(&problem)), (422, vec!["/channels/console/text"]));
        assert_eq!(problem["errors"][0]["detail"], "takes too many steps: the texts of a call may take 250000 together");
    }
}

/// What callers are given by others, and would reach a channel as its own markup.
#[tokio::test]
async fn values_reach_no_channel_as_markup() {
    let world = World::new();
    let mean = "<!channel> & <b>\"Bob\"</b>\n</script>";
    let texts = json!({
        "channels": {
            "slack": {
                "text": "Order of {{ name }}",
                "blocks": [
                    { "type": "header", "text": { "type": "plain_text", "text": "{{ name }}" } },
                    { "type": "section", "text": { "type": "mrkdwn", "text": "*{{ name }}* <https://x.example/?q={{ name|urlencode }}|open>" } },
                ],
            },
            "email": { "subject": "Order of {{ name }}", "body": "{{ name }}", "html": "<a title=\"{{ name }}\">{{ name|safe }}</a>" },
            "webhook": { "url": "https://example.com/", "body": { "html": "{{ name }}", "n": 7 } },
            "console": { "text": "{{ name }}", "html": "{{ name }}" },
        },
        "locales": { "de": { "email": { "subject": "{{ name }}", "body": "{{ name }}", "content_subtype": "html" } } },
    });
    template(&world, "order", &texts).await;
    let mut call = json!({
        "template": "order", "variables": { "name": mean },
        "channels": { "slack": { "channel": "#x" }, "email": { "to": ["a@example.com"] }, "webhook": {}, "console": {} }
    });
    let (status, told) = world.post_to(PREVIEW, &call).await;
    assert_eq!(status, 200, "{told}");
    let (slack, html) = (
        "&lt;!channel&gt; &amp; &lt;b&gt;\"Bob\"&lt;/b&gt;\n&lt;/script&gt;",
        "&lt;!channel&gt; &amp; &lt;b&gt;&quot;Bob&quot;&lt;/b&gt;\n&lt;/script&gt;",
    );
    let told = &told["channels"];
    assert_eq!(told["slack"]["text"], format!("Order of {slack}"));
    assert_eq!(told["slack"]["blocks"][0]["text"]["text"], mean, "Slack reads no markup in plain_text");
    let link = "<https://x.example/?q=%3C%21channel%3E%20%26%20%3Cb%3E%22Bob%22%3C/b%3E%0A%3C/script%3E|open>";
    assert_eq!(told["slack"]["blocks"][1]["text"]["text"], format!("*{slack}* {link}"));
    assert_eq!(told["email"]["subject"], "Order of <!channel> & <b>\"Bob\"</b> </script>", "a subject is one line, and no markup");
    assert_eq!((&told["email"]["body"], &told["email"]["html"]), (&json!(mean), &json!(format!("<a title=\"{html}\">{mean}</a>"))));
    assert_eq!((&told["webhook"]["body"], &told["console"]), (&json!({ "html": mean, "n": 7 }), &json!({ "text": mean, "html": html })));

    // The body is what the caller says that it is, or the template in this language.
    call["channels"] = json!({ "email": { "to": ["a@example.com"], "html": null, "content_subtype": "html" } });
    assert_eq!(world.post_to(PREVIEW, &call).await.1["channels"]["email"]["body"], html);
    call["channels"] = json!({ "email": { "to": ["a@example.com"] } });
    call["locale"] = json!("de");
    assert_eq!(world.post_to(PREVIEW, &call).await.1["channels"]["email"]["body"], html);

    // What channels have of their own, without a template; and what is given, which is not rendered.
    let own = json!({
        "short_description": mean, "url": "https://x.example/?a=1&b=2",
        "channels": { "slack": { "channel": "#x" }, "email": { "to": ["a@example.com"], "content_subtype": "html" }, "webhook": { "url": "https://x.example", "body": "{{ <b> }}" } }
    });
    let (status, told) = world.post_to(PREVIEW, &own).await;
    assert_eq!((status, &told["channels"]["slack"]["text"]), (200, &json!(format!("{slack}\nhttps://x.example/?a=1&amp;b=2"))), "{told}");
    assert_eq!(told["channels"]["email"]["body"], format!("{html}\n\nhttps://x.example/?a=1&amp;b=2"));
    assert_eq!(told["channels"]["webhook"]["body"], "{{ <b> }}");
}

#[tokio::test]
async fn what_the_consumer_could_not_deliver_is_refused_at_once() {
    let mut world = World::new();
    let slack = |kwargs: Value| json!({ "task": "slack", "kwargs": kwargs });
    let (to_channel, to_nobody) = (slack(json!({ "channel": "#x", "text": "x" })), slack(json!({ "text": "x" })));
    // Where nobody tells what the consumer has, nothing is known.
    assert_eq!((world.post(&to_channel).await.0, world.post(&to_nobody).await.0), (202, 202));
    let told = |settings: &str| errand_payloads::payloads().with_consumer(&[("ERRAND_CONSUMER_SETTINGS", settings)].into_iter().collect());
    let cases: [(&str, &Value, &[&str], &str); 6] = [
        ("ERRAND_QUEUE_URL,,", &to_channel, &["/task"], "not configured: set ERRAND_SLACK_TOKEN"),
        ("ERRAND_SLACK_WEBHOOK_URL", &to_channel, &["/task"], "not configured: set ERRAND_SLACK_TOKEN"),
        ("ERRAND_SLACK_TOKEN", &to_nobody, &["/kwargs/channel"], "is required, since ERRAND_SLACK_WEBHOOK_URL is not set"),
        ("ERRAND_QUEUE_URL", &world::mail(), &["/task"], "not configured: set ERRAND_SES_FROM"),
        ("ERRAND_QUEUE_URL", &slack(json!([{ "text": "x" }])), &["/kwargs"], ""),
        (
            "ERRAND_QUEUE_URL",
            &json!({ "task": "slack", "kwargs": [{ "text": "x" }], "context": { "bulk": true } }),
            &["/task"],
            "not configured: set ERRAND_SLACK_TOKEN",
        ),
    ];
    for (settings, task, wrong, detail) in cases {
        world.enqueue.payloads = told(settings);
        let (status, problem) = world.post(task).await;
        assert_eq!((status, pointers(&problem).as_slice()), (422, wrong), "{settings}: {problem}");
        assert!(detail.is_empty() || problem["errors"][0]["detail"] == detail, "{problem}");
    }
    world.enqueue.payloads = told("ERRAND_SES_FROM, ERRAND_SLACK_TOKEN");
    assert_eq!((world.post(&to_channel).await.0, world.post(world::mail()).await.0), (202, 202));
    world.enqueue.payloads = told("ERRAND_SES_FROM");
    let preview = world.post_to(PREVIEW, json!({ "channels": { "slack": { "text": "x" } } })).await;
    assert_eq!(preview.0, 200, "a preview sends nothing: {}", preview.1);
    let (status, problem) = world.post_to(PATH, json!({ "channels": { "slack": { "channel": "#x", "text": "x" } } })).await;
    assert_eq!(
        (status, pointers(&problem), &problem["errors"][0]["detail"]),
        (422, vec!["/channels/slack"], &json!("not configured: set ERRAND_SLACK_TOKEN"))
    );
}

#[tokio::test]
async fn what_a_template_sees_is_not_larger_than_it_may_be() {
    let world = World::new();
    for field in ["variables", "extra_data"] {
        let call = json!({ "channels": ["console"], field: { "a": "x".repeat(300_000) }, "short_description": "x" });
        let (status, problem) = world.post_to(PREVIEW, call).await;
        assert_eq!((status, pointers(&problem)), (422, vec!["/variables"]), "{field}");
    }
    // What is rendered is what has a limit.
    let call = json!({ "channels": { "slack": { "channel": "#x", "text": "x" } }, "variables": { "a": "x".repeat(300_000) } });
    assert_eq!(world.post_to(PREVIEW, call).await.0, 200);
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
