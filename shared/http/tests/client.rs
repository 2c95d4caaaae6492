//! The client against servers that break off, on threads of their own: they go on while the client's runtime stands still.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::mpsc, time::Duration};

use bytes::Bytes;
use errand_http::{Client, SendError};
use errand_testkit::{Peer, Talk};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads one request and says `answer`.
fn answer(talk: &mut Talk, answer: &str) {
    talk.request();
    talk.say(answer);
}

async fn get(client: &Client, url: &str, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
    client.send(http::Request::get(url).body(Bytes::new()).unwrap(), timeout).await
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_connection_that_died_while_the_function_was_frozen_is_replaced() {
    let (died, dead) = mpsc::channel();
    let peer = Peer::start(move |number, talk| {
        answer(talk, OK);
        talk.close();
        died.send(number).unwrap();
    });
    let (client, url) = (Client::new(), format!("http://{}/", peer.address()));
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    // Blocks the runtime, as a freeze does; that is over when something arrives. So nobody sees the connection end before the next request takes it.
    assert_eq!(dead.recv(), Ok(0));
    tokio::task::yield_now().await;
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    assert_eq!(dead.recv(), Ok(1));
}

#[tokio::test]
async fn a_request_that_a_kept_connection_took_is_not_sent_again() {
    let peer = Peer::start(|number, talk| {
        answer(talk, OK);
        if number == 0 {
            answer(talk, "");
        }
    });
    let (client, url) = (Client::new(), format!("http://{}/", peer.address()));
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    assert!(matches!(get(&client, &url, LONG).await, Err(SendError::Unanswered(_))));
}

#[tokio::test]
async fn nothing_has_left_where_nobody_listens_or_speaks_tls() {
    let client = Client::new();
    let plain = Peer::start(|_, talk| {
        talk.bytes();
        talk.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let plain = plain.address();
    let cases = [
        ("http://ann:hunter2@127.0.0.1:1/path?key=hunter2", "no connection to 127.0.0.1:1 could be made: it was refused".to_owned()),
        (&format!("https://{plain}/"), format!("no connection to {plain} could be made: TLS failed")),
        // No name that can be asked of anybody (RFC 1035: a label has 63 letters at most).
        (
            &format!("http://{}.test/", "a".repeat(64)),
            format!("no connection to {}.test could be made: the name has no address", "a".repeat(64)),
        ),
    ];
    for (url, told) in cases {
        assert_eq!(get(&client, url, LONG).await.unwrap_err(), SendError::NotSent(told), "{url}");
    }
}

#[tokio::test]
async fn who_does_not_answer_is_named() {
    let (silent, broken) = (Peer::start(|_, talk| talk.listen()), Peer::start(|_, talk| answer(talk, "")));
    let (silent, broken) = (silent.address(), broken.address());
    let client = Client::new();
    for (url, timeout, told) in [
        (format!("http://{silent}/?key=hunter2"), SHORT, format!("no answer from {silent} in time")),
        (format!("http://{broken}/?key=hunter2"), LONG, format!("the connection to {broken} broke before the answer")),
    ] {
        assert_eq!(get(&client, &url, timeout).await.unwrap_err(), SendError::Unanswered(told));
    }
}

#[tokio::test]
async fn the_start_of_a_long_answer_is_kept() {
    let peer = Peer::start(|_, talk| {
        answer(talk, &format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    });
    let response = get(&Client::new(), &format!("http://{}/", peer.address()), LONG).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (200, 64 * 1024));
}

#[tokio::test]
async fn a_status_is_an_answer_whatever_becomes_of_its_body() {
    const HALF: &str = "HTTP/1.1 410 Gone\r\ncontent-length: 8\r\n\r\nhalf";
    let breaks_off = Peer::start(|_, talk| answer(talk, HALF));
    let never_ends = Peer::start(|_, talk| {
        answer(talk, HALF);
        talk.listen();
    });
    for (peer, timeout) in [(breaks_off, LONG), (never_ends, SHORT)] {
        let response = get(&Client::new(), &format!("http://{}/", peer.address()), timeout).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (410, &b"half"[..]));
    }
}
