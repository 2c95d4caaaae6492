use std::{sync::Arc, time::Duration};

use errand_core::{DeliveryError, ErrorKind as Kind, Init, OptionError, PublishError, Published, Secret};
use errand_http::{Credential, Kept};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Error, ErrorKind,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, ShortString},
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::{Answer, Options, Task};

/// How long a connection may take to be made, and a channel to be opened.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long the broker may take to confirm what was sent: it writes it to its disk, or those of several nodes.
const CONFIRM: Duration = Duration::from_secs(4);

/// What a message that stays when the broker is started again has as its delivery mode.
const PERSISTENT: u8 = 2;

/// RabbitMQ, over one connection: made when it is first needed and shared from then on. Each call has a channel of its own, so that what goes wrong in one is told of that one
/// alone; to open it is to ask whether the connection lives, before anything is sent.
pub(crate) struct Amqp {
    server: Credential<AMQPUri>,
    connection: Kept<Arc<Connection>>,
    timeout: Duration,
}

impl Amqp {
    pub(crate) fn new(options: &Options, cx: &Init) -> Result<Self, OptionError> {
        let server = Credential::from_option("broker_url", &Secret::new(&options.broker_url), cx, |url| uri(url.expose()))?;
        Ok(Self { server, connection: Kept::new(), timeout: cx.call_timeout(TIMEOUT) })
    }

    /// Sends tasks, those of one exchange after another on a channel: that ends with an exchange that there is not.
    pub(crate) async fn send(&self, tasks: &[Task<'_>]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = tasks.iter().map(|_| Ok(Published::default())).collect();
        let mut left: Vec<usize> = (0..tasks.len()).collect();
        while let Some(first) = left.first() {
            let exchange = &tasks[*first].route.exchange;
            let (places, rest) = left.iter().partition::<Vec<usize>, _>(|place| tasks[**place].route.exchange == *exchange);
            let together: Vec<&Task<'_>> = places.iter().map(|place| &tasks[*place]).collect();
            for (place, answer) in places.into_iter().zip(self.send_together(&together).await) {
                answers[place] = answer;
            }
            left = rest;
        }
        answers
    }

    /// Whether it can be reached and lets us in.
    pub(crate) async fn check(&self) -> Result<(), PublishError> {
        self.channel().await.map(drop)
    }

    async fn send_together(&self, tasks: &[&Task<'_>]) -> Vec<Answer> {
        let opened = match self.channel().await {
            Ok(opened) => opened,
            Err(error) => return tasks.iter().map(|_| Err(error.clone())).collect(),
        };
        let deadline = Instant::now() + self.timeout.max(CONFIRM);
        let mut sent = Vec::with_capacity(tasks.len());
        for task in tasks {
            sent.push(timeout_at(deadline, opened.send(task)).await);
        }
        let mut confirmed = Vec::with_capacity(tasks.len());
        for sent in sent {
            confirmed.push(match sent {
                Ok(Ok(confirm)) => timeout_at(deadline, confirm).await.map_err(|_| Lost::Late),
                Ok(Err(error)) => Ok(Err(error)),
                Err(_) => Err(Lost::Late),
            });
        }
        // What a channel is closed for is told once; of all else on it only that it is closed.
        let cause =
            confirmed.iter().find_map(|confirmed| confirmed.as_ref().ok()?.as_ref().err().filter(|error| error.is_amqp_error()).cloned());
        let told = |confirmed: Result<Result<Confirmation, Error>, Lost>, task: &&Task<'_>| match confirmed {
            Ok(Ok(confirmation)) => taken(&confirmation, task),
            Ok(Err(error)) => Err(not_taken(cause.as_ref().unwrap_or(&error), task)),
            Err(Lost::Late) => Err(PublishError::OutcomeUnknown(opened.late())),
        };
        confirmed.into_iter().zip(tasks).map(|(confirmed, task)| told(confirmed, task)).collect()
    }

    /// A channel on which the broker confirms. Nothing was sent when there is none.
    async fn channel(&self) -> Result<Opened, PublishError> {
        let open = |connection: Arc<Connection>| async move {
            let opened = async {
                let channel = connection.create_channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                Ok::<_, Error>(channel)
            };
            match timeout(self.timeout, opened).await {
                Ok(Ok(channel)) => Ok(Opened { connection, channel }),
                Ok(Err(error)) => Err(Failed { error: meaning(&error), died: !connection.status().connected() || !error.is_amqp_error() }),
                Err(_) => Err(Failed { error: silent(), died: true }),
            }
        };
        let opened = self.connection.with(|| self.connect(), open, |failed: &Failed| failed.died).await;
        opened.map_err(|Failed { error, .. }| match error.kind {
            Kind::Misconfigured => PublishError::Misconfigured(error.message),
            _ => PublishError::Unavailable(error.message),
        })
    }

    async fn connect(&self) -> Result<Arc<Connection>, Failed> {
        let connected = self.server.with(|uri| async move {
            let properties = ConnectionProperties::default().with_connection_name("errand".into());
            let made = timeout(self.timeout, Connection::connect_uri(uri, properties)).await;
            made.map_err(|_| silent())?.map(Arc::new).map_err(|error| meaning(&error))
        });
        connected.await.map_err(|error| Failed { error, died: false })
    }
}

/// Why there is no channel, and whether the connection is to be made anew.
struct Failed {
    error: DeliveryError,
    died: bool,
}

/// Why there is no word of what was sent.
enum Lost {
    Late,
}

struct Opened {
    connection: Arc<Connection>,
    channel: Channel,
}

impl Opened {
    async fn send(&self, task: &Task<'_>) -> Result<lapin::PublisherConfirm, Error> {
        let name = |text: &str| ShortString::try_new(text).unwrap_or_default();
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_headers(headers(task.message.headers().get()))
            .with_delivery_mode(PERSISTENT)
            .with_priority(task.route.priority)
            .with_correlation_id(name(task.message.id()));
        if let Some(reply_to) = task.message.reply_to() {
            properties = properties.with_reply_to(name(reply_to));
        }
        // What leads to no queue comes back, in place of being confirmed and gone.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (name(&task.route.exchange), name(&task.route.routing_key));
        self.channel.basic_publish(exchange, key, options, task.message.body().as_bytes(), properties).await
    }

