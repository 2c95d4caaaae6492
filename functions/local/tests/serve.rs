//! The binary `errand`, as a newcomer uses it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::ErrorKind,
    net::TcpListener,
    process::Command,
    sync::{Arc, Barrier, mpsc},
};

use bytes::Bytes;
use errand_http::Client;
use errand_testkit::{Answer, Request, Stub};
use serde_json::{Value, json};
use server::{PATIENCE, Server, delayed, mail};

#[tokio::test]
async fn the_printed_curl_sends_a_mail_that_is_shown() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let sent = Command::new("sh").args(["-c", &format!("{} --silent", server.curl)]).output().unwrap();
    let task: Value = serde_json::from_slice(&sent.stdout).unwrap();
    let done = server.wait_for(task["id"].as_str().unwrap(), "SUCCESSFUL").await;
    assert_eq!((&done["attempts"], &done["backend"]), (&json!(1), &json!("local")));
    let (status, page) = server.call("GET", "/mail", None).await;
    assert!(status == 200 && page.contains("you@example.com") && page.contains("Hello"), "{page}");
}

#[tokio::test]
async fn a_mail_is_shown_in_all_its_parts_and_cannot_reach_out() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut task = mail("<script>alert(1)</script>");
    task["kwargs"]["html"] = json!("<b>bold</b><img src='cid:logo'><script>alert(2)</script>");
    task["kwargs"]["attachments"] = json!([{ "filename": "ü.txt", "content": "aGk=" }, { "filename": "l.png", "content": "aGk=", "mimetype": "image/png", "content_id": "logo" }]);
    let id = server.send(task).await;
    server.wait_for(&id, "SUCCESSFUL").await;
    let (_, list) = server.call("GET", "/mail", None).await;
    assert!(!list.contains("<script>") && list.contains("&lt;script&gt;"));
    let (_, shown) = server.call("GET", "/mail/1", None).await;
    assert!(
        shown.contains("It &lt;works&gt;.") && shown.contains("<iframe title=\"HTML\" sandbox=\"allow-popups") && shown.contains("ü.txt"),
        "{shown}"
    );
    let (_, html) = server.call("GET", "/mail/1/html", None).await;
    assert!(html.contains("<b>bold</b>") && html.contains("src='data:image/png;base64,aGk='"));
    let request = http::Request::get(format!("{}/mail/1/html", server.url)).body(Bytes::new()).unwrap();
    let headers = Client::new().send(request, PATIENCE).await.unwrap().headers().clone();
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; ")
    );
    assert_eq!(server.call("GET", "/mail/1/attachments/0", None).await, (200, "hi".to_owned()));
    let (_, message) = server.call("GET", "/mail/1/message.eml", None).await;
    assert!(message.contains("To: someone@example.com") && message.contains("Message-ID: <1@errand.local>"), "{message}");
    for nothing in ["/mail/2", "/mail/1/attachments/2", "/mail/2/html"] {
        assert_eq!(server.call("GET", nothing, None).await.0, 404, "{nothing}");
    }
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_comes_twice_when_it_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    let mut ids = Vec::new();
    for i in 0..40 {
        // Some are on their way when it is killed, some wait.
        ids.push(server.send(delayed(mail(&format!("mail-{i}-")), f64::from(i % 4) * 0.3)).await);
    }
    server.signal("KILL");
    server.wait();
    let server = Server::start(data.path());
    for id in &ids {
        server.wait_for(id, "SUCCESSFUL").await;
    }
    let (_, page) = server.call("GET", "/mail", None).await;
    for i in 0..40 {
        assert_eq!(page.matches(&format!("mail-{i}-")).count(), 1, "mail {i}");
    }
}

