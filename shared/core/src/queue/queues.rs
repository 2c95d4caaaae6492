//! The queues that the settings name: ours, which tasks can be sent to, and others', which only what follows on a task goes to.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use crate::{
    DEFAULT_QUEUE, Envelope, Environment, Problems, PublishError, Setting, SettingsError, http_url, limits, segment,
    settings::all::{DEAD_LETTER_URL, FOREIGN_QUEUES, QUEUE_URL, QUEUES},
};

/// What a setting says of one queue: on AWS where it is, on one machine how it is worked on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Its URL.
    pub url: Option<String>,
    /// The URL of the queue of what it gives up.
    pub dead_letter_url: Option<String>,
    /// Batches that are worked on together.
    pub concurrency: Option<u32>,
    /// Messages of one batch.
    pub batch_size: Option<u32>,
}

impl QueueSettings {
    /// Those of `ERRAND_QUEUES`, by name.
    ///
    /// # Errors
    /// It is no JSON object of them, or one has a name that no queue can have.
    pub fn ours(env: &Environment) -> Result<BTreeMap<String, Self>, SettingsError> {
        let queues = Self::read(env, &QUEUES)?;
        match queues.keys().find_map(|name| limits::queue(name).err()) {
            Some(expected) => Err(SettingsError::invalid(QUEUES.name, &format!("expected {expected}"))),
            None => Ok(queues),
        }
    }

    /// Those of `ERRAND_FOREIGN_QUEUES`, by name.
    ///
    /// # Errors
    /// It is no JSON object of them.
    pub fn foreign(env: &Environment) -> Result<BTreeMap<String, Self>, SettingsError> {
        Self::read(env, &FOREIGN_QUEUES)
    }

    fn read(env: &Environment, setting: &Setting) -> Result<BTreeMap<String, Self>, SettingsError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Url(String),
            Settings(QueueSettings),
        }
        let Some(json) = env.get(setting) else { return Ok(BTreeMap::new()) };
        let said: BTreeMap<String, Said> = serde_json::from_str(json).map_err(|_| wrong(setting))?;
        let settings = |said| match said {
            Said::Url(url) => Self { url: Some(url), ..Self::default() },
            Said::Settings(settings) => settings,
        };
        Ok(said.into_iter().map(|(name, said)| (name, settings(said))).collect())
    }

    /// Where it is on AWS.
    fn address(self, setting: &Setting, dead_letter_url: Option<&str>) -> Result<Address, SettingsError> {
        let (Some(url), None, None) = (&self.url, self.concurrency, self.batch_size) else { return Err(wrong(setting)) };
        let own = self.dead_letter_url.as_deref().map(|url| checked(setting, url)).transpose()?;
        Ok(Address { url: checked(setting, url)?, dead_letter_url: own.or_else(|| dead_letter_url.map(ToOwned::to_owned)) })
    }
}

fn wrong(setting: &Setting) -> SettingsError {
    let expected = r#"expected a JSON object of names and URLs, such as {"fast":"https://…"} or {"fast":{"url":"https://…","dead_letter_url":"https://…"}}; on one machine {"fast":{"concurrency":4,"batch_size":10}}"#;
    SettingsError::invalid(setting.name, expected)
}

/// Where a queue is on AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its URL.
    pub url: String,
    /// The URL of its dead-letter queue: its own, else that of the default queue, if either is set.
    pub dead_letter_url: Option<String>,
}

/// Our queues on AWS: `ERRAND_QUEUE_URL` as `default`, and those of `ERRAND_QUEUES`; and others', those of `ERRAND_FOREIGN_QUEUES`.
#[derive(Clone, Debug)]
pub struct Queues {
    ours: BTreeMap<String, Address>,
    foreign: BTreeMap<String, Address>,
}

impl Queues {
    /// Reads the settings.
    ///
    /// # Errors
    /// One is missing or wrong.
    pub fn from_env(env: &Environment) -> Result<Self, SettingsError> {
        let url = checked(&QUEUE_URL, env.required(&QUEUE_URL)?)?;
        let dead_letter_url = env.get(&DEAD_LETTER_URL).map(|url| checked(&DEAD_LETTER_URL, url)).transpose()?;
        let addresses = |setting, queues: BTreeMap<String, QueueSettings>| {
            let address = |(name, queue): (String, QueueSettings)| Ok((name, queue.address(setting, dead_letter_url.as_deref())?));
            queues.into_iter().map(address).collect::<Result<BTreeMap<_, _>, _>>()
        };
        let (mut ours, foreign) =
            (addresses(&QUEUES, QueueSettings::ours(env)?)?, addresses(&FOREIGN_QUEUES, QueueSettings::foreign(env)?)?);
        if ours.insert(DEFAULT_QUEUE.to_owned(), Address { url, dead_letter_url: dead_letter_url.clone() }).is_some() {
            return Err(SettingsError::invalid(QUEUES.name, &format!("the queue default is {}", QUEUE_URL.name)));
        }
        Ok(Self { ours, foreign })
    }

