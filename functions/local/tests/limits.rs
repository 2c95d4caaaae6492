//! Clients that say nothing, too little or too slowly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use server::{PATIENCE, Server, mail, until};

const UNENDING: &str = "GET /v1/health HTTP/1.1\r\nhost: 127.0.0.1\r\nx-more: ";
const WHOLE: &str = "GET /v1/openapi.json HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

fn connect(server: &Server, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(said.as_bytes()).unwrap();
    stream
}

/// What comes until the server closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut told = Vec::new();
    match stream.read_to_end(&mut told) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it was not closed: {error}"),
        _ => String::from_utf8_lossy(&told).into_owned(),
    }
}

fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let open = stream.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    open
}

async fn health(server: &Server) -> Value {
    serde_json::from_str(&server.call("GET", "/v1/health", None).await.1).unwrap()
}

/// Descriptors that the server's process has open.
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap().count()
}

#[tokio::test]
async fn half_written_heads_hold_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited("ulimit -n 256", data.path(), &["--head-seconds", "600"], &[]);
    assert_eq!(health(&server).await["checks"]["connections"], "ok");
    let held: Vec<TcpStream> = (0..300).map(|_| connect(&server, UNENDING)).collect();
    let id = server.send(mail("through the crowd")).await;
    server.wait_for(&id, "SUCCESSFUL").await;
    // Health keeps its answer for a moment.
    let started = Instant::now();
    while !health(&server).await["checks"]["connections"].as_str().unwrap().contains("all 128 were taken") {
        assert!(started.elapsed() < PATIENCE, "it is never told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(|| held.iter().filter(|stream| is_open(stream)).count() <= 128).await;
    assert!(is_open(&held[299]), "the newest stay");
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_time() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited("ulimit -n 512", data.path(), &["--head-seconds", "600"], &[]);
    let before = descriptors(&server);
    for _ in 0..10 {
        // In parts, so that the test itself needs no more descriptors than it may have.
        let held: Vec<TcpStream> = (0..300).map(|_| connect(&server, "")).collect();
        assert!(server.call("GET", "/v1/health", None).await.1.contains("checks"));
        assert!(descriptors(&server) <= before + 256 + 2, "{} and {before} before", descriptors(&server));
        drop(held);
    }
    until(|| descriptors(&server) <= before + 2).await;
}

#[tokio::test]
async fn a_head_and_the_time_between_requests_end() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited(":", data.path(), &["--head-seconds", "0.3"], &[]);
    assert_eq!(rest(connect(&server, "")), "");
    assert_eq!(rest(connect(&server, UNENDING)), "");
    let answered = rest(connect(&server, WHOLE));
    assert!(answered.starts_with("HTTP/1.1 200 OK") && answered.ends_with('}'), "an answer comes, and then the end");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_and_closed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited(":", data.path(), &["--body-seconds", "0.3"], &[]);
    for (path, media_type) in [("/v1/tasks", "application/json"), ("/sign-in", "application/x-www-form-urlencoded")] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media_type}\r\ncontent-length: 100\r\n\r\n{{");
        let told = rest(connect(&server, &head));
        assert!(told.starts_with("HTTP/1.1 4") && !told.starts_with("HTTP/1.1 413"), "{path}: {told}");
    }
    let chunked =
        "POST /v1/tasks HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
    assert!(rest(connect(&server, chunked)).starts_with("HTTP/1.1 408"), "in parts of which the next never comes");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited(":", data.path(), &["--answer-seconds", "0.3"], &[]);
    let before = descriptors(&server);
    let mut stream = connect(&server, "");
    stream.set_nonblocking(true).unwrap();
    // Asks and asks until neither side takes any more.
    let mut ask = || drop(stream.write(WHOLE.repeat(20).as_bytes()));
    until(|| {
        ask();
        descriptors(&server) > before
    })
    .await;
    until(|| {
        ask();
        descriptors(&server) <= before
    })
    .await;
}

#[tokio::test]
async fn who_says_nothing_does_not_hold_up_a_stop() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start_limited(":", data.path(), &["--head-seconds", "600"], &[]);
    let held = [connect(&server, ""), connect(&server, UNENDING)];
    let mut kept = connect(&server, WHOLE);
    kept.read_exact(&mut [0; 100]).unwrap();
    server.signal("TERM");
    assert!(server.wait().success());
    drop((held, kept));
}
