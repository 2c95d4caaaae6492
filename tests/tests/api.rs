//! The HTTP API: the same calls to a server on this machine and to the deployed stack.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use errand_core::Timestamp;
use errand_testkit::{Answer, Stub};
use errand_tests::{
    Api, Stack,
    application::{Application, SECRET},
    id, mail, until,
};
use serde_json::{Value, json};

const KEY: &str = "key-of-the-tests";

fn local() -> Api {
    let routes = json!({ "app.*": { "http": Application::get().url } }).to_string();
    Api::start(
        KEY,
        &[
            ("ERRAND_ROUTES", &routes),
            ("ERRAND_HTTP_SECRET", SECRET),
            ("ERRAND_WEBHOOK_SECRET", SECRET),
            ("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8"),
            ("ERRAND_RETRY_BASE_SECONDS", "1"),
        ],
    )
}

fn deployed() -> Api {
    Application::get();
    Stack::new().api
}

/// Makes tests of cases: each for a server of its own, and for the stack.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod on_this_machine {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::local()).await;
            })*
        }
        mod on_the_stack {
            $(#[tokio::test]
            #[ignore = "needs the deployed stack"]
            async fn $case() {
                super::$case(&super::deployed()).await;
            })*
        }
    };
}

on_both!(
    a_batch_of_a_thousand_is_taken_and_run,
    of_a_batch_the_good_ones_go,
    what_is_no_batch_is_refused,
    a_notification_goes_by_each_channel_and_is_found_by_its_user,
    templates_are_kept_rendered_and_forgotten,
    the_same_call_is_done_once,
    a_result_can_be_waited_for,
    an_application_runs_a_task_and_its_answer_is_the_value,
    what_an_application_refuses_is_given_up_with_its_error,
    what_an_application_fails_at_is_tried_again,
    a_worker_reports_with_its_token_and_nothing_goes_backwards,
    a_callback_tells_the_result_once_and_signed,
    keys_are_made_limited_and_revoked,
    a_key_that_has_expired_is_refused,
    every_wrong_call_is_a_problem,
    the_document_and_its_page_are_served,
);

async fn a_batch_of_a_thousand_is_taken_and_run(api: &Api) {
    let name = id("thousand");
    let tasks: Vec<Value> = (0..1000).map(|i| json!({ "id": format!("{name}-{i}"), "task": "app.echo", "kwargs": { "i": i } })).collect();
    let (status, answer) = api.call("POST", "/v1/tasks/batch", Some(&json!({ "tasks": tasks }))).await;
    let told = answer["tasks"].as_array().unwrap();
    assert_eq!((status, told.len()), (202, 1000), "{answer}");
    assert!(told.iter().enumerate().all(|(i, task)| task["id"] == format!("{name}-{i}") && task["status"] == "READY"));
    for i in [0, 500, 999] {
        let done = api.wait_for(&format!("{name}-{i}"), "SUCCESSFUL").await;
        assert_eq!(done["return_value"]["kwargs"]["i"], i);
    }
}

async fn of_a_batch_the_good_ones_go(api: &Api) {
    let good = id("good");
    let task = json!({ "id": good, "task": "app.echo" });
    let batch =
        json!({ "tasks": [{ "task": "email", "kwargs": { "subject": 7 } }, task, "x", { "task": "no such" }, { "task": "pigeon" }] });
    let (status, answer) = api.call("POST", "/v1/tasks/batch", Some(&batch)).await;
    let told: Vec<&Value> = answer["tasks"].as_array().unwrap().iter().map(|task| &task["status"]).collect();
    assert_eq!((status, told), (207, vec![&json!(422), &json!("READY"), &json!(400), &json!(422), &json!(422)]));
    assert_eq!(answer["tasks"][0]["errors"][0]["pointer"], "/kwargs/subject");
    api.wait_for(&good, "SUCCESSFUL").await;
}

async fn what_is_no_batch_is_refused(api: &Api) {
    let many: Vec<Value> = (0..1001).map(|_| json!({ "task": "app.echo" })).collect();
    for (body, wanted) in [(json!({ "tasks": many }), 422), (json!({ "tasks": [] }), 422), (json!({}), 422), (json!([]), 400)] {
        let (status, problem) = api.call("POST", "/v1/tasks/batch", Some(&body)).await;
        assert_eq!(status, wanted, "{problem}");
    }
}

