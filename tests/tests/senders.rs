//! Real clients, as they are, that send to the deployed stack's queue: what each of them sent is done, and with what it sent.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aws_sdk_sqs::types::QueueAttributeName;
use errand_consumer::Consumer;
use errand_core::{Environment, Message, Timestamp};
use errand_tests::{Stack, application::Application, id, until};
use serde_json::{Value, json};

fn fact(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/run"))
}

/// What a client says that it sent.
struct Sent(Vec<Value>);

impl Sent {
    fn case(&self, name: &str) -> &Value {
        self.0.iter().find(|sent| sent["case"] == name).unwrap_or_else(|| panic!("{name} was not sent: {:?}", self.0))
    }

    fn id(&self, name: &str) -> &str {
        self.case(name)["id"].as_str().unwrap()
    }

    fn cases(&self) -> Vec<&str> {
        self.0.iter().map(|sent| sent["case"].as_str().unwrap()).collect()
    }
}

/// A client's script, ready to send to a queue; `venv` names the environment that it is installed in.
fn client(stack: &Stack, venv: &str, script: &str, run: &str, queue_url: &str) -> Command {
    let mut command = Command::new(Path::new(&fact("TEST_SENDERS")).join(format!("sender-{venv}/bin/python")));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("senders").join(script));
    command.envs([
        ("AWS_ENDPOINT_URL", stack.endpoint.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("SENDER_QUEUE_URL", queue_url),
        ("SENDER_RUN", run),
    ]);
    command
}

