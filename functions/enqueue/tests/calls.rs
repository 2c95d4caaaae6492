//! The handler, with a transport that keeps what it gets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use errand_api::Access;
use errand_core::{BODY_LIMIT, Filter, Lookup, PublishError, Results, Status};
use errand_testkit::written;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use world::{World, mail, pointers, request, told, with};

#[tokio::test]
async fn a_task_is_queued_noted_and_answered_with_its_state() {
    let world = World::new();
    let mut call = request("POST", "/v1/tasks", with("id", json!("a/1")));
    call.headers_mut().insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    let response = world.enqueue.handle(&call).await;
    assert_eq!(response.headers()["location"], "/v1/tasks/a%2F1");
    let (status, task) = told(&response);
    assert_eq!((status, &task["id"], &task["status"], &task["backend"]), (202, &json!("a/1"), &json!("READY"), &json!("soon")));
    assert_eq!(task["kwargs"], mail()["kwargs"]);
    let envelope = world.soon.envelopes.lock().unwrap().remove(0);
    assert_eq!((envelope.id.as_str(), envelope.trace.is_some()), ("a/1", true), "the call's trace goes on");
    assert_eq!(world.store.get("a/1").await.unwrap().unwrap().0.status, Status::Ready);
}

#[tokio::test]
async fn ids_are_made_where_none_is_given() {
    let world = World::new();
    let (first, second) = (world.post(mail()).await.1, world.post(mail()).await.1);
    assert!(first["id"] != second["id"] && first["id"].as_str().unwrap().len() == 36);
}

#[tokio::test]
async fn a_delay_chooses_the_transport_that_can_keep_it() {
    let world = World::new();
    for (delay, backend) in [(json!(0.5), "soon"), (json!(900), "soon"), (json!(901), "late"), (json!(31_000_000), "late")] {
        let (status, task) = world.post(with("countdown", delay.clone())).await;
        assert_eq!((status, task["backend"].as_str(), task["status"].as_str()), (202, Some(backend), Some("SCHEDULED")), "{delay}");
    }
    let (status, task) = world.post(with("run_after", json!("2020-01-01T00:00:00+01:00"))).await;
    assert_eq!((status, &task["status"]), (202, &json!("READY")), "what was due is due");
    let mut world = world;
    world.enqueue.dispatch = world.enqueue.dispatch.with_hold(None);
    let (status, problem) = world.post(with("countdown", json!(901))).await;
    assert!(status == 422 && problem["detail"].as_str().unwrap().contains("ERRAND_SCHEDULER_ROLE_ARN"), "{problem}");
}

#[tokio::test]
async fn a_bad_call_is_told_everything_that_is_wrong_and_queues_nothing() {
    let world = World::new();
    let cases: [(Value, &[&str]); 14] = [
        (json!({ "kwargs": {} }), &["/task"]),
        (json!({ "task": "no.such.task" }), &["/task"]),
        (with("task", json!("x".repeat(201))), &["/task"]),
        (with("kwargs", json!([])), &["/kwargs"]),
        (with("args", json!({})), &["/args"]),
        (with("run_after", json!("tomorrow")), &["/run_after"]),
        (with("run_after", json!("2099-01-01T00:00:00Z")), &["/run_after"]),
        (with("countdown", json!(-5)), &["/countdown"]),
        (with("countdown", json!(1e12)), &["/countdown"]),
        (with("countdown", json!("5")), &["/countdown"]),
        (with("expires", json!("2020-01-01T00:00:00Z")), &["/expires"]),
        (with("max_attempts", json!(0)), &["/max_attempts"]),
        (
            json!({ "task": "email", "kwargs": { "subject": 5, "to": ["nobody"] }, "max_attempts": 101 }),
            &["/max_attempts", "/kwargs/subject", "/kwargs/body", "/kwargs/to/0"],
        ),
        (
            json!({ "task": "email", "kwargs": [mail()["kwargs"], {}], "context": { "bulk": true } }),
            &["/kwargs/1/subject", "/kwargs/1/body", "/kwargs/1/to"],
        ),
    ];
    for (body, wrong) in cases {
        let (status, problem) = world.post(&body).await;
        assert_eq!((status, pointers(&problem).as_slice()), (422, wrong), "{body} got {problem}");
        assert!(problem["title"].is_string() && problem["type"] == "about:blank");
    }
    let (_, both) = world.post(json!({ "task": "console", "countdown": 1, "run_after": "2027-01-01T00:00:00Z" })).await;
    assert_eq!(pointers(&both), ["/countdown"]);
    let (_, unknown) = world.post(json!({ "task": "no.such.task" })).await;
    assert!(unknown["errors"][0]["detail"].as_str().unwrap().ends_with("known are: console, email, slack, webhook, app.*, theirs.*"));
    assert_eq!(world.queued(), 0);
}

