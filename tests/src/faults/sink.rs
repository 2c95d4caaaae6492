use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{
    BULK_SIZE, CUTS, DECLINES, Dice, FIRST, RATE_LIMITS,
    audit::{Audit, Fault, Kind},
};

/// A receiver of webhooks that keeps book. It reads each request whole; sometimes it asks for later, and sometimes it hangs up in place of an answer,
/// which no HTTP server library can be brought to.
pub struct Sink {
    /// Its address.
    pub url: String,
}

impl Sink {
    /// Starts it on a free loopback port; it ends with its runtime.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub async fn start(audit: &Arc<Audit>, dice: &Arc<Dice>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let (audit, dice) = (Arc::clone(audit), Arc::clone(dice));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (audit, dice) = (Arc::clone(&audit), Arc::clone(&dice));
                tokio::spawn(async move { serve(stream, &audit, &dice).await.ok() });
            }
        });
        Self { url }
    }
}

/// Answers the requests on a connection, until it ends or is cut.
async fn serve(stream: TcpStream, audit: &Audit, dice: &Dice) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some((number, is_first)) = request(&mut stream, audit).await? {
        tokio::time::sleep(pace(audit, number)).await;
        if is_first && dice.falls(DECLINES) {
            audit.note(number, Fault::Declined);
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        if dice.falls(CUTS) {
            audit.note(number, Fault::Cut);
            return Ok(());
        }
        let answer: &[u8] = if dice.falls(RATE_LIMITS) {
            audit.note(number, Fault::RateLimited);
            b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
        } else {
            audit.note(number, Fault::Delivered);
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        };
        stream.write_all(answer).await?;
    }
    Ok(())
}

/// How long a receiver takes: those of bulks so long that one outlasts an invocation here and there.
fn pace(audit: &Audit, number: u32) -> Duration {
    match audit.kind(number) {
        Kind::Bulk { .. } | Kind::Payload => Duration::from_millis(u64::from(number / BULK_SIZE % 4) * 60),
        Kind::Task { .. } | Kind::Poison(_) => Duration::ZERO,
    }
}

/// Reads one request whole; answers the number of what it is for, and whether it is for the first of the list.
async fn request(stream: &mut BufReader<TcpStream>, audit: &Audit) -> std::io::Result<Option<(u32, bool)>> {
    let (mut number, mut length, mut is_first) = (None, 0_u64, false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        is_first |= line.starts_with(&format!("POST {FIRST} "));
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("webhook-id") => number = audit.number(value),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap_or_default(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    stream.take(length).read_to_end(&mut Vec::new()).await?;
    Ok(number.map(|number| (number, is_first)))
}
