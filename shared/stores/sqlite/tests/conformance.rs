//! Store and queue in a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, time::Duration};

use errand_core::{
    Begin, Claim, Claims, DeadLetter, Envelope, ErrorKind, ForeignMessage, Forward, Message, Progress, PublishError, Queue, Timestamp,
    Transport,
};
use errand_store_memory::MemoryStore;
use errand_store_sqlite::{Counts, Database, MessageAttribute, Sent, SqliteNotes, SqliteQueue, SqliteStore};
use errand_testkit::transport::{delayed, envelope};

const VISIBILITY: Duration = Duration::from_secs(60);

async fn open(folder: &Path) -> (Database, SqliteQueue) {
    let database = Database::open(&folder.join("errand.sqlite3")).await.unwrap();
    (database.clone(), SqliteQueue::new(database))
}

async fn publish(queue: &SqliteQueue, envelopes: &[Envelope]) {
    assert!(queue.publish(envelopes).await.iter().all(Result::is_ok));
}

async fn receive(queue: &SqliteQueue) -> Vec<Message> {
    queue.receive("default", 10, VISIBILITY).await.unwrap()
}

fn id(message: &Message) -> String {
    errand_wire::native::decode(&message.body, &message.id).unwrap().id
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    errand_testkit::store::conformance(SqliteStore::new(database)).await;
}

#[tokio::test]
async fn it_answers_as_the_store_in_memory_does() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    let store = SqliteStore::new(database);
    for seed in 0..200 {
        errand_testkit::model::check(&MemoryStore::default(), &store, seed, 60).await;
    }
}

#[tokio::test]
async fn it_keeps_the_contract_of_notes() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    errand_testkit::notes::conformance(SqliteNotes::new(database)).await;
}

#[tokio::test]
async fn a_message_is_seen_by_one_until_it_is_shown_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    publish(&queue, &[envelope("a"), envelope("b")]).await;
    let first = receive(&queue).await;
    assert_eq!(first.iter().map(id).collect::<Vec<_>>(), ["a", "b"]);
    assert!(receive(&queue).await.is_empty(), "both are hidden");
    queue.hide(&first[0], Duration::ZERO).await.unwrap();
    let again = receive(&queue).await;
    assert_eq!(again.iter().map(|message| (id(message), message.receive_count)).collect::<Vec<_>>(), [("a".to_owned(), 2)]);
    assert!(queue.hide(&first[0], Duration::ZERO).await.is_err(), "an old receipt changes nothing");
    queue.acknowledge(&first).await.unwrap();
    queue.hide(&again[0], Duration::ZERO).await.unwrap();
    assert_eq!(receive(&queue).await.iter().map(id).collect::<Vec<_>>(), ["a"], "an old receipt forgets nothing, a new one does");
}

#[tokio::test]
async fn a_delayed_message_waits_and_whoever_waits_for_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    assert_eq!(queue.next_visible_at("default").await, Ok(None));
    let later = delayed("later", Duration::from_secs(3600));
    publish(&queue, std::slice::from_ref(&later)).await;
    queue.changed("default").await;
    assert!(receive(&queue).await.is_empty());
    assert_eq!(queue.next_visible_at("default").await, Ok(later.run_after));
}

#[tokio::test]
async fn what_was_in_flight_when_a_process_died_is_taken_up_at_once_and_what_waits_still_waits() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let (held, waiting) = (envelope("held"), envelope("waiting"));
    let (database, queue) = open(folder.path()).await;
    publish(&queue, &[held.clone(), waiting]).await;
    let received = receive(&queue).await;
    queue.hide(&received[1], VISIBILITY).await.unwrap();
    let claim = Claim { envelope: &held, now, lease_until: now + VISIBILITY, worker: "dead", token: None, backend: "local" };
    SqliteStore::new(database).begin(&claim).await.unwrap();

    // Another process, as far as the file can tell.
    let (database, queue) = open(folder.path()).await;
    assert!(receive(&queue).await.is_empty());
    database.release_all().await.unwrap();
    assert_eq!(receive(&queue).await.iter().map(id).collect::<Vec<_>>(), ["held"]);
    let claim = Claim { now: Timestamp::now(), ..claim };
    assert_eq!(
        SqliteStore::new(database).begin(&claim).await,
        Ok(Begin::Claimed { attempt: 2, tries: 2, died: true, progress: Progress::default() })
    );
}

