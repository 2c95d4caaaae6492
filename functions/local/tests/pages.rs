//! The server as a browser sees it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::process::Command;

use bytes::Bytes;
use http::Response;
use server::{Server, mail};

/// What a browser says that it takes.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The SHA-256 of "hunter2".
const KEYS: (&str, &str) = ("ERRAND_API_KEYS", "me:send+read:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7");
const KEY: (&str, &str) = ("authorization", "Bearer hunter2");

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

fn header(response: &Response<Bytes>, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_is_entered_once_and_opens_the_pages_until_one_signs_out() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[KEYS]);
    assert_eq!(server.call_with("POST", "/v1/tasks", Some(&mail("secret plan")), &[KEY]).await.0, 202);
    let asked = server.request("GET", "/mail?before=9", "", &[BROWSER]).await;
    assert!(asked.status() == 401 && text(&asked).contains(r#"name="to" value="/mail?before=9""#), "{}", text(&asked));
    let wrong = server.request("POST", "/sign-in", "key=hunter3&to=%2Fmail", &[FORM, BROWSER]).await;
    assert!(wrong.status() == 401 && text(&wrong).contains("This key is not known, or has expired."), "{}", text(&wrong));
    let right = server.request("POST", "/sign-in", "key=+hunter2+&to=%2Fmail%3Fbefore%3D9", &[FORM, BROWSER]).await;
    assert_eq!((right.status().as_u16(), header(&right, "location").as_str()), (303, "/mail?before=9"));
    let set = header(&right, "set-cookie");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !set.contains("hunter2"), "{set}");
    let session = ("cookie", set.split(';').next().unwrap());
    let shown = server.request("GET", "/mail", "", &[BROWSER, session]).await;
    assert!(shown.status() == 200 && text(&shown).contains("secret plan") && text(&shown).contains("Sign out"), "{}", text(&shown));
    assert_eq!(server.request("GET", "/v1/tasks", "", &[session]).await.status(), 200, "the API as well, as far as the key goes");
    assert_eq!(server.request("GET", "/v1/keys", "", &[session]).await.status(), 403);
    assert_eq!(
        server.request("GET", "/mail", "", &[session, ("authorization", "Bearer hunter3")]).await.status(),
        401,
        "a key that is sent counts"
    );
    let elsewhere = server.request("POST", "/sign-in", "key=hunter2&to=%2F%2Fevil.example", &[FORM]).await;
    assert_eq!(header(&elsewhere, "location"), "/mail");
    let out = server.request("POST", "/sign-out", "", &[BROWSER, session]).await;
    assert!(out.status() == 303 && header(&out, "set-cookie").contains("Max-Age=0"));
    assert_eq!(server.request("GET", "/mail", "", &[BROWSER, session]).await.status(), 401);
}

#[tokio::test]
async fn a_session_is_worth_what_its_key_is_worth_now() {
    let data = tempfile::tempdir().unwrap();
    let root = ("ERRAND_API_KEYS", "root:admin:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7");
    let server = Server::start_with(data.path(), &[root]);
    let made = server.call_with("POST", "/v1/keys", Some(&serde_json::json!({ "name": "ann", "scopes": ["read"] })), &[KEY]).await.1;
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let signed_in = server.request("POST", "/sign-in", &format!("key={}", made["key"].as_str().unwrap()), &[FORM]).await;
    let set = header(&signed_in, "set-cookie");
    let session = ("cookie", set.split(';').next().unwrap());
    assert_eq!(server.request("GET", "/mail", "", &[session]).await.status(), 200);
    assert_eq!(server.call_with("DELETE", "/v1/keys/ann", None, &[KEY]).await.0, 200);
    assert_eq!(server.request("GET", "/mail", "", &[session]).await.status(), 401);
}