async fn a_notification_goes_by_each_channel_and_is_found_by_its_user(api: &Api) {
    let (name, receiver) = (id("notification"), Stub::start(|_| Answer::json(204, "")).await);
    let before = Timestamp::now() - Duration::from_secs(5);
    let call = json!({
        "id": name, "user": name, "source": "shop", "action": "shipped", "short_description": "On its way", "url": "https://example.com/7",
        "channels": { "email": { "to": ["ann@example.com"] }, "webhook": { "url": receiver.url(), "body": { "n": 1 } } },
    });
    let (status, answer) = api.call("POST", "/v1/notifications", Some(&call)).await;
    assert_eq!((status, &answer["id"], answer["tasks"].as_array().unwrap().len()), (202, &json!(name), 2), "{answer}");
    api.wait_for(&format!("{name}.webhook"), "SUCCESSFUL").await;
    let mail = api.wait_for(&format!("{name}.email"), "SUCCESSFUL").await;
    assert_eq!((&mail["kwargs"]["subject"], receiver.requests().len()), (&json!("On its way"), 1));
    let since = before.to_string();
    let far = (Timestamp::now() + Duration::from_secs(3600)).to_string();
    for (query, wanted) in [
        (format!("notification={name}"), 2),
        (format!("user={name}&task=email"), 1),
        (format!("user={name}&status=FAILED"), 0),
        (format!("user={name}&queue=default&since={since}&until={far}"), 2),
        (format!("user={name}&until={since}"), 0),
        (format!("user={name}&queue=other"), 0),
    ] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let (status, page) = api.call("GET", &format!("/v1/tasks?limit=100&{query}{cursor}"), None).await;
            assert_eq!(status, 200, "{page}");
            found.extend(page["tasks"].as_array().unwrap().iter().cloned());
            match page["cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={}", next.replace('#', "%23")),
                None => break,
            }
        }
        assert_eq!(found.len(), wanted, "{query}");
    }
}

async fn templates_are_kept_rendered_and_forgotten(api: &Api) {
    let name = id("template");
    let path = format!("/v1/templates/{name}");
    let template = json!({
        "channels": { "email": { "subject": "Order {{ order }}", "html": "<p>{{ user }}</p>" } },
        "locales": { "de": { "email": { "subject": "Bestellung {{ order }}", "html": "<p>{{ user }}</p>" } } }
    });
    let (status, kept) = api.call("PUT", &path, Some(&template)).await;
    assert_eq!((status, &kept["channels"]), (200, &template["channels"]), "{kept}");
    let mut call = json!({ "template": name, "locale": "de-AT", "user": "A&B", "variables": { "order": 7 }, "channels": { "email": { "to": ["a@example.com"] } } });
    let (status, told) = api.call("POST", "/v1/notifications/preview", Some(&call)).await;
    assert_eq!(
        (status, &told["channels"]["email"]["subject"], &told["channels"]["email"]["html"]),
        (200, &json!("Bestellung 7"), &json!("<p>A&amp;B</p>"))
    );
    call["variables"] = json!({});
    let (status, problem) = api.call("POST", "/v1/notifications", Some(&call)).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/channels/email/subject")));
    assert_eq!(api.call("GET", &path, None).await.1["locales"], template["locales"]);
    let listed = async || api.call("GET", "/v1/templates?limit=100", None).await.1["templates"].as_array().unwrap().contains(&json!(name));
    until("the template is listed", async || listed().await.then_some(())).await;
    let (status, problem) = api.call("PUT", &path, Some(&json!({ "channels": { "email": { "subject": "{{ x" } } }))).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/channels/email/subject")));
    assert_eq!(
        (api.call("DELETE", &path, None).await.0, api.call("DELETE", &path, None).await.0, api.call("GET", &path, None).await.0),
        (200, 404, 404)
    );
}

async fn the_same_call_is_done_once(api: &Api) {
    let key = id("key");
    let call = async |body: &Value| api.request("POST", "/v1/tasks", Some(body), &[("idempotency-key", key.as_str())]).await;
    let task = json!({ "task": "app.echo", "kwargs": { "a": 1 } });
    let (first, again) = (call(&task).await, call(&task).await);
    assert_eq!((first.status, &first.body, again.status), (202, &again.body, 202));
    assert_eq!((again.headers["idempotent-replayed"].to_str().unwrap(), &again.headers["location"]), ("true", &first.headers["location"]));
    assert_eq!(call(&json!({ "task": "app.echo" })).await.status, 422);
    let id = first.body["id"].as_str().unwrap();
    api.wait_for(id, "SUCCESSFUL").await;
    assert_eq!(call(&task).await.body["status"], "READY", "the same answer, whatever became of it");
    assert_eq!(Application::get().calls(id).len(), 1);
}

