//! `errand outbox` with tables of SQLite and PostgreSQL, killed at random, beside others, and with transports that fail.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rusqlite::Connection;
use serde_json::{Value, json};
use server::Server;
use tempfile::TempDir;

/// Events of the test that kills.
const EVENTS: u32 = 2000;
const KEYS: u32 = 23;

fn event(number: u32) -> String {
    event_of("order.paid", &json!({ "number": number }), number)
}

fn event_of(kind: &str, data: &Value, number: u32) -> String {
    json!({ "specversion": "1.0", "id": format!("e-{number}"), "source": "/shop", "type": kind, "data": data }).to_string()
}

/// A folder with a database, and what a relay of it is told.
struct Shop {
    folder: TempDir,
    vars: Vec<(String, String)>,
}

impl Shop {
    fn new(database: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = |name: &str| json!({ "backend": "console", "options": { "file": folder.path().join(name) } });
        let transports = json!({ "log": log("log.jsonl"), "broken": log("no/such/folder/log.jsonl") }).to_string();
        let mut vars = vec![("ERRAND_TRANSPORTS".to_owned(), transports), ("ERRAND_TRANSPORT".to_owned(), "log".to_owned())];
        if !database.is_empty() {
            vars.push(("ERRAND_OUTBOX_DATABASE".to_owned(), database.to_owned()));
        }
        Self { folder, vars }
    }

    /// One whose database is a file, with the table in it.
    fn of_sqlite() -> Self {
        let mut shop = Self::new("");
        let file = shop.folder.path().join("shop.sqlite3");
        shop.vars.push(("ERRAND_OUTBOX_DATABASE".to_owned(), file.to_str().unwrap().to_owned()));
        shop.database();
        assert!(shop.run(&["--create"]).status.success());
        shop
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("shop.sqlite3")).unwrap()
    }

    fn insert(&self, key: Option<&str>, event: &str) {
        self.database().execute("INSERT INTO errand_outbox (event, key) VALUES (?1, ?2)", (event, key)).unwrap();
    }

    fn left(&self) -> u32 {
        self.database().query_row("SELECT count(*) FROM errand_outbox", [], |row| row.get(0)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
        command.arg("outbox").args(arguments).arg("--data").arg(self.folder.path().join("data")).env_clear();
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The numbers of what was published, in their order.
    fn published(&self) -> Vec<u32> {
        published(&self.folder.path().join("log.jsonl"))
    }
}

fn published(log: &Path) -> Vec<u32> {
    let lines = fs::read_to_string(log).unwrap_or_default();
    let number = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        u32::try_from(line.pointer("/task/kwargs/number").or(line.pointer("/kwargs/number"))?.as_u64()?).ok()
    };
    lines.lines().filter_map(number).collect()
}

/// All are there, and those of a key in their order, each by its first time.
fn assert_whole(published: &[u32], key: impl Fn(u32) -> Option<u32>) {
    let mut first: BTreeMap<u32, usize> = BTreeMap::new();
    for (place, number) in published.iter().enumerate() {
        first.entry(*number).or_insert(place);
    }
    assert_eq!(first.len(), EVENTS as usize, "none is lost");
    let mut last: BTreeMap<u32, usize> = BTreeMap::new();
    for (number, place) in &first {
        if let Some(key) = key(*number) {
            assert!(last.insert(key, *place).is_none_or(|before| before < *place), "{number} has overtaken one of its key");
        }
    }
}

fn key(number: u32) -> Option<u32> {
    // Some have none.
    Some(number % KEYS).filter(|key| *key > 1)
}

/// Kills relays at random while they work, each with the keys of its part, and starts them again.
async fn kill_relays(shop: &Shop, left: impl AsyncFn() -> u32) {
    let mut seed = u64::from(std::process::id());
    let mut relays: Vec<Child> = ["1/2", "2/2"].iter().map(|part| shop.start(&["--part", part])).collect();
    let mut kills = 0;
    while left().await > 0 || kills < 6 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(30 + (seed >> 33) % 300)).await;
        let victim = usize::try_from(seed >> 60).unwrap() % 2;
        relays[victim].kill().unwrap();
        relays[victim].wait().unwrap();
        relays[victim] = shop.start(&["--part", ["1/2", "2/2"][victim]]);
        kills += 1;
        assert!(kills < 2000, "it goes on");
    }
    for mut relay in relays {
        relay.kill().unwrap();
        relay.wait().unwrap();
    }
}

#[tokio::test]
async fn two_relays_of_a_table_that_are_killed_lose_nothing_and_keep_the_order_of_each_key() {
    let shop = Shop::of_sqlite();
    let mut database = shop.database();
    let transaction = database.transaction().unwrap();
    for number in 0..EVENTS {
        let key = key(number).map(|key| key.to_string());
        transaction.execute("INSERT INTO errand_outbox (event, key) VALUES (?1, ?2)", (event(number), key)).unwrap();
    }
    transaction.commit().unwrap();
    kill_relays(&shop, async || shop.left()).await;
    assert_whole(&shop.published(), key);
}

