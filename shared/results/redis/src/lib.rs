//! Celery's result backend in Redis: what `AsyncResult.get()` reads and waits for.
//! <https://docs.celeryq.dev/en/stable/userguide/configuration.html#redis-backend-settings>

use errand_core::{
    Environment, ForeignResult, Init, PublishError, ResultBackend, SettingsError,
    settings::all::{CELERY_RESULT_BACKEND, CELERY_RESULT_EXPIRES_SECONDS, CELERY_RESULT_PREFIX},
};
use errand_http::Credential;
use errand_redis::{Again, Timeouts, redis::pipe};

/// Keeps results in one Redis. It is connected to when the first is kept.
#[derive(Debug)]
pub struct Redis {
    server: errand_redis::Redis,
    prefix: String,
    lifetime_seconds: u64,
}

impl Redis {
    /// The server that `ERRAND_CELERY_RESULT_BACKEND` names, if it is set: a URL as Celery's `result_backend` has it.
    ///
    /// # Errors
    /// It is no such URL, or another of its settings is wrong. The value is left out of the error: it may hold a password.
    pub fn from_env(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        let Some(server) = Credential::from_env(env, &CELERY_RESULT_BACKEND, cx, errand_redis::server)? else { return Ok(None) };
        let lifetime = env.number(&CELERY_RESULT_EXPIRES_SECONDS)?;
        Ok(Some(Self {
            server: errand_redis::Redis::new(server, Timeouts::default(), cx)?,
            prefix: env.get(&CELERY_RESULT_PREFIX).unwrap_or_default().to_owned(),
            lifetime_seconds: lifetime.map_or(Self::LIFETIME.as_secs(), u64::from),
        }))
    }
}

impl ResultBackend for Redis {
    /// As Celery's own backend does: the value under its key, and to who has subscribed to it.
    async fn keep(&self, ForeignResult { key, value }: &ForeignResult) -> Result<(), PublishError> {
        let key = format!("{}{key}", self.prefix);
        let mut commands = pipe();
        commands.atomic().cmd("SETEX").arg(&key).arg(self.lifetime_seconds).arg(value).ignore();
        commands.cmd("PUBLISH").arg(&key).arg(value).ignore();
        self.server.ask(&commands, Again::Harmless).await
    }
}