#[tokio::test]
async fn what_nobody_reads_is_refused_with_what_was_meant() {
    let world = World::new();
    let payload = |field: &str| {
        let mut task = mail();
        task["kwargs"][field] = json!("x");
        task
    };
    let file = |field: &str| {
        let mut task = mail();
        task["kwargs"]["attachments"] = json!([{ "filename": "a", "content": "", field: "x" }]);
        task
    };
    for (body, pointer, meant) in [
        (with("run_at", json!("2099-01-01T00:00:00Z")), "/run_at", "did you mean run_after?"),
        (with("delay", json!(60)), "/delay", "did you mean countdown?"),
        (with("max_retries", json!(1)), "/max_retries", "did you mean max_attempts?"),
        (with("kwarg", json!({})), "/kwarg", "did you mean kwargs?"),
        (with("colour", json!(null)), "/colour", "known are "),
        (with("args", json!([1])), "/args", "email takes all that it reads in kwargs"),
        (payload("attachment"), "/kwargs/attachment", "did you mean attachments?"),
        (file("contenttype"), "/kwargs/attachments/0/contenttype", "did you mean content_type?"),
        (
            json!({ "task": "email", "kwargs": [mail()["kwargs"], payload("bbc")["kwargs"]], "context": { "bulk": true } }),
            "/kwargs/1/bbc",
            "bcc",
        ),
    ] {
        let (status, problem) = world.post(&body).await;
        assert_eq!((status, pointers(&problem).as_slice()), (422, &[pointer][..]), "{body} got {problem}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(meant), "{problem}");
    }
    assert_eq!(world.queued(), 0);
    let free = json!({ "task": "console", "args": [], "kwargs": { "any": 1 }, "context": { "any": 1 } });
    assert_eq!(world.post(free).await.0, 202, "what is free is the caller's own");
    let (status, told) = world.post_to("/v1/tasks/batch", &json!({ "tasks": [mail(), with("delay", json!(1))] })).await;
    assert_eq!((status, pointers(&told["tasks"][1]).as_slice()), (207, &["/delay"][..]));
    assert_eq!(world.post_to("/v1/tasks/batch", &json!({ "tasks": [mail()], "task": 1 })).await.0, 422);
}

#[tokio::test]
async fn what_is_no_json_object_or_too_much_is_refused_by_its_status() {
    let world = World::new();
    for body in ["", "{", "[]", "7", "\u{feff}{}"] {
        assert_eq!(world.post(body).await.0, 400, "{body}");
    }
    let (status, problem) = world.post(r#"{"task":"a","task":"b"}"#).await;
    assert_eq!((status, pointers(&problem).as_slice()), (422, &["/task"][..]));
    assert_eq!(world.post(format!(r#"{{"task":"console","kwargs":{{"a":"{}"}}}}"#, "x".repeat(BODY_LIMIT))).await.0, 413);
    assert_eq!(world.post(format!(r#"{{"task":"console","kwargs":{{"a":{}}}}}"#, "[".repeat(99) + &"]".repeat(99))).await.0, 400);
    let mut form = request("POST", "/v1/tasks", mail());
    form.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    let (status, problem) = told(&world.enqueue.handle(&form).await);
    assert!(status == 415 && problem["detail"].as_str().unwrap().contains("application/json"));
    assert_eq!(told(&world.enqueue.handle(&request("PUT", "/v1/tasks", "")).await).0, 405);
    assert_eq!(told(&world.enqueue.handle(&request("GET", "/v2", "")).await).0, 404);
    assert_eq!(world.queued(), 0);
}

#[tokio::test]
async fn a_transport_that_does_not_take_it_is_no_success() {
    let cases = [
        (PublishError::Refused("why".to_owned()), 422, "why"),
        (PublishError::TooLarge { limit: 7 }, 413, "7 bytes"),
        (PublishError::Unavailable("secret".to_owned()), 503, "Try again"),
        (PublishError::Misconfigured("secret".to_owned()), 503, "operator"),
        (PublishError::OutcomeUnknown("secret".to_owned()), 503, "it may be there"),
    ];
    for (error, code, part) in cases {
        let world = World::answering(Some(error.clone()));
        let (status, problem) = world.post(with("id", json!("a"))).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == code && detail.contains(part) && !detail.contains("secret"), "{status} {detail}");
        let unsent = world.store.get("a").await.unwrap().unwrap().1.unsent;
        assert_eq!(unsent, !matches!(error, PublishError::OutcomeUnknown(_)), "it is noted as not sent, unless it is there perhaps");
        assert_eq!(world.post(mail()).await.0, code);
        assert_eq!(
            world.store.list(&Filter { limit: 9, ..Filter::default() }).await.unwrap().results.len(),
            1,
            "nothing is noted of what has no name"
        );
    }
}

#[tokio::test]
async fn health_keeps_its_answer_for_a_moment_and_tells_who_has_a_key_how_long_each_took() {
    let mut world = World::new();
    let key = "send:send:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    world.enqueue.access = Access::new(&[("ERRAND_API_KEYS", key)].into_iter().collect(), None).unwrap();
    let ask = async |key: Option<&str>| {
        let mut request = request("GET", "/v1/health", "");
        key.into_iter().for_each(|key| drop(request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap())));
        told(&world.enqueue.handle(&request).await).1
    };
    let asked = || world.soon.checks.load(Ordering::SeqCst);
    let answers = futures_util::future::join_all((0..20).map(|_| ask(None))).await;
    assert!(answers.iter().all(|health| health["status"] == "ok" && health.get("details").is_none()), "{answers:?}");
    assert_eq!(asked(), 1, "nobody opens brokers by asking");
    assert_eq!(ask(Some("another")).await.get("details"), None);
    let health = ask(Some("secret")).await;
    assert_eq!(health["checks"], answers[0]["checks"]);
    assert!(health["details"]["soon"]["latency_ms"].is_u64() && health["details"]["soon"]["error"].is_null(), "{health}");
    assert_eq!(asked(), 1);
    let begun = Instant::now();
    while asked() == 1 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again in the end");
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask(None).await;
    }
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn health_tells_each_part() {
    let (status, health) = told(&World::new().enqueue.handle(&request("GET", "/v1/health", "")).await);
    assert_eq!((status, health), (200, json!({ "status": "ok", "checks": { "soon": "ok", "late": "ok", "store": "ok" } })));
    let world = World::answering(Some(PublishError::Unavailable("SQS: HTTP 503".to_owned())));
    let (status, health) = told(&world.enqueue.handle(&request("GET", "/v1/health", "")).await);
    assert_eq!((status, &health["status"], &health["checks"]["soon"]), (503, &json!("failing"), &json!("unavailable: SQS: HTTP 503")));
}

#[tokio::test]
async fn the_sample_events_are_answered() {
    let samples = [
        (include_str!("../../../events/enqueue-mail.json"), 202),
        (include_str!("../../../events/enqueue-delayed.json"), 202),
        (include_str!("../../../events/enqueue-batch.json"), 207),
        (include_str!("../../../events/enqueue-notification.json"), 202),
        (include_str!("../../../events/enqueue-wrong.json"), 422),
        (include_str!("../../../events/enqueue-health.json"), 200),
    ];
    let enqueue = Arc::new(World::new().enqueue);
    for (sample, status) in samples {
        let event = LambdaEvent::new(serde_json::from_str(sample).unwrap(), Context::default());
        assert_eq!(Arc::clone(&enqueue).invoke(event).await.status_code, status, "{sample}");
    }
}

#[tokio::test]
async fn a_task_is_sent_noted_and_answered_as_it_was_written() {
    let world = World::new();
    let (args, body, context) = (written::array(), written::object(), r#"{ "z":1e400, "a":null }"#);
    let kwargs = format!(r#"{{"url":"https://example.com","body":{body:?}}}"#);
    let task = format!(r#"{{"task":"app.ship","args":{args:?},"id":"a","kwargs":{kwargs},"context":{context},"countdown":9}}"#);
    let batch = format!(r#"{{"tasks":[{}]}}"#, task.replace(r#""id":"a""#, r#""id":"b""#));
    for (path, body) in [("/v1/tasks", task), ("/v1/tasks/batch", batch)] {
        let response = world.enqueue.handle(&request("POST", path, body)).await;
        let answer = String::from_utf8_lossy(response.body());
        assert!(answer.contains(&format!(r#""args":{args:?},"kwargs":{kwargs},"#)), "{answer}");
    }
    for id in ["a", "b"] {
        let (task, header) = world.store.get(id).await.unwrap().unwrap();
        let again = header.envelope(&task).unwrap();
        assert_eq!((again.args.unwrap().get(), again.kwargs.unwrap().get()), (args.get(), kwargs.as_str()));
        assert_eq!(again.context.json.unwrap().get(), context);
    }
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_refused_by_name_and_nothing_is_sent() {
    let world = World::new();
    let (status, problem) = world.post(with("queue", json!("slwo"))).await;
    let errors = json!([{ "pointer": "/queue", "detail": "is no queue that is known here; known are: default, fast, slow" }]);
    assert_eq!((status, &problem["errors"]), (422, &errors));
    let notification = json!({ "channels": { "email": mail()["kwargs"] }, "queue": "slwo" });
    let (status, problem) = told(&world.enqueue.handle(&request("POST", "/v1/notifications", notification)).await);
    assert_eq!((status, &problem["errors"]), (422, &errors));
    assert_eq!(world.queued(), 0);
    assert_eq!(world.post(with("queue", json!("slow"))).await.0, 202);
    assert_eq!(world.soon.envelopes.lock().unwrap()[0].queue, "slow");
}

#[tokio::test]
async fn a_compressed_body_is_refused_with_what_is_taken() {
    let world = World::new();
    for path in ["/v1/tasks", "/v1/tasks/batch", "/v1/notifications", "/v1/notifications/preview", "/v1/events"] {
        let mut call = request("POST", path, "\u{1f}");
        let headers = call.headers_mut();
        headers.insert("content-encoding", "gzip".parse().unwrap());
        // Binary mode, where any body may be data.
        headers.extend(
            [("ce-specversion", "1.0"), ("ce-id", "7"), ("ce-source", "/x"), ("ce-type", "app.x")]
                .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))),
        );
        let response = world.enqueue.handle(&call).await;
        assert_eq!((response.status().as_u16(), response.headers()["accept-encoding"].as_bytes()), (415, &b"identity"[..]), "{path}");
        assert!(told(&response).1["detail"].as_str().unwrap().contains("without a content-encoding"));
    }
    let mut plain = request("POST", "/v1/tasks", mail());
    plain.headers_mut().insert("content-encoding", "identity".parse().unwrap());
    assert_eq!(world.enqueue.handle(&plain).await.status(), 202);
}

#[tokio::test]
async fn a_parameter_that_nobody_reads_is_refused() {
    let world = World::new();
    for (method, path) in [("POST", "/v1/tasks?wait=5"), ("POST", "/v1/tasks/batch?a=b"), ("GET", "/v1/health?x"), ("POST", "/v1/events?=")]
    {
        let response = world.enqueue.handle(&request(method, path, mail())).await;
        assert_eq!(response.status(), 400, "{path}");
    }
    assert!(world.soon.envelopes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn health_is_told_by_the_status_alone_to_who_asks_so() {
    for (answer, status) in [(None, 200), (Some(PublishError::Unavailable("down".to_owned())), 503)] {
        let response = World::answering(answer).enqueue.handle(&request("HEAD", "/v1/health", "")).await;
        assert_eq!((response.status().as_u16(), response.body().len()), (status, 0));
    }
}
