//! A message as it came, to a mail as it is shown.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mail_parser::{Addr, Address, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::session::Envelope;
use crate::mail::{Attachment, Mail, address};

/// Reads a message. What is no message is shown as a text. Recipients that it does not name were sent a blind copy.
pub(super) fn read(source: &[u8], envelope: &Envelope) -> Mail {
    let parsed = MessageParser::default().parse(source).filter(|message| message.headers().iter().any(|header| !header.value.is_empty()));
    let mut mail =
        parsed.as_ref().map_or_else(|| Mail { text: Some(String::from_utf8_lossy(source).into_owned()), ..Mail::default() }, mail);
    if mail.from.is_empty() {
        mail.from.clone_from(&envelope.sender);
    }
    let named: Vec<String> = mail.to.iter().chain(&mail.cc).chain(&mail.bcc).map(|mailbox| address(mailbox)).collect();
    mail.bcc.extend(envelope.recipients.iter().filter(|recipient| !named.contains(&address(recipient))).cloned());
    mail
}

fn mail(message: &Message<'_>) -> Mail {
    let text = |part: &MessagePart<'_>| if let PartType::Text(text) = &part.body { Some(text.to_string()) } else { None };
    let html = |part: &MessagePart<'_>| if let PartType::Html(html) = &part.body { Some(html.to_string()) } else { None };
    let texts: Vec<String> = message.text_bodies().filter_map(text).collect();
    Mail {
        from: mailboxes(message.from()).into_iter().next().unwrap_or_default(),
        to: mailboxes(message.to()),
        cc: mailboxes(message.cc()),
        bcc: mailboxes(message.bcc()),
        reply_to: mailboxes(message.reply_to()),
        subject: message.subject().unwrap_or_default().to_owned(),
        text: (!texts.is_empty()).then(|| texts.join("\n")),
        html: message.html_bodies().find_map(html),
        headers: headers(message),
        attachments: message.attachments().enumerate().map(|(n, part)| attachment(n, part)).collect(),
    }
}

fn mailboxes(list: Option<&Address<'_>>) -> Vec<String> {
    let mailbox = |one: &Addr<'_>| match (one.name(), one.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    };
    list.into_iter().flat_map(Address::iter).map(mailbox).collect()
}

/// The headers that are shown nowhere else, as they are meant.
fn headers(message: &Message<'_>) -> Vec<(String, String)> {
    let shown = [
        HeaderName::From,
        HeaderName::To,
        HeaderName::Cc,
        HeaderName::Bcc,
        HeaderName::ReplyTo,
        HeaderName::Subject,
        HeaderName::MimeVersion,
    ];
    let others = message.headers().iter().filter(|header| !shown.contains(&header.name) && !header.name.is_mime_header());
    let raw = |header: &mail_parser::Header<'_>| {
        let value = message.raw_message.get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    };
    let unfolded = |value: String| value.split_whitespace().collect::<Vec<_>>().join(" ");
    others
        .map(|header| (header.name.as_str().to_owned(), unfolded(header.value.as_text().map_or_else(|| raw(header), ToOwned::to_owned))))
        .collect()
}

fn attachment(n: usize, part: &MessagePart<'_>) -> Attachment {
    let media_type = part.content_type().map_or_else(
        || "application/octet-stream".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")).to_lowercase(),
    );
    Attachment {
        name: part.attachment_name().map_or_else(|| format!("part-{}", n + 1), ToOwned::to_owned),
        media_type,
        content_id: part.content_id().map(ToOwned::to_owned),
        content: STANDARD.encode(part.contents()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(recipients: &[&str]) -> Envelope {
        Envelope { sender: "bounces@example.com".to_owned(), recipients: recipients.iter().map(|to| (*to).to_owned()).collect() }
    }

    #[test]
    fn every_part_of_a_message_is_shown() {
        let source = "From: =?utf-8?q?B=C3=A4rbel?= <b@example.com>\r\nTo: ann@example.com, \"C, D\" <c@example.com>\r\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\r\n\
            X-Kind: a\r\n  test\r\nMessage-ID: <1@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\
            Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
            5 =A4 =3D teuer\r\n--a\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--a--\r\n--m\r\n\
            Content-Type: text/csv; name=\"a.csv\"\r\nContent-Disposition: attachment; filename*=utf-8''%C3%A4.csv\r\n\r\na;b\r\n--m\r\n\
            Content-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--m--\r\n";
        let mail = read(source.as_bytes(), &envelope(&["ann@example.com", "secret@example.com"]));
        assert_eq!((mail.from.as_str(), mail.subject.as_str()), ("Bärbel <b@example.com>", "Grüße"));
        assert_eq!(
            (mail.to, mail.bcc),
            (vec!["ann@example.com".to_owned(), "C, D <c@example.com>".to_owned()], vec!["secret@example.com".to_owned()])
        );
        assert_eq!((mail.text.as_deref().map(str::trim), mail.html.as_deref()), (Some("5 € = teuer"), Some("<b>hi</b>")));
        assert_eq!(mail.headers, [("X-Kind".to_owned(), "a test".to_owned()), ("Message-ID".to_owned(), "1@x".to_owned())]);
        let files: Vec<_> =
            mail.attachments.iter().map(|file| (file.name.as_str(), file.media_type.as_str(), file.content_id.as_deref())).collect();
        assert_eq!(files, [("ä.csv", "text/csv", None), ("part-2", "image/png", Some("logo@x"))]);
        assert_eq!(STANDARD.decode(&mail.attachments[0].content).unwrap(), b"a;b");
    }

    #[test]
    fn what_is_no_message_is_a_text_from_who_sent_it() {
        let mail = read("just ü words".as_bytes(), &envelope(&["ann@example.com"]));
        assert_eq!(
            (mail.from.as_str(), mail.bcc[0].as_str(), mail.text.as_deref()),
            ("bounces@example.com", "ann@example.com", Some("just ü words"))
        );
        assert_eq!(read(b"", &envelope(&[])).text.as_deref(), Some(""));
    }
}
