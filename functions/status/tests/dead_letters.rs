//! Dead letters over parts in memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::sync::atomic::Ordering;

use errand_core::{Begin, Claim, Claims, Envelope, Json, Lookup, Outcome, Progress, Results, Status, TaskError, Timestamp};
use errand_testkit::{transport::envelope, written};
use serde_json::{Value, json};
use world::{World, call, send, world};

fn mail(id: &str) -> Value {
    json!({ "id": id, "task": "console", "kwargs": { "text": id } })
}

/// The envelope in the letter that [`mail`] makes the body of.
fn console(id: &str) -> Envelope {
    Envelope { task: "console".to_owned(), kwargs: Json::from(json!({ "text": id })).raw(), ..envelope(id) }
}

/// Makes the store know an id as given up.
async fn given_up(world: &World, id: &str) {
    let (envelope, now) = (console(id), Timestamp::now());
    world.store.begin(&Claim { envelope: &envelope, now, lease_until: now, worker: "w", token: None, backend: "sqs" }).await.unwrap();
    let error = TaskError { exception_class_path: "errand.rejected".to_owned(), traceback: "HTTP 400".to_owned() };
    world.store.finish(id, 1, &Outcome::Failed { errors: vec![error], progress: Progress::default() }, now).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_by_what_they_are_and_shown_whole() {
    let world = world(&[]).await;
    for i in 0..5 {
        world.letters.add(&format!("k{i}"), &mail(&format!("a-{i}")), if i < 3 { "rejected" } else { "timeout" });
    }
    let found = async |query: &str| {
        let (status, told) = call(&world, "GET", &format!("/v1/dead-letters{query}")).await;
        assert!(status == 200 && !told.to_string().contains("kwargs"), "a list has no bodies: {told}");
        assert_eq!(told["total"], 5);
        let keys: Vec<String> =
            told["dead_letters"].as_array().unwrap().iter().map(|letter| letter["key"].as_str().unwrap().to_owned()).collect();
        (keys.join(" "), told["complete"] == true)
    };
    assert_eq!(found("").await, ("k0 k1 k2 k3 k4".to_owned(), true));
    assert_eq!(found("?kind=timeout").await, ("k3 k4".to_owned(), true));
    assert_eq!(found("?reason=because%20of%20K1").await, ("k1".to_owned(), true));
    assert_eq!(found("?id=a-2&id=k4").await, ("k2 k4".to_owned(), true));
    assert_eq!(found("?task=email").await, (String::new(), true));
    assert_eq!(found("?since=2099-01-01T00:00:00Z").await, (String::new(), true));
    assert_eq!(found("?until=2099-01-01T00:00:00Z&limit=2").await, ("k0 k1".to_owned(), false));
    let (status, whole) = call(&world, "GET", "/v1/dead-letters/a-2").await;
    assert_eq!((status, &whole["body"], &whole["attempts"]), (200, &json!(mail("a-2").to_string()), &json!(2)));
    assert_eq!(call(&world, "GET", "/v1/dead-letters/nobody").await.0, 404);
    for query in ["limit=0", "limit=1001", "since=yesterday", "colour=red"] {
        assert_eq!(call(&world, "GET", &format!("/v1/dead-letters?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn a_replayed_letter_waits_again_and_replaying_twice_sends_what_is_not_done() {
    let world = world(&[]).await;
    given_up(&world, "a").await;
    world.letters.add("k1", &mail("a"), "rejected");
    world.letters.add("k2", &mail("a"), "rejected");
    world.letters.add("k3", &mail("other"), "timeout");
    let replay = json!({ "ids": ["a"] });
    let (status, told) = send(&world, "POST", "/v1/dead-letters/replay", &replay).await;
    assert_eq!((status, told["replayed"].as_array().unwrap().len(), &told["complete"]), (200, 2, &json!(true)), "{told}");
    assert_eq!(world.store.get("a").await.unwrap().unwrap().0.status, Status::Ready);
    assert_eq!(
        world.sent.envelopes.lock().unwrap().iter().filter(|envelope| envelope.id == "a").count(),
        2,
        "twins: the claim lets one through"
    );
    assert_eq!(world.letters.keys(), ["k3"]);
    let (envelope, now) = (console("a"), Timestamp::now());
    world.store.begin(&Claim { envelope: &envelope, now, lease_until: now, worker: "w", token: None, backend: "sqs" }).await.unwrap();
    world.store.finish("a", 2, &Outcome::Succeeded(Json::default()), now).await.unwrap();
    world.letters.add("k4", &mail("a"), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &replay).await;
    assert_eq!(told["replayed"].as_array().unwrap().len(), 1);
    assert_eq!(world.sent.envelopes.lock().unwrap().len(), 2, "what is done is not sent again, and its letter is gone");
    assert_eq!(world.letters.keys(), ["k3"]);
}

#[tokio::test]
async fn a_letter_is_mended_before_it_is_replayed_or_stays() {
    let world = world(&[]).await;
    world.letters.add("poison", &json!("{not json"), "malformed");
    world.letters.add("wrong", &json!({ "id": "w", "task": "email", "kwargs": { "subject": "s", "to": ["nobody"] } }), "invalid_payload");
    let all = |edit: Value| json!({ "all": true, "edit": edit });
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "all": true })).await;
    assert!(told["refused"].to_string().contains("is not JSON"), "{told}");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &all(json!({ "task": "email" }))).await;
    assert_eq!((told["replayed"].as_array().unwrap().len(), told["refused"].as_array().unwrap().len()), (0, 1), "{told}");
    let mended = json!({ "task": "email", "kwargs": { "to": ["a@example.com"], "subject": "s", "body": "b" } });
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &all(mended)).await;
    assert_eq!(told["replayed"], json!([{ "key": "poison", "id": "poison" }]), "{told}");
    let sent = world.sent.envelopes.lock().unwrap().clone();
    assert_eq!(sent.iter().map(|envelope| envelope.id.as_str()).collect::<Vec<_>>(), ["w", "poison"]);
    assert!(world.letters.keys().is_empty());
}