/// A receiver that answers when the gate opens; on a thread of its own, so that it holds up nothing else.
fn gated_receiver(gate: Arc<Barrier>) -> String {
    let (sender, url) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let script = move |_: &Request| {
                gate.wait();
                Answer::json(200, "")
            };
            let stub = Stub::start(script).await;
            sender.send(stub.url().to_owned()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    url.recv().unwrap()
}

#[tokio::test]
async fn it_finishes_what_runs_when_it_is_told_to_stop() {
    let data = tempfile::tempdir().unwrap();
    let gate = Arc::new(Barrier::new(2));
    let url = gated_receiver(Arc::clone(&gate));
    let mut server = Server::start(data.path());
    let id = server.send(json!({ "task": "webhook", "kwargs": { "url": url } })).await;
    server.wait_for(&id, "RUNNING").await;
    server.signal("TERM");
    gate.wait();
    assert!(server.wait().success());
    let server = Server::start(data.path());
    let done = server.wait_for(&id, "SUCCESSFUL").await;
    assert_eq!(done["attempts"], 1);
}

#[tokio::test]
async fn who_waits_for_something_is_told_of_a_stop() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path());
    let id = server.send(delayed(mail("late"), 600.0)).await;
    for path in [format!("/v1/tasks/{id}?wait=25"), "/mail.json?to=nobody@example.com&wait=25".to_owned()] {
        let ends = async {
            // It is being waited for when another call made after it is answered.
            server.call("GET", "/v1/health", None).await;
            server.signal("TERM");
        };
        let ((status, told), ()) = tokio::join!(server.call("GET", &path, None), ends);
        assert!(status == 503 && told.contains("this server stops"), "{path}: {status} {told}");
        assert!(server.wait().success());
        server = Server::start(data.path());
    }
}

#[tokio::test]
async fn what_waits_can_be_cancelled_and_listed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let id = server.send(delayed(mail("never"), 0.5)).await;
    let (status, cancelled) = server.call("DELETE", &format!("/v1/tasks/{id}"), None).await;
    assert!(status == 200 && cancelled.contains("CANCELLED"));
    let after = server.send(delayed(mail("after"), 1.0)).await;
    server.wait_for(&after, "SUCCESSFUL").await;
    assert!(!server.call("GET", "/mail", None).await.1.contains("never"));
    let (_, list) = server.call("GET", "/v1/tasks?status=CANCELLED", None).await;
    assert!(list.contains(&id) && !list.contains(&after));
    assert_eq!(server.call("GET", "/v1/tasks?status=LOST", None).await.0, 400);
}

#[tokio::test]
async fn bad_calls_are_problem_documents() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for (method, path, body, wanted) in [
        ("POST", "/v1/tasks", Some(json!({ "task": "nope" })), 422),
        ("POST", "/v1/tasks", Some(json!([])), 400),
        ("POST", "/v1/tasks", Some(json!({ "task": "console", "kwargs": { "a": "x".repeat(4_300_000) } })), 413),
        ("PUT", "/v1/tasks", None, 405),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/tasks/nobody", None, 404),
    ] {
        let (status, answer) = server.call(method, path, body.as_ref()).await;
        let problem: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &problem["status"]), (wanted, &json!(wanted)), "{method} {path}");
    }
    let (status, _) = server.call_with("GET", "/v1/health", None, &[("host", "evil.example")]).await;
    assert_eq!(status, 403, "a page elsewhere whose name leads here is not answered");
}

#[tokio::test]
async fn keys_close_the_api_and_the_mail() {
    let data = tempfile::tempdir().unwrap();
    // The SHA-256 of "hunter2".
    let keys = "me:send+read:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
    let server = Server::start_with(data.path(), &[("ERRAND_API_KEYS", keys)]);
    let key = [("authorization", "Bearer hunter2")];
    assert_eq!(server.call("POST", "/v1/tasks", Some(&mail("x"))).await.0, 401);
    assert_eq!(server.call("GET", "/mail", None).await.0, 401);
    assert_eq!(server.call_with("POST", "/v1/tasks", Some(&mail("x")), &key).await.0, 202);
    assert_eq!(server.call_with("GET", "/mail", None, &key).await.0, 200);
    assert_eq!(server.call("GET", "/v1/health", None).await.0, 200);
    assert!(server.curl.contains("authorization: Bearer"));
}

