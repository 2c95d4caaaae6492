use std::{sync::Arc, time::Duration};

use errand_azure::{Access, Account, TokenCredential, http_date, publish_error, refused, storage::Key};
use errand_core::{Clock, Envelope, ErrorKind, Init, Noted, OptionError, PublishError, Published, Timestamp, Transport, TransportLimits};
use errand_http::{Answer, Meanings, Retry, Service, is};
use futures_util::{StreamExt as _, future::join_all, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::Options;

const SERVICE: &str = "Storage Queue";

/// The version of the API that we speak. <https://learn.microsoft.com/rest/api/storageservices/versioning-for-the-azure-storage-services>
const VERSION: HeaderValue = HeaderValue::from_static("2024-11-04");

/// For one call, from the connection to the end of the answer; the service itself gives up before, so that it can say so.
const TIMEOUT: Duration = Duration::from_secs(5);
const THEIR_TIMEOUT: u32 = 4;

/// Calls that are under way together: each message is one.
const CONCURRENCY: usize = 16;

/// What certainly was not done is tried again at once.
const RETRY: Retry = Retry::once(3, Duration::from_millis(100));

/// Sends to queues of one account.
pub struct StorageQueue {
    service: Service,
    account: Account<Key>,
    options: Options,
    clock: Arc<dyn Clock>,
    /// The queues that the alias lists.
    listed: Noted,
}

/// What is sent, and where to.
struct Message {
    path: String,
    xml: String,
}

impl StorageQueue {
    /// With credentials of one's own, in the place of [`DefaultAzureCredential`](errand_azure::DefaultAzureCredential).
    ///
    /// # Errors
    /// An option is wrong, or the function that is starting lacks something.
    pub fn with_credential(options: Options, credential: Arc<dyn TokenCredential>, cx: &Init) -> Result<Self, OptionError> {
        Self::make(options, Some(credential), cx)
    }

    fn make(options: Options, credential: Option<Arc<dyn TokenCredential>>, cx: &Init) -> Result<Self, OptionError> {
        let account = options.account(credential, cx)?;
        let service = Service::with_client(SERVICE, TIMEOUT, cx, errand_azure::client(cx))?;
        Ok(Self { service, account, options, clock: cx.clock()?, listed: Noted::default() })
    }

    fn message(&self, envelope: &Envelope, now: Timestamp) -> Result<Message, PublishError> {
        let queue = envelope.destination.as_deref().unwrap_or_default();
        let body = self.options.format.encode(envelope)?;
        let text = self.options.encode(&body).ok_or(PublishError::TooLarge { limit: self.options.body_limit() })?;
        let seconds = |duration: Duration| i64::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let hidden = seconds(envelope.delay(now).min(self.options.longest_delay()));
        let kept = self.options.time_to_live(envelope.expires.map(|expires| seconds(expires.since(now)).max(1)));
        if kept.is_some_and(|kept| kept != -1 && kept <= hidden) {
            return Err(PublishError::Refused(format!("{SERVICE}: it expires before it is due")));
        }
        let mut path = format!("{queue}/messages?timeout={THEIR_TIMEOUT}");
        if hidden > 0 {
            path += &format!("&visibilitytimeout={hidden}");
        }
        if let Some(kept) = kept {
            path += &format!("&messagettl={kept}");
        }
        Ok(Message { path, xml: format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>") })
    }

    async fn send(&self, message: &Message) -> Result<Published, PublishError> {
        let answer = self.call(Method::POST, &message.path, &message.xml, StatusCode::CREATED).await?;
        let message_id = std::str::from_utf8(answer.body()).ok().and_then(|text| errand_azure::element(text, "MessageId"));
        Ok(Published { message_id: message_id.map(ToOwned::to_owned) })
    }

    /// Calls what is below the account, and takes the answer with this status.
    async fn call(&self, method: Method, path: &str, xml: &str, expected: StatusCode) -> Result<Answer, PublishError> {
        let once = |access: Access<Key>| {
            let (method, xml) = (method.clone(), xml.to_owned());
            async move {
                let mut headers: HeaderMap = [(VERSION_NAME, VERSION)].into_iter().collect();
                headers.extend(HeaderValue::try_from(http_date(self.clock.now())).ok().map(|date| (DATE_NAME, date)));
                if !xml.is_empty() {
                    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
                }
                let call = match access {
                    Access::Token(base, token) => self.service.call(method, &format!("{base}/{path}")).bearer(token),
                    Access::Key(key) => {
                        let (url, authorization) = key.authorize(&method, format!("{}/{path}", key.url), &headers, xml.len());
                        let call = self.service.call(method, &url);
                        match authorization {
                            Some(authorization) => call.secret(header::AUTHORIZATION, authorization),
                            None => call,
                        }
                    }
                };
                let answer = call.json_text(xml).headers(headers).retried(RETRY).send().await?;
                match answer.status() {
                    status if status == expected => Ok(answer),
                    _ if answer.success() => Err(answer.unclear()),
                    _ => Err(refused(&answer, &MEANINGS, None)),
                }
            }
        };
        self.account.with(once).await.map_err(|error| publish_error(error, self.options.body_limit()))
    }

    /// Whether a queue is there, as far as we may know.
    async fn find(&self, queue: &str) -> Result<(), PublishError> {
        match self.call(Method::GET, &format!("{queue}?comp=metadata"), "", StatusCode::OK).await {
            Err(PublishError::Misconfigured(why)) if MAY_NOT_READ.iter().any(|code| why.contains(code)) => Ok(()),
            done => done.map(drop),
        }
    }
}

const VERSION_NAME: http::HeaderName = http::HeaderName::from_static("x-ms-version");
const DATE_NAME: http::HeaderName = http::HeaderName::from_static("x-ms-date");

/// What is said to who is known, and may not read what a queue is like.
const MAY_NOT_READ: [&str; 3] = ["AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch", "InsufficientAccountPermissions"];

/// <https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes>, and those of all services.
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("MessageTooLarge RequestBodyTooLarge", is(ErrorKind::InvalidPayload)),
        ("QueueBeingDeleted ServerBusy AccountBeingCreated", is(ErrorKind::Unavailable)),
        // It may have been done.
        ("OperationTimedOut InternalError", is(ErrorKind::OutcomeUnknown)),
        ("QueueNotFound QueueDisabled ResourceNotFound AccountIsDisabled InvalidResourceName", is(ErrorKind::Misconfigured)),
    ],
    statuses: &[
        (&[413], ErrorKind::InvalidPayload),
        (&[404, 410], ErrorKind::Misconfigured),
        (&[408, 500, 502, 504], ErrorKind::OutcomeUnknown),
    ],
};

impl Transport for StorageQueue {
    const BACKEND: &'static str = "storage-queue";
    type Options = Options;

    fn new(_: &str, options: Options, cx: &Init) -> Result<Self, OptionError> {
        Self::make(options, None, cx)
    }

    fn limits(&self) -> TransportLimits {
        TransportLimits { delay: self.options.longest_delay(), bytes: self.options.body_limit() }
    }

    fn takes(&self, destination: &str) -> Result<(), String> {
        if !is_name(destination) {
            return Err("no queue can be called so: expected 3 to 63 lower-case letters, digits and single hyphens between them".to_owned());
        }
        self.listed.note(destination);
        Ok(())
    }

    async fn publish(&self, envelopes: &[Envelope]) -> Vec<Result<Published, PublishError>> {
        let now = self.clock.now();
        let send = async |envelope: &Envelope| self.send(&self.message(envelope, now)?).await;
        stream::iter(envelopes).map(send).buffered(CONCURRENCY).collect().await
    }

    async fn check(&self) -> Result<(), PublishError> {
        let listed = self.listed.all();
        if listed.is_empty() {
            return self.call(Method::GET, "?comp=list&maxresults=1", "", StatusCode::OK).await.map(drop);
        }
        join_all(listed.iter().map(|queue| self.find(queue))).await.into_iter().collect()
    }
}

/// Whether there can be a queue of this name. <https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata#queue-names>
fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len()) && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-') && !name.contains("--")
}
