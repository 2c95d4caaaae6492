use std::{borrow::Cow, time::Duration};

use errand_core::{DeliveryError, ErrorKind as Kind, PublishError};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why something was not done, and what becomes of the connection.
pub(crate) struct Failed {
    pub(crate) error: PublishError,
    /// Whether all of it is to be done over a new connection, since this one has died or leads to the wrong server; and nothing was done, or may be done twice.
    pub(crate) died: bool,
}

impl Failed {
    /// Nothing was asked yet.
    pub(crate) fn before(error: &RedisError) -> Self {
        Self { died: error.is_io_error() || error.is_unrecoverable_error(), ..Self::from(meaning(error)) }
    }

    /// The server refused it.
    pub(crate) fn refused(error: &RedisError) -> Self {
        // After a fail-over the name leads to another server, and this connection to what is a replica now.
        Self { died: is_of_replica(error), ..Self::from(meaning(error)) }
    }

    /// It was asked, and is done perhaps.
    pub(crate) fn unanswered(error: &RedisError, waited: Duration, may_be_done_twice: bool) -> Self {
        let why = match error.is_timeout() {
            true => format!("Redis: no answer within {} seconds", waited.as_secs_f64()),
            false => "Redis: the connection ended before an answer came".to_owned(),
        };
        Self { error: PublishError::OutcomeUnknown(why), died: may_be_done_twice && !error.is_timeout() }
    }
}

impl From<DeliveryError> for Failed {
    /// Nothing was done.
    fn from(error: DeliveryError) -> Self {
        let error = match error.kind {
            Kind::Misconfigured => PublishError::Misconfigured(error.message),
            _ => PublishError::Unavailable(error.message),
        };
        Self { error, died: false }
    }
}

/// What an error means that the server answered, or that came while a connection was made. Its own text may hold parts of a command.
pub(crate) fn meaning(error: &RedisError) -> DeliveryError {
    let code = code(error);
    let (kind, what) = match (error.kind(), &*code) {
        (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS") => (Kind::Misconfigured, "the password or user name is refused"),
        (_, "NOAUTH") => (Kind::Misconfigured, "a password is required"),
        (_, "NOPERM") => (Kind::Misconfigured, "the user may not do this (NOPERM): see the server's access lists"),
        (_, "OOM") => (Kind::Unavailable, "its memory is full (OOM)"),
        (_, "READONLY") => (Kind::Unavailable, "it is a replica and takes nothing (READONLY)"),
        (_, "MOVED" | "ASK" | "CROSSSLOT") => {
            (Kind::Misconfigured, "it is a node of a cluster and the key is another's (MOVED): see the option cluster")
        }
        (_, "WRONGTYPE") => (Kind::Misconfigured, "what has this name there is of another type (WRONGTYPE)"),
        (_, "LOADING") => (Kind::Unavailable, "it is starting (LOADING)"),
        (_, "MISCONF") => (Kind::Unavailable, "it cannot write to its disk (MISCONF)"),
        // Such as a command that an old server does not know.
        (ErrorKind::Server(ServerErrorKind::ResponseError), _) => (Kind::Misconfigured, "it refuses the command (ERR)"),
        (ErrorKind::InvalidClientConfig, _) => (Kind::Misconfigured, error.category()),
        (ErrorKind::Io, _) if error.is_connection_refusal() => (Kind::Unavailable, "the connection is refused"),
        (ErrorKind::Io, _) if error.is_timeout() => (Kind::Unavailable, "it does not answer in time"),
        // The client wraps it in an error of input and output.
        (ErrorKind::Io, _) if error.to_string().contains("certificate") => {
            (Kind::Misconfigured, "its certificate is not trusted: ssl_ca_data says which are")
        }
        (ErrorKind::Io, _) => (Kind::Unavailable, "it cannot be reached, or ends the connection"),
        (_, "") => (Kind::Unavailable, error.category()),
        (_, code) => (Kind::Unavailable, code),
    };
    DeliveryError::new(kind, format!("Redis: {what}"))
}

/// Whether it is what a replica answers to who would write.
pub(crate) fn is_of_replica(error: &RedisError) -> bool {
    code(error) == "READONLY"
}

/// The code that the server answered, or that of the command for which it refused a pipeline, a transaction or a script; empty where it answered nothing.
fn code(error: &RedisError) -> Cow<'_, str> {
    const INNER: [&str; 5] = ["OOM", "READONLY", "NOPERM", "WRONGTYPE", "MISCONF"];
    let errors = error.clone().into_server_errors();
    let code = match errors.iter().flat_map(|errors| errors.iter()).map(|(_, error)| error.code()).next() {
        Some(code) => Cow::Owned(code.to_owned()),
        None => Cow::Borrowed(error.code().unwrap_or_default()),
    };
    // Before Redis 7, what a script was refused for stands in the text.
    let in_text = |code: &&str| error.to_string().contains(&format!("-{code} "));
    match &*code {
        "ERR" => INNER.into_iter().find(in_text).map_or(code, Cow::Borrowed),
        _ => code,
    }
}
