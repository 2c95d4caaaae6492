use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Dice,
    audit::{Audit, Fault},
};

/// A queue with visibility as a standard queue of SQS has it: what is received is hidden for a while, and comes again unless it is deleted; some messages
/// come twice in any case.
pub struct Queue(Mutex<Inner>);

struct Inner {
    messages: HashMap<u64, Message>,
    /// When which message is to be seen; entries that a message has moved on from are passed over.
    order: BinaryHeap<Reverse<(Instant, u64)>>,
    next_key: u64,
    changed: Instant,
}

struct Message {
    number: u32,
    /// The queue's id of it, which a second copy of the same message has too.
    id: u64,
    receives: u32,
    visible_at: Instant,
    /// Is received once more, while it is in flight or after it was deleted.
    haunts: bool,
}

/// One receipt of a message.
#[derive(Clone, Debug)]
pub struct Received {
    /// The message's number in the books.
    pub number: u32,
    /// The queue's id of it.
    pub id: u64,
    /// Names this receipt.
    pub receipt: String,
    /// How often it was received.
    pub count: u32,
}

impl Queue {
    /// A queue with a message for each number in the books, and with some of them twice.
    #[must_use]
    pub fn new(audit: &Audit, dice: &Dice) -> Self {
        let inner = Inner { messages: HashMap::new(), order: BinaryHeap::new(), next_key: 0, changed: Instant::now() };
        let queue = Self(Mutex::new(inner));
        for number in audit.messages() {
            let (twice, haunts) = (dice.falls(super::DUPLICATES / 2), dice.falls(super::DUPLICATES / 2));
            if twice || haunts {
                audit.note_message(number, Fault::Duplicated);
            }
            queue.inner().add(number, None, Instant::now(), haunts);
            if twice {
                // A sender that sent twice: another message with the same envelope, now or later.
                let later = Duration::from_millis(u64::from(dice.below(20_000)));
                queue.inner().add(number, None, Instant::now() + later, false);
            }
        }
        queue
    }

    /// Up to `most` messages that are visible, and when to ask again if there are none.
    pub fn receive(&self, most: usize, visibility: Duration) -> Vec<Received> {
        let mut inner = self.inner();
        let now = Instant::now();
        let mut received = Vec::new();
        while received.len() < most {
            let Some(Reverse((at, key))) = inner.order.peek().copied().filter(|Reverse((at, _))| *at <= now) else { break };
            inner.order.pop();
            let Some(message) = inner.messages.get_mut(&key).filter(|message| message.visible_at == at) else { continue };
            message.receives += 1;
            message.visible_at = now + visibility;
            let (number, id, count, haunts) = (message.number, message.id, message.receives, std::mem::take(&mut message.haunts));
            received.push(Received { number, id, receipt: format!("{key}-{count}"), count });
            inner.order.push(Reverse((now + visibility, key)));
            if haunts {
                inner.add(number, Some(id), now + visibility / 8, false);
            }
        }
        received
    }

    /// Hides a message for this long, if the receipt is its last one.
    pub fn change_visibility(&self, receipt: &str, seconds: u64) -> bool {
        let mut inner = self.inner();
        let Some(key) = inner.valid(receipt) else { return false };
        let at = Instant::now() + Duration::from_secs(seconds);
        inner.order.push(Reverse((at, key)));
        inner.messages.get_mut(&key).map(|message| message.visible_at = at).is_some()
    }

    /// Forgets a message. An old receipt does as well, as it may on SQS: what is acknowledged wrongly is lost.
    pub fn delete(&self, receipt: &str) {
        let mut inner = self.inner();
        if let Some(key) = receipt.split_once('-').and_then(|(key, _)| key.parse().ok()) {
            inner.messages.remove(&key);
            inner.changed = Instant::now();
        }
    }

    /// How many messages there are, seen and hidden.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner().messages.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long nothing was deleted.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.inner().changed.elapsed()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, number: u32, id: Option<u64>, visible_at: Instant, haunts: bool) {
        let key = self.next_key;
        self.next_key += 1;
        self.messages.insert(key, Message { number, id: id.unwrap_or(key), receives: 0, visible_at, haunts });
        self.order.push(Reverse((visible_at, key)));
    }

    /// The message that a receipt is the last one of.
    fn valid(&self, receipt: &str) -> Option<u64> {
        let (key, count) = receipt.split_once('-')?;
        let key = key.parse().ok()?;
        self.messages.get(&key).filter(|message| message.receives.to_string() == count).map(|_| key)
    }
}