    /// Those of another deployment, which are not for this one to read: the one named `default`, and more by their names.
    ///
    /// # Errors
    /// One has no name or URL that a queue can have.
    pub fn elsewhere(url: String, more: BTreeMap<String, String>) -> Result<Self, Problems> {
        let (mut ours, foreign) = (BTreeMap::new(), BTreeMap::new());
        let named = more.into_iter().map(|(name, url)| (format!("/queues/{}", segment(&name)), name, url));
        for (pointer, name, url) in [("/url".to_owned(), DEFAULT_QUEUE.to_owned(), url)].into_iter().chain(named) {
            let expected = limits::queue(&name).err().or_else(|| (self::url(&url).is_none()).then_some(URL));
            match expected {
                Some(expected) => return Err(Problems::at(&pointer, format!("expected {expected}"))),
                None => ours.insert(name, Address { url, dead_letter_url: None }),
            };
        }
        Ok(Self { ours, foreign })
    }

    /// Our queue of this name.
    ///
    /// # Errors
    /// There is none: the caller is told which there are.
    pub fn named(&self, name: &str) -> Result<&Address, PublishError> {
        self.ours.get(name).ok_or_else(|| PublishError::no_such_queue(self.names()))
    }

    /// The name of our queue that an envelope waits on: its own. What is for another transport may name one of that, and waits on the one named `default`.
    #[must_use]
    pub fn of<'a>(&self, envelope: &'a Envelope) -> &'a str {
        if envelope.backend.is_some() && !self.ours.contains_key(&envelope.queue) { DEFAULT_QUEUE } else { &envelope.queue }
    }

    /// The queue of this name in the settings or on AWS, where Celery's transport writes a dot as a hyphen; ours or another's.
    ///
    /// # Errors
    /// There is none.
    pub fn known_as(&self, name: &str) -> Result<&Address, PublishError> {
        let by_name = || self.ours.get(name).or_else(|| self.foreign.get(name));
        let on_aws = |name: &str| self.ours.values().chain(self.foreign.values()).find(|address| last_segment(&address.url) == name);
        let known = || PublishError::no_such_queue(self.names().chain(self.foreign.keys().map(String::as_str)));
        by_name().or_else(|| on_aws(name)).or_else(|| on_aws(&celery_queue(name))).ok_or_else(known)
    }

    /// The name of our queue that this ARN is of: of the one whose URL ends as it does, else of the default one.
    #[must_use]
    pub fn name_of_arn(&self, arn: &str) -> &str {
        let on_aws = arn.rsplit(':').next().unwrap_or_default();
        self.ours.iter().find(|(_, address)| last_segment(&address.url) == on_aws).map_or(DEFAULT_QUEUE, |(name, _)| name)
    }

    /// The names of ours, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ours.keys().map(String::as_str)
    }

    /// Ours, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Address)> {
        self.ours.iter().map(|(name, address)| (name.as_str(), address))
    }
}

/// The name that Celery's transport gives a queue on SQS, which takes no dots.
/// <https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.SQS.html>
#[must_use]
pub fn celery_queue(name: &str) -> String {
    match name.strip_suffix(FIFO) {
        Some(stem) => stem.replace('.', "-") + FIFO,
        None => name.replace('.', "-"),
    }
}

const FIFO: &str = ".fifo";

/// Whether the queue of this name or URL keeps order within a group.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/fifo-queue-message-identifiers.html>
#[must_use]
pub fn is_fifo(name_or_url: &str) -> bool {
    name_or_url.ends_with(FIFO)
}

/// The name of a queue on AWS: its URL's last segment.
fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

const URL: &str = "the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/name";

/// A queue's URL.
fn url(text: &str) -> Option<Cow<'_, str>> {
    http_url(text).filter(|url| url.matches('/').count() >= 3 && !last_segment(url).is_empty())
}