    fn late(&self) -> String {
        match self.connection.status().blocked() {
            true => "RabbitMQ takes nothing now: it is short of memory or disk".to_owned(),
            false => format!("RabbitMQ: no answer within {} seconds", CONFIRM.as_secs()),
        }
    }
}

/// What the broker's word about a message means.
fn taken(confirmation: &Confirmation, task: &Task<'_>) -> Answer {
    match confirmation {
        Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Misconfigured(unknown_queue(task))),
        Confirmation::Ack(None) => Ok(Published::default()),
        Confirmation::Nack(None) | Confirmation::NotRequested => {
            Err(PublishError::Unavailable("RabbitMQ did not take it: the queue is full (its length limit), or has failed".to_owned()))
        }
    }
}

fn unknown_queue(task: &Task<'_>) -> String {
    let (exchange, key) = (&task.route.exchange, &task.route.routing_key);
    if exchange.is_empty() {
        format!("RabbitMQ has no queue {key}: a worker that listens to it makes it when it starts")
    } else {
        format!("RabbitMQ: the exchange {exchange} leads to no queue by the routing key {key}")
    }
}

/// Why a message was not taken, or perhaps was.
fn not_taken(error: &Error, task: &Task<'_>) -> PublishError {
    match error.kind() {
        ErrorKind::ProtocolError(told) => match told.get_id() {
            404 => PublishError::Misconfigured(format!("RabbitMQ has no exchange {}", task.route.exchange)),
            403 => PublishError::Misconfigured(match task.route.exchange.as_str() {
                "" => "RabbitMQ: the user may not write to the default exchange".to_owned(),
                exchange => format!("RabbitMQ: the user may not write to the exchange {exchange}"),
            }),
            406 => PublishError::Refused(
                "RabbitMQ refuses it: larger than its max_message_size, or of a form that it does not take".to_owned(),
            ),
            // The broker ends, and has perhaps taken what it did not confirm.
            _ => PublishError::OutcomeUnknown(meaning(error).message),
        },
        _ => PublishError::OutcomeUnknown("RabbitMQ: the connection ended before an answer came".to_owned()),
    }
}

fn silent() -> DeliveryError {
    DeliveryError::new(Kind::Unavailable, "RabbitMQ: it does not answer in time")
}

/// What an error means while a connection is made or a channel opened.
fn meaning(error: &Error) -> DeliveryError {
    let (kind, what) = match error.kind() {
        ErrorKind::ProtocolError(told) => match told.get_id() {
            403 => (Kind::Misconfigured, "the user name or password is refused"),
            530 => (Kind::Misconfigured, "there is no such virtual host, or the user may not use it"),
            320 => (Kind::Unavailable, "it is being stopped"),
            _ => (Kind::Unavailable, "it ended the connection"),
        },
        ErrorKind::IOError(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            (Kind::Unavailable, "the connection is refused")
        }
        ErrorKind::IOError(error) if error.to_string().contains("certificate") => (Kind::Misconfigured, "its certificate is not trusted"),
        _ => (Kind::Unavailable, "it cannot be reached, or ends the connection"),
    };
    DeliveryError::new(kind, format!("RabbitMQ: {what}"))
}

/// The broker that a URL names. It is not repeated in the error, since it may hold a password.
fn uri(url: &str) -> Result<AMQPUri, String> {
    let expected = || "expected a URL such as amqp://user:password@host:5672/virtual-host, or amqps:// for TLS".to_owned();
    // As kombu names its own client.
    let url = url.strip_prefix("py").unwrap_or(url);
    let mut uri: AMQPUri = url.parse().map_err(|_| expected())?;
    if url.contains('[') || url.contains('?') {
        return Err(expected());
    }
    // As kombu has it: the default virtual host.
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    Ok(uri)
}

/// Headers as AMQP has them.
fn headers(json: &str) -> FieldTable {
    match serde_json::from_str(json).map(field) {
        Ok(AMQPValue::FieldTable(table)) => table,
        _ => FieldTable::default(),
    }
}

fn field(value: Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => i32::try_from(number).map_or(AMQPValue::LongLongInt(number), AMQPValue::LongInt),
            None => AMQPValue::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => AMQPValue::LongString(text.into()),
        Value::Array(values) => AMQPValue::FieldArray(values.into_iter().map(field).collect::<Vec<_>>().into()),
        Value::Object(fields) => {
            let mut table = FieldTable::default();
            for (name, value) in fields {
                // A name that AMQP has no room for is none.
                if let Ok(name) = ShortString::try_new(name) {
                    table.insert(name, field(value));
                }
            }
            AMQPValue::FieldTable(table)
        }
    }
}
