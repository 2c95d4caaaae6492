//! The queues of one machine: `default`, and those of `ERRAND_QUEUES` and `ERRAND_FOREIGN_QUEUES`, which have names and no URLs here.

use std::{collections::BTreeMap, ops::RangeInclusive};

use errand_core::{
    DEFAULT_QUEUE, Environment, QueueSettings, SettingsError,
    settings::all::{FOREIGN_QUEUES, QUEUES},
};

/// What of a queue is worked on at once, as an event source of Lambda has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Batches that are worked on together.
    pub(crate) concurrency: u32,
    /// The most messages of a batch.
    pub(crate) batch_size: u32,
}

const CONCURRENCY: (u32, RangeInclusive<u32>) = (4, 1..=100);

/// As SQS hands them to Lambda without a window to wait for more.
const BATCH_SIZE: (u32, RangeInclusive<u32>) = (10, 1..=10);

/// The queues.
pub(crate) struct Queues {
    /// Ours.
    pub(crate) ours: BTreeMap<String, Pace>,
    /// Others', whose messages wait for who receives them.
    pub(crate) foreign: Vec<String>,
}

impl Queues {
    /// Reads the settings.
    ///
    /// # Errors
    /// One is wrong.
    pub(crate) fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let mut said = QueueSettings::ours(env)?;
        said.entry(DEFAULT_QUEUE.to_owned()).or_default();
        let ours = said.into_iter().map(|(name, settings)| Ok((name, pace(&settings)?))).collect::<Result<_, _>>()?;
        let foreign = QueueSettings::foreign(env)?;
        if foreign.values().any(|settings| *settings != QueueSettings::default()) {
            return Err(SettingsError::invalid(FOREIGN_QUEUES.name, r#"expected names alone on one machine, such as {"celery":{}}"#));
        }
        Ok(Self { ours, foreign: foreign.into_keys().collect() })
    }
}

fn pace(QueueSettings { url, dead_letter_url, concurrency, batch_size }: &QueueSettings) -> Result<Pace, SettingsError> {
    let wrong = |expected: &str| SettingsError::invalid(QUEUES.name, expected);
    if url.is_some() || dead_letter_url.is_some() {
        return Err(wrong(r#"expected no URLs on one machine, but as in {"fast":{"concurrency":4,"batch_size":10}}"#));
    }
    let within = |said: &Option<u32>, (usual, range): (u32, RangeInclusive<u32>), name: &str| {
        let number = said.unwrap_or(usual);
        let expected = || wrong(&format!("{name}: expected a whole number from {} to {}", range.start(), range.end()));
        range.contains(&number).then_some(number).ok_or_else(expected)
    };
    Ok(Pace { concurrency: within(concurrency, CONCURRENCY, "concurrency")?, batch_size: within(batch_size, BATCH_SIZE, "batch_size")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ours: &str, foreign: &str) -> Result<Queues, String> {
        let env: Environment = [("ERRAND_QUEUES", ours), ("ERRAND_FOREIGN_QUEUES", foreign)].into_iter().collect();
        Queues::from_env(&env).map_err(|error| error.to_string())
    }

    #[test]
    fn each_queue_has_its_pace_and_there_is_always_a_default_one() {
        let usual = Pace { concurrency: 4, batch_size: 10 };
        assert_eq!(read("", "").unwrap().ours, BTreeMap::from([("default".to_owned(), usual)]));
        let queues =
            read(r#"{"slow":{"concurrency":1,"batch_size":2},"a.fifo":{},"default":{"concurrency":8}}"#, r#"{"celery":{}}"#).unwrap();
        let told: Vec<(&str, u32, u32)> =
            queues.ours.iter().map(|(name, Pace { concurrency, batch_size })| (name.as_str(), *concurrency, *batch_size)).collect();
        assert_eq!(told, [("a.fifo", 4, 10), ("default", 8, 10), ("slow", 1, 2)]);
        assert_eq!(queues.foreign, ["celery"]);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let error = |ours, foreign| read(ours, foreign).err().unwrap();
        assert!(error(r#"{"a":"https://sqs/1/a"}"#, "").starts_with("ERRAND_QUEUES: expected no URLs on one machine"));
        assert_eq!(error(r#"{"a":{"concurrency":0}}"#, ""), "ERRAND_QUEUES: concurrency: expected a whole number from 1 to 100");
        assert_eq!(error(r#"{"a":{"batch_size":11}}"#, ""), "ERRAND_QUEUES: batch_size: expected a whole number from 1 to 10");
        assert!(error("", r#"{"a":"https://sqs/1/a"}"#).starts_with("ERRAND_FOREIGN_QUEUES: expected names alone"));
    }
}
