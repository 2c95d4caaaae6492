//! What a client says and what it is answered, without any input and output.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::Secret;

/// The largest message, in bytes: what SES takes of one.
pub(super) const SIZE_LIMIT: usize = 40 * 1024 * 1024;

/// The most recipients of one message: those that RFC 5321, section 4.5.3.1.8, asks for at least.
const MOST_RECIPIENTS: usize = 100;

/// For whom and from whom a message is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Envelope {
    pub(super) sender: String,
    pub(super) recipients: Vec<String>,
}

/// One client's conversation.
#[derive(Default)]
pub(super) struct Session {
    greeted: bool,
    /// Whether it may send without saying who it is.
    admitted: bool,
    waits_for: Option<Waits>,
    envelope: Option<Envelope>,
}

/// What the next line is, where it is no command.
#[derive(Clone, Copy)]
enum Waits {
    Plain,
    User,
    Password,
}

/// What follows a line.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Say(String),
    /// Ask whether this password is good, and then [`Session::admit`].
    Admit(Secret),
    /// Say that the message may come, and take it.
    Take(Envelope),
    /// Say this, and close.
    Close(String),
}

fn say(text: &str) -> Next {
    Next::Say(text.to_owned())
}

impl Session {
    /// A conversation; where `open`, whoever comes may send, and any password is good.
    pub(super) fn new(open: bool) -> Self {
        Self { admitted: open, ..Self::default() }
    }

    /// Answers a line, without its end.
    pub(super) fn line(&mut self, line: &str) -> Next {
        if let Some(waits) = self.waits_for.take() {
            return self.authenticate(waits, line);
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" if rest.is_empty() => say("501 5.5.4 say your name"),
            "EHLO" => {
                self.greet();
                Next::Say(format!(
                    "250-errand\r\n250-SIZE {SIZE_LIMIT}\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN"
                ))
            }
            "HELO" => {
                self.greet();
                say("250 errand")
            }
            "AUTH" => self.auth(rest),
            "MAIL" => self.mail(rest).unwrap_or_else(say),
            "RCPT" => self.recipient(rest).unwrap_or_else(say),
            "DATA" => match self.envelope.take_if(|envelope| !envelope.recipients.is_empty()) {
                Some(envelope) => Next::Take(envelope),
                None => say("503 5.5.1 say MAIL and RCPT first"),
            },
            "RSET" => {
                self.envelope = None;
                say("250 2.0.0 forgotten")
            }
            "NOOP" => say("250 2.0.0 so be it"),
            "VRFY" => say("252 2.1.5 send it, and it is caught"),
            "HELP" => say("214 2.0.0 mail that comes here is caught, and shown at /mail"),
            "QUIT" => Next::Close("221 2.0.0 goodbye".to_owned()),
            "STARTTLS" | "EXPN" | "BDAT" => say("502 5.5.1 there is no such command here"),
            _ => say("500 5.5.2 this is no command"),
        }
    }

    /// Lets the client send, or tells that its password was wrong.
    pub(super) fn admit(&mut self, good: bool) -> Next {
        self.admitted |= good;
        say(if good { "235 2.7.0 welcome" } else { "535 5.7.8 the password is a key that may send, and this is none" })
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.envelope = None;
    }

    fn auth(&mut self, rest: &str) -> Next {
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        if !self.greeted || self.envelope.is_some() {
            return say("503 5.5.1 say EHLO first, and this before MAIL");
        }
        let (waits, asked) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => (Waits::Plain, "334 "),
            "LOGIN" => (Waits::User, "334 VXNlcm5hbWU6"), // "Username:"
            _ => return say("504 5.5.4 expected AUTH PLAIN or AUTH LOGIN"),
        };
        if initial.is_empty() {
            self.waits_for = Some(waits);
            return say(asked);
        }
        self.authenticate(waits, initial)
    }

    fn authenticate(&mut self, waits: Waits, line: &str) -> Next {
        let Some(said) = STANDARD.decode(line.trim()).ok().and_then(|said| String::from_utf8(said).ok()) else {
            return say("501 5.5.2 given up: expected base64");
        };
        match waits {
            // Whom to act for, the user and the password, with a zero between each: RFC 4616.
            Waits::Plain => match said.splitn(3, '\0').nth(2) {
                Some(password) => Next::Admit(Secret::new(password)),
                None => say("501 5.5.2 expected a user and a password"),
            },
            Waits::User => {
                self.waits_for = Some(Waits::Password);
                say("334 UGFzc3dvcmQ6") // "Password:"
            }
            Waits::Password => Next::Admit(Secret::new(said)),
        }
    }

    fn mail(&mut self, rest: &str) -> Result<Next, &'static str> {
        if !self.greeted || self.envelope.is_some() {
            return Err("503 5.5.1 say EHLO first, and MAIL once for each message");
        }
        if !self.admitted {
            return Err("530 5.7.0 say AUTH first: the password is a key that may send");
        }
        let (sender, parameters) = path(rest, "FROM:").ok_or("501 5.5.4 expected MAIL FROM:<address>")?;
        for parameter in parameters.split_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "SIZE" if value.parse().is_ok_and(|size: usize| size > SIZE_LIMIT) => return Err(TOO_LARGE),
                "SIZE" | "BODY" | "SMTPUTF8" | "AUTH" => {}
                _ => return Err("555 5.5.4 there is a parameter that is not known here"),
            }
        }
        self.envelope = Some(Envelope { sender, recipients: Vec::new() });
        Ok(say("250 2.1.0 a sender"))
    }

    fn recipient(&mut self, rest: &str) -> Result<Next, &'static str> {
        let envelope = self.envelope.as_mut().ok_or("503 5.5.1 say MAIL first")?;
        let (recipient, parameters) =
            path(rest, "TO:").filter(|(path, _)| !path.is_empty()).ok_or("501 5.5.4 expected RCPT TO:<address>")?;
        if !parameters.is_empty() {
            return Err("555 5.5.4 there is a parameter that is not known here");
        }
        if envelope.recipients.len() == MOST_RECIPIENTS {
            return Err("452 4.5.3 these are enough recipients for one message");
        }
        envelope.recipients.push(recipient);
        Ok(say("250 2.1.5 a recipient"))
    }
}