#[tokio::test]
async fn it_keeps_the_contract_of_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    publish(&queue, &[envelope("a")]).await;
    let message = receive(&queue).await.remove(0);
    let bury = async |body: &str| {
        let (reason, task) = ("HTTP 400".to_owned(), Some("email".to_owned()));
        let letter = DeadLetter { kind: ErrorKind::Rejected, reason, attempts: 2, id: Some("a".to_owned()), task };
        queue.bury(&Message { body: body.to_owned(), ..message.clone() }, &letter).await.unwrap();
    };
    errand_testkit::dead_letters::conformance(&queue, bury).await;
}

fn on(queue: &str, group: Option<&str>, id: &str) -> Envelope {
    Envelope { queue: queue.to_owned(), group: group.map(ToOwned::to_owned), ..envelope(id) }
}

#[tokio::test]
async fn each_queue_has_its_messages_and_one_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    let queue = queue.with_queues(["slow".to_owned()].into_iter(), ["mail-high".to_owned()].into_iter());
    let answers = queue.publish(&[on("slow", None, "a"), on("fast", None, "b"), on("mail-high", None, "c"), envelope("d")]).await;
    let refused = Err(PublishError::Refused("there is no queue of this name; there are: default, slow".to_owned()));
    assert_eq!((answers[0].is_ok(), &answers[1], &answers[2], answers[3].is_ok()), (true, &refused, &refused, true));
    let foreign = |name: &str| ForeignMessage { id: "f".to_owned(), queue: name.to_owned(), group: None, body: "f".to_owned() };
    queue.forward(&foreign("mail.high")).await.unwrap();
    let told = "there is no queue of this name; there are: default, slow, mail-high";
    assert_eq!(queue.forward(&foreign("other")).await, Err(PublishError::Refused(told.to_owned())));
    let slow = queue.receive("slow", 10, VISIBILITY).await.unwrap();
    assert_eq!(slow.iter().map(|message| (id(message), message.queue.as_str())).collect::<Vec<_>>(), [("a".to_owned(), "slow")]);
    assert_eq!(receive(&queue).await.iter().map(id).collect::<Vec<_>>(), ["d"]);
    assert_eq!(queue.receive("mail-high", 10, VISIBILITY).await.unwrap()[0].body, "f");
    // It is named no more.
    let (_, queue) = open(folder.path()).await;
    assert_eq!(queue.left_behind().await.unwrap(), [("mail-high".to_owned(), 1), ("slow".to_owned(), 1)]);
}

#[tokio::test]
async fn a_lane_goes_on_when_its_first_message_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    let queue = queue.with_queues(["a.fifo".to_owned()].into_iter(), std::iter::empty());
    let batch = [("x", "x1"), ("x", "x2"), ("y", "y1"), ("x", "x3")].map(|(group, id)| on("a.fifo", Some(group), id));
    publish(&queue, &batch).await;
    publish(&queue, &[Envelope { run_after: Some(Timestamp::now() + VISIBILITY), ..on("a.fifo", None, "later") }]).await;
    let take = async || queue.receive("a.fifo", 10, VISIBILITY).await.unwrap();
    let first = take().await;
    let told = |messages: &[Message]| messages.iter().map(|message| (id(message), message.lane.clone().unwrap())).collect::<Vec<_>>();
    let wanted = |wanted: &[(&str, &str)]| wanted.iter().map(|(id, lane)| ((*id).to_owned(), (*lane).to_owned())).collect::<Vec<_>>();
    assert_eq!(told(&first), wanted(&[("x1", "x"), ("y1", "y"), ("later", "default")]), "the consumer hides what comes early");
    queue.hide(&first[0], Duration::ZERO).await.unwrap();
    assert_eq!(told(&take().await), wanted(&[("x1", "x")]), "nothing overtakes what failed");
    queue.acknowledge(&first).await.unwrap();
    let after = queue.receive("a.fifo", 10, VISIBILITY).await.unwrap();
    assert!(after.is_empty(), "an old receipt of x1 forgets nothing, and nothing waits behind y1");
    queue.changed("a.fifo").await;
    let again = Message { receive_count: 2, ..first[0].clone() };
    queue.acknowledge(&[again]).await.unwrap();
    queue.changed("a.fifo").await;
    assert_eq!(told(&take().await), wanted(&[("x2", "x")]));
}