/// Lets it send; answers what it says.
async fn send(mut command: Command) -> Sent {
    let told = tokio::task::spawn_blocking(move || command.stderr(Stdio::piped()).output().unwrap()).await.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    Sent(String::from_utf8(told.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The call of a task that the application was given, once it was.
async fn called(id: &str) -> Value {
    let app = Application::get();
    let call = until(&format!("{id} is run"), async || app.calls(id).into_iter().next()).await;
    serde_json::from_slice(&call.1).unwrap()
}

async fn told(texts: &[&str]) -> Value {
    let app = Application::get();
    let found = async || app.told(texts[0]).into_iter().find(|call| texts.iter().all(|text| call.to_string().contains(text)));
    until(&format!("the application is called with {texts:?}"), found).await
}

#[tokio::test]
#[ignore = "needs the deployed stack, and django-notifs at TEST_SENDERS"]
async fn django_notifs_sends_each_of_its_providers() {
    let (stack, run) = (Stack::new(), id("notifs"));
    Application::get();
    let sent = send(client(&stack, "notifs", "notifs.py", &run, &stack.queue_url)).await;
    for name in ["single", "bulk-1", "bulk-2", "countdown"] {
        let subject = format!("{run} {name}");
        let mails = until(&subject, async || Some(stack.mails(&subject).await).filter(|mails| !mails.is_empty())).await;
        assert_eq!(mails.len(), 1, "{name}");
    }
    for name in ["slack", "slack_bulk"] {
        let payload = &sent.case(name)["payload"];
        for message in payload.as_array().unwrap_or(&vec![payload.clone()]) {
            assert_eq!(&told(&[message["text"].as_str().unwrap()]).await, message, "{name}");
        }
    }
    for name in ["console", "custom", "django_sms", "pusher_channels", "django_channels", "fcm_web"] {
        let call = called(sent.id(name)).await;
        assert_eq!((&call["task"], &call["kwargs"]), (&sent.case(name)["provider"], &sent.case(name)["payload"]), "{name}");
    }
    for name in sent.cases() {
        let task = stack.wait_for(sent.id(name), "SUCCESSFUL").await;
        assert_eq!((&task["sender"], &task["attempts"]), (&json!("django-notifs"), &json!(1)), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack, and Celery at TEST_SENDERS"]
async fn celerys_tasks_are_run_and_what_follows_on_them() {
    let (stack, run) = (Stack::new(), id("celery"));
    let app = Application::get();
    let mut command = client(&stack, "celery", "celery_tasks.py", &run, &stack.queue_url);
    command.arg("send");
    let sent = send(command).await;
    assert_eq!(called(sent.id("delay")).await["args"], json!([run, 1, null, [true, { "k": 1.5 }]]));
    for name in ["zlib", "bzip2"] {
        assert_eq!(called(sent.id(name)).await["args"], json!([sent.case(name)["text"]]), "{name}");
    }
    let special = json!([run, "2026-01-02T03:04:05+00:00", "1.50", "00112233-4455-6677-8899-aabbccddeeff", "bytes"]);
    assert_eq!(called(sent.id("special_types")).await["args"], special);
    let old = called(sent.id("protocol_1")).await;
    assert_eq!((&old["args"], &old["kwargs"]), (&json!([run]), &json!({ "key": "value" })));
    let mail = until("the mail arrives", async || stack.mails(&format!("{run} Gr")).await.into_iter().next()).await;
    assert!(mail.to_string().contains("Sent by Celery."), "{mail}");
    for name in ["countdown", "eta"] {
        let task = stack.wait_for(sent.id(name), "SUCCESSFUL").await;
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(time(&task["started_at"]) >= time(&sent.case(name)["not_before"]), "{name}: {task}");
    }
    assert_eq!(stack.wait_for(sent.id("expired"), "EXPIRED").await["sender"], "celery");
    let links: Vec<String> = serde_json::from_value(sent.case("chain")["ids"].clone()).unwrap();
    let second = called(&links[1]).await;
    assert_eq!((&second["args"][0]["args"], &second["args"][2]), (&json!([run, 1]), &json!(2)), "the result of the first comes first");
    assert_eq!(called(&links[2]).await["args"], json!([run, 3]), "an immutable link is not given it");
    for part in sent.case("group")["ids"].as_array().unwrap() {
        stack.wait_for(part.as_str().unwrap(), "SUCCESSFUL").await;
    }
    let linked = called(sent.case("link")["linked"].as_str().unwrap()).await;
    assert_eq!(linked["args"][0]["args"], json!([run, "link"]));
    assert_eq!(told(&[&run, "linked_without_id"]).await["args"], json!([run, "linked_without_id"]));
    stack.wait_for(sent.id("link_error"), "FAILED").await;
    assert_eq!(
        called(sent.case("link_error")["on_error"].as_str().unwrap()).await["args"],
        json!([sent.id("link_error"), run, "on_error"])
    );
    let pickle = until("pickle is a dead letter", async || {
        let (_, answer) = stack.call("GET", "/v1/dead-letters?reason=pickle", None).await;
        answer["dead_letters"].as_array()?.first().cloned()
    });
    assert_eq!(pickle.await["kind"], "malformed");
    assert!(app.told(&run).iter().all(|call| !call.to_string().contains("never")), "what follows on the other outcome");
    assert!(app.calls(sent.id("pickle")).is_empty());
}

#[tokio::test]
#[ignore = "needs the deployed stack, and boto3 at TEST_SENDERS"]
async fn services_of_aws_send_by_themselves() {
    let (stack, run) = (Stack::new(), id("aws"));
    Application::get();
    let sent = send(client(&stack, "celery", "aws.py", &run, &stack.queue_url)).await;
    for name in ["sns", "eventbridge_task"] {
        let call = called(sent.id(name)).await;
        assert_eq!((&call["args"], &call["kwargs"]["greeting"]), (&json!([run, name]), &json!("Grüße 🚀")), "{name}");
    }
    let alarm = called(sent.id("sns_alarm")).await;
    assert!(alarm["task"].as_str().unwrap().starts_with("sns.sender-"), "{alarm}");
    let message = json!({ "AlarmName": format!("alarm {run}"), "NewStateValue": "ALARM", "Trigger": { "Threshold": 10.0 } });
    assert_eq!((&alarm["kwargs"]["message"], &alarm["kwargs"]["topic"]), (&message, &sent.case("sns_alarm")["topic"]));
    assert_eq!(called(sent.id("sns_text")).await["kwargs"]["message"], format!("A text of {run}"));
    let event = called(sent.id("eventbridge_event")).await;
    assert_eq!((&event["task"], &event["kwargs"]), (&json!("Order_Shipped"), &json!({ "run": run, "order": 42 })));
    assert_eq!(told(&[&run, "sns_raw"]).await["args"], json!([run, "sns_raw"]));
    let object = told(&["s3.ObjectCreated.Put", sent.case("s3")["key"].as_str().unwrap()]).await;
    assert_eq!((&object["kwargs"]["bucket"], &object["kwargs"]["size"]), (&sent.case("s3")["bucket"], &json!(5)));
    assert_eq!(told(&[&run, "scheduler"]).await["args"], json!([run, "scheduler"]));
    for (name, sender) in [("sns", "django-tasks-cloud"), ("sns_alarm", "sns"), ("eventbridge_event", "eventbridge")] {
        assert_eq!(stack.wait_for(sent.id(name), "SUCCESSFUL").await["sender"], sender);
    }
}

#[tokio::test]
#[ignore = "needs the deployed stack, and the CloudEvents SDK at TEST_SENDERS"]
async fn events_of_the_cloudevents_sdk_are_tasks() {
    let (stack, run) = (Stack::new(), id("events"));
    Application::get();
    let mut command = client(&stack, "events", "events.py", &run, &stack.queue_url);
    command.env("SENDER_EVENTS_URL", fact("TEST_EVENTS_URL")).env("SENDER_KEY", fact("TEST_API_KEY"));
    let sent = send(command).await;
    let cases = sent.cases();
    assert!(
        ["sqs_structured", "sqs_binary", "http_structured", "http_binary", "http_batch"].iter().all(|case| cases.contains(case)),
        "{cases:?}"
    );
    for event in &sent.0 {
        let case = event["case"].as_str().unwrap();
        let call = told(&[&run, &format!("\"case\":\"{case}\"")]).await;
        assert_eq!(call["kwargs"]["run"], json!(run), "{case}");
    }
}

/// The consumer with a result backend, which takes from a queue of its own as Lambda's event source does.
async fn consume(stack: &Stack, name: &str) -> String {
    let queue = async |name: &str| stack.sqs().create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
    let (queue_url, dead_letter_url) = (queue(name).await, queue(&format!("{name}-dead")).await);
    stack.create_table(name).await;
    let routes = json!({ "app.*": { "http": Application::get().url } }).to_string();
    let redis = fact("TEST_REDIS");
    let env: Environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", stack.endpoint.as_str()),
        ("ERRAND_QUEUE_URL", queue_url.as_str()),
        ("ERRAND_DEAD_LETTER_URL", dead_letter_url.as_str()),
        ("ERRAND_TABLE", name),
        ("ERRAND_ROUTES", routes.as_str()),
        ("ERRAND_CELERY_RESULT_BACKEND", redis.as_str()),
    ]
    .into_iter()
    .collect();
    let consumer = Arc::new(Consumer::from_env(&env, errand_consumer::providers, errand_consumer::backends).unwrap());
    let (sqs, url) = (stack.sqs(), queue_url.clone());
    tokio::spawn(async move {
        loop {
            let told = sqs.receive_message().queue_url(&url).max_number_of_messages(10).wait_time_seconds(1).send().await.unwrap();
            for message in told.messages.unwrap_or_default() {
                let (id, receipt) = (message.message_id.unwrap(), message.receipt_handle.unwrap());
                let taken = Message { id, receipt: receipt.clone(), ..errand_wire::lambda::message(message.body.unwrap()) };
                if consumer.handle(vec![taken], Timestamp::now() + Duration::from_secs(30)).await.is_empty() {
                    sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
                }
            }
        }
    });
    queue_url
}

/// The table that the unit tests hold our reading against.
#[test]
#[ignore = "needs Celery at TEST_SENDERS"]
fn celerys_own_readers_of_times_read_the_table_so() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(Path::new(&fact("TEST_SENDERS")).join("sender-celery/bin/python"));
    command.args([tests.join("senders/celery_times.py"), tests.join("../shared/wire/tests/celery_times.json")]);
    let told = command.env("PYTHONDONTWRITEBYTECODE", "1").stderr(Stdio::inherit()).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["wrong"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the deployed stack, Celery at TEST_SENDERS, and Redis at TEST_REDIS"]
async fn celerys_clients_are_given_their_results() {
    let (stack, run) = (Stack::new(), id("results"));
    let queue_url = consume(&stack, &run).await;
    let mut command = client(&stack, "celery", "celery_tasks.py", &run, &queue_url);
    command.arg("results").env("CELERY_RESULT_URL", fact("TEST_REDIS"));
    let sent = send(command).await;
    let result = sent.case("result");
    assert_eq!((&result["value"]["args"], &result["state"]), (&json!([run, "result"]), &json!("SUCCESS")));
    let chain = sent.case("chain_result");
    assert_eq!((&chain["value"]["args"], &chain["state"]), (&json!([run, 3]), &json!("SUCCESS")));
    let failure = sent.case("failure");
    assert_eq!((&failure["error"], &failure["state"]), (&json!("OutOfStock"), &json!("FAILURE")));
    assert!(failure["traceback"].as_str().unwrap().contains("line 1"), "{failure}");
    let left = stack.sqs().get_queue_attributes().queue_url(&queue_url).attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
    assert_eq!(left.send().await.unwrap().attributes.unwrap()[&QueueAttributeName::ApproximateNumberOfMessages], "0");
}
