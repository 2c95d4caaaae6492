//! The transport against a service that speaks as EventBridge Scheduler does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use errand_core::{Clock, DynCheck, Envelope, Environment, Hold, Init, PublishError, Queues, Recurrence, Schedule, Schedules, Timestamp};
use errand_http::aws::sdk_config;
use errand_testkit::{
    Answer, Stopped, Stub,
    schedules::schedule,
    transport::{envelope, hold_conformance},
};
use errand_transport_scheduler::EventBridgeScheduler;
use serde_json::{Value, json};

const URL: (&str, &str) = ("ERRAND_QUEUE_URL", "https://sqs/1/main");
const QUEUE: (&str, &str) = ("ERRAND_QUEUE_ARN", "arn:aws:sqs:eu-west-1:1:main");
const ROLE: (&str, &str) = ("ERRAND_SCHEDULER_ROLE_ARN", "arn:aws:iam::1:role/scheduler");

fn cx(env: &Environment, queues: Queues) -> Init {
    Init::default().with(sdk_config(env).unwrap()).with(queues).with(Arc::new(Stopped(NOW)) as Arc<dyn Clock>)
}

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// One that is due after this long.
fn delayed(id: &str, delay: Duration) -> Envelope {
    Envelope { run_after: Some(NOW + delay), ..envelope(id) }
}

fn with(url: &str, vars: &[(&str, &str)]) -> Result<EventBridgeScheduler, String> {
    let aws = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_ENDPOINT_URL", url)];
    let env: Environment = aws.iter().chain(vars).copied().collect();
    let queues = Queues::from_env(&env).map_err(|error| error.to_string())?;
    EventBridgeScheduler::new(&env, &cx(&env, queues)).map_err(|error| error.to_string())
}

