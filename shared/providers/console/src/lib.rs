//! Prints each message of task `console` as one line on standard output: for trying out. It prints what it is given, so it is not for anything
//! that logs must not hold.

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Provider, Receipt, SettingsError};
use errand_payloads::console::Line;

/// Prints.
pub struct Console;

impl Provider for Console {
    const NAME: &'static str = "console";
    const TASKS: &'static [&'static str] = &["console"];
    type Payload = Line;

    fn new(_: &Environment, _: &Init) -> Result<Self, SettingsError> {
        Ok(Self)
    }

    async fn deliver(&self, Line(json): Line, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        print(&mut std::io::stdout().lock(), &json, attempt)
            .map_err(|error| DeliveryError::new(ErrorKind::Unavailable, "standard output takes nothing").caused_by(error))?;
        Ok(Receipt::default())
    }
}

fn print(out: &mut impl std::io::Write, json: &str, attempt: &Attempt) -> std::io::Result<()> {
    // As one line, whatever white space the sender wrote: in JSON, line breaks stand only between tokens.
    writeln!(out, "{} {}", attempt.key, json.replace(['\r', '\n'], " "))
}

#[cfg(test)]
mod tests {
    use errand_core::Payload;

    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line() {
        let attempt = Attempt { id: "k".to_owned(), key: "k".to_owned(), task: "console".to_owned(), number: 1, trace: None };
        let Line(json) = Line::from_json("{\n\"text\":\"a\\nb\"\r\n}").unwrap();
        let mut out = Vec::new();
        print(&mut out, &json, &attempt).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "k { \"text\":\"a\\nb\"  }\n");
        assert!(Console.deliver(Line(json), &attempt).await.is_ok());
    }
}
