//! Writes that wait are kept together, and each is told what became of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::mpsc, time::Duration};

use errand_core::{Begin, Claim, Claims, Envelope, Json, Lookup, Outcome, Progress, Register, Status, StorageError, Timestamp};
use errand_store_sqlite::{Database, SqliteStore};
use errand_testkit::transport::envelope;
use futures_util::future::{join, join_all};

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    database: Database,
    store: SqliteStore,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("errand.sqlite3");
    let database = Database::open(&path).await.unwrap();
    World { _folder: folder, path, store: SqliteStore::new(database.clone()), database }
}

impl World {
    /// What `work` answers, when all that it asks for has waited until it had asked for everything.
    async fn waiting<T>(&self, work: impl Future<Output = T>) -> T {
        let (go, wait) = mpsc::channel();
        let held = self.database.read(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        let asked = async { go.send(()).unwrap() };
        join(held, join(work, asked)).await.1.0
    }
}

fn claim(envelope: &Envelope, now: Timestamp) -> Claim<'_> {
    Claim { envelope, now, lease_until: now + Duration::from_secs(60), worker: "worker", token: None, backend: "local" }
}

#[tokio::test]
async fn claims_and_ends_that_wait_are_one_transaction_and_what_fails_fails_alone() {
    let world = world().await;
    let now = Timestamp::now();
    let (first, second, running) = (envelope("first"), envelope("second"), envelope("running"));
    world.store.begin(&claim(&running, now)).await.unwrap();
    let [one, twin, other] = [&first, &first, &second].map(|envelope| claim(envelope, now));
    let wrong = world.database.write(|connection| {
        connection.execute("DELETE FROM tasks", [])?;
        connection.execute("INSERT INTO nothing VALUES (1)", [])
    });
    let path = world.path.clone();
    let look = world.database.write(move |connection| {
        let count = |connection: &rusqlite::Connection| connection.query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, u32>(0));
        Ok((count(connection)?, count(&rusqlite::Connection::open(path)?)?))
    });
    let ends = Outcome::Succeeded(Json::default());
    let claims = join_all([&one, &twin, &other].map(|claim| world.store.begin(claim)));
    let (claims, (wrong, (ended, seen))) =
        world.waiting(join(claims, join(wrong, join(world.store.finish("running", 1, &ends, now), look)))).await;
    let claimed = || Ok(Begin::Claimed { attempt: 1, tries: 1, died: false, progress: Progress::default() });
    assert_eq!(claims, [claimed(), Ok(Begin::Held { until: one.lease_until }), claimed()]);
    assert!(wrong.unwrap_err().0.contains("nothing") && ended.is_ok());
    assert_eq!(seen, Ok((3, 1)), "nobody sees any before all are kept");
    assert_eq!(world.store.get("running").await.unwrap().unwrap().0.status, Status::Successful);
}

#[tokio::test]
async fn when_the_disk_is_full_each_is_told_what_is_true() {
    let world = world().await;
    let limit = |pages: u32| {
        world.database.write(move |connection| connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())))
    };
    let pages = world.database.read(|connection| connection.query_row("PRAGMA page_count", [], |row| row.get::<_, u32>(0))).await.unwrap();
    limit(pages + 20).await.unwrap();
    let content = Json::from(serde_json::json!({ "a": "x".repeat(6000) })).raw();
    let envelopes: Vec<Envelope> = (0..30).map(|i| Envelope { kwargs: content.clone(), ..envelope(&format!("task-{i}")) }).collect();
    let now = Timestamp::now();
    let told = world.waiting(join_all(envelopes.iter().map(|envelope| world.store.register(envelope, Status::Ready, "local", now)))).await;
    assert!(told.iter().any(|told| matches!(told, Err(StorageError(why)) if why.contains("full"))), "{told:?}");
    for (told, envelope) in told.iter().zip(&envelopes) {
        assert_eq!(world.store.get(&envelope.id).await.unwrap().is_some(), told.is_ok(), "{told:?}");
    }
    limit(1_000_000).await.unwrap();
    assert_eq!(world.store.register(&envelope("after"), Status::Ready, "local", now).await, Ok(None));
}

#[tokio::test]
async fn nobody_waits_for_a_thread_that_has_ended() {
    let world = world().await;
    let fault = world.database.write(|_| -> rusqlite::Result<()> { panic!("a fault of ours") });
    let (fault, known) = world.waiting(join(fault, world.store.get("a"))).await;
    let silent = StorageError("SQLite: its thread does not answer".to_owned());
    assert_eq!((fault, known, world.store.get("a").await), (Err(silent.clone()), Err(silent.clone()), Err(silent)));
}
