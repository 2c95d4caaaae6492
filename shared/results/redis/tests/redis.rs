//! The backend against a real Redis, and against what is none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use errand_core::{Environment, ForeignResult, PublishError, ResultBackend};
use errand_http::References;
use errand_result_redis::Redis;
use errand_testkit::Peer;
use futures_util::StreamExt;

const BACKEND: &str = "ERRAND_CELERY_RESULT_BACKEND";

fn redis(vars: &[(&str, &str)]) -> Result<Option<Redis>, String> {
    Redis::from_env(&vars.iter().copied().collect::<Environment>(), &errand_testkit::init()).map_err(|error| error.to_string())
}

fn result(key: &str, value: &str) -> ForeignResult {
    ForeignResult { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn a_wrong_setting_is_named_and_a_password_is_not() {
    assert!(redis(&[]).unwrap().is_none());
    let wrong = redis(&[(BACKEND, "postgres://user:hunter2@host/0")]).unwrap_err();
    assert_eq!(wrong, "ERRAND_CELERY_RESULT_BACKEND: expected a URL such as redis://host:6379/0, or rediss:// for TLS");
    let url = "redis://:hunter2@127.0.0.1:1/0";
    assert!(
        redis(&[(BACKEND, url), ("ERRAND_CELERY_RESULT_EXPIRES_SECONDS", "0")]).unwrap_err().contains("expected a whole number from 1")
    );
    assert!(!format!("{:?}", redis(&[(BACKEND, url)]).unwrap()).contains("hunter2"));
    assert!(redis(&[(BACKEND, "rediss://host:6379/0")]).unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_waited_for_a_moment() {
    let refusing = redis(&[(BACKEND, "redis://127.0.0.1:1/0")]).unwrap().unwrap();
    assert!(matches!(refusing.keep(&result("k", "v")).await, Err(PublishError::Unavailable(_))));
    let peer = Peer::start(|_, talk| talk.listen());
    let silent = redis(&[(BACKEND, &format!("redis://{}/0", peer.address()))]).unwrap().unwrap();
    let error = silent.keep(&result("k", "hunter2")).await.unwrap_err();
    assert!(matches!(&error, PublishError::Unavailable(why) if !why.contains("hunter2")), "{error}");
}

#[tokio::test]
async fn a_server_by_reference_is_read_when_it_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url");
    let env: Environment = [(BACKEND, format!("file:{}", path.display()))].into_iter().collect();
    let cx = errand_testkit::init();
    let references = References::new(&env, &cx).unwrap();
    let backend = Redis::from_env(&env, &cx.with(references)).unwrap().unwrap();
    let told = async || backend.keep(&result("k", "v")).await.unwrap_err();
    let missing = "ERRAND_CELERY_RESULT_BACKEND: refers to a file that cannot be read: entity not found";
    assert_eq!(told().await, PublishError::Misconfigured(missing.to_owned()));
    std::fs::write(&path, "postgres://user:hunter2@host/0\n").unwrap();
    let wrong =
        "ERRAND_CELERY_RESULT_BACKEND: what it refers to is wrong: expected a URL such as redis://host:6379/0, or rediss:// for TLS";
    assert_eq!(told().await, PublishError::Misconfigured(wrong.to_owned()));
    std::fs::write(&path, "redis://:hunter2@127.0.0.1:1/0\n").unwrap();
    assert!(matches!(told().await, PublishError::Unavailable(why) if why.starts_with("Redis: ")));
}

#[tokio::test]
#[ignore = "needs Redis at TEST_REDIS"]
async fn a_result_is_kept_for_its_time_told_to_who_waits_and_survives_a_lost_connection() {
    let url = std::env::var("TEST_REDIS").unwrap();
    let backend = redis(&[(BACKEND, &url), ("ERRAND_CELERY_RESULT_PREFIX", "app_"), ("ERRAND_CELERY_RESULT_EXPIRES_SECONDS", "60")]);
    let backend = backend.unwrap().unwrap();
    let client = redis::Client::open(url).unwrap();
    let mut other = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("celery-task-meta-{}", std::process::id());
    let kept = format!("app_{key}");
    let mut waiting = client.get_async_pubsub().await.unwrap();
    waiting.subscribe(&kept).await.unwrap();
    for value in [r#"{"status":"FAILURE"}"#, r#"{"status":"SUCCESS"}"#] {
        backend.keep(&result(&key, value)).await.unwrap();
        let (found, seconds): (String, i64) = redis::pipe().get(&kept).ttl(&kept).query_async(&mut other).await.unwrap();
        assert!(found == value && (1..=60).contains(&seconds), "{found} for {seconds} s");
        let told: String = waiting.on_message().next().await.unwrap().get_payload().unwrap();
        assert_eq!(told, value);
        // As while a function is frozen.
        let _: i64 =
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes").query_async(&mut other).await.unwrap();
    }
}
