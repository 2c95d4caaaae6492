//! Store and queue in a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, time::Duration};

use errand_core::{Begin, Claim, DeadLetter, Envelope, ErrorKind, Message, Progress, Queue, Store, Timestamp, Transport};
use errand_store_sqlite::{Database, SqliteNotes, SqliteQueue, SqliteStore};
use errand_testkit::transport::{delayed, envelope};

const VISIBILITY: Duration = Duration::from_secs(60);

async fn open(folder: &Path) -> (Database, SqliteQueue) {
    let database = Database::open(&folder.join("errand.sqlite3")).await.unwrap();
    (database.clone(), SqliteQueue::new(database, errand_wire::encode))
}

async fn publish(queue: &SqliteQueue, envelopes: &[Envelope]) {
    assert!(queue.publish(envelopes).await.iter().all(Result::is_ok));
}

async fn receive(queue: &SqliteQueue) -> Vec<Message> {
    queue.receive(10, VISIBILITY).await.unwrap()
}

fn id(message: &Message) -> String {
    errand_wire::native::decode(&message.body, &message.id).unwrap().id
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    errand_testkit::store::conformance(&SqliteStore::new(database)).await;
}

#[tokio::test]
async fn it_keeps_the_contract_of_notes() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    errand_testkit::notes::conformance(&SqliteNotes::new(database)).await;
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
    assert_eq!(queue.next_visible_at().await, Ok(None));
    let later = delayed("later", Duration::from_secs(3600));
    publish(&queue, std::slice::from_ref(&later)).await;
    queue.changed().await;
    assert!(receive(&queue).await.is_empty());
    assert_eq!(queue.next_visible_at().await, Ok(later.run_after));
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

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("errand.sqlite3"), "x".repeat(5000)).unwrap();
    let error = Database::open(&folder.path().join("errand.sqlite3")).await.err().unwrap();
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[tokio::test]
async fn another_parts_tables_are_brought_from_their_version_to_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = open(folder.path()).await;
    database.upgrade("mail", &["CREATE TABLE mail (a)"]).await.unwrap();
    let (database, _) = open(folder.path()).await;
    database.upgrade("mail", &["CREATE TABLE mail (a)", "ALTER TABLE mail ADD COLUMN b"]).await.unwrap();
    database.upgrade("other", &["CREATE TABLE other (a)"]).await.unwrap();
    database.call(|connection| connection.execute("INSERT INTO mail (a, b) VALUES (1, 2)", [])).await.unwrap();
    let refused = database.upgrade("mail", &["CREATE TABLE mail (a)"]).await.unwrap_err();
    assert!(refused.0.contains("newer version"), "{refused}");
}