fn transport(url: &str) -> EventBridgeScheduler {
    with(url, &[URL, QUEUE, ROLE, ("ERRAND_SCHEDULER_GROUP", "errand"), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead")]).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract_of_what_holds() {
    let working = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let failing = Stub::start(|_| Answer::json(503, "")).await;
    let breaking_off = Stub::start(|_| Answer::BreakOff).await;
    let [working, failing, breaking_off] = [working, failing, breaking_off].map(|stub| transport(stub.url()));
    hold_conformance(&working, &failing, &transport("http://127.0.0.1:1"), &breaking_off).await;
}

#[tokio::test]
async fn a_schedule_fires_a_minute_early_once_and_is_gone() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let due = Timestamp::from_millis(1_900_000_000_000);
    let envelope = Envelope { run_after: Some(due), ..envelope("a") };
    transport(stub.url()).hold(&[envelope]).await.remove(0).unwrap();
    let request = stub.requests().remove(0);
    // SHA-256 of "a 2030-03-17T17:46:40.000Z".
    let name = "fcb071e207c5898551791f6d78b61d63f8ad13ff5aa90b3843e2fe6f969339d3";
    assert_eq!((request.method.as_str(), request.uri.path()), ("POST", format!("/schedules/{name}").as_str()));
    let wanted = json!({
        "GroupName": "errand",
        "ScheduleExpression": "at(2030-03-17T17:45:40)",
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "ActionAfterCompletion": "DELETE",
        "Target": { "Arn": QUEUE.1, "RoleArn": ROLE.1, "Input": r#"{"task":"email","id":"a","queue":"default","run_after":"2030-03-17T17:46:40.000Z"}"#, "DeadLetterConfig": { "Arn": "arn:aws:sqs:eu-west-1:1:dead" } },
    });
    let mut sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert!(sent.as_object_mut().unwrap().remove("ClientToken").is_some_and(|token| token != name), "a token of this call's own");
    assert_eq!(sent, wanted);
}

#[tokio::test]
async fn what_is_withdrawn_is_deleted_by_its_id_and_time() {
    let due = Timestamp::from_millis(1_900_000_000_000);
    let stub = Stub::start(|_| Answer::json(200, "{}")).await;
    transport(stub.url()).withdraw("a", due).await.unwrap();
    let request = stub.requests().remove(0);
    assert_eq!(
        (request.method.as_str(), request.uri.path()),
        ("DELETE", "/schedules/fcb071e207c5898551791f6d78b61d63f8ad13ff5aa90b3843e2fe6f969339d3")
    );
    assert!(request.uri.query().unwrap().starts_with("groupName=errand&"));
    let gone = Stub::start(|_| Answer::json(404, "{}").header("x-amzn-errortype", "ResourceNotFoundException")).await;
    assert_eq!(transport(gone.url()).withdraw("a", due).await, Ok(()), "what is gone is no error");
    let failing = Stub::start(|_| Answer::json(503, "")).await;
    assert!(matches!(transport(failing.url()).withdraw("a", due).await, Err(PublishError::Unavailable(_))));
}

#[tokio::test]
async fn a_recurring_schedule_says_in_each_run_which_one_it_is() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let cron = Recurrence::Cron("0 9 * * 1-5".parse().unwrap());
    assert_eq!(transport(stub.url()).create(&schedule("daily", cron)).await, Ok(true));
    let request = stub.requests().remove(0);
    assert_eq!(request.uri.path(), "/schedules/r.daily");
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (
            &sent["ScheduleExpression"],
            &sent["ScheduleExpressionTimezone"],
            &sent["Description"],
            &sent["State"],
            &sent["FlexibleTimeWindow"]["Mode"]
        ),
        (&json!("cron(0 9 ? * MON-FRI *)"), &json!("Europe/Berlin"), &json!("cron 0 9 * * 1-5"), &json!("ENABLED"), &json!("OFF"))
    );
    assert!(sent["StartDate"].is_null() && sent["Target"]["Arn"] == QUEUE.1);
    let ids = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let env: Environment = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "a"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", ids.url()),
        URL,
        QUEUE,
        ROLE,
    ]
    .into_iter()
    .collect();
    let scheduler = EventBridgeScheduler::new(&env, &cx(&env, Queues::from_env(&env).unwrap())).unwrap();
    scheduler.create(&schedule("pulse", Recurrence::Rate("5 minutes".parse().unwrap()))).await.unwrap();
    let sent: Value = serde_json::from_slice(&ids.requests()[0].body).unwrap();
    assert!(sent["Target"]["Input"].as_str().unwrap().contains(r#""id":"pulse@<aws.scheduler.scheduled-time>""#), "{sent}");
    assert!(sent["StartDate"].as_f64().unwrap() > 1.7e9, "the first run is one interval from now");
}

#[tokio::test]
async fn a_schedule_is_changed_by_one_call_that_says_everything_and_keeps_its_pace() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let since = Timestamp::from_millis(1_700_000_000_000);
    let pulse = Schedule { since, paused: true, ..schedule("pulse", Recurrence::Rate("5 minutes".parse().unwrap())) };
    assert_eq!(transport(stub.url()).update(&pulse).await, Ok(true));
    let requests = stub.requests();
    let [request] = &requests[..] else { panic!("one call: {requests:?}") };
    assert_eq!((request.method.as_str(), request.uri.path()), ("PUT", "/schedules/r.pulse"));
    let mut sent: Value = serde_json::from_slice(&request.body).unwrap();
    let start = sent["StartDate"].take().as_f64().unwrap() as i64;
    let now = NOW.seconds();
    assert!(start > now && start <= now + 300 && (start - since.seconds()) % 300 == 0, "the next time that it was to run: {start}");
    assert!(sent.as_object_mut().unwrap().remove("ClientToken").is_some());
    let wanted = json!({
        "ActionAfterCompletion": "NONE",
        "Description": "rate 5 minutes",
        "FlexibleTimeWindow": { "Mode": "OFF" },
        "GroupName": "errand",
        "ScheduleExpression": "rate(5 minutes)",
        "ScheduleExpressionTimezone": "Europe/Berlin",
        "StartDate": null,
        "State": "DISABLED",
        "Target": { "Arn": QUEUE.1, "RoleArn": ROLE.1, "Input": errand_wire::encode(&Envelope { id: "pulse@<aws.scheduler.scheduled-time>".to_owned(), ..pulse.envelope.clone() }), "DeadLetterConfig": { "Arn": "arn:aws:sqs:eu-west-1:1:dead" } },
    });
    assert_eq!(sent, wanted);
    let gone = Stub::start(|_| Answer::json(404, "{}").header("x-amzn-errortype", "ResourceNotFoundException")).await;
    assert_eq!(transport(gone.url()).update(&pulse).await, Ok(false));
}