/// A setting's value as a queue's URL.
fn checked(setting: &Setting, text: &str) -> Result<String, SettingsError> {
    url(text).map(Cow::into_owned).ok_or_else(|| SettingsError::invalid(setting.name, &format!("expected {URL}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: (&str, &str) = (QUEUE_URL.name, "https://sqs/1/main");

    fn queues(vars: &[(&str, &str)]) -> Result<Queues, String> {
        Queues::from_env(&vars.iter().copied().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_queue_is_found_by_name_and_by_arn() {
        let queues = queues(&[MAIN, (QUEUES.name, r#"{"fast":"https://sqs/1/fast.fifo"}"#)]).unwrap();
        let url = |name| queues.named(name).map(|address| address.url.as_str());
        assert_eq!((url("default"), url("fast")), (Ok("https://sqs/1/main"), Ok("https://sqs/1/fast.fifo")));
        let refused = PublishError::Refused("there is no queue of this name; there are: default, fast".to_owned());
        assert_eq!(url("x"), Err(refused));
        assert_eq!(queues.name_of_arn("arn:aws:sqs:eu-west-1:1:fast.fifo"), "fast");
        assert_eq!(queues.name_of_arn("arn:aws:sqs:eu-west-1:1:other"), "default");
    }

    #[test]
    fn each_queue_has_its_dead_letters_or_those_of_the_default_one() {
        let ours = r#"{"fast":"https://sqs/1/fast","slow":{"url":"https://sqs/1/slow","dead_letter_url":"https://sqs/1/slow-dead"}}"#;
        let queues = queues(&[MAIN, (QUEUES.name, ours), (DEAD_LETTER_URL.name, "https://sqs/1/dead")]).unwrap();
        let dead: Vec<_> = queues.iter().map(|(name, address)| (name, address.dead_letter_url.as_deref().unwrap())).collect();
        assert_eq!(dead, [("default", "https://sqs/1/dead"), ("fast", "https://sqs/1/dead"), ("slow", "https://sqs/1/slow-dead")]);
    }

    #[test]
    fn others_queues_are_known_to_what_follows_alone_and_as_celery_calls_them() {
        let foreign = r#"{"replies":"https://sqs/2/replies","m":"https://sqs/1/mail-high.fifo"}"#;
        let queues = queues(&[MAIN, (FOREIGN_QUEUES.name, foreign)]).unwrap();
        for name in ["m", "mail-high.fifo", "mail.high.fifo"] {
            assert_eq!(queues.known_as(name).unwrap().url, "https://sqs/1/mail-high.fifo", "{name}");
            assert!(queues.named(name).is_err(), "{name}");
        }
        assert_eq!(queues.known_as("main").unwrap().url, "https://sqs/1/main");
        let refused = PublishError::Refused("there is no queue of this name; there are: default, m, replies".to_owned());
        assert_eq!(queues.known_as("other"), Err(refused));
        assert_eq!(queues.name_of_arn("arn:aws:sqs:eu-west-1:2:replies"), "default");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let error = |vars: &[(&str, &str)]| queues(vars).unwrap_err();
        assert_eq!(error(&[]), "ERRAND_QUEUE_URL: must be set");
        assert!(error(&[(QUEUE_URL.name, "main")]).starts_with("ERRAND_QUEUE_URL: expected the URL of a queue"));
        assert_eq!(
            error(&[MAIN, (QUEUES.name, r#"{"default":"https://sqs/1/q"}"#)]),
            "ERRAND_QUEUES: the queue default is ERRAND_QUEUE_URL"
        );
        assert!(error(&[MAIN, (QUEUES.name, r#"{"a b":"https://sqs/1/q"}"#)]).starts_with("ERRAND_QUEUES: expected the name of a queue"));
        assert!(error(&[MAIN, (QUEUES.name, r#"{"a":"fast"}"#)]).starts_with("ERRAND_QUEUES: expected the URL of a queue"));
        for wrong in
            ["[]", r#"{"a":{}}"#, r#"{"a":{"url":"https://sqs/1/q","concurrency":2}}"#, r#"{"a":{"url":"https://sqs/1/q","size":2}}"#]
        {
            assert!(error(&[MAIN, (QUEUES.name, wrong)]).starts_with("ERRAND_QUEUES: expected a JSON object of names and URLs"), "{wrong}");
            assert!(error(&[MAIN, (FOREIGN_QUEUES.name, wrong)]).starts_with("ERRAND_FOREIGN_QUEUES: expected a JSON object"), "{wrong}");
        }
    }
}