#[tokio::test]
async fn an_edit_that_nobody_would_read_is_refused_and_what_the_sender_wrote_stays() {
    let world = world(&[]).await;
    world.letters.add("k1", &json!({ "id": "a", "task": "console", "kwargs": {}, "run_at": "soon" }), "rejected");
    let celery = json!({ "body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json", "headers": { "task": "console", "id": "b" }, "properties": { "body_encoding": "base64" } });
    world.letters.add("k2", &celery, "rejected");
    let (_, answer) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "all": true, "edit": { "max_attempt": 20 } })).await;
    let refused = answer["refused"].to_string();
    for part in ["/max_attempt: is not known here; did you mean max_attempts?", "/max_attempt: is no field of this message, which has body"]
    {
        assert!(refused.contains(part), "{answer}");
    }
    let (_, answer) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": ["a"], "edit": { "max_attempts": 20 } })).await;
    assert_eq!(answer["replayed"].as_array().unwrap().len(), 1, "what the queue let pass, an edit of another field lets pass: {answer}");
}

#[tokio::test]
async fn what_cannot_run_again_is_refused_and_its_letter_stays() {
    let world = world(&["late", "gone"]).await;
    world.store.cancel("gone", Timestamp::now()).await.unwrap();
    world.letters.add("k1", &mail("gone"), "rejected");
    world.letters.add("k2", &json!({ "id": "late", "task": "console", "expires": "2020-01-01T00:00:00Z" }), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "kind": "rejected" })).await;
    assert!(
        told["replayed"] == json!([])
            && told["refused"].to_string().contains("CANCELLED")
            && told["refused"].to_string().contains("too late"),
        "{told}"
    );
    world.sent.failing.store(true, Ordering::SeqCst);
    world.letters.add("k3", &mail("fine"), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": ["fine"] })).await;
    assert_eq!(told["refused"].as_array().unwrap().len(), 1);
    assert_eq!(world.letters.keys(), ["k1", "k2", "k3"]);
}

