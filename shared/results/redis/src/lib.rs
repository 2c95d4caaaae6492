//! Celery's result backend in Redis: what `AsyncResult.get()` reads and waits for.
//! <https://docs.celeryq.dev/en/stable/userguide/configuration.html#redis-backend-settings>

use std::{fmt, time::Duration};

use errand_core::{
    DeliveryError, Environment, ErrorKind, ForeignResult, Init, PublishError, ResultBackend, Secret, SettingsError,
    settings::all::{CELERY_RESULT_BACKEND, CELERY_RESULT_EXPIRES_SECONDS, CELERY_RESULT_PREFIX},
};
use errand_http::{Credential, Kept};
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

/// How long a connection may take to be made, and an answer to come: a dead server must not eat an invocation.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One Redis server, or what stands before several. It is connected to when the first result is kept.
pub struct Redis {
    server: Credential<Client>,
    prefix: String,
    lifetime_seconds: u64,
    connection: Kept<MultiplexedConnection>,
}

impl Redis {
    /// The server that `ERRAND_CELERY_RESULT_BACKEND` names, if it is set: a URL as Celery's `result_backend` has it.
    ///
    /// # Errors
    /// It is no such URL, or another of its settings is wrong. The value is left out of the error: it may hold a password.
    pub fn from_env(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        let Some(server) = Credential::from_env(env, &CELERY_RESULT_BACKEND, cx, server)? else { return Ok(None) };
        let lifetime = env.number(&CELERY_RESULT_EXPIRES_SECONDS)?;
        Ok(Some(Self {
            server,
            prefix: env.get(&CELERY_RESULT_PREFIX).unwrap_or_default().to_owned(),
            lifetime_seconds: lifetime.map_or(Self::LIFETIME.as_secs(), u64::from),
            connection: Kept::new(),
        }))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Failed> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
        let connected = self.server.with(|server| {
            let config = &config;
            async move { server.get_multiplexed_async_connection_with_config(config).await.map_err(|error| failed(&error)) }
        });
        connected.await.map_err(|error| Failed { error, died: false })
    }

    /// As Celery's own backend does: the value under its key, and to who has subscribed to it.
    async fn set(&self, mut connection: MultiplexedConnection, key: &str, value: &str) -> Result<(), Failed> {
        let mut commands = redis::pipe();
        commands.atomic().cmd("SETEX").arg(key).arg(self.lifetime_seconds).arg(value).ignore();
        commands.cmd("PUBLISH").arg(key).arg(value).ignore();
        let set = commands.query_async(&mut connection).await;
        set.map_err(|error: RedisError| Failed { error: failed(&error), died: error.is_unrecoverable_error() })
    }
}

impl ResultBackend for Redis {
    async fn keep(&self, result: &ForeignResult) -> Result<(), PublishError> {
        let key = format!("{}{}", self.prefix, result.key);
        let set = |connection| self.set(connection, &key, &result.value);
        let kept = self.connection.with(|| self.connect(), set, |failed: &Failed| failed.died).await;
        kept.map_err(|Failed { error, .. }| match error.kind {
            ErrorKind::Misconfigured => PublishError::Misconfigured(error.message),
            _ => PublishError::Unavailable(error.message),
        })
    }
}

/// What went wrong, and whether the connection did not outlive it.
struct Failed {
    error: DeliveryError,
    died: bool,
}

/// What a failure means; its text may hold parts of a command.
fn failed(error: &RedisError) -> DeliveryError {
    let what = error.code().map_or_else(|| error.category().to_owned(), ToOwned::to_owned);
    let kind = match error.kind() {
        redis::ErrorKind::AuthenticationFailed | redis::ErrorKind::InvalidClientConfig => ErrorKind::Misconfigured,
        _ => ErrorKind::Unavailable,
    };
    DeliveryError::new(kind, format!("Redis: {what}"))
}

/// The form of a server's URL.
fn server(url: &Secret) -> Result<Client, String> {
    Client::open(url.expose()).map_err(|_| "expected a URL such as redis://host:6379/0, or rediss:// for TLS".to_owned())
}

impl fmt::Debug for Redis {
    /// Leaves out the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
