//! Messages as they are written, and as real channel layers and django-notifs' own consumer receive them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use errand_core::{Context, Envelope, Fields, OptionError, PublishError, Timestamp, Transport};
use errand_redis::redis;
use errand_testkit::{
    Peer, Stopped,
    transport::{conformance, failures},
};
use errand_transport_channels::Channels;
use serde_json::{Value, json};

fn channels(options: &Value) -> Result<Channels, OptionError> {
    Channels::new("site", Fields::value(&options.to_string())?, &Stopped(Timestamp::now()).init())
}

fn told(options: &Value) -> String {
    channels(options).err().map(|error| error.to_string()).unwrap_or_default()
}

fn at(peer: &Peer, layer: &str) -> Channels {
    channels(&json!({ "url": format!("redis://{}", peer.address()), "layer": layer, "socket_timeout": 0.3 })).unwrap()
}

/// A message for a channel or group.
fn message(to: &str, task: &str, kwargs: &Value) -> Envelope {
    let id = format!("{to} {task} {kwargs}");
    Envelope { destination: Some(to.to_owned()), kwargs: Fields::value(&kwargs.to_string()).ok(), ..Envelope::new(id, task.to_owned()) }
}

async fn publish(channels: &Channels, envelope: Envelope) -> Result<Option<String>, PublishError> {
    channels.publish(&[envelope]).await.remove(0).map(|published| published.message_id)
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_transport() {
    let bulk = Envelope { context: Context { bulk: true, ..Context::default() }, ..message("default", "x", &json!({})) };
    for (layer, answer) in [("core", "*2\r\n:0\r\n:1"), ("pubsub", ":1")] {
        let answers = move |_, command: &[String]| Some(if command[0] == "PING" { "+PONG" } else { answer }.to_owned());
        conformance(&at(&Peer::redis(answers), layer), Some(bulk.clone())).await;
    }
    let failing = at(&Peer::redis(|_, _| Some("-LOADING Redis is loading the dataset in memory".to_owned())), "core");
    let nobody = channels(&json!({ "host": "127.0.0.1", "port": 1 })).unwrap();
    failures(&failing, &nobody, &at(&Peer::redis(|_, _| None), "core")).await;
}

#[test]
fn options_are_refused_with_their_place() {
    let with = |name: &str, value: Value| told(&json!({ "host": "h", name: value }));
    assert_eq!((with("layer", json!("pubsub")), with("target", json!("group"))), (String::new(), String::new()));
    assert_eq!(with("layer", json!("memory")), "/layer: expected core or pubsub");
    assert_eq!(with("capacity", json!(0)), "/capacity: expected a number above 0");
    let encrypted = with("symmetric_encryption_keys", json!(["hunter2"]));
    assert!(encrypted.starts_with("/symmetric_encryption_keys: messages cannot be encrypted here") && !encrypted.contains("hunter2"));
    let both = told(&json!({ "host": "h", "layer": "pubsub", "expiry": 5 }));
    assert_eq!(both, "/expiry: is nothing to the pub/sub layer, which keeps no messages");
    assert_eq!(with("format", json!("cloudevents")), "/format: expected native or django-notifs");
    assert!(with("hosts", json!(["redis://a", "redis://b"])).starts_with("/hosts: expected "));
}

#[tokio::test]
async fn what_can_be_no_message_is_refused() {
    let channels = channels(&json!({ "host": "127.0.0.1", "port": 1 })).unwrap();
    let refused = async |envelope: Envelope| match publish(&channels, envelope).await {
        Err(PublishError::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    let args = Envelope { args: Fields::value("[[]]").ok(), ..message("c", "t", &json!({})) };
    assert_eq!(refused(args).await, "a message of Channels has named fields alone: expected no args");
    let own = message("c", "t", &json!({ "__asgi_channel__": "x" }));
    assert_eq!(refused(own).await, "a field of this name is the channel layer's own: __asgi_channel__");
    let huge = Envelope { kwargs: Fields::value(r#"{"n":[1e400]}"#).ok(), ..message("c", "t", &json!({})) };
    assert_eq!(refused(huge).await, "kwargs: /n: cannot be written as msgpack, which has no such number");
    let expected = "is no name of a channel: fewer than 100 letters, digits, hyphens, underscores and periods";
    assert_eq!(refused(message("a room", "t", &json!({}))).await, expected);
    assert_eq!((channels.takes("a room"), channels.takes("specific.a!b")), (Err(expected.to_owned()), Ok(())));
    let groups = self::channels(&json!({ "host": "h", "target": "group" })).unwrap();
    assert!(groups.takes("specific.a!b").is_err());
}

/// A process of Python that ends with its test, and the lines that it prints.
struct Python(Child, Receiver<String>);

impl Python {
    fn start(script: &str, arguments: &[&str]) -> Self {
        let python = format!("{}/worker-channels/bin/python", std::env::var("TEST_WORKERS").unwrap());
        let script = format!("{}/../../../tests/workers/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(python).arg(script).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (lines, received) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Self(child, received)
    }

    fn line(&self) -> String {
        self.1.recv_timeout(Duration::from_secs(30)).expect("a line in time")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Who got which message, of so many.
    fn got(&self, many: usize) -> Vec<(String, Value)> {
        let one = |line: Value| (line["to"].as_str().unwrap().to_owned(), line["message"].clone());
        let mut got: Vec<_> = (0..many).map(|_| one(self.json())).collect();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        got
    }

    fn says_no_more(&self) {
        assert!(self.1.recv_timeout(Duration::from_millis(300)).is_err());
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn url() -> String {
    std::env::var("TEST_REDIS").unwrap()
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-channels of TEST_WORKERS"]
async fn real_layers_receive_what_is_sent_to_a_channel_and_to_a_group() {
    let fields = json!({ "text": "Zoë 你好", "n": [-1, 5_000_000_000_u64, 1.5, null, true, { "deep": {} }], "empty": "" });
    for (layer, format) in [("core", "msgpack"), ("core", "json"), ("pubsub", "msgpack")] {
        let unique = format!("{layer}-{format}-{}", std::process::id());
        let (group, common) = (format!("group-{unique}"), format!("common-{unique}"));
        let receivers = Python::start(
            "channels_receive.py",
            &[layer, &url(), &group, &common, &json!({ "prefix": unique, "serializer_format": format }).to_string()],
        );
        let own = receivers.json()["own"].as_str().unwrap().to_owned();
        assert_eq!(receivers.json()["ready"], true);
        let options =
            |target: &str| json!({ "url": url(), "layer": layer, "prefix": unique, "target": target, "serializer_format": format });
        let (to_channels, to_groups) = (channels(&options("channel")).unwrap(), channels(&options("group")).unwrap());
        let expected = |kind: &str| {
            let mut message = fields.clone();
            message["type"] = json!(kind);
            message
        };
        assert_eq!(publish(&to_channels, message(&common, "chat.message", &fields)).await, Ok(None));
        assert_eq!(receivers.got(1), [("common".to_owned(), expected("chat.message"))]);
        assert_eq!(publish(&to_channels, message(&own, "any", &expected("said.itself"))).await, Ok(None));
        assert_eq!(receivers.got(1), [("own".to_owned(), expected("said.itself"))]);
        assert_eq!(publish(&to_groups, message(&group, "chat.message", &fields)).await, Ok(None));
        assert_eq!(receivers.got(3), [0, 1, 2].map(|n| (format!("member {n}"), expected("chat.message"))));
        assert_eq!(publish(&to_groups, message("nobody-in-it", "chat.message", &fields)).await, Ok(None));
        // Many at once, in their order.
        let many: Vec<Envelope> = (0..60).map(|n| message(&common, "count", &json!({ "n": n }))).collect();
        assert!(to_channels.publish(&many).await.iter().all(Result::is_ok));
        let counted: Vec<Value> = receivers.got(60).into_iter().map(|(_, message)| message["n"].clone()).collect();
        assert_eq!(counted, (0..60).map(|n| json!(n)).collect::<Vec<_>>());
        receivers.says_no_more();
    }
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS and the environment worker-channels of TEST_WORKERS"]
async fn django_notifs_own_consumer_takes_its_messages() {
    let prefix = format!("notifs-{}", std::process::id());
    let site = Python::start("channels_site.py", &[&url(), &prefix]);
    assert_eq!(site.line(), "ready");
    let to_site = channels(&json!({ "url": url(), "prefix": prefix, "format": "django-notifs" })).unwrap();
    assert_eq!(publish(&to_site, message("django_notifs", "console", &json!({ "text": "Zoë" }))).await, Ok(None));
    assert_eq!(site.line(), "{'text': 'Zoë'}");
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS"]
async fn what_finds_no_room_is_told() {
    let prefix = format!("full-{}", std::process::id());
    let options = |target: &str| json!({ "url": url(), "prefix": prefix, "capacity": 2, "expiry": 30, "target": target });
    let (to_channels, to_groups) = (channels(&options("channel")).unwrap(), channels(&options("group")).unwrap());
    let mut redis = redis::Client::open(url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let send = async |n: u32| publish(&to_channels, message("c", "t", &json!({ "n": n }))).await;
    assert_eq!((send(0).await, send(1).await), (Ok(None), Ok(None)));
    assert_eq!(send(2).await, Err(PublishError::Unavailable("Channels: the channel is full".to_owned())));
    assert_eq!(send(1).await, Ok(None), "what waits already is there once");
    let (waiting, seconds): (u32, u32) =
        redis::pipe().zcard(format!("{prefix}c")).ttl(format!("{prefix}c")).query_async(&mut redis).await.unwrap();
    assert!(waiting == 2 && (1..=30).contains(&seconds), "{waiting} for {seconds} seconds");
    let now = Timestamp::now().seconds();
    let group = format!("{prefix}:group:g");
    let _: () = redis::pipe()
        .zadd(&group, "c", now)
        .zadd(&group, "specific.a!b", now)
        .zadd(&group, "long.ago!c", now - 86_500)
        .query_async(&mut redis)
        .await
        .unwrap();
    let send = async |n: u32| publish(&to_groups, message("g", "t", &json!({ "n": n }))).await;
    assert_eq!(
        (send(0).await, send(1).await),
        (
            Ok(Some("dropped by 1 of 2 channels, which are full".to_owned())),
            Ok(Some("dropped by 1 of 2 channels, which are full".to_owned()))
        )
    );
    assert_eq!(send(2).await, Err(PublishError::Unavailable("Channels: all 2 channels of the group are full".to_owned())));
    let pubsub = channels(&json!({ "url": url(), "layer": "pubsub" })).unwrap();
    let nobody = publish(&pubsub, message(&format!("{prefix}-nobody"), "t", &json!({}))).await;
    assert_eq!(nobody, Err(PublishError::Unavailable("Channels: nobody receives from the channel now".to_owned())));
}
