//! The client against servers that break off, on threads of their own: they go on while the client's runtime stands still.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use errand_http::{Client, SendError};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Serves connections one after the other, each with its number from 0; answers the address.
fn server(serve: impl Fn(usize, &mut BufReader<TcpStream>) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            serve(number, &mut BufReader::new(connection.unwrap()));
        }
    });
    address
}

/// Reads one request and writes `answer`.
fn answer(connection: &mut BufReader<TcpStream>, answer: &str) {
    while connection.by_ref().lines().map_while(Result::ok).next().is_some_and(|line| !line.is_empty()) {}
    // A client that has what it wants may be gone.
    connection.get_mut().write_all(answer.as_bytes()).ok();
}

async fn get(client: &Client, url: &str, timeout: Duration) -> Result<http::Response<Bytes>, SendError> {
    client.send(http::Request::get(url).body(Bytes::new()).unwrap(), timeout).await
}

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_connection_that_died_while_the_function_was_frozen_is_replaced() {
    let (died, dead) = mpsc::channel();
    let address = server(move |number, connection| {
        answer(connection, OK);
        connection.get_mut().shutdown(std::net::Shutdown::Both).unwrap();
        died.send(number).unwrap();
    });
    let (client, url) = (Client::new(), format!("http://{address}/"));
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    // Blocks the runtime, as a freeze does: nobody sees the connection end before the next request takes it.
    assert_eq!(dead.recv(), Ok(0));
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    assert_eq!(dead.recv(), Ok(1));
}

#[tokio::test]
async fn a_request_that_a_kept_connection_took_is_not_sent_again() {
    let address = server(|number, connection| {
        answer(connection, OK);
        if number == 0 {
            answer(connection, "");
        }
    });
    let (client, url) = (Client::new(), format!("http://{address}/"));
    assert_eq!(get(&client, &url, LONG).await.unwrap().status(), 200);
    assert!(matches!(get(&client, &url, LONG).await, Err(SendError::Unanswered(_))));
}

#[tokio::test]
async fn nothing_has_left_where_nobody_listens_or_speaks_tls() {
    let client = Client::new();
    let plain = server(|_, connection| {
        connection.fill_buf().unwrap();
        connection.get_mut().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
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
    let silent = server(|_, connection| drop(connection.read_to_end(&mut Vec::new())));
    let broken = server(|_, connection| answer(connection, ""));
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
    let address = server(|_, connection| {
        answer(connection, &format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    });
    let response = get(&Client::new(), &format!("http://{address}/"), LONG).await.unwrap();
    assert_eq!((response.status().as_u16(), response.body().len()), (200, 64 * 1024));
}

#[tokio::test]
async fn a_status_is_an_answer_whatever_becomes_of_its_body() {
    const HALF: &str = "HTTP/1.1 410 Gone\r\ncontent-length: 8\r\n\r\nhalf";
    let breaks_off = server(|_, connection| answer(connection, HALF));
    let never_ends = server(|_, connection| {
        answer(connection, HALF);
        connection.read_to_end(&mut Vec::new()).ok();
    });
    for (address, timeout) in [(breaks_off, LONG), (never_ends, SHORT)] {
        let response = get(&Client::new(), &format!("http://{address}/"), timeout).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (410, &b"half"[..]));
    }
}
