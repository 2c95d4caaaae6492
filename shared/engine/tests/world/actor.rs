use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Fields, Init, Payload, Provider, Receipt, SettingsError};

/// Does what its payload says, and keeps what it was asked to do.
#[derive(Clone, Default)]
pub struct Actor {
    pub delivered: Arc<Mutex<Vec<String>>>,
    pub in_flight: Arc<AtomicU32>,
    pub most_in_flight: Arc<AtomicU32>,
}

pub struct Script(String);

impl Payload for Script {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.required("do").map(Self)
    }
}

impl Provider for Actor {
    const NAME: &'static str = "actor";
    const TASKS: &'static [&'static str] = &["act"];
    type Payload = Script;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self::default())
    }

    async fn deliver(&self, Script(script): Script, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_in_flight.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        match script.as_str() {
            "panic" => panic!("on purpose"),
            "hang" => std::future::pending().await,
            "reject" => Err(DeliveryError::new(ErrorKind::Rejected, "HTTP 400")),
            "throttle" => Err(DeliveryError::new(ErrorKind::RateLimited, "HTTP 429").retry_after(Some(Duration::from_secs(77)))),
            "stop" => Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping()),
            "unknown" => Err(DeliveryError::new(ErrorKind::OutcomeUnknown, "no answer")),
            script if script.strip_prefix("flaky-").is_some_and(|failures| attempt.number <= failures.parse().unwrap()) => {
                Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503"))
            }
            script if script.strip_prefix("stop-").is_some_and(|stops| attempt.number <= stops.parse().unwrap()) => {
                Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())
            }
            "fail" => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
            _ => {
                self.delivered.lock().unwrap().push(attempt.key.clone());
                Ok(Receipt::message_id(&script))
            }
        }
    }
}
