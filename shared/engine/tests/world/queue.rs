use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use errand_core::{
    BODY_LIMIT, DeadLetter, Envelope, Init, Message, NoOptions, OptionError, PublishError, Published, Queue, StorageError, Transport,
    TransportLimits,
};

/// Notes what it is told of messages.
#[derive(Clone, Default)]
pub struct TestQueue {
    pub hidden: Arc<Mutex<Vec<(String, Duration)>>>,
    pub buried: Arc<Mutex<Vec<(String, DeadLetter)>>>,
    pub broken: bool,
}

impl Queue for TestQueue {
    async fn hide(&self, message: &Message, duration: Duration) -> Result<(), StorageError> {
        self.hidden.lock().unwrap().push((message.id.clone(), duration));
        if self.broken { Err(StorageError("broken".to_owned())) } else { Ok(()) }
    }

    async fn bury(&self, message: &Message, letter: &DeadLetter) -> Result<(), StorageError> {
        if self.broken {
            return Err(StorageError("broken".to_owned()));
        }
        self.buried.lock().unwrap().push((message.id.clone(), letter.clone()));
        Ok(())
    }
}

/// Keeps what it is given to send.
#[derive(Clone, Default)]
pub struct Sent {
    pub envelopes: Arc<Mutex<Vec<Envelope>>>,
    pub down: Arc<AtomicBool>,
}

impl Transport for Sent {
    const BACKEND: &'static str = "sent";
    type Options = NoOptions;

    fn new(_: &str, _: NoOptions, _: &Init) -> Result<Self, OptionError> {
        Ok(Self::default())
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        if self.down.load(Ordering::SeqCst) {
            return envelopes.iter().map(|_| Err(PublishError::Unavailable("down".to_owned()))).collect();
        }
        self.envelopes.lock().unwrap().extend_from_slice(envelopes);
        envelopes.iter().map(|_| Ok(Published::default())).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        Ok(())
    }
}