#[tokio::test]
async fn letters_are_dropped_by_what_they_are_and_never_by_accident() {
    let world = world(&[]).await;
    for i in 0..4 {
        world.letters.add(&format!("k{i}"), &mail(&format!("a-{i}")), if i < 2 { "rejected" } else { "timeout" });
    }
    for (body, wanted) in [
        (json!({}), 422),
        (json!({ "limit": 5 }), 422),
        (json!({ "all": false }), 422),
        (json!({ "all": true, "edit": {} }), 422),
        (json!([]), 400),
    ] {
        assert_eq!(send(&world, "POST", "/v1/dead-letters/drop", &body).await.0, wanted, "{body}");
    }
    assert_eq!(
        send(&world, "POST", "/v1/dead-letters/replay", &json!({ "edit": { "task": "x" } })).await.0,
        422,
        "an edit is no condition"
    );
    let (status, told) = send(&world, "POST", "/v1/dead-letters/drop", &json!({ "kind": "rejected" })).await;
    assert_eq!((status, told["dropped"].as_array().unwrap().len(), &told["complete"]), (200, 2, &json!(true)));
    assert_eq!(call(&world, "DELETE", "/v1/dead-letters/a-2").await.0, 200);
    assert_eq!(call(&world, "DELETE", "/v1/dead-letters/a-2").await.0, 404);
    assert_eq!(world.letters.keys(), ["k3"]);
}

