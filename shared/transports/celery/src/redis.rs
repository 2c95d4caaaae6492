use std::collections::BTreeMap;

use errand_core::{Init, OptionError, PublishError, Published, Secret};
use errand_http::Credential;
use errand_redis::{
    Again, Timeouts,
    redis::{Cmd, cmd, pipe},
};

use crate::{Answer, Options, Task, options::redis_url, route::Route};

/// Lists of Redis, as kombu's transport keeps messages: one for each queue and step of priority.
/// <https://github.com/celery/kombu/blob/v5.7.0/kombu/transport/redis.py>
pub(crate) struct Redis {
    redis: errand_redis::Redis,
    /// Comes before each key.
    prefix: String,
    /// The steps of priorities, the lowest first.
    steps: Vec<u8>,
    /// Between the parts of a name.
    separator: String,
}

impl Redis {
    pub(crate) fn new(options: &Options, cx: &Init) -> Result<Self, OptionError> {
        let said = &options.broker_transport_options;
        let (steps, separator) = said.priorities()?;
        let redis = open("broker_url", &options.broker_url, cx)?;
        Ok(Self { redis, prefix: said.global_keyprefix.clone(), steps, separator })
    }

    pub(crate) async fn send(&self, tasks: &[Task<'_>]) -> Vec<Answer> {
        let mut bound: BTreeMap<&str, Result<Vec<String>, PublishError>> = BTreeMap::new();
        for task in tasks {
            let exchange = task.route.exchange.as_str();
            if !exchange.is_empty() && !bound.contains_key(exchange) {
                bound.insert(exchange, self.bindings(exchange).await);
            }
        }
        let command = |task: &Task<'_>| {
            let Route { exchange, routing_key, .. } = task.route;
            let queues = match bound.get(exchange.as_str()) {
                Some(bindings) => self.queues(exchange, bindings.as_deref().map_err(Clone::clone)?, routing_key)?,
                None => vec![routing_key.clone()],
            };
            Ok(self.push(&queues, task))
        };
        let sent = self.redis.each_of(tasks.iter().map(command), Again::Never).await;
        sent.into_iter().map(|answer| answer.map(|_| Published::default())).collect()
    }

    /// One command, so that a task is on all of its queues or on none.
    fn push(&self, queues: &[String], task: &Task<'_>) -> Cmd {
        let (text, priority) = (task.message.text(), task.route.priority);
        let keys: Vec<String> = queues.iter().map(|queue| self.key(queue, priority)).collect();
        let mut command = cmd("LPUSH");
        if let [key] = &keys[..] {
            command.arg(key).arg(text);
            return command;
        }
        let mut command = cmd("EVAL");
        command.arg("for _, key in ipairs(KEYS) do redis.call('LPUSH', key, ARGV[1]) end").arg(keys.len()).arg(keys).arg(text);
        command
    }

    /// The list of a queue for this priority.
    fn key(&self, queue: &str, priority: u8) -> String {
        match self.steps.iter().rev().find(|step| **step <= priority) {
            None | Some(0) => format!("{}{queue}", self.prefix),
            Some(step) => format!("{}{queue}{}{step}", self.prefix, self.separator),
        }
    }

    /// What workers have bound to an exchange: routing key, pattern and queue in one.
    async fn bindings(&self, exchange: &str) -> Result<Vec<String>, PublishError> {
        let mut ask = pipe();
        ask.cmd("SMEMBERS").arg(format!("{}_kombu.binding.{exchange}", self.prefix));
        let [bindings] = self.redis.ask::<[Vec<String>; 1]>(&ask, Again::Harmless).await?;
        Ok(bindings)
    }

    /// The queues that an exchange leads to by this key.
    fn queues(&self, exchange: &str, bindings: &[String], routing_key: &str) -> Result<Vec<String>, PublishError> {
        let queue = |binding: &String| {
            let mut parts = binding.split(&self.separator);
            let (key, pattern, queue) = (parts.next()?, parts.next()?, parts.next()?);
            // A direct exchange has no patterns.
            let leads = if pattern.is_empty() { key == routing_key } else { fits(&words(key), &words(routing_key)) };
            leads.then(|| queue.to_owned())
        };
        let mut queues: Vec<String> = bindings.iter().filter_map(queue).collect();
        queues.sort_unstable();
        queues.dedup();
        if queues.is_empty() {
            return Err(PublishError::Misconfigured(format!(
                "Redis: the exchange {exchange} leads to no queue by the routing key {routing_key}: workers that listen to one bind it when they start"
            )));
        }
        Ok(queues)
    }

    pub(crate) async fn check(&self) -> Result<(), PublishError> {
        self.redis.check().await
    }
}

/// The Redis at the URL that an option says, or that is kept where it says.
pub(crate) fn open(option: &'static str, url: &str, cx: &Init) -> Result<errand_redis::Redis, OptionError> {
    let server = |url: &Secret| errand_redis::server(&Secret::new(redis_url(url.expose())?));
    let server = Credential::from_option(option, &Secret::new(url), cx, server)?;
    Ok(errand_redis::Redis::new(server, Timeouts::default(), cx)?)
}

fn words(key: &str) -> Vec<&str> {
    key.split('.').collect()
}

/// Whether a topic's pattern fits a routing key: `*` stands for one word, `#` for any number of them.
fn fits(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => fits(rest, key) || !key.is_empty() && fits(pattern, &key[1..]),
        (["*", rest @ ..], [_, key @ ..]) => fits(rest, key),
        ([word, rest @ ..], [first, key @ ..]) if word == first => fits(rest, key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_lead_by_words() {
        for (pattern, key, leads) in [
            ("tasks.#", "tasks.mail.high", true),
            ("tasks.#", "tasks", true),
            ("tasks.*", "tasks.mail", true),
            ("tasks.*", "tasks.mail.high", false),
            ("#.high", "tasks.mail.high", true),
            ("tasks", "tasks.mail", false),
            ("*.mail.#", "tasks.mail", true),
        ] {
            assert_eq!(fits(&words(pattern), &words(key)), leads, "{pattern} {key}");
        }
    }
}
