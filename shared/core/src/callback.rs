use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::{Envelope, TaskResult};

/// How often a callback is attempted: the Standard Webhooks specification's schedule ends after ten.
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>
const ATTEMPTS: u32 = 10;

/// What task [`TaskResult::CALLBACK`] takes.
#[derive(Serialize)]
struct Call<'a> {
    url: &'a str,
    body: &'a TaskResult,
}

impl TaskResult {
    /// The task that sends a result to a callback's URL.
    pub const CALLBACK: &'static str = "callback";

    /// The envelope that tells this result, which is final, to `url`. Its id is that of this end of the task: however often it is sent, it is told once.
    #[must_use]
    pub fn callback(&self, url: &str) -> Envelope {
        let ended = self.finished_at.map_or(0, |at| at.millis());
        // An id can be as long as an id can be: only its hash fits into another.
        let hash = |part: u8| {
            let mut hasher = DefaultHasher::new();
            (part, &self.id, ended).hash(&mut hasher);
            hasher.finish()
        };
        let kwargs = to_raw_value(&Call { url, body: self }).ok();
        let id = format!("callback-{:016x}{:016x}", hash(0), hash(1));
        Envelope { kwargs, max_attempts: Some(ATTEMPTS), ..Envelope::new(id, Self::CALLBACK.to_owned()) }
    }
}
