//! One Redis, as peers play it and as it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use errand_core::{BoxFuture, Clock, Environment, Fields, Init, PublishError, Timestamp};
use errand_http::References;
use errand_redis::{Again, Redis, redis};
use errand_testkit::{Peer, RedisServer};

errand_redis::options! {
    /// What an alias says.
    struct Options {
        /// A field beside Redis' own.
        stream_name: Option<String>,
    }
}

/// A clock that a test moves on.
#[derive(Clone, Default)]
struct Moved(Arc<AtomicU64>);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

fn open(options: &str) -> Result<Redis, String> {
    let mut options: Options = Fields::value(options).map_err(|problems| problems.to_string())?;
    options.place().open(&errand_testkit::init()).map_err(|error| error.to_string())
}

fn told(options: &str) -> String {
    open(options).err().unwrap_or_default()
}

fn at(peer: &Peer) -> Redis {
    open(&format!(r#"{{"url":"redis://{}/0","socket_timeout":0.3}}"#, peer.address())).unwrap()
}

async fn set(redis: &Redis, again: Again) -> Result<(), PublishError> {
    redis.ask(redis::pipe().cmd("SET").arg("key").arg("hunter2"), again).await.map(|((),)| ())
}

#[test]
fn options_are_refused_with_their_place() {
    assert_eq!(told(r#"{"host":"h","port":6380,"db":3,"username":"u","password":"p","ssl":true,"stream_name":"s"}"#), "");
    assert_eq!(told(r#"{"url":"rediss://u:p@h:6380/3","connect_timeout":0.5,"socket_timeout":60}"#), "");
    assert_eq!(told(r#"{"host":"::1"}"#), "");
    assert_eq!(told("{}"), "/host: is required, or a url: where Redis is");
    assert_eq!(told(r#"{"host":"h:6379"}"#), "/host: expected the name or address of a host, without a port");
    assert_eq!(told(r#"{"host":"h","username":"u"}"#), "/password: is required beside a username");
    assert_eq!(told(r#"{"url":"redis://h","port":1}"#), "/port: is said by the url: expected one of them");
    assert_eq!(told(r#"{"url":"amqp://u:hunter2@h"}"#), "/url: expected a URL such as redis://host:6379/0, or rediss:// for TLS");
    assert_eq!(told(r#"{"url":"rediss://h/#insecure"}"#), "/url: expected a URL without #insecure: certificates are always checked");
    assert_eq!(told(r#"{"host":"h","connect_timeout":0}"#), "/connect_timeout: expected a number of seconds above 0, up to 60");
    assert_eq!(told(r#"{"host":"h","socket_timeout":"1"}"#), "/socket_timeout: expected a number, got a string");
    assert!(told(r#"{"host":"h","port":70000}"#).starts_with("/port: expected "));
    assert_eq!(told(r#"{"host":"h","ssl_ca_data":"x"}"#), "/ssl_ca_data: needs TLS: say ssl, or a rediss:// URL");
    assert_eq!(told(r#"{"url":"rediss://h","ssl_ca_data":"x"}"#), "/ssl_ca_data: expected certificates as PEM");
    assert!(told(r#"{"host":"h","hots":"h"}"#).contains("hots"));
    assert!(!format!("{:?}", open(r#"{"url":"redis://:hunter2@h"}"#).unwrap()).contains("hunter2"));
}

#[tokio::test]
async fn what_is_not_there_or_says_nothing_is_told_apart() {
    let refusing = open(r#"{"host":"127.0.0.1","port":1}"#).unwrap();
    assert_eq!(refusing.check().await, Err(PublishError::Unavailable("Redis: the connection is refused".to_owned())));
    let silent = Peer::start(|_, talk| talk.listen());
    let (host, port) = silent.address().split_once(':').unwrap();
    let silent = open(&format!(r#"{{"host":"{host}","port":{port},"connect_timeout":0.2}}"#)).unwrap();
    assert_eq!(set(&silent, Again::Harmless).await, Err(PublishError::Unavailable("Redis: it does not answer in time".to_owned())));
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_there_perhaps() {
    let peer = Peer::start(|_, talk| {
        while let Some(command) = talk.command() {
            if command[0] == "CLIENT" {
                talk.say("+OK\r\n");
            }
        }
    });
    let error = set(&at(&peer), Again::Harmless).await;
    assert_eq!(error, Err(PublishError::OutcomeUnknown("Redis: no answer within 0.3 seconds".to_owned())));
    let counted = Arc::new(AtomicUsize::new(0));
    let peer = Peer::redis({
        let counted = Arc::clone(&counted);
        move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            None
        }
    });
    let ended = Err(PublishError::OutcomeUnknown("Redis: the connection ended before an answer came".to_owned()));
    assert_eq!(set(&at(&peer), Again::Never).await, ended);
    assert_eq!(counted.load(Ordering::Relaxed), 1);
    // The first connection dies of its second command, and no other can be made.
    let peer = Peer::start(|number, talk| {
        let mut asked = 0;
        while let Some(command) = talk.command().filter(|_| number == 0) {
            asked += usize::from(command[0] == "SET");
            match asked {
                2 => break,
                _ => talk.say("+OK\r\n"),
            }
        }
        talk.close();
    });
    let redis = at(&peer);
    assert_eq!((set(&redis, Again::Harmless).await, set(&redis, Again::Harmless).await), (Ok(()), ended));
}

#[tokio::test]
async fn what_the_server_answers_is_told_apart() {
    let cases = [
        ("-OOM command not allowed when used memory > 'maxmemory'.", "unavailable: Redis: its memory is full (OOM)"),
        ("-ERR Error running script: @user_script: 1: -OOM command not allowed", "unavailable: Redis: its memory is full (OOM)"),
        ("-LOADING Redis is loading the dataset in memory", "unavailable: Redis: it is starting (LOADING)"),
        ("-READONLY You can't write against a read only replica.", "unavailable: Redis: it is a replica and takes nothing (READONLY)"),
        ("-MISCONF Redis is configured to save RDB snapshots", "unavailable: Redis: it cannot write to its disk (MISCONF)"),
        ("-CLUSTERDOWN The cluster is down", "unavailable: Redis: CLUSTERDOWN"),
        ("-NOREPLICAS Not enough good replicas to write.", "unavailable: Redis: NOREPLICAS"),
        ("-NOAUTH Authentication required.", "misconfigured: Redis: a password is required"),
        ("-NOPERM this user has no permissions", "misconfigured: Redis: the user may not do this (NOPERM): see the server's access lists"),
        (
            "-MOVED 3999 127.0.0.1:6381",
            "misconfigured: Redis: it is a node of a cluster and the key is another's (MOVED): see the option cluster",
        ),
        ("-WRONGTYPE Operation against a key", "misconfigured: Redis: what has this name there is of another type (WRONGTYPE)"),
        ("-ERR unknown command 'XADD', with args beginning with: 'hunter2'", "misconfigured: Redis: it refuses the command (ERR)"),
    ];
    for (answer, words) in cases {
        let peer = Peer::redis(move |_, command| Some(if command[0] == "PING" { "+PONG" } else { answer }.to_owned()));
        let redis = at(&peer);
        assert_eq!(set(&redis, Again::Never).await.unwrap_err().to_string(), words);
        let commands = vec![redis::cmd("SET").arg("a").arg(1).to_owned(), redis::cmd("SET").arg("b").arg(1).to_owned()];
        let answers = redis.each(commands, Again::Never).await;
        assert_eq!(answers.iter().map(|answer| answer.as_ref().unwrap_err().to_string()).collect::<Vec<_>>(), [words, words]);
    }
    let locked = Peer::redis(|_, _| Some("-WRONGPASS invalid username-password pair or user is disabled.".to_owned()));
    let locked = open(&format!(r#"{{"url":"redis://u:hunter2@{}/0"}}"#, locked.address())).unwrap();
    assert_eq!(locked.check().await.unwrap_err().to_string(), "misconfigured: Redis: the password or user name is refused");
}

#[tokio::test]
async fn one_that_died_idle_is_found_out_before_anything_is_asked() {
    let clock = Moved::default();
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let peer = Peer::redis({
        let heard = Arc::clone(&heard);
        move |number, command| {
            heard.lock().unwrap().push(format!("{number} {}", command[0]));
            // The first connection answers once and is dead then.
            (number > 0 || command[0] == "SET").then(|| "+OK".to_owned())
        }
    });
    let mut options: Options = Fields::value(&format!(r#"{{"url":"redis://{}"}}"#, peer.address())).unwrap();
    let redis = options.place().open(&Init::default().with(Arc::new(clock.clone()) as Arc<dyn Clock>)).unwrap();
    for _ in 0..2 {
        set(&redis, Again::Never).await.unwrap();
        clock.0.fetch_add(60_000, Ordering::Relaxed);
    }
    set(&redis, Again::Never).await.unwrap();
    set(&redis, Again::Never).await.unwrap();
    assert_eq!(*heard.lock().unwrap(), ["0 SET", "0 PING", "1 SET", "1 PING", "1 SET", "1 SET"]);
}

#[tokio::test]
async fn a_password_by_reference_is_read_when_it_is_needed_and_again_when_it_is_refused() {
    let peer = Peer::redis(|_, command| {
        let is_refused = command[0] == "AUTH" && command.last().is_some_and(|password| password != "hunter2");
        Some(if is_refused { "-WRONGPASS invalid username-password pair" } else { "+OK" }.to_owned())
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let (host, port) = peer.address().split_once(':').unwrap();
    let options = format!(r#"{{"host":"{host}","port":{port},"password":"file:{}"}}"#, path.display());
    let mut options: Options = Fields::value(&options).unwrap();
    let clock = Moved::default();
    let cx = || Init::default().with(Arc::new(clock.clone()) as Arc<dyn Clock>);
    let references = References::new(&Environment::default(), &cx()).unwrap();
    let redis = options.place().open(&cx().with(references)).unwrap();
    let told = async || redis.check().await.unwrap_err().to_string();
    assert_eq!(told().await, "misconfigured: password: refers to a file that cannot be read: entity not found");
    std::fs::write(&path, "hunter1").unwrap();
    assert_eq!(told().await, "misconfigured: Redis: the password or user name is refused");
    std::fs::write(&path, "hunter2").unwrap();
    clock.0.fetch_add(60_000, Ordering::Relaxed);
    assert_eq!(redis.check().await, Ok(()));
    assert!(self::told(r#"{"host":"h","password":"ssm:password"}"#).starts_with("/password: expected ssm:/ and the name of a parameter"));
    assert!(self::told(r#"{"url":"secretsmanager:a/b#c"}"#).contains("References"), "a function without what reads them says so");
}

#[tokio::test]
async fn after_a_fail_over_the_name_is_followed_to_the_new_server() {
    let asked = AtomicUsize::new(0);
    let is_replica = move |number| number == 0 && asked.fetch_add(1, Ordering::Relaxed) > 0;
    let peer = Peer::redis(move |number, _| Some(if is_replica(number) { "-READONLY You can't write" } else { "+OK" }.to_owned()));
    let redis = at(&peer);
    for _ in 0..3 {
        assert_eq!(set(&redis, Again::Never).await, Ok(()));
    }
}

#[tokio::test]
async fn each_has_its_answer_and_what_comes_behind_a_lost_connection_is_not_sent() {
    let peer = Peer::redis(|_, command| match command[1].as_str() {
        "3" => Some("-OOM full".to_owned()),
        "200" => None,
        key => Some(format!(":{key}")),
    });
    let commands = (0..400).map(|key| redis::cmd("SET").arg(key).to_owned()).collect();
    let answers = at(&peer).each(commands, Again::Never).await;
    assert_eq!(answers.len(), 400);
    for (key, answer) in answers.iter().enumerate() {
        match (key, answer) {
            (3, answer) => assert!(matches!(answer, Err(PublishError::Unavailable(why)) if why.contains("OOM")), "{answer:?}"),
            (0..128, answer) => assert!(matches!(answer, Ok(redis::Value::Int(value)) if usize::try_from(*value) == Ok(key)), "{answer:?}"),
            (128..256, answer) => assert!(matches!(answer, Err(PublishError::OutcomeUnknown(_))), "{answer:?}"),
            (_, answer) => assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}"),
        }
    }
}

/// The settings of a server that `tests/run` has started, beside its URL.
fn real(variable: &str, more: &str) -> Redis {
    open(&format!(r#"{{"url":"{}"{more}}}"#, std::env::var(variable).unwrap())).unwrap()
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS, TEST_REDIS_TLS and TEST_REDIS_PASSWORD, and the certificate of TEST_REDIS_CA"]
async fn a_real_one_is_spoken_to_by_tls_and_by_password() {
    assert_eq!(set(&real("TEST_REDIS", ""), Again::Harmless).await, Ok(()));
    let certificate = format!("{:?}", std::fs::read_to_string(std::env::var("TEST_REDIS_CA").unwrap()).unwrap());
    assert_eq!(real("TEST_REDIS_TLS", &format!(r#","ssl_ca_data":{certificate}"#)).check().await, Ok(()));
    let distrusted = real("TEST_REDIS_TLS", "").check().await.unwrap_err().to_string();
    assert_eq!(distrusted, "misconfigured: Redis: its certificate is not trusted: ssl_ca_data says which are");
    assert_eq!(real("TEST_REDIS_PASSWORD", "").check().await, Ok(()));
    let url = std::env::var("TEST_REDIS_PASSWORD").unwrap();
    let (scheme, place) = (url.split_once("://").unwrap().0, url.rsplit_once('@').unwrap().1);
    let refused = |login: &str| open(&format!(r#"{{"url":"{scheme}://{login}{place}"}}"#)).unwrap();
    let words = |error: PublishError| error.to_string();
    assert_eq!(words(refused("").check().await.unwrap_err()), "misconfigured: Redis: a password is required");
    assert_eq!(words(refused("u:wrong@").check().await.unwrap_err()), "misconfigured: Redis: the password or user name is refused");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_real_one_that_is_full_or_a_replica_or_was_killed_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let server = RedisServer::start(folder.path().to_owned());
    let redis = open(&format!(r#"{{"url":"{}"}}"#, server.url())).unwrap();
    let configure = async |words: &[&str]| redis.ask::<((),)>(redis::pipe().cmd(words[0]).arg(&words[1..]), Again::Never).await.unwrap();
    let script = async || {
        redis.ask::<((),)>(redis::pipe().cmd("EVAL").arg("return redis.call('SET', KEYS[1], 1)").arg(1).arg("k"), Again::Never).await
    };
    configure(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = PublishError::Unavailable("Redis: its memory is full (OOM)".to_owned());
    assert_eq!((set(&redis, Again::Never).await, script().await.map(drop)), (Err(full.clone()), Err(full.clone())));
    let mut both = redis::pipe();
    both.atomic().cmd("SET").arg("a").arg(1).ignore().cmd("SET").arg("b").arg(1).ignore();
    assert_eq!(redis.ask::<()>(&both, Again::Never).await, Err(full));
    configure(&["CONFIG", "SET", "maxmemory", "0"]).await;
    configure(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let replica = PublishError::Unavailable("Redis: it is a replica and takes nothing (READONLY)".to_owned());
    assert_eq!((set(&redis, Again::Never).await, script().await.map(drop)), (Err(replica.clone()), Err(replica)));
    configure(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(set(&redis, Again::Never).await, Ok(()));
    // Its connection has ended meanwhile, and what is asked next goes over a new one.
    server.kill();
    assert_eq!(set(&redis, Again::Harmless).await, Ok(()));
}