#[tokio::test]
async fn an_edit_leaves_what_it_does_not_name_as_it_was_written() {
    let world = world(&[]).await;
    let (args, kwargs) = (written::array(), written::object());
    let body = format!(
        r#" {{"id":"a","args":{args:?},"task":"console","kwargs":{{"big":{kwargs:?},"text":"x"}},"context":{{"z":1e400,"a":null}}}}"#
    );
    world.letters.add("k", &json!(body), "rejected");
    let edit = r#"{"all":true,"edit":{"max_attempts":20,"kwargs":{"text":"y","n":1E+2}}}"#;
    let request = http::Request::post("/v1/dead-letters/replay").header("content-type", "application/json").body(edit.into()).unwrap();
    let told = world.operations.handle(&request).await;
    assert!(String::from_utf8_lossy(told.body()).contains(r#""refused":[]"#), "{told:?}");
    let sent = world.sent.envelopes.lock().unwrap()[0].clone();
    assert_eq!(sent.args.as_deref().unwrap().get(), args.get());
    assert_eq!(sent.payload(), format!(r#"{{"big":{kwargs:?},"text":"y","n":1E+2}}"#));
    assert_eq!((sent.max_attempts, sent.context.json.unwrap().get()), (Some(20), r#"{"z":1e400,"a":null}"#));
}

#[tokio::test]
async fn letters_of_all_queues_are_told_apart_and_each_goes_back_to_its_own() {
    let world = world(&[]).await;
    world.letters.add("k1", &mail("a"), "rejected");
    world.letters.add_of("slow", "k2", &mail("b"), "rejected");
    // One that says which queue it belongs to, and one of another sender, which belongs to the one it came on.
    world.letters.add_of("slow", "k3", &json!({ "id": "c", "task": "console", "queue": "fast", "kwargs": { "text": "c" } }), "rejected");
    world.letters.add_of("slow", "k4", &json!({ "task": "console", "args": [], "kwargs": { "text": "d" } }), "rejected");
    let (_, told) = call(&world, "GET", "/v1/dead-letters?queue=slow").await;
    let queues: Vec<&str> = told["dead_letters"].as_array().unwrap().iter().map(|letter| letter["queue"].as_str().unwrap()).collect();
    assert_eq!(queues, ["slow"; 3], "{told}");
    let (status, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "all": true })).await;
    assert_eq!((status, told["replayed"].as_array().unwrap().len()), (200, 4), "{told}");
    let mut sent: Vec<(String, String)> =
        world.sent.envelopes.lock().unwrap().iter().map(|envelope| (envelope.id.clone(), envelope.queue.clone())).collect();
    sent.sort();
    let wanted = [("a", "default"), ("b", "slow"), ("c", "fast"), ("k4", "slow")];
    assert_eq!(sent, wanted.map(|(id, queue)| (id.to_owned(), queue.to_owned())));
}

#[tokio::test]
async fn a_replay_with_an_edit_is_what_the_record_tells_and_what_it_replaced_is_kept() {
    let world = world(&[]).await;
    given_up(&world, "a").await;
    let edited = |edit: Value| json!({ "ids": ["a"], "edit": edit });
    world.letters.add("k1", &mail("a"), "rejected");
    let (_, told) =
        send(&world, "POST", "/v1/dead-letters/replay", &edited(json!({ "kwargs": { "text": "mended" }, "max_attempts": 20 }))).await;
    assert_eq!(told["replayed"], json!([{ "key": "k1", "id": "a" }]), "{told}");
    let sent = world.sent.envelopes.lock().unwrap()[0].clone();
    let (_, task) = call(&world, "GET", "/v1/tasks/a").await;
    assert_eq!((&task["status"], &task["kwargs"], &task["max_attempts"]), (&json!("READY"), &json!({ "text": "mended" }), &json!(20)));
    let replaced = &task["replaced"][0];
    assert_eq!((&replaced["task"], &replaced["args"], &replaced["kwargs"]), (&json!("console"), &json!([]), &json!({ "text": "a" })));
    assert!(world.store.get("a").await.unwrap().unwrap().1.is_of(sent.content()), "written before it was sent");

    let begin = async |envelope: &Envelope| {
        let now = Timestamp::now();
        let claim =
            Claim { envelope, now, lease_until: now + std::time::Duration::from_secs(60), worker: "w", token: None, backend: "sqs" };
        world.store.begin(&claim).await.unwrap()
    };
    assert_eq!(begin(&console("a")).await, Begin::Other(Status::Ready), "a late message of before");
    assert!(matches!(begin(&sent).await, Begin::Claimed { attempt: 2, tries: 1, .. }));
    world.letters.add("k2", &mail("a"), "rejected");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": ["a"] })).await;
    assert!(told["refused"][0]["detail"].as_str().unwrap().contains("RUNNING with other arguments"), "{told}");
    world.store.finish("a", 2, &Outcome::Succeeded(Json::default()), Timestamp::now()).await.unwrap();
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": ["a"] })).await;
    assert!(told["refused"][0]["detail"].as_str().unwrap().contains("SUCCESSFUL with other arguments"), "{told}");
    let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &edited(json!({ "id": "a-2" }))).await;
    assert_eq!((&told["replayed"][0]["id"], world.sent.envelopes.lock().unwrap().len()), (&json!("a-2"), 2), "{told}");
    assert_eq!(call(&world, "GET", "/v1/tasks/a-2").await.1["kwargs"], json!({ "text": "a" }), "an id that is new is written as well");
}

#[tokio::test]
async fn an_edit_of_what_is_no_content_leaves_the_fingerprint_that_a_letter_carries() {
    let world = world(&[]).await;
    let carried = "00000000000000000000000000000abc";
    let body = json!({ "id": "a", "task": "console", "claim_check": "soon/a", "fingerprint": carried });
    world.letters.add("k1", &body, "malformed");
    world.letters.add("k2", &json!({ "id": "b", "task": "console", "kwargs": { "text": "x" }, "fingerprint": carried }), "rejected");
    for (id, edit) in [("a", json!({ "max_attempts": 20 })), ("b", json!({ "kwargs": { "text": "y" } }))] {
        let (_, told) = send(&world, "POST", "/v1/dead-letters/replay", &json!({ "ids": [id], "edit": edit })).await;
        assert_eq!(told["refused"], json!([]), "{told}");
    }
    let sent = world.sent.envelopes.lock().unwrap().clone();
    assert_eq!(sent[0].fingerprint.unwrap().to_string(), carried);
    let recomputed = Envelope { fingerprint: None, ..sent[1].clone() };
    assert_eq!(sent[1].content(), recomputed.content());
}
