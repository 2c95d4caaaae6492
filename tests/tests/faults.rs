//! Nothing lost, nothing twice: the deployed consumer under every fault at once, and the books that are kept of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use errand_tests::{
    Stack,
    faults::{Audit, DUPLICATES, Dice, FIRST, Fault, Kind, LISTED, Messages, Processes, Queue, Report, Services, Sink, body},
    until,
};

/// Consumers that run at once.
const PROCESSES: usize = 4;

/// How long nothing may get done before the test gives up. A message whose process was killed waits for ten seconds, and a bulk is killed again and again.
const STALL: Duration = Duration::from_secs(240);

/// With fewer messages than these left, a process is killed every few seconds and not every few tenths of one.
const FEW: usize = 20;
const CALM: Duration = Duration::from_secs(3);

/// Prints the books, keeps them beside the tests' logs, and fails if they say what must not be.
#[expect(clippy::print_stdout, reason = "the counts are what the test is for")]
fn close(name: &str, report: &Report) {
    let text = format!("{name}\n{report}");
    println!("{text}");
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-logs");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join(format!("counts-{}.txt", name.replace(' ', "-"))), &text).unwrap();
    assert!(report.problems.is_empty(), "{:#?}", report.problems);
}

fn message_count() -> u32 {
    std::env::var("TEST_MESSAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// The settings of a consumer whose services are at `services`, and whose list begins at the sink.
fn settings(services: &str, table: &str, sink: &str) -> Vec<(String, String)> {
    let routes = format!(r#"{{"{LISTED}":[{{"http":"{sink}{FIRST}","timeout_seconds":1}},{{"task":"webhook"}}]}}"#);
    let vars = [
        ("ERRAND_ROUTES", routes.as_str()),
        ("ERRAND_TIMEOUT_SECONDS", "6"),
        ("AWS_LAMBDA_FUNCTION_NAME", "consumer"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", services),
        ("ERRAND_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/main"),
        ("ERRAND_DEAD_LETTER_URL", "https://sqs.us-east-1.amazonaws.com/000000000000/dead"),
        ("ERRAND_TABLE", table),
        ("ERRAND_RETRY_BASE_SECONDS", "1"),
        ("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8"),
        ("ERRAND_WEBHOOK_TIMEOUT_SECONDS", "1"),
    ];
    vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the deployed stack"]
async fn nothing_is_lost_and_nothing_comes_twice_without_a_reason() {
    let stack = Stack::new();
    let (dice, seed) = Dice::from_env();
    let dice = Arc::new(dice);
    let audit = Arc::new(Audit::new(message_count(), &dice, true));
    let queue = Arc::new(Queue::new(&audit, &dice));
    let table = format!("errand-faults-{}", std::process::id());
    stack.create_table(&table).await;
    let sink = Sink::start(&audit, &dice).await;
    let services = Services::start(&queue, &audit, &dice, &stack.endpoint).await;
    let started = Instant::now();
    let messages = Arc::new(Messages { queue: Arc::clone(&queue), audit: Arc::clone(&audit), sink: sink.url.clone() });
    let mut processes = Processes::start(PROCESSES, settings(&services, &table, &sink.url), &messages).await;
    while !queue.is_empty() {
        processes.kill_one(&dice).await;
        // In the end bulks are left, each of which takes longer than a process lives until then.
        if queue.len() < FEW {
            tokio::time::sleep(CALM).await;
        }
        assert!(queue.idle() < STALL, "{} messages are left, and nothing gets done (seed {seed})", queue.len());
    }
    let mut report = audit.report();
    report.say("seed", seed);
    report.say("processes killed with -9", processes.kills);
    report.count(
        &audit,
        &[
            ("messages in the hands of a killed process", Fault::Killed),
            ("messages that came twice", Fault::Duplicated),
            ("answers cut after the request was read", Fault::Cut),
            ("answers 429 with Retry-After", Fault::RateLimited),
            ("claims that the store did not take", Fault::Unclaimed),
            ("deliveries that the store did not take", Fault::Unrecorded),
            ("failures that the store did not take", Fault::Unsettled),
            ("ends of bulks' invocations that the store did not take", Fault::Forgotten),
            ("calls that the first of the list did not do", Fault::Declined),
            ("deliveries answered 200", Fault::Delivered),
            ("dead letters: all poison, and what of it came twice", Fault::Buried),
        ],
    );
    report.say("seconds", started.elapsed().as_secs());
    assert!(processes.kills >= 50 || message_count() < 20_000, "only {} kills", processes.kills);
    close("consumer processes", &report);
}

/// Puts the messages of the books straight on the stack's queue, and some of them twice.
async fn send(stack: &Stack, audit: &Audit, dice: &Dice, url: &str) {
    let mut bodies: Vec<String> = Vec::new();
    for number in audit.messages() {
        bodies.push(body(audit, number, url));
        if dice.falls(DUPLICATES) {
            audit.note_message(number, Fault::Duplicated);
            bodies.push(body(audit, number, url));
        }
    }
    let sqs = stack.sqs();
    for batch in bodies.chunks(10) {
        let entry = |(place, body): (usize, &String)| {
            SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(body).build().unwrap()
        };
        let entries = batch.iter().enumerate().map(entry).collect();
        let sent = sqs.send_message_batch().queue_url(&stack.queue_url).set_entries(Some(entries)).send().await.unwrap();
        assert!(sent.failed().is_empty());
    }
}

/// How many messages are on the queue, the hidden ones included: other tests leave some there that wait for their time.
async fn messages(stack: &Stack) -> usize {
    let names = [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesNotVisible];
    let call = stack.sqs().get_queue_attributes().queue_url(&stack.queue_url).set_attribute_names(Some(names.to_vec()));
    let told = call.send().await.unwrap().attributes.unwrap_or_default();
    names.iter().map(|name| told[name].parse::<usize>().unwrap()).sum()
}

/// Looks for the books' messages on the dead-letter queue, each once; answers how many of anyone's it saw.
async fn count_dead_letters(stack: &Stack, audit: &Audit, seen: &mut BTreeSet<String>) -> usize {
    let call = stack.sqs().receive_message().queue_url(&stack.dead_letter_url).max_number_of_messages(10).visibility_timeout(2);
    let messages = call.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
    let count = messages.len();
    for message in messages {
        let kind = message.message_attributes().and_then(|attributes| attributes.get("errand-kind")?.string_value());
        let number = message
            .body()
            .and_then(|body| audit.number(body))
            .filter(|number| kind == Some("malformed") || !matches!(audit.kind(*number), Kind::Poison(_)));
        if let (Some(number), Some(id)) = (number, message.message_id)
            && seen.insert(id)
        {
            audit.note_message(number, Fault::Buried);
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the deployed stack"]
async fn the_deployed_stack_loses_nothing_either() {
    let stack = Stack::new();
    let (dice, seed) = Dice::from_env();
    let dice = Arc::new(dice);
    let audit = Arc::new(Audit::new(2_500, &dice, false));
    let sink = Sink::start(&audit, &dice).await;
    let started = Instant::now();
    let before = messages(&stack).await;
    send(&stack, &audit, &dice, &sink.url).await;
    let (mut seen, mut last) = (BTreeSet::new(), (0, Instant::now()));
    while !audit.complete() {
        count_dead_letters(&stack, &audit, &mut seen).await;
        let done = audit.total(Fault::Delivered) + audit.total(Fault::Buried);
        if done > last.0 {
            last = (done, Instant::now());
        }
        assert!(last.1.elapsed() < STALL, "nothing gets done, and not all is (seed {seed})");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Twins may still be on their way: they are dropped, and only then are the books closed.
    until("the queue has no more than before", async || (messages(&stack).await <= before).then_some(())).await;
    // What was given up last, and should not have been.
    while count_dead_letters(&stack, &audit, &mut seen).await > 0 {}
    let mut report = audit.report();
    report.say("seed", seed);
    report.count(
        &audit,
        &[
            ("messages that came twice", Fault::Duplicated),
            ("answers cut after the request was read", Fault::Cut),
            ("answers 429 with Retry-After", Fault::RateLimited),
            ("deliveries answered 200", Fault::Delivered),
            ("dead letters: all poison, and what of it came twice", Fault::Buried),
        ],
    );
    report.say("seconds", started.elapsed().as_secs());
    close("deployed stack", &report);
}
