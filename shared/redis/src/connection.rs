use std::{
    fmt, iter,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use errand_core::{Clock, Init, PublishError, Secret, SettingsError, Timestamp};
use errand_http::{Credential, Kept};
use redis::{Arg, AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};

use crate::{
    failure::{Failed, is_of_replica, meaning},
    kind::Connection,
    place::complete,
};

/// How long a connection may be unused before it is asked whether it still lives: while a function is frozen its connections die.
const FRESH: Duration = Duration::from_secs(1);

/// The most commands that are sent together, and about how many bytes: each answer comes within the time that an answer may take.
const TOGETHER: usize = 128;
const TOGETHER_BYTES: usize = 1024 * 1024;

/// How long to wait for a server: a dead one must not eat an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// How long a connection may take to be made.
    pub connect: Duration,
    /// How long an answer may take to come.
    pub answer: Duration,
}

impl Timeouts {
    /// What each is when it is not said.
    pub(crate) const USUAL: Duration = Duration::from_secs(2);
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Self::USUAL, answer: Self::USUAL }
    }
}

/// Whether what was sent and not answered may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It has the same effect if it is done twice.
    Harmless,
    /// It would be there twice.
    Never,
}

/// One Redis server, or what stands before several, over one connection: made when it is first needed and shared from then on. One that died while nobody used it is
/// found out before anything is asked, and made anew.
pub struct Redis {
    server: Credential<Client>,
    password: Option<Credential>,
    certificates: Option<Credential>,
    timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    /// Whether the server is a node of a cluster that is spoken to as a whole.
    is_cluster: bool,
    connection: Kept<Connection>,
    /// When the connection was last known to live.
    heard: Mutex<Option<Timestamp>>,
}

impl Redis {
    /// Of this server. Nobody is called yet.
    ///
    /// # Errors
    /// The function that is starting has no clock.
    pub fn new(server: Credential<Client>, timeouts: Timeouts, cx: &Init) -> Result<Self, SettingsError> {
        let timeouts = Timeouts { connect: cx.call_timeout(timeouts.connect), answer: cx.call_timeout(timeouts.answer) };
        Ok(Self {
            server,
            password: None,
            certificates: None,
            timeouts,
            clock: cx.clock()?,
            is_cluster: false,
            connection: Kept::new(),
            heard: Mutex::default(),
        })
    }

    /// With what belongs to the server and is kept by itself.
    pub(crate) fn with(self, password: Option<Credential>, certificates: Option<Credential>) -> Self {
        Self { password, certificates, ..self }
    }

