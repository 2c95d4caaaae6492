//! Publishes tasks to subjects of NATS, each in Errand's own form.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::{io, sync::Arc, time::Duration};

use errand_core::{Envelope, Init, OptionError, Problems, PublishError, Published, Transport, TransportLimits};
use errand_http::Kept;
use errand_wire::Format;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    sync::Mutex,
    time::timeout,
};

/// The largest payload of a server that nobody has told otherwise. <https://docs.nats.io/running-a-nats-service/configuration#limits>
const LIMIT: usize = 1024 * 1024;

/// How long the server may take for what it is asked.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an alias says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// `host:port`.
    server: String,
    /// What its subscribers read.
    #[serde(default)]
    format: Format,
}

type Connection = Arc<Mutex<BufStream<TcpStream>>>;

/// Publishes to one server, over a connection that is made when it is first needed.
pub struct Nats {
    server: String,
    format: Format,
    connection: Kept<Connection>,
}

/// Why nothing came of a call.
enum Failure {
    /// Nothing was sent.
    Unavailable(String),
    /// Something was sent, perhaps.
    Unknown(String),
}

impl Transport for Nats {
    const BACKEND: &'static str = "nats";
    type Options = Options;

    fn new(_: &str, Options { server, format }: Options, _: &Init) -> Result<Self, OptionError> {
        let is_place = server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_place {
            return Err(Problems::at("/server", "expected host:port").into());
        }
        Ok(Self { server, format, connection: Kept::new() })
    }

    /// NATS holds nothing back: what is due later waits with Errand.
    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: LIMIT }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        let is_subject = !destination.contains(|c: char| c.is_whitespace() || matches!(c, '*' | '>'))
            && destination.split('.').all(|token| !token.is_empty());
        is_subject.then_some(()).ok_or_else(|| "expected a subject of NATS, without wildcards".to_owned())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let messages: Vec<_> = envelopes.iter().map(|envelope| self.message(envelope)).collect();
        let all: String = messages.iter().filter_map(|message| message.as_deref().ok()).collect();
        // The answer to a ping says that all before it was taken.
        let sent = if all.is_empty() { Ok(()) } else { self.ask(&all).await };
        messages.into_iter().map(|message| message.and_then(|_| sent.clone()).map(|()| Published::default())).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.ask("").await
    }
}

impl Nats {
    fn message(&self, envelope: &Envelope) -> Result<String, PublishError> {
        let subject = envelope.destination.as_deref().unwrap_or(&envelope.queue);
        self.takes(subject).map_err(PublishError::Refused)?;
        let body = self.format.encode(envelope)?;
        if body.len() > LIMIT {
            return Err(PublishError::TooLarge { limit: LIMIT });
        }
        Ok(format!("PUB {subject} {}\r\n{body}\r\n", body.len()))
    }

    /// Sends these messages and waits until they were taken. A connection that died while it was idle is found out before anything is sent.
    async fn ask(&self, messages: &str) -> Result<(), PublishError> {
        // What was sent perhaps is not sent again. That the connection is dead, the next call finds out.
        let died = |failure: &Failure| matches!(failure, Failure::Unavailable(_));
        let done = self.connection.with(|| connect(&self.server), |connection| exchange(connection, messages), died).await;
        done.map_err(|failure| match failure {
            Failure::Unavailable(why) => PublishError::Unavailable(why),
            Failure::Unknown(why) => PublishError::OutcomeUnknown(why),
        })
    }
}

async fn connect(server: &str) -> Result<Connection, Failure> {
    let introduce = async {
        let mut connection = BufStream::new(TcpStream::connect(server).await.map_err(told)?);
        connection.read_line(&mut String::new()).await.map_err(told)?;
        connection
            .write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"errand\",\"lang\":\"rust\"}\r\n")
            .await
            .map_err(told)?;
        Ok(Arc::new(Mutex::new(connection)))
    };
    in_time(introduce).await.map_err(Failure::Unavailable)
}

async fn exchange(connection: Connection, messages: &str) -> Result<(), Failure> {
    let mut connection = connection.lock().await;
    ping(&mut connection, "").await.map_err(Failure::Unavailable)?;
    if messages.is_empty() { Ok(()) } else { ping(&mut connection, messages).await.map_err(Failure::Unknown) }
}

/// Sends messages with a ping behind them, and waits for its answer.
async fn ping(connection: &mut BufStream<TcpStream>, messages: &str) -> Result<(), String> {
    let answered = async {
        connection.write_all(messages.as_bytes()).await.map_err(told)?;
        connection.write_all(b"PING\r\n").await.map_err(told)?;
        connection.flush().await.map_err(told)?;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).await.map_err(told)?;
            match line.trim_end() {
                "PONG" => return Ok(()),
                "PING" => {
                    connection.write_all(b"PONG\r\n").await.map_err(told)?;
                    connection.flush().await.map_err(told)?;
                }
                "" => return Err("NATS: the server has ended the connection".to_owned()),
                // What else it may say is how it is; why it refuses, it says and goes.
                line if line.starts_with("-ERR") => return Err("NATS: the server has refused it".to_owned()),
                _ => {}
            }
        }
    };
    in_time(answered).await
}

async fn in_time<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(format!("NATS: no answer within {} seconds", PATIENCE.as_secs())))
}

/// The kind alone: the address is the operator's to know.
fn told(error: io::Error) -> String {
    format!("NATS: {}", error.kind())
}
