use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Fields, Init, Payload, Provider, Receipt, SettingsError};

/// A provider whose payloads have parts: tokens, of which each says what comes of it.
#[derive(Clone, Default)]
pub struct Push {
    /// The tokens of each call, by the parts' keys.
    pub calls: Arc<Mutex<Vec<Vec<String>>>>,
    /// The keys of what was done.
    pub done: Arc<Mutex<Vec<String>>>,
    /// How long a call takes, in milliseconds.
    pub takes: Arc<AtomicU32>,
    /// Says stop to all from the call of this number on.
    pub stops_at: Arc<AtomicU32>,
}

pub struct Tokens(Vec<String>);

impl Payload for Tokens {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let tokens: Option<Vec<String>> = fields.required("tokens");
        assert!(tokens.as_ref().is_none_or(|tokens| tokens.iter().all(|token| token != "unreadable")), "on purpose");
        tokens.map(Self)
    }
}

impl Provider for Push {
    const NAME: &'static str = "push";
    const TASKS: &'static [&'static str] = &["push"];
    const AT_ONCE: usize = 5;
    const TOGETHER: usize = 2;
    type Payload = Tokens;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self::default())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn deliver(&self, tokens: Tokens, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        self.deliver_parts(&tokens, &[0], attempt).await.remove(0)
    }

    fn parts(Tokens(tokens): &Tokens) -> usize {
        tokens.len()
    }

    async fn deliver_parts(&self, Tokens(tokens): &Tokens, parts: &[usize], attempt: &Attempt) -> Vec<Result<Receipt, DeliveryError>> {
        assert!(parts.len() <= Self::AT_ONCE);
        let keys: Vec<String> = parts.iter().map(|part| attempt.part(*part)).collect();
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(keys.clone());
            u32::try_from(calls.len()).unwrap()
        };
        tokio::time::sleep(Duration::from_millis(self.takes.load(Ordering::SeqCst).into())).await;
        let stops_at = self.stops_at.load(Ordering::SeqCst);
        if stops_at > 0 && number >= stops_at {
            return parts.iter().map(|_| Err(DeliveryError::new(ErrorKind::Misconfigured, "token_revoked").stopping())).collect();
        }
        let mut answers = Vec::new();
        for (key, part) in keys.into_iter().zip(parts) {
            let token = tokens[*part].as_str();
            let now = |times: &str| attempt.number <= times.parse::<u32>().unwrap();
            answers.push(match token.split_once('-').unwrap_or((token, "99")) {
                ("panic", times) if now(times) => panic!("on purpose"),
                ("hang", times) if now(times) => std::future::pending().await,
                ("gone", _) => Err(DeliveryError::new(ErrorKind::RecipientGone, "HTTP 410")),
                ("down", times) if now(times) => Err(DeliveryError::new(ErrorKind::Unavailable, "HTTP 503")),
                ("failed", times) if now(times) => Err(DeliveryError::new(ErrorKind::TaskFailed, "it failed")),
                ("few", times) if now(times) => return answers,
                _ => {
                    self.done.lock().unwrap().push(key);
                    Ok(Receipt::message_id(token))
                }
            });
        }
        answers
    }
}

impl Push {
    /// The keys of what was done, sorted.
    pub fn done(&self) -> Vec<String> {
        let mut done = self.done.lock().unwrap().clone();
        done.sort();
        done
    }

    /// How often a part was sent, by its key.
    pub fn sent(&self, key: &str) -> usize {
        self.calls.lock().unwrap().iter().flatten().filter(|sent| *sent == key).count()
    }
}