fn sent(body: &str, group: Option<&str>, deduplication_id: Option<&str>) -> Sent {
    let text = |value: &str| MessageAttribute { data_type: "String".to_owned(), string_value: Some(value.to_owned()), binary_value: None };
    Sent {
        body: body.to_owned(),
        attributes: [("task".to_owned(), text("email"))].into(),
        visible_at: Timestamp::now(),
        group: group.map(ToOwned::to_owned),
        deduplication_id: deduplication_id.map(ToOwned::to_owned),
    }
}

#[tokio::test]
async fn what_a_client_sends_beside_a_body_is_received_by_a_worker_and_by_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    let kept = queue.send("default", vec![sent("a", None, None)]).await.unwrap().remove(0);
    let taken = queue.take("default", 10, VISIBILITY).await.unwrap().remove(0);
    assert_eq!((taken.message_id, taken.receive_count), (kept.message_id.clone(), 1));
    assert_eq!(queue.counts("default").await, Ok(Counts { visible: 0, in_flight: 1, delayed: 0 }));
    // A client outlives this process: what it holds stays hidden.
    let (database, queue) = open(folder.path()).await;
    database.release_all().await.unwrap();
    assert!(receive(&queue).await.is_empty());
    assert_eq!(queue.hide_for("default", &taken.receipt, Duration::ZERO).await, Ok(Some(true)));
    let received = receive(&queue).await.remove(0);
    assert_eq!((received.id, received.attributes["task"].as_str()), (kept.message_id, "email"));
    assert_eq!(queue.hide_for("default", &taken.receipt, Duration::ZERO).await, Ok(Some(false)), "it was received again");
    assert_eq!((queue.forget(&taken.receipt).await, queue.forget("?").await), (Ok(true), Ok(false)));
    assert_eq!(queue.counts("default").await.unwrap().in_flight, 1, "an old receipt forgets nothing");
    queue.purge("default").await.unwrap();
    assert_eq!(queue.counts("default").await, Ok(Counts { visible: 0, in_flight: 0, delayed: 0 }));
}

#[tokio::test]
async fn a_fifo_queue_knows_a_message_again_within_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let (_, queue) = open(folder.path()).await;
    let queue = queue.with_queues(["a.fifo".to_owned()].into_iter(), std::iter::empty());
    let batch = vec![
        sent("1", Some("x"), Some("d")),
        sent("2", Some("x"), Some("d")),
        sent("3", Some("y"), Some("d")),
        sent("4", Some("x"), Some("e")),
    ];
    let kept = queue.send("a.fifo", batch).await.unwrap();
    assert_eq!(kept[0], kept[1]);
    assert!(kept[0].place < kept[2].place && kept[2].place < kept[3].place);
    assert_eq!(queue.counts("a.fifo").await.unwrap().visible, 3);
    let taken = queue.take("a.fifo", 10, VISIBILITY).await.unwrap();
    assert_eq!(taken.iter().map(|taken| taken.body.as_str()).collect::<Vec<_>>(), ["1", "3"]);
    queue.forget(&taken[0].receipt).await.unwrap();
    assert_eq!(queue.send("a.fifo", vec![sent("5", Some("x"), Some("d"))]).await.unwrap()[0], kept[0], "nor when the first is done");
    assert_eq!(queue.take("a.fifo", 10, VISIBILITY).await.unwrap()[0].body, "4");
}
