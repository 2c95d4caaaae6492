//! Files of before are taken over.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, time::Duration};

use errand_core::{Envelope, Lookup, Register, Status, Timestamp};
use errand_store_sqlite::{Database, SqliteQueue, SqliteStore};
use errand_testkit::transport::envelope;

/// What versions before the eighth have more: the versions of mail and schedules.
const PARTS: &str = "CREATE TABLE parts (name TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

async fn open(folder: &Path) -> Database {
    Database::open(&folder.join("errand.sqlite3")).await.unwrap()
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("errand.sqlite3"), "x".repeat(5000)).unwrap();
    let error = Database::open(&folder.path().join("errand.sqlite3")).await.err().unwrap();
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).await.write(|connection| connection.pragma_update(None, "user_version", 99)).await.unwrap();
    let error = Database::open(&folder.path().join("errand.sqlite3")).await.err().unwrap();
    assert!(error.0.contains("newer version"), "{error}");
}

#[tokio::test]
async fn a_file_of_before_there_were_queues_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errand.sqlite3");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/migrations/tables.sql")).unwrap();
    old.execute("INSERT INTO messages (body, visible_at) VALUES (?1, 0)", [errand_wire::encode(&envelope("a"))]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let queue = SqliteQueue::new(open(folder.path()).await);
    let received = queue.receive("default", 10, Duration::from_secs(60)).await.unwrap();
    assert_eq!(
        received
            .iter()
            .map(|message| (errand_wire::native::decode(&message.body, &message.id).unwrap().id, message.queue.clone()))
            .collect::<Vec<_>>(),
        [("a".to_owned(), "default".to_owned())]
    );
}

#[tokio::test]
async fn a_file_of_before_tells_with_its_tasks_when_and_how_they_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path()).await;
    let store = SqliteStore::new(database.clone());
    let task = Envelope { user: Some("u".to_owned()), max_attempts: Some(7), queue: "fast".to_owned(), ..envelope("a") };
    store.register(&task, Status::Ready, "local", Timestamp::now()).await.unwrap();
    store.register(&envelope("b"), Status::Ready, "local", Timestamp::now()).await.unwrap();
    let before = "PRAGMA user_version = 6;
        UPDATE tasks SET record = json_set(record, '$.header', json_object('user', 'u', 'max_attempts', 7, 'queue', 'fast')) WHERE id = 'a';
        UPDATE tasks SET record = json_set(record, '$.header', json_object()) WHERE id = 'b';
        UPDATE tasks SET record = json_remove(record, '$.result.queue', '$.result.user', '$.result.max_attempts')";
    let before = format!("{before}; {PARTS} INSERT INTO parts VALUES ('mail', 2), ('schedules', 1)");
    database.write(move |connection| connection.execute_batch(&before)).await.unwrap();
    let store = SqliteStore::new(open(folder.path()).await);
    let told = async |id: &str| {
        let (result, header) = store.get(id).await.unwrap().unwrap();
        (result.queue, result.user, result.max_attempts, header.fingerprint)
    };
    assert_eq!(told("a").await, ("fast".to_owned(), Some("u".to_owned()), Some(7), None));
    assert_eq!(told("b").await, ("default".to_owned(), None, None, None));
}

#[tokio::test]
async fn mail_is_taken_over_whatever_it_was_kept_as() {
    const FIRST: &str = "CREATE TABLE mail (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, received_at INTEGER NOT NULL, mail TEXT NOT NULL) STRICT;
        INSERT INTO mail (key, received_at, mail) VALUES ('k', 1000, '{\"from\":\"e@example.com\",\"to\":[\"Ann <Ann@example.com>\"],\"cc\":[],\"bcc\":[],\"subject\":\"Old\",
            \"text\":\"100 % sure\",\"attachments\":[]}');";
    let before = format!("PRAGMA user_version = 7; DROP TABLE schedules; {PARTS}");
    let nothing = "DROP TABLE mail;".to_owned();
    let without_version = format!("{nothing} {FIRST}");
    let with_its_first = format!("{without_version} INSERT INTO parts VALUES ('mail', 1);");
    let with_its_second = "INSERT INTO parts VALUES ('mail', 2), ('schedules', 1);
        INSERT INTO mail (received_at, recipients, head, words, mail) VALUES (1000, ' ann@example.com ', '{}', 'old 100 % sure', '{}');"
        .to_owned();
    for (left, wanted) in [(nothing, 0), (without_version, 1), (with_its_first, 1), (with_its_second, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let left = format!("{before} {left}");
        open(folder.path()).await.write(move |connection| connection.execute_batch(&left)).await.unwrap();
        let database = open(folder.path()).await;
        let found = database.read(|connection| {
            let sql = "SELECT count(*) FROM mail WHERE instr(recipients, ' ann@example.com ') > 0 AND instr(words, 'sure') > 0 AND received_at = 1000";
            let mails: u32 = connection.query_row(sql, [], |row| row.get(0))?;
            let schedules: u32 = connection.query_row("SELECT count(*) FROM schedules", [], |row| row.get(0))?;
            Ok((mails, schedules))
        });
        assert_eq!(found.await, Ok((wanted, 0)));
    }
}
