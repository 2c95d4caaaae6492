use std::time::Duration;

use aws_sdk_sesv2::{
    Client,
    operation::send_email::{SendEmailError, builders::SendEmailFluentBuilder},
    types::{
        Attachment as SesAttachment, AttachmentContentDisposition, AttachmentContentTransferEncoding, Body, Content, Destination,
        EmailContent, Message, MessageHeader, MessageTag,
    },
};
use aws_smithy_types::{Blob, error::operation::BuildError, retry::RetryConfig, timeout::TimeoutConfig};
use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Fields, Init, Provider, Receipt, Setting, SettingsError};
use errand_http::{
    Meaning, Meanings,
    aws::{Failure, SdkConfig, throttled},
    is, said, stops,
};
use errand_payloads::email::{Attachment, Email, KEY_TAG, address, mime, within_ses};

use crate::settings::{CONFIGURATION_SET, FROM, SETTINGS};

/// For one call, a second before the engine would cut it off.
const TIMEOUT: Duration = Duration::from_secs(9);

/// Sends mail through Amazon SES, API version 2. <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>
pub struct Ses {
    client: Client,
    /// The sender of mails that name none.
    from: String,
    /// The configuration set of mails that name none.
    configuration_set: Option<String>,
}

impl Provider for Ses {
    const NAME: &'static str = "ses";
    const TASKS: &'static [&'static str] = &["email"];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Email;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let from = address::read(env.required(&FROM)?);
        let from = from.map_err(|expected| SettingsError::invalid(FROM.name, &format!("expected {expected}")))?;
        let shared = cx.shared::<SdkConfig>()?;
        // SES has no idempotency token: a call without an answer may have sent the mail, and only the engine decides about a second.
        let config = aws_sdk_sesv2::config::Builder::from(shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(cx.call_timeout(TIMEOUT)).build())
            .build();
        Ok(Self { client: Client::from_conf(config), from, configuration_set: env.get(&CONFIGURATION_SET).map(ToOwned::to_owned) })
    }

    fn limits(email: &Email, fields: &mut Fields<'_>) {
        within_ses(email, fields);
    }

    async fn deliver(&self, email: Email, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let request = self
            .request(email, &attempt.key)
            .map_err(|error| DeliveryError::new(ErrorKind::InvalidPayload, "SES cannot take the mail").caused_by(error))?;
        // On the heap: the call's state takes kilobytes, which would be moved with every future around it.
        let sent = Box::pin(request.send()).await.map_err(|error| classify(&Failure::of::<SendEmailError>(&error)))?;
        Ok(sent.message_id().map(Receipt::message_id).unwrap_or_default())
    }
}

impl Ses {
    fn request(&self, email: Email, key: &str) -> Result<SendEmailFluentBuilder, BuildError> {
        let message = Message::builder()
            .subject(utf8(email.subject)?)
            .body(Body::builder().set_text(email.body.map(utf8).transpose()?).set_html(email.html.map(utf8).transpose()?).build())
            .set_headers(some(each(email.headers, header)?))
            .set_attachments(some(each(email.attachments, attachment)?));
        let destination = Destination::builder()
            .set_to_addresses(addresses(email.to))
            .set_cc_addresses(addresses(email.cc))
            .set_bcc_addresses(addresses(email.bcc))
            .build();
        let key_tag = (KEY_TAG.to_owned(), tag_value(key));
        let tags =
            each(email.tags.into_iter().chain([key_tag]).collect(), |(name, value)| MessageTag::builder().name(name).value(value).build())?;
        Ok(self
            .client
            .send_email()
            .from_email_address(mime::address(email.from_email.as_ref().unwrap_or(&self.from)))
            .destination(destination)
            .set_reply_to_addresses(addresses(email.reply_to))
            .content(EmailContent::builder().simple(message.build()).build())
            .set_email_tags(Some(tags))
            .set_configuration_set_name(email.configuration_set.or_else(|| self.configuration_set.clone())))
    }
}

fn each<T, U>(list: Vec<T>, build: impl Fn(T) -> Result<U, BuildError>) -> Result<Vec<U>, BuildError> {
    list.into_iter().map(build).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

fn addresses(list: Vec<String>) -> Option<Vec<String>> {
    some(list.iter().map(|address| mime::address(address)).collect())
}

fn utf8(text: String) -> Result<Content, BuildError> {
    Content::builder().data(text).charset("UTF-8").build()
}

fn header((name, value): (String, String)) -> Result<MessageHeader, BuildError> {
    // What has no such form is no payload.
    let value = mime::header(&name, &value).unwrap_or(value);
    MessageHeader::builder().name(name).value(value).build()
}

fn attachment(file: Attachment) -> Result<SesAttachment, BuildError> {
    let disposition =
        if file.content_id.is_some() { AttachmentContentDisposition::Inline } else { AttachmentContentDisposition::Attachment };
    SesAttachment::builder()
        .file_name(file.filename)
        .raw_content(Blob::new(file.content))
        .content_type(file.mimetype)
        // The default is 7 bits, in which anything but text arrives broken: https://docs.aws.amazon.com/ses/latest/dg/attachments.html
        .content_transfer_encoding(AttachmentContentTransferEncoding::Base64)
        .content_disposition(disposition)
        .set_content_id(file.content_id)
        .build()
}

/// The key with what SES does not allow in a tag replaced.
fn tag_value(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
}

/// What SES's own refusals mean. <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("AccountSuspendedException SendingPausedException", stops(ErrorKind::Misconfigured)),
        ("LimitExceededException", stops(ErrorKind::RateLimited)),
        ("MessageRejected BadRequestException", is(ErrorKind::Rejected)),
        ("MailFromDomainNotVerifiedException NotFoundException", is(ErrorKind::Misconfigured)),
    ],
    statuses: &[],
};

/// What a failed call means. SES's messages repeat addresses: what [`said`] leaves of them is passed on.
fn classify(failure: &Failure) -> DeliveryError {
    let Failure::Answered { code, message, .. } = failure else {
        return DeliveryError::new(failure.meaning(&MEANINGS).kind, format!("SES: {failure}"));
    };
    let speaks_of = |what: &str| message.to_lowercase().contains(what);
    let Meaning { kind, stops } = match (failure.meaning(&MEANINGS), code.as_str()) {
        // In the sandbox, an address that is not verified is the operator's to verify.
        (_, "MessageRejected") if speaks_of("not verified") => is(ErrorKind::Misconfigured),
        // The pause of one configuration set is none of the account.
        (meaning, "SendingPausedException") if speaks_of("configuration set") => is(meaning.kind),
        // The day's quota is for all mails: <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>
        (meaning, _) if throttled(code) && speaks_of("daily") => stops(meaning.kind),
        (meaning, _) => meaning,
    };
    let told = if message.is_empty() { String::new() } else { format!(": {}", said(message)) };
    let error = DeliveryError::new(kind, format!("SES: {failure}{told}"));
    if stops { error.stopping() } else { error }
}
