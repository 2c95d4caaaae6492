use aws_sdk_sesv2::{
    Client,
    operation::send_email::{SendEmailError, builders::SendEmailFluentBuilder},
    types::{
        Attachment as SesAttachment, AttachmentContentDisposition, AttachmentContentTransferEncoding, Body, Content, Destination,
        EmailContent, Message, MessageHeader, MessageTag,
    },
};
use aws_smithy_types::{Blob, error::operation::BuildError, retry::RetryConfig};
use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Fields, Init, Provider, Receipt, Setting, SettingsError};
use errand_http::{
    aws::{Failure, SdkConfig, throttled},
    kind_of, said,
};
use errand_payloads::email::{Attachment, Email, KEY_TAG, address, mime, within_ses};
use http::StatusCode;

use crate::settings::{CONFIGURATION_SET, FROM, SETTINGS};

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
        let config = aws_sdk_sesv2::config::Builder::from(shared).retry_config(RetryConfig::disabled()).build();
        Ok(Self { client: Client::from_conf(config), from, configuration_set: env.get(&CONFIGURATION_SET).map(ToOwned::to_owned) })
    }

    fn limits(email: &Email, fields: &mut Fields<'_>) {
        within_ses(email, fields);
    }

    async fn deliver(&self, email: Email, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let request = self
            .request(email, &attempt.key)
            .map_err(|error| DeliveryError::new(ErrorKind::InvalidPayload, "SES cannot take the mail").caused_by(error))?;
        let sent = request.send().await.map_err(|error| classify(&Failure::of::<SendEmailError>(&error)))?;
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

/// What a failed call means. <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
///
/// SES's messages repeat addresses: what [`said`] leaves of them is passed on.
fn classify(failure: &Failure) -> DeliveryError {
    let kind = match failure {
        Failure::NotSent(_) => ErrorKind::Unavailable,
        Failure::Unanswered => ErrorKind::OutcomeUnknown,
        Failure::Answered { code, status, message } => match code.as_str() {
            "LimitExceededException" => ErrorKind::RateLimited,
            // In the sandbox, an address that is not verified is the operator's to verify.
            "MessageRejected" if message.contains("not verified") => ErrorKind::Misconfigured,
            "MessageRejected" | "BadRequestException" => ErrorKind::Rejected,
            "MailFromDomainNotVerifiedException" | "NotFoundException" | "AccountSuspendedException" | "SendingPausedException" => {
                ErrorKind::Misconfigured
            }
            code if throttled(code) => ErrorKind::RateLimited,
            // Signature, token or permission, whatever its name: https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
            _ => StatusCode::from_u16(*status).map_or(ErrorKind::Rejected, kind_of),
        },
    };
    let why = match failure {
        Failure::Answered { message, .. } if !message.is_empty() => format!("SES: {failure}: {}", said(message)),
        _ => format!("SES: {failure}"),
    };
    let error = DeliveryError::new(kind, why);
    if concerns_all(failure) { error.stopping() } else { error }
}

/// Whether a failure is about the account or the function's credentials, and so about every mail. A missing permission may be about one sender, and
/// a pause about one configuration set.
fn concerns_all(failure: &Failure) -> bool {
    let Failure::Answered { code, message, .. } = failure else { return false };
    match code.as_str() {
        "AccountSuspendedException" => true,
        "SendingPausedException" => !message.to_lowercase().contains("configuration set"),
        "LimitExceededException" => true,
        // <https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html>
        _ if code == "TooManyRequestsException" || throttled(code) => message.to_lowercase().contains("daily"),
        // <https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html>
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "NotAuthorized"
        | "OptInRequired" => true,
        _ => false,
    }
}