#[tokio::test]
async fn a_browser_gets_pages_and_a_program_problems() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for (method, path, status) in [("GET", "/mail/7", 404), ("GET", "/nothing", 404), ("GET", "/v1/tasks/x", 404), ("PUT", "/mail", 405)] {
        let page = server.request(method, path, "", &[BROWSER]).await;
        assert_eq!((page.status().as_u16(), header(&page, "content-type").as_str()), (status, "text/html; charset=utf-8"), "{path}");
        assert!(text(&page).contains("</html>") && header(&page, "content-security-policy").starts_with("default-src 'none'"), "{path}");
        let told = server.request(method, path, "", &[("accept", "*/*")]).await;
        assert!(told.status() == status && !text(&told).contains("<html"), "{path}");
    }
    let page = server.request("GET", "/mail", "", &[BROWSER, ("host", "evil.example")]).await;
    assert!(page.status() == 403 && text(&page).contains("localhost or 127.0.0.1"), "{}", text(&page));
    let call = server.request("POST", "/v1/tasks", "{", &[BROWSER, ("content-type", "application/json")]).await;
    assert_eq!(header(&call, "content-type"), "application/problem+json", "a program's call is answered as one");
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let schedule = serde_json::json!({ "name": "daily", "rate": "1 day", "task": "console" });
    assert_eq!(server.call("POST", "/v1/schedules", Some(&schedule)).await.0, 201);
    let pause = async |headers: &[(&str, &str)]| server.request("POST", "/v1/schedules/daily/pause", "", headers).await.status().as_u16();
    for other in [("origin", "http://evil.example"), ("origin", "http://127.0.0.1:1"), ("origin", "null"), ("sec-fetch-site", "same-site")]
    {
        assert_eq!(pause(&[other]).await, 403, "{other:?}");
    }
    assert!(!server.call("GET", "/v1/schedules/daily", None).await.1.contains(r#""paused":true"#));
    assert_eq!(pause(&[]).await, 200);
    assert_eq!(pause(&[("origin", &server.url)]).await, 200);
    assert_eq!(pause(&[("sec-fetch-site", "same-origin"), ("origin", &server.url)]).await, 200);
}

async fn caught(server: &Server, query: &str) -> serde_json::Value {
    let (status, told) = server.call("GET", &format!("/mail.json?{query}"), None).await;
    assert_eq!(status, 200, "{told}");
    serde_json::from_str::<serde_json::Value>(&told).unwrap()["mails"].take()
}

fn to(address: &str, subject: &str) -> serde_json::Value {
    serde_json::json!({ "task": "email", "kwargs": { "to": [address], "subject": subject, "body": "Confirm: https://shop.example/c?t=1" } })
}

#[tokio::test]
async fn a_test_waits_for_a_mail_and_reads_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    assert_eq!(caught(&server, "to=ann@example.com").await, serde_json::json!([]));
    let (mails, id) = tokio::join!(caught(&server, "to=ann@example.com&wait=25"), async {
        server.send(to("bob@example.com", "other")).await;
        server.send(to("Ann <Ann@Example.com>", "Welcome")).await
    });
    let mail = &mails[0];
    assert_eq!(
        (&mail["subject"], &mail["task_id"], &mail["to"][0]),
        (&"Welcome".into(), &id.into(), &"Ann <Ann@Example.com>".into()),
        "{mail}"
    );
    assert_eq!((&mail["links"][0], &mails[1]), (&"https://shop.example/c?t=1".into(), &serde_json::Value::Null));
    assert!(caught(&server, &format!("search=WELCOME+confirm&after={}", mail["id"])).await[0].is_null(), "it is no newer than itself");
    assert_eq!(caught(&server, "search=WELCOME+confirm").await[0], *mail);
    assert_eq!(server.call("GET", "/mail.json?recipient=x", None).await.0, 400);
}

#[tokio::test]
async fn mail_is_searched_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    for subject in ["first", "second", "third"] {
        let id = server.send(to("ann@example.com", subject)).await;
        server.wait_for(&id, "SUCCESSFUL").await;
    }
    let found = server.call("GET", "/mail?search=SECOND+ann", None).await.1;
    assert!(found.contains("/mail/2") && !found.contains("/mail/1") && !found.contains("/mail/3"), "{found}");
    assert!(server.call("GET", "/mail?search=nothing", None).await.1.contains("No mail is found."));
    assert_eq!(server.request("POST", "/mail/2/delete", "", &[FORM]).await.status(), 303);
    assert_eq!(server.call("DELETE", "/mail/2", None).await.0, 404);
    assert_eq!(server.call("DELETE", "/mail/1", None).await, (200, r#"{"deleted":1}"#.to_owned()));
    assert_eq!(caught(&server, "").await.as_array().unwrap().len(), 1);
    assert_eq!(server.request("POST", "/mail/delete", "", &[FORM]).await.status(), 303);
    assert!(server.call("GET", "/mail", None).await.1.contains("No mail yet."));
}

#[tokio::test]
async fn to_delete_mail_takes_a_key_that_may_send() {
    let data = tempfile::tempdir().unwrap();
    let reader = ("ERRAND_API_KEYS", "me:read:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7");
    let server = Server::start_with(data.path(), &[reader]);
    assert_eq!(server.request("GET", "/mail.json", "", &[KEY]).await.status(), 200);
    assert_eq!(server.request("DELETE", "/mail", "", &[KEY]).await.status(), 403);
}

#[tokio::test]
async fn a_mails_links_can_be_followed_and_its_pictures_are_asked_for() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut task = to("ann@example.com", "links");
    task["kwargs"]["html"] = "<!doctype html><img src='https://p.example/a.png'><a href='https://shop.example'>go</a>".into();
    let id = server.send(task).await;
    server.wait_for(&id, "SUCCESSFUL").await;
    let shown = server.call("GET", "/mail/1", None).await.1;
    assert!(shown.contains(r#"<a href="https://shop.example/c?t=1" target="_blank" rel="noopener noreferrer">"#), "{shown}");
    assert!(shown.contains("Pictures of other hosts are not loaded.") && shown.contains(&format!("/v1/tasks/{id}")), "{shown}");
    let framed = server.request("GET", "/mail/1/html", "", &[]).await;
    assert!(
        text(&framed).starts_with(r#"<!doctype html><base target="_blank">"#)
            && header(&framed, "content-security-policy").contains("img-src data:;")
    );
    let loaded = server.request("GET", "/mail/1/html?pictures=true", "", &[]).await;
    assert!(header(&loaded, "content-security-policy").contains("img-src data: http: https:;"));
}

#[tokio::test]
#[ignore = "needs a browser"]
async fn a_browser_signs_in_searches_follows_and_deletes() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[KEYS]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser.mjs");
    let ran = Command::new("node").args([script, &server.url, "hunter2"]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
