use std::time::Duration;

use errand_core::{Init, OptionError, PublishError, WorkerResult};
use errand_redis::{Again, redis::pipe};
use errand_wire::celery;

use crate::{Options, redis::open};

/// Where workers put results: Celery's result backend on Redis.
pub(crate) struct Results {
    redis: errand_redis::Redis,
    /// Comes before each key.
    prefix: String,
    /// How long a result is waited for.
    pub(crate) limit: Duration,
}

impl Results {
    pub(crate) fn of(options: &Options, cx: &Init) -> Result<Option<Self>, OptionError> {
        let limit = options.result_timeout(WorkerResult::LONGEST)?;
        let Some(url) = &options.result_backend else { return Ok(None) };
        let redis = open("result_backend", url, cx)?;
        Ok(Some(Self { redis, prefix: options.result_backend_transport_options.global_keyprefix.clone(), limit }))
    }

    /// What a worker has left of a task; nothing yet may mean as well that it has no such task.
    pub(crate) async fn of_task(&self, id: &str) -> Result<WorkerResult, PublishError> {
        let mut ask = pipe();
        ask.cmd("GET").arg(format!("{}{}", self.prefix, celery::result_key(id)));
        let [bytes] = self.redis.ask::<[Option<Vec<u8>>; 1]>(&ask, Again::Harmless).await?;
        let Some(bytes) = bytes else { return Ok(WorkerResult::Pending) };
        let read = String::from_utf8(bytes).ok().and_then(|text| celery::worker_result(&text).ok());
        read.ok_or_else(|| PublishError::Misconfigured("the worker's result is not JSON: its result_serializer must be json".to_owned()))
    }
}