async fn a_result_can_be_waited_for(api: &Api) {
    let name = id("wait");
    api.send(&json!({ "id": name, "task": "app.echo", "countdown": 1 })).await;
    let (status, early) = api.call("GET", &format!("/v1/tasks/{name}?wait=0"), None).await;
    assert_eq!((status, &early["status"]), (200, &json!("SCHEDULED")));
    let (status, done) = api.call("GET", &format!("/v1/tasks/{name}?wait=20"), None).await;
    assert_eq!((status, &done["status"]), (200, &json!("SUCCESSFUL")));
    for wrong in ["wait=26", "wait=-1", "wait=soon", "weight=1"] {
        assert_eq!(api.call("GET", &format!("/v1/tasks/{name}?{wrong}"), None).await.0, 400, "{wrong}");
    }
}

async fn an_application_runs_a_task_and_its_answer_is_the_value(api: &Api) {
    let name = id("echo");
    api.send(&json!({ "id": name, "task": "app.echo", "args": [1, "é"], "kwargs": { "b": null } })).await;
    let done = api.wait_for(&name, "SUCCESSFUL").await;
    let value = &done["return_value"];
    assert_eq!(
        (&value["args"], &value["kwargs"], &value["id"], &value["attempt"]),
        (&json!([1, "é"]), &json!({ "b": null }), &json!(name), &json!(1))
    );
    let (headers, body) = Application::get().calls(&name).remove(0);
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(&body, &headers).unwrap();
}

async fn what_an_application_refuses_is_given_up_with_its_error(api: &Api) {
    let name = id("refuse");
    api.send(&json!({ "id": name, "task": "app.refuse" })).await;
    let failed = api.wait_for(&name, "FAILED").await;
    assert_eq!(failed["errors"], json!([{ "exception_class_path": "shop.errors.OutOfStock", "traceback": "Traceback: line 1" }]));
    assert_eq!((&failed["attempts"], &failed["return_value"]), (&json!(1), &Value::Null));
}

async fn what_an_application_fails_at_is_tried_again(api: &Api) {
    let name = id("flaky");
    api.send(&json!({ "id": name, "task": "app.flaky" })).await;
    let done = api.wait_for(&name, "SUCCESSFUL").await;
    assert_eq!(
        (&done["attempts"], &done["return_value"], &done["errors"][0]["exception_class_path"]),
        (&json!(2), &json!("done"), &json!("shop.errors.Busy"))
    );
}

async fn a_worker_reports_with_its_token_and_nothing_goes_backwards(api: &Api) {
    let name = id("later");
    api.send(&json!({ "id": name, "task": "app.later" })).await;
    let call = until("the worker has the task", async || Application::get().calls(&name).pop()).await.1;
    let call: Value = serde_json::from_slice(&call).unwrap();
    let token = call["report"]["token"].as_str().unwrap().to_owned();
    assert!(call["report"]["url"].as_str().unwrap().ends_with(&format!("/v1/tasks/{name}/result")));
    let report = async |token: &str, body: Value| {
        let told =
            api.request("POST", &format!("/v1/tasks/{name}/result"), Some(&body), &[("authorization", &format!("Bearer {token}"))]).await;
        (told.status, told.body)
    };
    let (status, running) = report(&token, json!({ "status": "RUNNING", "worker_id": "w-1" })).await;
    assert_eq!((status, &running["status"]), (200, &json!("RUNNING")), "{running}");
    for wrong in ["", "wrong", KEY] {
        assert_eq!(report(wrong, json!({ "status": "RUNNING" })).await.0, 401, "{wrong}");
    }
    assert_eq!(report(&token, json!({ "status": "READY" })).await.0, 422);
    assert_eq!(report(&token, json!({ "status": "FAILED", "errors": [{}] })).await.0, 422);
    let (status, done) = report(&token, json!({ "status": "SUCCESSFUL", "return_value": { "n": 7 } })).await;
    assert_eq!((status, &done["status"], &done["return_value"]), (200, &json!("SUCCESSFUL"), &json!({ "n": 7 })));
    assert!(done["worker_ids"].as_array().unwrap().contains(&json!("w-1")));
    assert_eq!(report(&token, json!({ "status": "RUNNING" })).await, (200, done.clone()), "late");
    assert_eq!(report(&token, json!({ "status": "SUCCESSFUL", "return_value": 8 })).await, (200, done.clone()), "again");
    assert_eq!(report(&token, json!({ "status": "FAILED" })).await.0, 409);
    assert_eq!(api.call("GET", &format!("/v1/tasks/{name}"), None).await.1, done);
}

