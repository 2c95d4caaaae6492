//! Mail that applications send by SMTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
};

use serde_json::Value;
use server::{PATIENCE, Server};

/// The SHA-256 of "hunter2".
const KEYS: (&str, &str) = ("ERRAND_API_KEYS", "me:send+read:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7");

/// A client that says what it is told to.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.smtp()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert!(client.hear().starts_with("220 "));
        client
    }

    fn say(&mut self, text: &str) -> String {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
        self.hear()
    }

    /// An answer, all of its lines.
    fn hear(&mut self) -> String {
        let mut answer = String::new();
        loop {
            let begin = answer.len();
            assert!(self.0.read_line(&mut answer).unwrap() > 0, "closed after {answer}");
            if answer.as_bytes().get(begin + 3) != Some(&b'-') {
                return answer;
            }
        }
    }

    fn announce(&mut self) {
        assert!(self.say("EHLO me\r\n").contains("250-PIPELINING\r\n"));
        for command in ["MAIL FROM:<app@example.com>\r\n", "RCPT TO:<ann@example.com>\r\n"] {
            assert!(self.say(command).starts_with("250 "));
        }
        assert!(self.say("DATA\r\n").starts_with("354 "));
    }
}

fn start(vars: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited(":", data.path(), &["--smtp", "127.0.0.1:0"], vars);
    (data, server)
}

async fn caught(server: &Server) -> Vec<Value> {
    let mails = server.call_with("GET", "/mail.json", None, &[("authorization", "Bearer hunter2")]).await.1;
    serde_json::from_str::<Value>(&mails).unwrap()["mails"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_message_is_kept_as_it_came() {
    let (_data, server) = start(&[]);
    let mut client = Client::connect(&server);
    client.announce();
    // A dot that stands for itself, one alone between ends of lines that are none, and a byte that is no UTF-8.
    client.0.get_mut().write_all(b"Subject: dots\r\n\r\n..begins\r\na line\n.\nmore \xff\r\n.").unwrap();
    assert!(client.say("\r\n").starts_with("250 2.0.0 kept as 1"));
    let mail = &caught(&server).await[0];
    assert_eq!(
        (&mail["subject"], &mail["from"], &mail["bcc"][0]),
        (&"dots".into(), &"app@example.com".into(), &"ann@example.com".into()),
        "{mail}"
    );
    let source = server.request("GET", "/mail/1/message.eml", "", &[]).await;
    assert_eq!(source.body().as_ref(), b"Subject: dots\r\n\r\n.begins\r\na line\n.\nmore \xff\r\n");
    assert!(client.say("QUIT\r\n").starts_with("221 "));
    assert_eq!(client.0.read_to_end(&mut Vec::new()).unwrap(), 0, "and the connection is closed");
}

#[tokio::test]
async fn commands_may_come_together_and_a_long_line_is_read_past() {
    let (_data, server) = start(&[]);
    let mut client = Client::connect(&server);
    client.0.get_mut().write_all(format!("EHLO me\r\n{}\r\n", "x".repeat(100_000)).as_bytes()).unwrap();
    assert!(client.hear().starts_with("250-") && client.hear().starts_with("500 "));
    client.0.get_mut().write_all(b"MAIL FROM:<>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n").unwrap();
    let heard: Vec<String> = (0..3).map(|_| client.hear()[..3].to_owned()).collect();
    assert_eq!(heard, ["250", "250", "354"]);
    client.0.get_mut().write_all(b"\r\n.\r\nMAIL FROM:<>\r\n").unwrap();
    assert!(client.hear().starts_with("250 2.0.0 kept") && client.hear().starts_with("250 2.1.0"));
}

#[tokio::test]
async fn what_is_too_large_is_read_to_its_end_and_refused() {
    let (_data, server) = start(&[]);
    let mut client = Client::connect(&server);
    client.announce();
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    for _ in 0..42_000 {
        client.0.get_mut().write_all(&line).unwrap();
    }
    assert!(client.say(".\r\n").starts_with("552 "));
    assert!(client.say("NOOP\r\n").starts_with("250 ") && caught(&server).await.is_empty());
}

#[tokio::test]
async fn half_a_message_is_not_kept_and_holds_no_stop_up() {
    let (_data, mut server) = start(&[]);
    let mut gone = Client::connect(&server);
    gone.announce();
    gone.0.get_mut().write_all(b"Subject: half\r\n\r\n.").unwrap();
    drop(gone);
    let mut client = Client::connect(&server);
    client.announce();
    client.0.get_mut().write_all(b"Subject: half\r\n").unwrap();
    let mut idle = Client::connect(&server);
    assert!(caught(&server).await.is_empty());
    server.signal("TERM");
    assert!(client.hear().starts_with("421 ") && idle.hear().starts_with("421 "));
    assert!(server.wait().success());
}

#[tokio::test]
async fn silent_clients_make_room_for_others() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_limited("ulimit -n 256", data.path(), &["--smtp", "127.0.0.1:0"], &[]);
    let mut held: Vec<Client> = (0..32).map(|_| Client::connect(&server)).collect();
    let mut client = Client::connect(&server);
    client.announce();
    assert!(client.say("Subject: through\r\n\r\n.\r\n").starts_with("250 "));
    assert!(held[0].hear().starts_with("421 4.3.2 there are too many connections"));
    assert!(server.call("GET", "/v1/health", None).await.1.contains("all 32 were taken"));
}

#[tokio::test]
async fn with_keys_a_key_is_the_password() {
    let (_data, server) = start(&[KEYS]);
    let mut client = Client::connect(&server);
    client.say("EHLO me\r\n");
    assert!(client.say("MAIL FROM:<app@example.com>\r\n").starts_with("530 "));
    assert!(client.say("AUTH PLAIN AGFubgBodW50ZXIz\r\n").starts_with("535 "), "hunter3");
    assert!(client.say("AUTH PLAIN AGFubgBodW50ZXIy\r\n").starts_with("235 "), "hunter2");
    client.announce();
    assert!(client.say("Subject: by key\r\n\r\n.\r\n").starts_with("250 "));
    assert_eq!(caught(&server).await[0]["subject"], "by key");
}

#[test]
fn other_machines_send_only_where_there_are_keys() {
    let data = tempfile::tempdir().unwrap();
    let options = ["--listen", "127.0.0.1:0", "--smtp", "0.0.0.0:0", "--data", data.path().to_str().unwrap()];
    let refused = Command::new(env!("CARGO_BIN_EXE_errand")).args(options).env_clear().output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("could reach 0.0.0.0:0"), "{refused:?}");
}