#[tokio::test]
async fn a_rate_counts_from_one_interval_before_the_start_that_the_service_tells() {
    let found = r#"{"Name":"r.pulse","Description":"rate 1 minutes","ScheduleExpression":"rate(1 minutes)","State":"ENABLED","StartDate":1700000060,
        "FlexibleTimeWindow":{"Mode":"OFF"},"Target":{"Arn":"arn:aws:sqs:eu-west-1:1:main","RoleArn":"arn:aws:iam::1:role/scheduler",
        "Input":"{\"task\":\"console\",\"id\":\"pulse@<aws.scheduler.scheduled-time>\"}"}}"#;
    let stub = Stub::start(move |_| Answer::json(200, found)).await;
    let known = transport(stub.url()).get("pulse").await.unwrap().unwrap();
    assert_eq!((known.since, known.paused, known.envelope.task.as_str()), (Timestamp::from_millis(1_700_000_000_000), false, "console"));
}

#[tokio::test]
async fn a_timezone_that_the_service_does_not_know_is_the_callers_to_change() {
    let stub = Stub::start(|_| Answer::json(400, r#"{"Message":"secret"}"#).header("x-amzn-errortype", "ValidationException")).await;
    let daily = schedule("daily", Recurrence::Cron("@daily".parse().unwrap()));
    for refused in [transport(stub.url()).create(&daily).await, transport(stub.url()).update(&daily).await] {
        assert!(matches!(&refused, Err(PublishError::Refused(why)) if why.contains("timezone")), "{refused:?}");
    }
}

#[tokio::test]
#[ignore = "needs EventBridge Scheduler at TEST_AWS_ENDPOINT"]
async fn it_keeps_the_contract_of_schedules() {
    let endpoint = std::env::var("TEST_AWS_ENDPOINT").unwrap();
    let group = format!("errand-schedules-{}", std::process::id());
    let vars = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", &endpoint),
        URL,
        QUEUE,
        ROLE,
        ("ERRAND_SCHEDULER_GROUP", &group),
    ];
    let env: Environment = vars.into_iter().collect();
    let sdk = sdk_config(&env).unwrap();
    aws_sdk_scheduler::Client::new(&sdk).create_schedule_group().name(&group).send().await.unwrap();
    // The service has a clock of its own.
    let cx = errand_testkit::init().with(sdk).with(Queues::from_env(&env).unwrap());
    let scheduler = EventBridgeScheduler::new(&env, &cx).unwrap();
    // The emulator knows no second page.
    errand_testkit::schedules::conformance(&scheduler, 100).await;
}

#[tokio::test]
async fn a_fifo_queue_gets_a_group_and_its_dead_letter_queue_is_not_the_schedules() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let main = [("ERRAND_QUEUE_URL", "https://sqs/1/main.fifo"), ("ERRAND_QUEUE_ARN", "arn:aws:sqs:eu-west-1:1:main.fifo")];
    let vars = [main[0], main[1], ROLE, ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead.fifo")];
    let envelope = Envelope { group: Some("tenant".to_owned()), ..delayed("a", Duration::from_secs(3600)) };
    with(stub.url(), &vars).unwrap().hold(&[envelope]).await.remove(0).unwrap();
    let sent: Value = serde_json::from_slice(&stub.requests()[0].body).unwrap();
    assert_eq!(sent["Target"]["SqsParameters"], json!({ "MessageGroupId": "tenant" }));
    assert_eq!(sent["Target"]["DeadLetterConfig"], Value::Null);
}

#[tokio::test]
async fn a_delay_ends_on_the_queue_of_the_task_with_its_dead_letters() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let queues = r#"{"slow":{"url":"http://127.0.0.1:4566/1/slow","dead_letter_url":"http://127.0.0.1:4566/1/slow-dead"},
        "a.fifo":{"url":"http://127.0.0.1:4566/1/a.fifo","dead_letter_url":"http://127.0.0.1:4566/1/a-dead.fifo"}}"#;
    let transport =
        with(stub.url(), &[URL, QUEUE, ROLE, ("ERRAND_QUEUES", queues), ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/dead")]).unwrap();
    let on = |queue: &str| Envelope { queue: queue.to_owned(), ..delayed("a", Duration::from_secs(3600)) };
    let answers = transport.hold(&[on("slow"), on("a.fifo"), on("default"), on("fast")]).await;
    let refused = PublishError::Refused("there is no queue of this name; there are: a.fifo, default, slow".to_owned());
    assert_eq!(answers[3], Err(refused));
    assert!(answers[..3].iter().all(Result::is_ok));
    let mut targets: Vec<(String, String, Value)> = stub
        .requests()
        .iter()
        .map(|request| {
            let sent: Value = serde_json::from_slice(&request.body).unwrap();
            let arn = |value: &Value| value.as_str().unwrap_or_default().replace("arn:aws:sqs:eu-west-1:1:", "");
            (
                arn(&sent["Target"]["Arn"]),
                arn(&sent["Target"]["DeadLetterConfig"]["Arn"]),
                sent["Target"]["SqsParameters"]["MessageGroupId"].clone(),
            )
        })
        .collect();
    targets.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [("a.fifo", "dead", json!("default")), ("main", "dead", Value::Null), ("slow", "slow-dead", Value::Null)];
    assert_eq!(
        targets,
        wanted.map(|(queue, dead, group)| (queue.to_owned(), dead.to_owned(), group)),
        "the Scheduler takes no FIFO queue for dead letters"
    );
}

#[tokio::test]
async fn no_two_ids_have_a_schedule_of_the_same_name() {
    let stub = Stub::start(|_| Answer::json(200, r#"{"ScheduleArn":"arn"}"#)).await;
    let due = Timestamp::from_millis(1_900_000_000_000);
    let ids = ["a", "A", "a/b?c#d%", "a b", "~!@$^&*()", &"x".repeat(128), &"x".repeat(127)];
    let envelopes: Vec<Envelope> = ids.iter().map(|id| Envelope { run_after: Some(due), ..envelope(id) }).collect();
    assert!(transport(stub.url()).hold(&envelopes).await.iter().all(Result::is_ok));
    let names: std::collections::BTreeSet<String> =
        stub.requests().iter().map(|request| request.uri.path().trim_start_matches("/schedules/").to_owned()).collect();
    assert_eq!(names.len(), ids.len(), "all in the same second");
    assert!(names.iter().all(|name| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())));
}

#[tokio::test]
async fn an_id_that_is_scheduled_already_is_on_its_way() {
    let stub = Stub::start(|_| Answer::json(409, r#"{"Message":"exists"}"#).header("x-amzn-errortype", "ConflictException")).await;
    assert!(transport(stub.url()).hold(&[delayed("a", Duration::from_secs(3600))]).await[0].is_ok());
}

#[tokio::test]
async fn what_cannot_go_this_way_is_refused_and_what_an_operator_must_mend_is_told_apart() {
    let stub = Stub::start(|_| Answer::json(404, r#"{"Message":"secret"}"#).header("x-amzn-errortype", "ResourceNotFoundException")).await;
    let transport = transport(stub.url());
    assert_eq!(
        transport.hold(&[envelope("a")]).await,
        [Err(PublishError::Misconfigured("EventBridge Scheduler: HTTP 404 ResourceNotFoundException".to_owned()))]
    );
    let large = Envelope { kwargs: Some(serde_json::value::to_raw_value(&"x".repeat(256 * 1024)).unwrap()), ..envelope("a") };
    assert_eq!(transport.hold(&[large]).await, [Err(PublishError::TooLarge { limit: 256 * 1024 })]);
    assert!(!transport.check().await.unwrap_err().to_string().contains("secret"));
}

#[test]
fn settings_are_checked_when_the_function_starts() {
    let error = |vars: &[(&str, &str)]| with("http://127.0.0.1:1", vars).err().unwrap();
    assert_eq!(error(&[URL, ROLE]), "ERRAND_QUEUE_ARN: must be set");
    assert_eq!(error(&[URL, QUEUE]), "ERRAND_SCHEDULER_ROLE_ARN: must be set");
    assert_eq!(error(&[QUEUE, ROLE]), "ERRAND_QUEUE_URL: must be set");
    assert!(error(&[URL, ("ERRAND_QUEUE_ARN", "https://sqs/1/main"), ROLE]).starts_with("ERRAND_QUEUE_ARN: expected an ARN"));
    assert!(
        error(&[URL, QUEUE, ROLE, ("ERRAND_DEAD_LETTER_URL", "https://sqs/1/")]).starts_with("ERRAND_DEAD_LETTER_URL: expected the URL")
    );
}