#[test]
fn the_metadata_service_is_asked_only_with_a_region_and_without_other_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = TcpListener::bind("127.0.0.1:0").unwrap();
    metadata.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", metadata.local_addr().unwrap());
    let mut vars = vec![("ERRAND_SES_FROM", "errand@example.com"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str())];
    let start = |vars: &[(&str, &str)]| complaint(&["--listen", "127.0.0.1:0", "--data", folder.path().to_str().unwrap()], vars);
    assert_eq!(start(&vars), "errand: AWS_REGION: must be set for ERRAND_SES_FROM, or the profile's region\n");
    vars.push(("AWS_REGION", "eu-west-1"));
    let keys = [vars.clone(), vec![("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")]].concat();
    drop(Server::start_with(folder.path(), &keys));
    assert_eq!(metadata.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody was asked");
    let told = start(&vars);
    assert!(
        told.starts_with("errand: AWS_PROFILE: must be set for ERRAND_SES_FROM, or AWS_ACCESS_KEY_ID and ") && told.lines().count() == 1,
        "{told}"
    );
    assert!(metadata.accept().is_ok());
}

/// What it says when it does not start.
fn complaint(arguments: &[&str], vars: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_errand")).args(arguments).env_clear().envs(vars.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_says_in_one_line_why_it_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let with = |vars: &[(&str, &str)]| complaint(&["--listen", "127.0.0.1:0", "--data", data], vars);
    assert!(with(&[("ERRAND_SLACK_URL", "https://x")]).starts_with("errand: ERRAND_SLACK_TOKEN: must be set"));
    assert!(with(&[("ERRAND_MAX_ATTEMPTS", "0")]).starts_with("errand: ERRAND_MAX_ATTEMPTS: expected a whole number from 1 to 100"));
    assert!(with(&[("ERRAND_API_KEYS", "x")]).starts_with("errand: ERRAND_API_KEYS: entry 1"));

    assert!(complaint(&["--listen", "0.0.0.0:0", "--data", data], &[]).contains("set ERRAND_API_KEYS"));
    let held = Server::start(folder.path());
    assert!(with(&[]).contains("another errand runs on"));
    let other = tempfile::tempdir().unwrap();
    let taken = held.url.trim_start_matches("http://");
    assert!(complaint(&["--listen", taken, "--data", other.path().to_str().unwrap()], &[]).contains("cannot listen on"));
}

#[tokio::test]
async fn a_setting_by_reference_is_read_of_a_file() {
    let data = tempfile::tempdir().unwrap();
    let (keys, secret) = (data.path().join("keys"), data.path().join("secret"));
    // `hunter2`
    std::fs::write(&keys, "root:admin:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7\n").unwrap();
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let (keys, secret) = (format!("file:{}", keys.display()), format!("file:{}", secret.display()));
    let server = Server::start_with(&data.path().join("errand"), &[("ERRAND_API_KEYS", &keys), ("ERRAND_WEBHOOK_SECRET", &secret)]);
    let url = format!("{}/v1/tasks", server.url);
    let get =
        async |request: http::request::Builder| Client::new().send(request.body(Bytes::new()).unwrap(), PATIENCE).await.unwrap().status();
    assert_eq!(get(http::Request::get(&url)).await, 401);
    assert_eq!(get(http::Request::get(&url).header("authorization", "Bearer hunter2")).await, 200);
    let key = data.path().join("key");
    let mut list = Command::new(env!("CARGO_BIN_EXE_errand"));
    list.args(["keys", "list", "--url", &server.url]).env_clear().env("ERRAND_API_KEY", format!("file:{}", key.display()));
    let told = String::from_utf8(list.output().unwrap().stderr).unwrap();
    assert_eq!(told, "errand: ERRAND_API_KEY: refers to a file that cannot be read: entity not found\n");
    std::fs::write(&key, "hunter2\n").unwrap();
    let told = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(told.contains("root"), "{told}");
}

#[test]
fn a_reference_that_cannot_be_read_stops_the_start_and_one_to_aws_needs_aws() {
    let data = tempfile::tempdir().unwrap();
    let told = |name: &str, value: &str| {
        let output = server::command(data.path(), &[("HOME", "/none"), (name, value)]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(told("ERRAND_ROUTES", "file:/none/such"), "errand: ERRAND_ROUTES: refers to a file that cannot be read: entity not found\n");
    for name in ["ERRAND_ROUTES", "ERRAND_SLACK_TOKEN"] {
        assert_eq!(told(name, "ssm:/x"), format!("errand: AWS_REGION: must be set for {name}, or the profile's region\n"));
    }
}