const PYTHON: &str = r#"
import smtplib, sys
from email.message import EmailMessage
host, port = sys.argv[1].split(":")
message = EmailMessage()
message["From"] = "Bärbel <b@example.com>"
message["To"] = "ann@example.com"
message["Subject"] = "Grüße"
message.set_content("Hallo.\n.\n..two dots\nhttps://example.com/x\n")
message.add_alternative("<b>Hallo</b>", subtype="html")
message.add_attachment(b"\x00\xff" * 50_000, maintype="application", subtype="x-test", filename="ä.bin")
with smtplib.SMTP(host, int(port)) as smtp:
    smtp.login("anyone", "anything")
    smtp.send_message(message, to_addrs=["ann@example.com", "blind@example.com"])
    smtp.sendmail("app@example.com", ["jörg@example.com"], "Subject: utf8\r\n\r\nü".encode(), mail_options=["SMTPUTF8", "BODY=8BITMIME"])
"#;

#[tokio::test]
#[ignore = "needs Python"]
async fn pythons_smtplib_sends_all_parts() {
    let (_data, server) = start(&[]);
    let sent = Command::new("python3").args(["-c", PYTHON, &server.smtp().to_string()]).stderr(Stdio::piped()).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let mails = caught(&server).await;
    let (utf8, mail) = (&mails[0], &mails[1]);
    assert_eq!((&utf8["subject"], &utf8["bcc"][0], &utf8["text"]), (&"utf8".into(), &"jörg@example.com".into(), &"ü\r\n".into()), "{utf8}");
    assert_eq!(
        (&mail["from"], &mail["subject"], &mail["bcc"][0]),
        (&"Bärbel <b@example.com>".into(), &"Grüße".into(), &"blind@example.com".into())
    );
    assert_eq!(mail["text"].as_str().unwrap().replace('\r', ""), "Hallo.\n.\n..two dots\nhttps://example.com/x\n");
    assert_eq!((mail["html"].as_str().unwrap().trim(), &mail["links"][0]), ("<b>Hallo</b>", &"https://example.com/x".into()));
    let file = &mail["attachments"][0];
    assert_eq!((&file["name"], &file["media_type"], &file["size"]), (&"ä.bin".into(), &"application/x-test".into(), &100_000.into()));
    let whole = server.request("GET", file["url"].as_str().unwrap(), "", &[]).await;
    assert!(whole.body().starts_with(b"\x00\xff\x00\xff"));
}