#[cfg(feature = "postgres")]
#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn a_table_of_postgresql_is_relayed_in_the_same_way() {
    let url = std::env::var("TEST_POSTGRES").expect("tests/run sets it");
    let shop = Shop::new(&url);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("DROP TABLE IF EXISTS errand_outbox").await.unwrap();
    assert!(String::from_utf8_lossy(&shop.run(&["--once"]).stderr).contains("--create makes the table errand_outbox"));
    assert!(shop.run(&["--create"]).status.success());
    for number in 0..EVENTS {
        let key = key(number).map(|key| key.to_string());
        client.execute("INSERT INTO errand_outbox (event, key) VALUES ($1::text::json, $2)", &[&event(number), &key]).await.unwrap();
    }
    let left = async || {
        let row = client.query_one("SELECT count(*) FROM errand_outbox", &[]).await.unwrap();
        u32::try_from(row.get::<_, i64>(0)).unwrap()
    };
    kill_relays(&shop, left).await;
    assert_whole(&shop.published(), key);
    // Its sessions have ended, and their locks with them.
    assert!(shop.run(&["--once"]).status.success());
}

#[test]
fn an_event_that_waits_holds_its_key_and_is_buried_at_last() {
    let mut shop = Shop::of_sqlite();
    shop.vars.push(("ERRAND_ROUTES".to_owned(), r#"{"user.*":{"transport":"broken"}}"#.to_owned()));
    shop.insert(Some("a"), &event_of("user.made", &json!({ "number": 1 }), 1));
    shop.insert(Some("a"), &event(2));
    shop.insert(Some("b"), &event(3));
    shop.insert(None, &event_of("user.made", &json!({ "number": 4 }), 4));
    shop.insert(None, &event(5));
    let output = shop.run(&["--once"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("errand: 2 wait"), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some(r#"{"published":2,"buried":0,"waiting":2}"#));
    assert_eq!((shop.published(), shop.left()), (vec![3, 5], 3));
    shop.vars.push(("ERRAND_OUTBOX_FAILURE".to_owned(), "bury".to_owned()));
    let output = shop.run(&["--once"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some(r#"{"published":1,"buried":2,"waiting":0}"#), "{output:?}");
    assert_eq!((shop.published(), shop.left()), (vec![3, 5, 2], 0));
}

#[tokio::test]
async fn what_goes_home_is_done_by_the_server_of_the_data_folder_which_has_its_dead_letters() {
    let mut shop = Shop::of_sqlite();
    shop.vars.retain(|(name, _)| name == "ERRAND_OUTBOX_DATABASE");
    let server = Server::start(&shop.folder.path().join("data"));
    // Its workers wait already: they are not told.
    tokio::time::sleep(Duration::from_millis(500)).await;
    shop.insert(Some("a"), &event_of("console", &json!({ "text": "from the outbox" }), 1));
    shop.insert(Some("a"), r#"{"id":"no event"}"#);
    let output = shop.run(&["--once"]);
    assert!(output.status.success(), "{output:?}");
    let found = async |path: &str, name: &str| -> Value {
        let (_, answer) = server.call("GET", path, None).await;
        serde_json::from_str::<Value>(&answer).unwrap()[name].clone()
    };
    let letters = found("/v1/dead-letters", "dead_letters").await;
    assert_eq!((letters[0]["kind"].as_str(), letters.as_array().unwrap().len()), (Some("malformed"), 1));
    let started = std::time::Instant::now();
    while found("/v1/tasks?task=console&status=SUCCESSFUL", "tasks").await.as_array().unwrap().is_empty() {
        assert!(started.elapsed() < server::PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_relay_says_what_is_missing_and_leaves_keys_to_one_at_a_time() {
    let shop = Shop::of_sqlite();
    let complaint = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let mut first = shop.start(&["--part", "1/3"]);
    // Some keys are of its part: it works once an event of one is gone, and then nobody else has those keys.
    (0..30).for_each(|key| shop.insert(Some(&format!("k{key}")), &event(1)));
    let started = std::time::Instant::now();
    while shop.left() == 30 {
        assert!(started.elapsed() < server::PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(complaint(shop.run(&["--once"])).contains("another relay has keys of this part"));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(shop.run(&["--once"]).status.success());
    assert!(complaint(shop.run(&["--once", "--table", "none"])).contains("--create makes the table none"));
    assert!(complaint(shop.run(&["--part", "3/2"])).contains("expected one of up to 16"));
    let mut typed = Shop::of_sqlite();
    typed.vars.push(("ERRAND_OUTBOX_FAILUR".to_owned(), "bury".to_owned()));
    assert!(complaint(typed.run(&["--once"])).contains("did you mean ERRAND_OUTBOX_FAILURE?"));
    let mut nowhere = Shop::new("");
    nowhere.vars.clear();
    assert!(complaint(nowhere.run(&[])).contains("which database?"));
}