/// What a message is answered that is over the limit.
pub(super) const TOO_LARGE: &str = "552 5.3.4 the message is too large";

/// The address after `FROM:` or `TO:`, and what stands behind it. A route before the address is left out, as RFC 5321, appendix C, asks for.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let rest = rest.split_at_checked(keyword.len()).filter(|(said, _)| said.eq_ignore_ascii_case(keyword))?.1.trim_start();
    let mut quoted = false;
    let mut escaped = false;
    let end = rest.strip_prefix('<')?.find(|letter| {
        let ends = letter == '>' && !quoted;
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    let (address, behind) = (&rest[1..=end], &rest[end + 2..]);
    let address = if address.starts_with('@') { address.split_once(':')?.1 } else { address };
    (!address.contains(char::is_control)).then(|| (address.to_owned(), behind.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(session: &mut Session, line: &str) -> String {
        match session.line(line) {
            Next::Say(text) | Next::Close(text) => text,
            other => format!("{other:?}"),
        }
    }

    fn codes(session: &mut Session, lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| said(session, line)[..3].to_owned()).collect()
    }

    #[test]
    fn a_message_is_announced_in_order() {
        let mut session = Session::new(true);
        let lines = [
            "MAIL FROM:<a@x>",
            "DATA",
            "EHLO",
            "EHLO me",
            "RCPT TO:<b@x>",
            "mail from:<a@x> size=10 BODY=8BITMIME SMTPUTF8",
            "DATA",
            "MAIL FROM:<a@x>",
        ];
        assert_eq!(codes(&mut session, &lines), ["503", "503", "501", "250", "503", "250", "503", "503"]);
        let lines = [
            "RCPT TO:<>",
            "RCPT TO:b@x",
            "RCPT TO:<b@x> NOTIFY=NEVER",
            "RCPT TO: <b@x>",
            "Rcpt To:<@r1,@r2:\"odd>\\\"one\"@x>",
            "RCPT TO:<ü@ß.example>",
        ];
        assert_eq!(codes(&mut session, &lines), ["501", "501", "555", "250", "250", "250"]);
        let recipients = ["b@x", "\"odd>\\\"one\"@x", "ü@ß.example"].map(ToOwned::to_owned).to_vec();
        assert_eq!(session.line("DATA"), Next::Take(Envelope { sender: "a@x".to_owned(), recipients }));
        assert_eq!(
            codes(&mut session, &["DATA", "MAIL FROM:<>", "RSET", "RCPT TO:<b@x>", "NOOP", "VRFY x", "WHAT", "", "STARTTLS", "QUIT"]),
            ["503", "250", "250", "503", "250", "252", "500", "500", "502", "221"]
        );
    }

    #[test]
    fn what_is_too_large_or_too_many_is_told_before_it_is_sent() {
        let mut session = Session::new(true);
        session.line("EHLO me");
        assert_eq!(
            codes(&mut session, &["MAIL FROM:<a@x> SIZE=41943041", "MAIL FROM:<a@x> X=1", "MAIL FROM:<a@x> SIZE=41943040"]),
            ["552", "555", "250"]
        );
        for n in 0..MOST_RECIPIENTS {
            assert!(said(&mut session, &format!("RCPT TO:<{n}@x>")).starts_with("250"));
        }
        assert!(said(&mut session, "RCPT TO:<one-more@x>").starts_with("452"));
    }

    #[test]
    fn a_password_is_asked_for_where_there_are_keys() {
        let mut session = Session::new(false);
        session.line("EHLO me");
        assert_eq!(
            codes(&mut session, &["MAIL FROM:<a@x>", "AUTH CRAM-MD5", "AUTH PLAIN", "*", "AUTH PLAIN AGFubg=="]),
            ["530", "504", "334", "501", "501"]
        );
        let key = || Next::Admit(Secret::new("hunter2"));
        assert_eq!(session.line("auth plain AGFubgBodW50ZXIy"), key());
        session.line("AUTH LOGIN");
        session.line("YW5u");
        assert_eq!(session.line("aHVudGVyMg=="), key());
        assert_eq!(session.admit(false), say("535 5.7.8 the password is a key that may send, and this is none"));
        assert_eq!(codes(&mut session, &["MAIL FROM:<a@x>"]), ["530"]);
        session.admit(true);
        assert_eq!(codes(&mut session, &["MAIL FROM:<a@x>"]), ["250"]);
    }
}
