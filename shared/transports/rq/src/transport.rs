use std::{sync::Arc, time::Duration};

use errand_core::{Clock, Envelope, Init, OBJECT_LIMIT, OptionError, PublishError, Published, Transport, TransportLimits, WorkerResult};
use errand_redis::{Again, Redis};

use crate::{
    Options,
    job::{enqueue, job_id},
    result,
};

/// The longest delay that RQ's scheduler is asked to keep: what a task can have at all.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Puts jobs on the queues of RQ.
pub struct Rq {
    redis: Redis,
    options: Options,
    clock: Arc<dyn Clock>,
}

impl Transport for Rq {
    const BACKEND: &'static str = "rq";
    type Options = Options;

    fn new(_: &str, mut options: Options, cx: &Init) -> Result<Self, OptionError> {
        options.check()?;
        Ok(Self { redis: options.place().open(cx)?, options, clock: cx.clock()? })
    }

    fn limits(&self) -> TransportLimits {
        let delay = if self.options.with_scheduler { LONGEST_DELAY } else { Duration::ZERO };
        TransportLimits { delay, bytes: OBJECT_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let now = self.clock.now();
        let jobs = envelopes.iter().map(|envelope| enqueue(envelope, &self.options, now, self.limits().bytes));
        let sent = self.redis.each_of(jobs, Again::Harmless).await;
        let published = |envelope: &Envelope| Published { message_id: Some(job_id(&envelope.id).into_owned()) };
        sent.into_iter().zip(envelopes).map(|(sent, envelope)| sent.map(|_| published(envelope))).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.redis.check().await
    }

    fn reads_results(&self) -> Option<Duration> {
        self.options.result_timeout()
    }

    async fn result(&self, id: &str, _: Option<&str>) -> Result<WorkerResult, PublishError> {
        Ok(result::read(self.redis.ask(&result::ask(&job_id(id)), Again::Harmless).await?))
    }
}
