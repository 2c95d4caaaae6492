use std::{io, sync::Arc, time::Duration};

use errand_api::Scope;
use errand_core::{Secret, StorageError};
use errand_enqueue::Enqueue;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::watch,
    task::spawn_blocking,
    time::timeout,
};

use super::{
    message,
    session::{Envelope, Next, SIZE_LIMIT, Session, TOO_LARGE},
};
use crate::{
    guard,
    listen::Place,
    mail::{Caught, LocalMail},
};

/// How long a client may say nothing, and take nothing: what RFC 5321, section 4.5.3.2, asks for at least.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The longest line of a command, in bytes: RFC 4954, section 4, asks for this for passwords.
const LINE_LIMIT: u64 = 12 * 1024;

/// Where mail comes in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) caught: LocalMail,
    /// Who may send, as for calls: its `access`.
    pub(crate) enqueue: Arc<Enqueue>,
}

/// Why a conversation ends before the client says so.
enum End {
    /// It is told why.
    Told(&'static str),
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Speaks with a client until it goes, is silent for too long, its place is taken, or it is time to stop: nothing of a message is kept then that is not whole,
/// and a client sends it again.
pub(crate) async fn serve(stream: TcpStream, place: Place, door: Door, mut stop: watch::Receiver<bool>) {
    let mut client = Client { stream: BufReader::new(stream) };
    let ended = tokio::select! {
        ended = client.converse(&door, &place) => ended,
        () = place.is_taken() => Err(End::Told("421 4.3.2 there are too many connections")),
        _ = stop.wait_for(|stop| *stop) => Err(End::Told("421 4.3.2 the server stops")),
    };
    if let Err(End::Told(why)) = ended {
        let _ = timeout(Duration::from_secs(1), client.say(why)).await;
    }
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn converse(&mut self, door: &Door, place: &Place) -> Result<(), End> {
        let mut session = Session::new(door.enqueue.access.is_open());
        self.say("220 errand catches mail").await?;
        loop {
            let Some(line) = self.line().await? else {
                self.say("500 5.5.2 the line is too long").await?;
                continue;
            };
            let next = match session.line(&line) {
                Next::Admit(password) => session.admit(is_good(door, &password).await),
                next => next,
            };
            match next {
                Next::Say(text) => self.say(&text).await?,
                Next::Close(text) => return Ok(self.say(&text).await?),
                Next::Take(envelope) => {
                    self.say("354 end it with a line that is a dot").await?;
                    place.works();
                    let taken = self.take(envelope, &door.caught).await?;
                    place.waits();
                    self.say(&taken).await?;
                }
                Next::Admit(_) => {}
            }
        }
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let told = timeout(PATIENCE, self.stream.write_all(format!("{text}\r\n").as_bytes())).await;
        told.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The next line of at most `limit` bytes with its end, or so many bytes of it.
    async fn part(&mut self, limit: u64, part: &mut Vec<u8>) -> Result<(), End> {
        part.clear();
        match timeout(PATIENCE, (&mut self.stream).take(limit).read_until(b'\n', part)).await {
            Err(_) => Err(End::Told("421 4.4.2 nothing was said for five minutes")),
            Ok(Ok(1..)) => Ok(()),
            Ok(_) => Err(End::Gone),
        }
    }

    /// A command; none where it is too long, and read past.
    async fn line(&mut self) -> Result<Option<String>, End> {
        let mut line = Vec::new();
        self.part(LINE_LIMIT, &mut line).await?;
        if line.ends_with(b"\n") {
            return Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()));
        }
        while !line.ends_with(b"\n") {
            self.part(LINE_LIMIT, &mut line).await?;
        }
        Ok(None)
    }

    /// Takes a message to its end, and keeps it; answers what the client is told.
    async fn take(&mut self, envelope: Envelope, caught: &LocalMail) -> Result<String, End> {
        let (mut source, mut part) = (Vec::new(), Vec::new());
        let (mut too_large, mut begins) = (false, true);
        loop {
            self.part(64 * 1024, &mut part).await?;
            // Only a dot between two ends of lines of both letters ends it: others are taken for the end here and not there, which smuggles messages.
            if begins && part == b".\r\n" {
                break;
            }
            let content = if begins && part.starts_with(b".") { &part[1..] } else { &part[..] };
            too_large |= source.len() + content.len() > SIZE_LIMIT;
            if !too_large {
                source.extend_from_slice(content);
            }
            begins = part.ends_with(b"\r\n");
        }
        if too_large {
            return Ok(TOO_LARGE.to_owned());
        }
        Ok(match keep(source, envelope, caught).await {
            Ok(id) => format!("250 2.0.0 kept as {id}"),
            Err(error) => {
                tracing::error!(%error, "a mail cannot be kept");
                "451 4.3.0 it cannot be kept now: the log says why".to_owned()
            }
        })
    }
}

async fn keep(source: Vec<u8>, envelope: Envelope, caught: &LocalMail) -> Result<i64, StorageError> {
    // A large one takes a while to read, in which others are answered.
    let read = spawn_blocking(move || Caught { mail: message::read(&source, &envelope), source: Some(source), ..Caught::default() });
    caught.keep(read.await.map_err(|_| StorageError("the message cannot be read".to_owned()))?).await
}

/// Whether a password is a key that may send; any is, where there are no keys.
async fn is_good(door: &Door, password: &Secret) -> bool {
    guard::admit(&door.enqueue.access, password, Scope::Send).await.is_ok()
}
