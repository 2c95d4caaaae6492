use errand_payloads::email::mime;
use mail_builder::{
    MessageBuilder,
    headers::{HeaderType, raw::Raw},
};

use super::table::Kept;

/// A caught mail as an RFC 5322 message, for a mail program to open.
pub(super) fn eml(kept: &Kept) -> std::io::Result<Vec<u8>> {
    let mail = &kept.mail;
    let mut message = MessageBuilder::new()
        .message_id(format!("{}@errand.local", kept.id))
        .date(kept.received_at.seconds())
        .subject(mail.subject.as_str());
    let addresses =
        [("From", std::slice::from_ref(&mail.from)), ("To", &mail.to), ("Cc", &mail.cc), ("Bcc", &mail.bcc), ("Reply-To", &mail.reply_to)];
    for (name, list) in addresses.into_iter().filter(|(_, list)| !list.is_empty()) {
        let list: Vec<String> = list.iter().map(|address| mime::address(address)).collect();
        message = message.header(name, HeaderType::from(Raw::new(list.join(", "))));
    }
    for (name, value) in &mail.headers {
        message = message.header(name.as_str(), Raw::new(mime::header(name, value).unwrap_or_default()));
    }
    if let Some(text) = &mail.text {
        message = message.text_body(text.as_str());
    }
    if let Some(html) = &mail.html {
        message = message.html_body(html.as_str());
    }
    for file in &mail.attachments {
        message = match &file.content_id {
            Some(id) => message.inline(file.media_type.as_str(), id.as_str(), file.bytes()),
            None => message.attachment(file.media_type.as_str(), file.name.as_str(), file.bytes()),
        };
    }
    message.write_to_vec()
}

#[cfg(test)]
mod tests {
    use errand_core::Timestamp;

    use super::*;
    use crate::mail::{Attachment, Mail};

    #[test]
    fn every_part_of_a_mail_is_in_the_message() {
        let mail = Mail {
            from: "Errand <errand@example.com>".to_owned(),
            to: vec!["a@example.com".to_owned(), "Bärbel <b@example.com>".to_owned()],
            cc: vec!["c@example.com".to_owned()],
            bcc: Vec::new(),
            reply_to: vec!["r@example.com".to_owned()],
            subject: "Grüße".to_owned(),
            text: Some("hallo".to_owned()),
            html: Some("<b>hallo</b>".to_owned()),
            headers: vec![("X-Kind".to_owned(), "test".to_owned()), ("X-Note".to_owned(), "Grüße".to_owned())],
            attachments: vec![Attachment {
                name: "ä.txt".to_owned(),
                media_type: "text/plain".to_owned(),
                content_id: None,
                content: "aGk=".to_owned(),
            }],
        };
        let message = eml(&Kept { id: 7, received_at: Timestamp::from_millis(0), task_id: None, mail }).unwrap();
        let message = String::from_utf8(message).unwrap();
        for part in [
            "From: Errand <errand@example.com>",
            "To: a@example.com, =?UTF-8?B?QsOkcmJlbA==?= <b@example.com>",
            "Cc: c@example.com",
            "Reply-To: r@example.com",
            "Subject: =?utf-8?",
            "Date: Thu, 1 Jan 1970 00:00:00 +0000",
            "X-Kind: test",
            "X-Note: =?UTF-8?B?R3LDvMOfZQ==?=",
            "multipart/mixed",
            "text/html",
            "filename*=UTF-8''%C3%A4.txt",
        ] {
            assert!(message.contains(part), "{part} in {message}");
        }
        assert!(message.is_ascii() && !message.contains("Bcc:"));
    }
}
