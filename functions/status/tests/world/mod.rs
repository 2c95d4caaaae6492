//! The handler over parts in memory that keep what they get.

#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "a test fails by panicking, and no test uses all of it")]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use errand_api::Access;
use errand_core::{
    BODY_LIMIT, Buried, DeadLetters, Dispatch, Envelope, Environment, Epitaph, Hold, Init, NoOptions, OptionError, PublishError, Published,
    Register, Schedule, Schedules, Status, StorageError, Timestamp, Transport, TransportLimits,
};
use errand_status::Operations;
use errand_store_memory::{MemoryNotes, MemoryStore};
use errand_testkit::transport::envelope;
use serde_json::Value;

/// Keeps what it gets, and what is withdrawn from it.
#[derive(Clone, Default)]
pub struct Sent {
    pub envelopes: Arc<Mutex<Vec<Envelope>>>,
    pub withdrawn: Arc<Mutex<Vec<(String, Timestamp)>>>,
    pub failing: Arc<AtomicBool>,
}

impl Transport for Sent {
    const BACKEND: &'static str = "sent";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::from_secs(366 * 24 * 60 * 60), bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if self.failing.load(Ordering::SeqCst) {
            return vec![Err(PublishError::Unavailable("secret".to_owned())); envelopes.len()];
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        vec![Ok(Published::default()); envelopes.len()]
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}

impl Hold for Sent {
    const NAME: &'static str = "held";

    fn limits(&self) -> TransportLimits {
        Transport::limits(self)
    }

    async fn hold(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        self.publish(envelopes).await
    }

    async fn withdraw(&self, id: &str, run_after: Timestamp) -> Result<(), PublishError> {
        self.withdrawn.lock().unwrap().push((id.to_owned(), run_after));
        Ok(())
    }
}

/// A dead-letter queue in memory: the second half of a pair says whether it is hidden.
#[derive(Clone, Default)]
pub struct Graveyard(Arc<Mutex<Vec<(Buried, bool)>>>);

impl Graveyard {
    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(letter, _)| letter.key.clone()).collect()
    }

    pub fn add(&self, key: &str, body: &Value, kind: &str) {
        self.add_of("default", key, body, kind);
    }

    pub fn add_of(&self, queue: &str, key: &str, body: &Value, kind: &str) {
        let letter = Epitaph {
            kind: kind.to_owned(),
            reason: format!("HTTP 400 Because of {key}"),
            attempts: Some(2),
            id: body["id"].as_str().map(ToOwned::to_owned),
            task: body["task"].as_str().map(ToOwned::to_owned),
        };
        let body = body.as_str().map_or_else(|| body.to_string(), ToOwned::to_owned);
        self.0.lock().unwrap().push((
            Buried {
                key: key.to_owned(),
                receipt: key.to_owned(),
                body,
                attributes: BTreeMap::new(),
                buried_at: Timestamp::now(),
                queue: queue.to_owned(),
                letter,
            },
            false,
        ));
    }
}

impl DeadLetters for Graveyard {
    async fn take(&self, _: Duration) -> Result<Vec<Buried>, StorageError> {
        let mut letters = self.0.lock().unwrap();
        let visible = letters.iter_mut().filter(|(_, hidden)| !hidden).take(2);
        Ok(visible
            .map(|(letter, hidden)| {
                *hidden = true;
                letter.clone()
            })
            .collect())
    }

    async fn release(&self, letters: &[Buried]) -> Result<(), StorageError> {
        for (letter, hidden) in self.0.lock().unwrap().iter_mut() {
            *hidden &= !letters.iter().any(|released| released.key == letter.key);
        }
        Ok(())
    }

    async fn remove(&self, letters: &[Buried]) -> Result<(), StorageError> {
        self.0.lock().unwrap().retain(|(letter, _)| !letters.iter().any(|removed| removed.key == letter.key));
        Ok(())
    }

    async fn count(&self) -> Result<u64, StorageError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}

/// Schedules in memory.
#[derive(Clone, Default)]
pub struct Plan(Arc<Mutex<BTreeMap<String, Schedule>>>);

impl Schedules for Plan {
    async fn create(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        Ok(match self.0.lock().unwrap().entry(schedule.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(schedule.clone());
                true
            }
            Entry::Occupied(_) => false,
        })
    }

    async fn get(&self, name: &str) -> Result<Option<Schedule>, PublishError> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }

    async fn list(&self, limit: usize, _: Option<&str>) -> Result<(Vec<Schedule>, Option<String>), PublishError> {
        Ok((self.0.lock().unwrap().values().take(limit).cloned().collect(), None))
    }

    async fn delete(&self, name: &str) -> Result<bool, PublishError> {
        Ok(self.0.lock().unwrap().remove(name).is_some())
    }

    async fn update(&self, schedule: &Schedule) -> Result<bool, PublishError> {
        Ok(self.0.lock().unwrap().get_mut(&schedule.name).map(|known| *known = schedule.clone()).is_some())
    }
}

pub struct World {
    pub operations: Operations,
    pub store: MemoryStore,
    pub notes: MemoryNotes,
    pub sent: Sent,
    pub letters: Graveyard,
}

pub async fn world(ids: &[&str]) -> World {
    let (store, notes, sent, letters) = (MemoryStore::default(), MemoryNotes::default(), Sent::default(), Graveyard::default());
    for id in ids {
        let task = Envelope { task: id.split('-').next().unwrap_or_default().to_owned(), ..envelope(id) };
        store.register(&task, Status::Ready, "sqs", Timestamp::now()).await.unwrap();
    }
    let operations = Operations {
        access: Access::new(&Environment::default(), None).unwrap().open_without_keys(),
        payloads: errand_payloads::payloads()
            .with_routes(&[("ERRAND_ROUTES", r#"{"app.*":{"http":"https://app.example.com"}}"#)].into_iter().collect())
            .unwrap(),
        store: Arc::new(store.clone()),
        notes: Arc::new(notes.clone()),
        note_list: Arc::new(notes.clone()),
        dispatch: Dispatch::of("sent", Arc::new(sent.clone())).with_hold(Some(Arc::new(sent.clone()))),
        schedules: Some(Arc::new(Plan::default())),
        dead_letters: Some(Arc::new(letters.clone())),
    };
    World { operations, store, notes, sent, letters }
}

pub async fn call(world: &World, method: &str, path: &str) -> (u16, Value) {
    send(world, method, path, &Value::Null).await
}

pub async fn send(world: &World, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json").body(body.into()).unwrap();
    let response = world.operations.handle(&request).await;
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}