async fn a_callback_tells_the_result_once_and_signed(api: &Api) {
    let receiver = Stub::start(|_| Answer::json(204, "")).await;
    let task = |name: &str, task: &str| json!({ "id": name, "task": task, "callback_url": format!("{}/{name}", receiver.url()) });
    let told = async |name: &str| {
        let path = format!("/{name}");
        let all = async || receiver.requests().into_iter().filter(|request| request.uri.path() == path).collect::<Vec<_>>();
        until("the callback is made", async || all().await.pop()).await
    };
    let (done, refused, cancelled) = (id("done"), id("refused"), id("cancelled"));
    api.send(&task(&done, "app.echo")).await;
    api.send(&task(&done, "app.echo")).await;
    api.send(&task(&refused, "app.refuse")).await;
    let mut late = task(&cancelled, "app.echo");
    late["countdown"] = json!(600);
    api.send(&late).await;
    assert_eq!(api.call("DELETE", &format!("/v1/tasks/{cancelled}"), None).await.0, 200);
    for (name, status) in [(&done, "SUCCESSFUL"), (&refused, "FAILED"), (&cancelled, "CANCELLED")] {
        let call = told(name).await;
        standardwebhooks::Webhook::new(SECRET).unwrap().verify(&call.body, &call.headers).unwrap();
        let result: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!((&result["id"], &result["status"]), (&json!(name), &json!(status)));
        assert_eq!(api.call("GET", &format!("/v1/tasks/{name}"), None).await.1, result, "the result as it is told");
    }
    let last = id("last");
    api.send(&task(&last, "app.echo")).await;
    told(&last).await;
    assert_eq!(receiver.requests().len(), 4, "each once");
}

async fn keys_are_made_limited_and_revoked(api: &Api) {
    let name = id("key");
    let (status, key) = api.call("POST", "/v1/keys", Some(&json!({ "name": name, "scopes": ["read"], "rate": 3 }))).await;
    assert_eq!(status, 201, "{key}");
    let secret = format!("Bearer {}", key["key"].as_str().unwrap());
    let call = async |method: &str, path: &str| {
        api.request(method, path, Some(&json!({ "task": "app.echo" })), &[("authorization", secret.as_str())]).await
    };
    let first = call("GET", "/v1/tasks?limit=1").await;
    assert_eq!((first.status, first.headers["ratelimit-policy"].to_str().unwrap()), (200, "\"key\";q=3;w=60"));
    assert!(first.headers["ratelimit"].to_str().unwrap().starts_with("\"key\";r="));
    assert_eq!(call("POST", "/v1/tasks").await.status, 403);
    // The minute may end in between: then there are three more.
    let limited =
        until("the key has called too often", async || Some(call("GET", "/v1/tasks?limit=1").await).filter(|told| told.status == 429))
            .await;
    assert!(limited.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() <= 60);
    assert_eq!(api.call("POST", "/v1/keys", Some(&json!({ "name": name, "scopes": ["read"] }))).await.0, 409);
    let listed = async || {
        api.call("GET", "/v1/keys", None).await.1["keys"].as_array().unwrap().iter().find(|key| key["name"] == name.as_str()).cloned()
    };
    let known = until("the key is listed", listed).await;
    assert!(known.get("key").is_none() && known["revocable"] == true, "{known}");
    assert_eq!(api.call("DELETE", &format!("/v1/keys/{name}"), None).await.0, 200);
    assert_eq!(call("GET", "/v1/tasks?limit=1").await.status, 401);
    assert_eq!(
        (api.call("DELETE", &format!("/v1/keys/{name}"), None).await.0, api.call("DELETE", "/v1/keys/tests", None).await.0),
        (404, 409)
    );
    for wrong in [
        json!({}),
        json!({ "name": "a b", "scopes": ["read"] }),
        json!({ "name": "x", "scopes": ["fly"] }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["read"], "rate": 0, "expires": "2020-01-01T00:00:00Z" }),
    ] {
        assert_eq!(api.call("POST", "/v1/keys", Some(&wrong)).await.0, 422, "{wrong}");
    }
}

