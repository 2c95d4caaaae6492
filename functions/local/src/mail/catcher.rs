use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Provider, Receipt, SettingsError};
use errand_payloads::email::{self, Email};

use super::{Attachment, Caught, LocalMail, Mail};

/// Takes the mail that a real provider would send and keeps it for the pages. The same attempt's mail is kept once, even when the process
/// died between keeping it and saying so.
pub(crate) struct Catcher(pub(crate) LocalMail);

impl Provider for Catcher {
    // Stands in for SES, also where a route names it.
    const NAME: &'static str = "ses";
    const TASKS: &'static [&'static str] = &["email"];
    type Payload = Email;

    fn new(_: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        Ok(Self(cx.shared::<LocalMail>()?.clone()))
    }

    async fn deliver(&self, email: Email, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let caught = Caught { mail: mail(email), key: Some(attempt.key.clone()), task_id: Some(attempt.id.clone()), source: None };
        let id = self.0.keep(caught).await.map_err(|error| DeliveryError::new(ErrorKind::Unavailable, error.to_string()))?;
        Ok(Receipt::message_id(&id.to_string()))
    }
}

fn mail(email: Email) -> Mail {
    let attachment = |file: email::Attachment| Attachment {
        name: file.filename,
        media_type: file.mimetype,
        content_id: file.content_id,
        content: STANDARD.encode(file.content),
    };
    Mail {
        from: email.from_email.unwrap_or_else(|| "errand@localhost".to_owned()),
        to: email.to,
        cc: email.cc,
        bcc: email.bcc,
        reply_to: email.reply_to,
        subject: email.subject,
        text: email.body,
        html: email.html,
        headers: email.headers,
        attachments: email.attachments.into_iter().map(attachment).collect(),
    }
}
