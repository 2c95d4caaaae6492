//! What everything that keeps schedules must do.

use errand_core::{Envelope, Recurrence, Schedule, Schedules, Timestamp};

use crate::transport::envelope;

/// A schedule of this name.
#[must_use]
pub fn schedule(name: &str, recurrence: Recurrence) -> Schedule {
    let kwargs = serde_json::value::to_raw_value(&serde_json::json!({ "text": "é" })).ok();
    let envelope = Envelope { task: "console".to_owned(), kwargs, max_attempts: Some(3), ..envelope(name) };
    let since = Timestamp::from_millis(Timestamp::now().seconds() * 1000);
    Schedule { name: name.to_owned(), recurrence, timezone: "Europe/Berlin".to_owned(), since, paused: false, envelope }
}

fn cron() -> Recurrence {
    Recurrence::Cron("*/15 9-17 * * mon-fri".parse().expect("a cron line"))
}

fn rate() -> Recurrence {
    Recurrence::Rate("90 minutes".parse().expect("a rate"))
}

fn facts(schedule: &Schedule) -> (String, Recurrence, String, bool, String, String, Option<u32>) {
    let Schedule { name, recurrence, timezone, paused, envelope, .. } = schedule.clone();
    (name, recurrence, timezone, paused, envelope.task.clone(), envelope.payload().to_owned(), envelope.max_attempts)
}

/// Runs all checks where there are no schedules yet; lists are read in pages of `page`.
///
/// # Panics
/// Something breaks the contract; the message says how.
pub async fn conformance<S: Schedules>(schedules: &S, page: usize) {
    assert!(schedules.get("nobody").await.expect("an answer").is_none());
    assert_eq!((schedules.delete("nobody").await, schedules.update(&schedule("nobody", cron())).await), (Ok(false), Ok(false)));
    assert!(schedules.get("nobody").await.expect("an answer").is_none(), "a change makes nothing");
    let first = schedule("a.b-c_1", cron());
    assert_eq!(schedules.create(&first).await, Ok(true));
    let other = Schedule { timezone: "UTC".to_owned(), ..first.clone() };
    assert_eq!(schedules.create(&other).await, Ok(false), "a name is taken once");
    let known = schedules.get("a.b-c_1").await.expect("an answer").expect("a schedule");
    assert_eq!(facts(&known), facts(&first), "what was said is kept, and not changed by another of its name");
    let kwargs = serde_json::value::RawValue::from_string(r#"{"n":12345678901234567890123,"m":1E+2}"#.to_owned()).ok();
    let envelope = Envelope { task: "other".to_owned(), kwargs, max_attempts: None, ..first.envelope.clone() };
    let changes = [
        Schedule { paused: true, ..first.clone() },
        Schedule { paused: false, ..first.clone() },
        Schedule { paused: false, ..first.clone() },
        Schedule { recurrence: Recurrence::Cron("0 0 ? * 5L".parse().expect("a cron line")), ..other },
        Schedule { recurrence: rate(), ..first.clone() },
        Schedule { envelope, paused: true, ..first.clone() },
    ];
    for changed in changes {
        assert_eq!(schedules.update(&changed).await, Ok(true));
        let known = schedules.get("a.b-c_1").await.expect("an answer").expect("a schedule");
        assert_eq!(facts(&known), facts(&changed), "a change replaces all that was said");
        if matches!(changed.recurrence, Recurrence::Rate(_)) {
            assert_eq!(known.since, first.since, "a rate keeps its pace");
        }
    }
    let mut names = vec!["a.b-c_1".to_owned()];
    for i in 0..5 {
        assert_eq!(schedules.create(&Schedule { paused: true, ..schedule(&format!("rate-{i}"), rate()) }).await, Ok(true));
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
    for name in &names {
        assert_eq!(schedules.delete(name).await, Ok(true));
        assert!(schedules.get(name).await.expect("an answer").is_none(), "what is deleted is gone");
    }
}