    /// The whole cluster of which the server is a node. What belongs together must then have one key.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn of_cluster(self) -> Self {
        Self { is_cluster: true, ..self }
    }

    /// Does what belongs together.
    ///
    /// # Errors
    /// The server cannot be reached, refuses any of it or answers otherwise than expected; or what was asked is done perhaps.
    pub async fn ask<T: FromRedisValue + Send>(&self, commands: &Pipeline, again: Again) -> Result<T, PublishError> {
        self.send(commands, again, |_| None).await
    }

    /// Does each command for itself, many at once: one answer for each, in their order. When the server is lost on the way, what was not sent is not.
    pub async fn each(&self, commands: Vec<Cmd>, again: Again) -> Vec<Result<Value, PublishError>> {
        let (all, mut answers) = (commands.len(), Vec::with_capacity(commands.len()));
        for together in together(commands, self.is_cluster) {
            match self.send(&together, again, |answers: &Vec<_>| refused_by_replica(answers)).await {
                Ok(answered) => {
                    answers.extend(answered.into_iter().map(|answer| answer.map_err(|error| Failed::from(meaning(&error)).error)))
                }
                Err(error) => {
                    answers.extend(iter::repeat_n(Err(error.clone()), together.len()));
                    answers.resize(all, Err(error.behind()));
                    break;
                }
            }
        }
        answers
    }

    /// The same of commands that some could not be made: those keep their error, in its place.
    pub async fn each_of(
        &self,
        commands: impl Iterator<Item = Result<Cmd, PublishError>>,
        again: Again,
    ) -> Vec<Result<Value, PublishError>> {
        let mut made = Vec::with_capacity(commands.size_hint().0);
        let places: Vec<Result<(), PublishError>> = commands.map(|command| command.map(|command| made.push(command))).collect();
        let mut answers = self.each(made, again).await.into_iter();
        // There is one answer for each that was made.
        let answer = |place: Result<(), PublishError>| place.and_then(|()| answers.next().unwrap_or(Ok(Value::Nil)));
        places.into_iter().map(answer).collect()
    }

    /// Whether it can be reached and lets us in.
    ///
    /// # Errors
    /// It cannot, or does not.
    pub async fn check(&self) -> Result<(), PublishError> {
        self.ask(redis::pipe().cmd("PING").ignore(), Again::Harmless).await
    }

    /// Sends commands together; `lost` finds among the answers that of a replica, where it is all there is.
    async fn send<T: FromRedisValue + Send>(
        &self,
        commands: &Pipeline,
        again: Again,
        lost: fn(&T) -> Option<&RedisError>,
    ) -> Result<T, PublishError> {
        // What is there perhaps stays so, whatever becomes of a second time.
        let perhaps = &OnceLock::new();
        let send = |connection| async move {
            let sent = self.send_over(connection, commands, again, lost).await;
            if let Err(Failed { error: error @ PublishError::OutcomeUnknown(_), .. }) = &sent {
                perhaps.get_or_init(|| error.clone());
            }
            sent
        };
        let sent = self.connection.with(|| self.connect(), send, |failed: &Failed| failed.died).await;
        sent.map_err(|failed| perhaps.get().cloned().unwrap_or(failed.error))
    }

    async fn connect(&self) -> Result<Connection, Failed> {
        let certificates = match &self.certificates {
            Some(certificates) => Some(certificates.get().await?),
            None => None,
        };
        let connect = async |server: Client, password: Option<Secret>| {
            let connected = match complete(server, password.as_ref(), certificates.as_ref()) {
                Ok(server) => self.connect_to(&server).await,
                Err(error) => Err(error),
            };
            connected.map_err(|error| meaning(&error))
        };
        let connection = match &self.password {
            None => self.server.with(|server| connect(server, None)).await?,
            Some(password) => {
                let server = self.server.get().await?;
                password.with(|password| connect(server.clone(), Some(password))).await?
            }
        };
        self.hear(true);
        Ok(connection)
    }

    async fn connect_to(&self, server: &Client) -> RedisResult<Connection> {
        #[cfg(feature = "cluster")]
        if self.is_cluster {
            return crate::kind::to_cluster(server, self.timeouts).await;
        }
        let Timeouts { connect, answer } = self.timeouts;
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(connect)).set_response_timeout(Some(answer));
        Ok(Connection::One(server.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn send_over<T: FromRedisValue>(
        &self,
        mut connection: Connection,
        commands: &Pipeline,
        again: Again,
        lost: fn(&T) -> Option<&RedisError>,
    ) -> Result<T, Failed> {
        if !self.is_fresh() {
            redis::cmd("PING").exec_async(&mut connection).await.map_err(|error| Failed::before(&error))?;
        }
        let answers = commands.query_async::<T>(&mut connection).await;
        if let Err(error) = &answers
            && (error.is_io_error() || error.is_unrecoverable_error())
        {
            self.hear(false);
            return Err(Failed::unanswered(error, self.timeouts.answer, again == Again::Harmless));
        }
        self.hear(true);
        match answers {
            Ok(answers) => lost(&answers).map_or(Ok(()), |error| Err(Failed::refused(error))).map(|()| answers),
            Err(error) => Err(Failed::refused(&error)),
        }
    }

    /// Whether the connection is known to live. A clock that was set back says nothing.
    fn is_fresh(&self) -> bool {
        let now = self.clock.now();
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|heard| heard <= now && now <= heard + FRESH)
    }

    /// Notes whether the connection lives.
    fn hear(&self, lives: bool) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = lives.then(|| self.clock.now());
    }
}

impl fmt::Debug for Redis {
    /// Leaves out the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

/// What a replica says, where it says so to all.
fn refused_by_replica(answers: &[RedisResult<Value>]) -> Option<&RedisError> {
    let mut errors = answers.iter().map(|answer| answer.as_ref().err().filter(|error| is_of_replica(error)));
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then_some(first)
}

/// Commands in pipelines that are not too long; of one key each where that must be.
fn together(commands: Vec<Cmd>, of_one_key: bool) -> Vec<Pipeline> {
    let mut pipelines: Vec<Pipeline> = Vec::new();
    let (mut room, mut key) = (0, Vec::new());
    for command in commands {
        let bytes = command.args_iter().map(|arg| simple(arg).len()).sum();
        let is_same = !of_one_key || command.args_iter().nth(1).is_some_and(|arg| simple(arg) == key);
        match pipelines.last_mut() {
            Some(pipeline) if pipeline.len() < TOGETHER && bytes <= room && is_same => {
                room -= bytes;
                pipeline.add_command(command);
            }
            _ => {
                room = TOGETHER_BYTES.saturating_sub(bytes);
                key = command.args_iter().nth(1).map(|arg| simple(arg).to_vec()).unwrap_or_default();
                let mut pipeline = redis::pipe();
                pipeline.ignore_errors().add_command(command);
                pipelines.push(pipeline);
            }
        }
    }
    pipelines
}

/// The bytes of an argument.
fn simple(arg: Arg<&[u8]>) -> &[u8] {
    match arg {
        Arg::Simple(bytes) => bytes,
        _ => &[],
    }
}