async fn a_key_that_has_expired_is_refused(api: &Api) {
    let name = id("brief");
    let expires = Timestamp::now() + Duration::from_secs(3);
    let (status, key) =
        api.call("POST", "/v1/keys", Some(&json!({ "name": name, "scopes": ["admin"], "expires": expires.to_string() }))).await;
    assert_eq!(status, 201, "{key}");
    let secret = format!("Bearer {}", key["key"].as_str().unwrap());
    let call = async || api.request("GET", "/v1/tasks?limit=1", None, &[("authorization", secret.as_str())]).await.status;
    assert_eq!(call().await, 200);
    until("the key has expired", async || (call().await == 401).then_some(())).await;
    assert!(Timestamp::now() >= expires);
    assert_eq!(api.call("DELETE", &format!("/v1/keys/{name}"), None).await.0, 200);
}

async fn every_wrong_call_is_a_problem(api: &Api) {
    let task = mail(&id("wrong"));
    let large = json!({ "task": "app.echo", "kwargs": { "a": "x".repeat(5 * 1024 * 1024) } });
    type Case<'a> = (&'a str, &'a str, Option<&'a Value>, &'a [(&'a str, &'a str)], u16);
    let cases: [Case<'_>; 12] = [
        ("POST", "/v1/tasks", Some(&task), &[("authorization", "Bearer wrong")], 401),
        ("POST", "/v1/tasks", Some(&task), &[("authorization", "Basic eDp5")], 401),
        ("GET", "/v1/keys", None, &[("authorization", "")], 401),
        ("POST", "/v1/tasks", Some(&task), &[("content-type", "text/plain")], 415),
        ("POST", "/v1/tasks", Some(&large), &[], 413),
        ("POST", "/v1/tasks", Some(&json!({ "task": "pigeon" })), &[], 422),
        ("POST", "/v1/tasks", Some(&task), &[("idempotency-key", "\u{e9}")], 400),
        ("PUT", "/v1/tasks", None, &[], 405),
        ("GET", "/v1/nothing", None, &[], 404),
        ("GET", "/v1/tasks/nobody", None, &[], 404),
        ("GET", "/v1/tasks?status=LOST", None, &[], 400),
        ("POST", "/v1/tasks/nobody/result", Some(&json!({ "status": "RUNNING" })), &[], 401),
    ];
    for (method, path, body, headers, wanted) in cases {
        let answer = api.request(method, path, body, headers).await;
        assert_eq!(answer.status, wanted, "{method} {path} {headers:?}: {}", answer.body);
        assert_eq!(
            (&answer.body["status"], answer.headers["content-type"].to_str().unwrap()),
            (&json!(wanted), "application/problem+json"),
            "{method} {path}"
        );
    }
}

async fn the_document_and_its_page_are_served(api: &Api) {
    let document = api.request("GET", "/v1/openapi.json", None, &[("authorization", "")]).await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
    for (method, path, operation, _) in errand_api::routes() {
        let described = &document.body["paths"][path][method.as_str().to_lowercase()];
        assert!(
            described["operationId"].is_string() || operation == errand_api::Operation::Status(errand_api::Managing::Docs),
            "{method} {path}"
        );
    }
    let page = api.request("GET", "/docs", None, &[("authorization", "")]).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(page.status == 200 && policy.contains("default-src 'none'") && page.body.as_str().unwrap().contains("/v1/openapi.json"));
}

/// A plain Python function, invoked with its task, and what becomes of its value and of what it raises.
#[tokio::test]
#[ignore = "needs the deployed stack"]
async fn a_lambda_function_runs_tasks() {
    let (api, total, broken) = (deployed(), id("total"), id("broken"));
    api.send(&json!({ "id": total, "task": "reports.total", "args": [1, 2, 3], "kwargs": { "currency": "CHF" } })).await;
    assert_eq!(api.wait_for(&total, "SUCCESSFUL").await["return_value"], json!({ "total": 6, "currency": "CHF" }));
    api.send(&json!({ "id": broken, "task": "reports.broken", "max_attempts": 2 })).await;
    let failed = api.wait_for(&broken, "FAILED").await;
    // On AWS the kind is ValueError; the emulator names every error of a handler alike.
    assert_eq!((&failed["attempts"], failed["errors"][1]["exception_class_path"].is_string()), (&json!(2), true), "{failed}");
    assert!(failed["errors"][1]["traceback"].as_str().unwrap().contains("there is nothing to report"));
}
