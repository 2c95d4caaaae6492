//! The SQS API of the local server: both protocols by hand, and real clients as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod server;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use bytes::Bytes;
use errand_http::Client;
use errand_testkit::{Answer, Stub};
use serde_json::{Value, json};
use server::{PATIENCE, Server};

/// A call in the JSON protocol: its status, the older name of its error, and its answer.
async fn sqs(server: &Server, action: &str, body: &Value) -> (u16, String, Value) {
    let request = http::Request::post(&server.url)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AmazonSQS.{action}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let response = Client::new().send(request, PATIENCE).await.unwrap();
    let code = response.headers().get("x-amzn-query-error").map(|code| code.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status().as_u16(), code, serde_json::from_slice(response.body()).unwrap())
}

async fn form(server: &Server, path: &str, body: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request =
        http::Request::post(format!("{}{path}", server.url)).header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = Client::new().send(request.body(Bytes::from(body.to_owned())).unwrap(), PATIENCE).await.unwrap();
    (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
}

const QUEUES: (&str, &str) = ("ERRAND_QUEUES", r#"{"slow":{},"orders.fifo":{}}"#);
/// Nobody here works on it.
const FOREIGN: (&str, &str) = ("ERRAND_FOREIGN_QUEUES", r#"{"celery":{},"celery.fifo":{}}"#);

#[tokio::test]
async fn what_is_sent_in_either_protocol_is_run_with_what_is_said_beside_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUEUES]);
    let url = format!("{}/000000000000/slow", server.url);
    let attributes = json!({ "task": { "DataType": "String", "StringValue": "console" } });
    let message = json!({ "QueueUrl": url, "MessageBody": r#"{"text":"json"}"#, "MessageAttributes": attributes });
    let (status, _, sent) = sqs(&server, "SendMessage", &message).await;
    assert_eq!((status, &sent["MD5OfMessageBody"]), (200, &json!("01e2411fa94627354fed5843b71cb76b")));
    let done = server.wait_for(sent["MessageId"].as_str().unwrap(), "SUCCESSFUL").await;
    assert_eq!((&done["task"], &done["kwargs"]), (&json!("console"), &json!({ "text": "json" })));
    let (_, listed) = server.call("GET", "/v1/tasks?queue=slow", None).await;
    assert!(listed.contains(sent["MessageId"].as_str().unwrap()), "it belongs to the queue that it was put on: {listed}");
    let body = "Action=SendMessage&Version=2012-11-05&MessageBody=%7B%22text%22%3A%22form%22%7D&MessageAttribute.1.Name=task\
        &MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=console";
    let (status, xml) = form(&server, "/000000000000/default", body, &[]).await;
    let id = xml.split("<MessageId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_else(|| panic!("{status} {xml}"));
    assert_eq!(server.wait_for(id, "SUCCESSFUL").await["kwargs"], json!({ "text": "form" }));
}

#[tokio::test]
async fn errors_have_the_names_that_clients_go_by() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[QUEUES]);
    let to = |queue: &str, more: Value| {
        let mut body = json!({ "QueueUrl": format!("{}/000000000000/{queue}", server.url), "MessageBody": "{}" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let entries =
        |count: usize| json!({ "Entries": (0..count).map(|i| json!({ "Id": i.to_string(), "MessageBody": "x" })).collect::<Vec<_>>() });
    let large = "x".repeat(600_000);
    for (action, body, wanted) in [
        ("SendMessage", to("fast", json!({})), "AWS.SimpleQueueService.NonExistentQueue"),
        ("SendMessage", json!({ "MessageBody": "x" }), "MissingParameter"),
        ("SendMessage", to("slow", json!({ "MessageBody": "" })), "MissingParameter"),
        ("SendMessage", to("slow", json!({ "MessageBody": "\u{1}" })), "InvalidMessageContents"),
        ("SendMessage", to("slow", json!({ "MessageBody": "x".repeat(1024 * 1024 + 1) })), "InvalidParameterValue"),
        ("SendMessage", to("slow", json!({ "DelaySeconds": 901 })), "InvalidParameterValue"),
        ("SendMessage", to("slow", json!({ "DelaySeconds": -1 })), "InvalidParameterValue"),
        ("SendMessage", to("slow", json!({ "DelaySeconds": "soon" })), "SerializationException"),
        (
            "SendMessage",
            to("slow", json!({ "MessageAttributes": { "a": { "DataType": "Text", "StringValue": "x" } } })),
            "InvalidParameterValue",
        ),
        ("SendMessage", to("slow", json!({ "MessageDeduplicationId": "d" })), "InvalidParameterValue"),
        ("SendMessage", to("orders.fifo", json!({})), "MissingParameter"),
        ("SendMessage", to("orders.fifo", json!({ "MessageGroupId": "g", "DelaySeconds": 5 })), "InvalidParameterValue"),
        ("SendMessage", to("orders.fifo", json!({ "MessageGroupId": "a b" })), "InvalidParameterValue"),
        ("SendMessageBatch", to("slow", entries(0)), "AWS.SimpleQueueService.EmptyBatchRequest"),
        ("SendMessageBatch", to("slow", entries(11)), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        (
            "SendMessageBatch",
            to("slow", json!({ "Entries": [{ "Id": "a", "MessageBody": "x" }, { "Id": "a", "MessageBody": "x" }] })),
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        ),
        (
            "SendMessageBatch",
            to("slow", json!({ "Entries": [{ "Id": "a b", "MessageBody": "x" }] })),
            "AWS.SimpleQueueService.InvalidBatchEntryId",
        ),
        (
            "SendMessageBatch",
            to("slow", json!({ "Entries": [{ "Id": "a", "MessageBody": large }, { "Id": "b", "MessageBody": large }] })),
            "AWS.SimpleQueueService.BatchRequestTooLong",
        ),
        ("ReceiveMessage", to("slow", json!({ "MaxNumberOfMessages": 11 })), "InvalidParameterValue"),
        ("ReceiveMessage", to("slow", json!({ "WaitTimeSeconds": 21 })), "InvalidParameterValue"),
        ("DeleteMessage", to("slow", json!({ "ReceiptHandle": "x" })), "ReceiptHandleIsInvalid"),
        (
            "ChangeMessageVisibility",
            to("slow", json!({ "ReceiptHandle": "1.1", "VisibilityTimeout": 0 })),
            "AWS.SimpleQueueService.MessageNotInflight",
        ),
        ("GetQueueAttributes", to("slow", json!({ "AttributeNames": ["Colour"] })), "InvalidAttributeName"),
        ("CreateQueue", json!({ "QueueName": "fast" }), "AWS.SimpleQueueService.UnsupportedOperation"),
        ("DeleteQueue", to("slow", json!({})), "InvalidAction"),
    ] {
        let (status, code, answer) = sqs(&server, action, &body).await;
        assert_eq!((status, code.as_str()), (400, format!("{wanted};Sender").as_str()), "{action} {answer}");
        assert!(answer["__type"].as_str().unwrap().starts_with("com.amazonaws.sqs#") && answer["message"].is_string(), "{answer}");
    }
    let (status, xml) = form(&server, "/", "Action=GetQueueUrl&QueueName=fast", &[]).await;
    assert_eq!(status, 400);
    assert!(xml.contains("<Type>Sender</Type><Code>AWS.SimpleQueueService.NonExistentQueue</Code>"), "{xml}");
    let mixed = json!({ "Entries": [{ "Id": "good", "MessageBody": r#"{"task":"console","kwargs":{"text":"t"}}"# }, { "Id": "bad", "MessageBody": "x", "DelaySeconds": 1000 }] });
    let (status, _, answer) = sqs(&server, "SendMessageBatch", &to("slow", mixed)).await;
    assert_eq!((status, &answer["Successful"][0]["Id"], &answer["Failed"][0]["Id"]), (200, &json!("good"), &json!("bad")), "{answer}");
    server.wait_for(answer["Successful"][0]["MessageId"].as_str().unwrap(), "SUCCESSFUL").await;
}

#[tokio::test]
async fn an_outside_client_receives_for_itself() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[FOREIGN]);
    let url = format!("{}/000000000000/celery", server.url);
    let with = |more: Value| {
        let mut body = json!({ "QueueUrl": url });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let attributes = json!({ "n": { "DataType": "Number", "StringValue": "1" }, "b": { "DataType": "Binary", "BinaryValue": "AP8=" } });
    let (_, _, sent) = sqs(&server, "SendMessage", &with(json!({ "MessageBody": "hello", "MessageAttributes": attributes }))).await;
    let receive = json!({ "MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"], "VisibilityTimeout": 30 });
    let (_, _, received) = sqs(&server, "ReceiveMessage", &with(receive.clone())).await;
    let message = &received["Messages"][0];
    assert_eq!(
        (&message["MessageId"], &message["Body"], &message["MD5OfBody"]),
        (&sent["MessageId"], &json!("hello"), &sent["MD5OfMessageBody"])
    );
    assert_eq!((&message["MessageAttributes"], &message["MD5OfMessageAttributes"]), (&attributes, &sent["MD5OfMessageAttributes"]));
    assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "1");
    let (_, _, none) = sqs(&server, "ReceiveMessage", &with(json!({}))).await;
    assert_eq!(none, json!({}), "it is hidden");
    let counts = json!({ "AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"] });
    let (_, _, told) = sqs(&server, "GetQueueAttributes", &with(counts)).await;
    assert_eq!(told["Attributes"], json!({ "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1" }));
    // It is shown while somebody waits for it.
    let waiting = with(json!({ "WaitTimeSeconds": 20, "MessageSystemAttributeNames": ["All"] }));
    let shown = with(json!({ "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 1 }));
    let ((_, _, again), _) = tokio::join!(sqs(&server, "ReceiveMessage", &waiting), sqs(&server, "ChangeMessageVisibility", &shown));
    let again = &again["Messages"][0];
    assert_eq!(again["Attributes"]["ApproximateReceiveCount"], "2");
    let (status, ..) = sqs(&server, "DeleteMessage", &with(json!({ "ReceiptHandle": again["ReceiptHandle"] }))).await;
    assert_eq!(status, 200);
    let (_, _, told) = sqs(&server, "GetQueueAttributes", &with(json!({ "AttributeNames": ["All"] }))).await;
    assert_eq!(told["Attributes"]["ApproximateNumberOfMessagesNotVisible"], "0");
    let (status, problem) =
        server.call("POST", "/v1/tasks", Some(&json!({ "task": "console", "queue": "celery", "kwargs": { "text": "t" } }))).await;
    assert!(status == 422 && problem.contains("/queue"), "no caller sends to another's queue: {problem}");
}

#[tokio::test]
async fn it_is_off_where_keys_are_enforced_and_for_pages() {
    let data = tempfile::tempdir().unwrap();
    // The SHA-256 of "hunter2".
    let keys = "me:send+read:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7";
    let server = Server::start_with(data.path(), &[("ERRAND_API_KEYS", keys)]);
    let message = json!({ "QueueUrl": format!("{}/000000000000/default", server.url), "MessageBody": "{}" });
    let (status, code, told) = sqs(&server, "SendMessage", &message).await;
    assert_eq!((status, code.as_str()), (403, "AccessDenied;Sender"));
    assert!(told["message"].as_str().unwrap().contains("this server enforces keys"), "{told}");
    let other = tempfile::tempdir().unwrap();
    let server = Server::start(other.path());
    let (status, told) =
        form(&server, "/000000000000/default", "Action=SendMessage&MessageBody=x", &[("origin", "https://evil.example")]).await;
    assert_eq!(status, 403, "{told}");
    assert_eq!(server.call("POST", "/", Some(&json!({}))).await.0, 404);
}

/// A client's program in the environment of this name.
fn program(venv: &str, name: &str) -> PathBuf {
    let tools = std::env::var("TEST_SENDERS").unwrap_or_else(|_| panic!("TEST_SENDERS is not set: run tests/run"));
    Path::new(&tools).join(format!("sender-{venv}/bin/{name}"))
}

/// Lets a client that knows no more than where SQS is send to a queue; answers its lines.
async fn run(mut command: Command, server: &Server, queue: &str) -> Vec<Value> {
    command.envs([
        ("AWS_ENDPOINT_URL_SQS", server.url.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "key"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("SENDER_QUEUE_URL", &format!("{}/000000000000/{queue}", server.url)),
        ("SENDER_RUN", "local"),
    ]);
    let told = tokio::task::spawn_blocking(move || command.stderr(Stdio::piped()).output().unwrap()).await.unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let lines = String::from_utf8(told.stdout).unwrap();
    lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn script(venv: &str, name: &str) -> Command {
    let mut command = Command::new(program(venv, "python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/senders").join(name));
    command
}

#[tokio::test]
#[ignore = "needs boto3 of both protocols at TEST_SENDERS"]
async fn boto3_does_all_that_it_can() {
    for venv in ["sqs", "query"] {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start_with(data.path(), &[FOREIGN]);
        let told = run(script(venv, "sqs.py"), &server, "celery").await;
        let id = told.last().unwrap()["id"].as_str().unwrap();
        assert_eq!(server.wait_for(id, "SUCCESSFUL").await["kwargs"], json!({ "text": "boto3" }), "{venv}");
    }
}

#[tokio::test]
#[ignore = "needs the aws CLI of both protocols at TEST_SENDERS"]
async fn the_aws_cli_sends() {
    for venv in ["sqs", "query"] {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path());
        let mut command = Command::new(program(venv, "python"));
        // It does not look for SQS's endpoint in the environment.
        command.arg(program(venv, "aws")).args([
            "--endpoint-url",
            &server.url,
            "sqs",
            "send-message",
            "--output",
            "json",
            "--query",
            "{id: MessageId}",
            "--queue-url",
        ]);
        command.arg(format!("{}/000000000000/default", server.url));
        command.args([
            "--message-body",
            r#"{"order":7}"#,
            "--message-attributes",
            r#"{"task":{"DataType":"String","StringValue":"console"}}"#,
        ]);
        let told = run(join_lines(command), &server, "default").await;
        let task = server.wait_for_end(told[0]["id"].as_str().unwrap()).await;
        assert_eq!((&task["task"], &task["kwargs"]), (&json!("console"), &json!({ "order": 7 })), "{venv}");
    }
}

/// A command whose output, which is over several lines, is one.
fn join_lines(command: Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$@" | tr '\n' ' '"#]).arg(command.get_program()).args(command.get_args());
    shell
}

#[tokio::test]
#[ignore = "needs Celery at TEST_SENDERS"]
async fn celerys_tasks_are_run_here() {
    let data = tempfile::tempdir().unwrap();
    let app = Stub::start(|_| Answer::json(200, "1")).await;
    let app_url = app.url().to_owned();
    let routes = json!({ "app.*": { "http": app_url }, "notify.send_email": { "task": "email", "payload": { "to": ["/kwargs/to"], "subject": "/kwargs/subject", "body": "b" } } }).to_string();
    let server = Server::start_with(data.path(), &[("ERRAND_ROUTES", routes.as_str())]);
    let mut command = script("celery", "celery_tasks.py");
    command.arg("send");
    let sent = run(command, &server, "default").await;
    let id = |case: &str| sent.iter().find(|sent| sent["case"] == case).unwrap()["id"].as_str().unwrap().to_owned();
    for case in ["delay", "kwargs", "zlib", "countdown", "protocol_1"] {
        assert_eq!(server.wait_for(&id(case), "SUCCESSFUL").await["sender"], "celery", "{case}");
    }
    let chain = sent.iter().find(|sent| sent["case"] == "chain").unwrap()["ids"].clone();
    for link in chain.as_array().unwrap() {
        server.wait_for(link.as_str().unwrap(), "SUCCESSFUL").await;
    }
}

#[tokio::test]
#[ignore = "needs django-notifs at TEST_SENDERS"]
async fn django_notifs_sends_here() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let sent = run(script("notifs", "notifs.py"), &server, "default").await;
    for case in ["email", "email_bulk", "email_countdown", "console"] {
        let id = sent.iter().find(|sent| sent["case"] == case).unwrap()["id"].as_str().unwrap();
        let task = server.wait_for_end(id).await;
        assert_eq!(task["sender"], "django-notifs", "{case}: {task}");
        assert!(case == "console" || task["status"] == "SUCCESSFUL", "{case}: {task}");
    }
}
