//! Writes each envelope as one line, on standard output, standard error or into a file: for trying out, and as the smallest example of a transport. It writes what it is
//! given, so it is not for anything that logs must not hold.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use errand_core::{BODY_LIMIT, Envelope, Init, OptionError, Problems, PublishError, Published, Transport, TransportLimits};
use serde::Deserialize;

/// What an alias says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where lines go; to standard output when neither is said.
    to: Option<Stream>,
    /// The file that lines are added to. It is made when there is none.
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stream {
    Stdout,
    Stderr,
}

/// Where lines go.
enum Out {
    Stream(Stream),
    /// Opened with the first line.
    File(PathBuf, Option<File>),
}

/// Writes lines.
pub struct Console {
    alias: String,
    out: Mutex<Out>,
}

impl Transport for Console {
    const BACKEND: &'static str = "console";
    type Options = Options;

    fn new(alias: &str, Options { to, file }: Options, _: &Init) -> Result<Self, OptionError> {
        let out = match (to, file) {
            (Some(_), Some(_)) => return Err(Problems::at("/file", "expected either to or file, got both").into()),
            (_, Some(file)) if file.as_os_str().is_empty() => return Err(Problems::at("/file", "expected the path of a file").into()),
            (_, Some(file)) => Out::File(file, None),
            (to, None) => Out::Stream(to.unwrap_or(Stream::Stdout)),
        };
        Ok(Self { alias: alias.to_owned(), out: Mutex::new(out) })
    }

    /// Nothing is held back here.
    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: Duration::ZERO, bytes: BODY_LIMIT }
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        envelopes.iter().map(|envelope| self.write(envelope)).collect()
    }

    async fn check(&self) -> Result<(), PublishError> {
        self.out().write("").map_err(failed)
    }
}

impl Console {
    fn write(&self, envelope: &Envelope) -> Result<Published, PublishError> {
        // With what it was handed to, as a caller says it.
        let line = errand_wire::encode(&Envelope { backend: Some(self.alias.clone()), ..envelope.clone() });
        if line.len() > BODY_LIMIT {
            return Err(PublishError::TooLarge { limit: BODY_LIMIT });
        }
        // As one line, whatever white space the arguments were written with: in JSON, line breaks stand only between tokens.
        self.out().write(&format!("{}\n", line.replace(['\r', '\n'], " "))).map_err(failed)?;
        Ok(Published::default())
    }

    fn out(&self) -> std::sync::MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stream(Stream::Stdout) => io::stdout().lock().write_all(text.as_bytes()),
            Self::Stream(Stream::Stderr) => io::stderr().lock().write_all(text.as_bytes()),
            Self::File(path, open) => {
                let file = match open {
                    Some(file) => file,
                    None => open.insert(File::options().create(true).append(true).open(path)?),
                };
                file.write_all(text.as_bytes())
            }
        }
    }
}

/// A file that cannot be opened, or a stream that takes nothing. The path is the operator's to know.
fn failed(error: io::Error) -> PublishError {
    PublishError::Unavailable(format!("console: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use errand_core::Fields;
    use errand_testkit::transport::{conformance, envelope};

    use super::*;

    fn console(options: &str) -> Result<Console, OptionError> {
        Console::new("audit", Fields::value(options)?, &Init::default())
    }

    #[tokio::test]
    async fn it_keeps_the_contract_of_a_transport() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lines");
        let console = console(&format!(r#"{{"file":{file:?}}}"#)).unwrap();
        conformance(&console, None).await;
        let before = std::fs::read_to_string(&file).unwrap();
        assert!(before.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "each is one line");
        let spread = Envelope { destination: Some("d".to_owned()), kwargs: Fields::value("{\n\"a\":\r\n1}").ok(), ..envelope("x") };
        assert!(console.publish(&[spread]).await[0].is_ok());
        let line = std::fs::read_to_string(&file).unwrap()[before.len()..].to_owned();
        assert_eq!(
            line,
            "{\"task\":\"email\",\"id\":\"x\",\"kwargs\":{ \"a\":  1},\"queue\":\"default\",\"backend\":\"audit\",\"destination\":\"d\"}\n"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_told_without_its_path() {
        let console = console(r#"{"file":"/no-such-folder/lines"}"#).unwrap();
        let failed = Err(PublishError::Unavailable("console: entity not found".to_owned()));
        assert_eq!((console.check().await, console.publish(&[envelope("a")]).await.remove(0).map(drop)), (failed.clone(), failed));
    }

    #[test]
    fn options_are_checked() {
        let told = |options: &str| console(options).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!((told("{}"), told(r#"{"to":"stderr"}"#)), (String::new(), String::new()));
        assert!(told(r#"{"to":"file"}"#).starts_with("/to: "));
        assert_eq!(told(r#"{"to":"stdout","file":"x"}"#), "/file: expected either to or file, got both");
        assert_eq!(told(r#"{"file":""}"#), "/file: expected the path of a file");
    }
}
