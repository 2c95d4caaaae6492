//! What everything that keeps schedules must do.

use errand_core::{Envelope, PublishError, Recurrence, Schedule, Schedules};

use crate::transport::envelope;

/// A schedule of this name.
#[must_use]
pub fn schedule(name: &str, recurrence: Recurrence) -> Schedule {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "text": "é" })).ok();
    let envelope = Envelope { task: "console".to_owned(), kwargs, max_attempts: Some(3), ..envelope(name) };
    Schedule { name: name.to_owned(), recurrence, timezone: "Europe/Berlin".to_owned(), paused: false, envelope }
}

fn cron() -> Recurrence {
    Recurrence::Cron("*/15 9-17 * * mon-fri".parse().expect("a cron line"))
}

fn facts(schedule: &Schedule) -> (String, Recurrence, String, bool, String, Option<u32>) {
    let Schedule { name, recurrence, timezone, paused, envelope } = schedule.clone();
    (name, recurrence, timezone, paused, envelope.payload().to_owned(), envelope.max_attempts)
}

/// Runs all checks where there are no schedules yet; lists are read in pages of `page`.
///
/// # Panics
/// Something breaks the contract; the message says how.
pub async fn conformance<S: Schedules>(schedules: &S, page: usize) {
    assert!(schedules.get("nobody").await.expect("an answer").is_none());
    assert_eq!((schedules.delete("nobody").await, schedules.pause("nobody", true).await), (Ok(false), Ok(false)));
    let first = schedule("a.b-c_1", cron());
    assert_eq!(schedules.create(&first).await, Ok(true));
    let other = Schedule { timezone: "UTC".to_owned(), ..first.clone() };
    assert_eq!(schedules.create(&other).await, Ok(false), "a name is taken once");
    let known = schedules.get("a.b-c_1").await.expect("an answer").expect("a schedule");
    assert_eq!(facts(&known), facts(&first), "what was said is kept, and not changed by another of its name");
    for paused in [true, false, false] {
        assert_eq!(schedules.pause("a.b-c_1", paused).await, Ok(true));
        let known = schedules.get("a.b-c_1").await.expect("an answer").expect("a schedule");
        assert_eq!(facts(&known), facts(&Schedule { paused, ..first.clone() }));
    }
    let mut names = vec!["a.b-c_1".to_owned()];
    for i in 0..5 {
        let rate = Recurrence::Rate("90 minutes".parse().expect("a rate"));
        assert_eq!(schedules.create(&Schedule { paused: true, ..schedule(&format!("rate-{i}"), rate) }).await, Ok(true));
        names.push(format!("rate-{i}"));
    }
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let (some, next) = schedules.list(page, cursor.as_deref()).await.expect("an answer");
        assert!(some.len() <= page);
        found.extend(some.into_iter().map(|schedule| schedule.name));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, names);
    let elsewhere = Schedule {
        envelope: Envelope { queue: "default".to_owned(), ..first.envelope },
        timezone: "Mars/Olympus".to_owned(),
        ..schedule("mars", cron())
    };
    // An emulator may know no time zones, and take any.
    assert!(matches!(schedules.create(&elsewhere).await, Err(PublishError::Refused(_)) | Ok(true)));
    for name in &names {
        assert_eq!(schedules.delete(name).await, Ok(true));
        assert!(schedules.get(name).await.expect("an answer").is_none(), "what is deleted is gone");
    }
}
