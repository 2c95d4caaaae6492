use std::{marker::PhantomData, sync::Arc, time::Duration};

use errand_azure::{Access, Account, TokenCredential, publish_error, service_bus::Key};
use errand_core::{Batching, Clock, DeliveryError, Entry, Envelope, ErrorKind, Init, OptionError, PublishError, Published, Timestamp};
use errand_http::{Call, Retry, Service};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    Kind, Options, SERVICE,
    entity::path,
    judge,
    message::{Message, batch},
};

/// For one call, from the connection to the end of the answer; Service Bus itself gives up before, so that it can say so.
const TIMEOUT: Duration = Duration::from_secs(5);
const THEIR_TIMEOUT: u32 = 4;

/// What certainly was not done is tried again at once.
const RETRY: Retry = Retry::once(3, Duration::from_millis(100));

/// What a batch is told by. With anything behind it, it would be one message.
const BATCH_TYPE: &str = "application/vnd.microsoft.servicebus.json";

/// The header that holds the properties of a message by itself.
const BROKER_PROPERTIES: HeaderName = HeaderName::from_static("brokerproperties");

/// A namespace, and how messages are sent to its entities.
pub(crate) struct Namespace<K> {
    service: Service,
    account: Account<Key>,
    pub(crate) options: Options,
    clock: Arc<dyn Clock>,
    kind: PhantomData<K>,
}

type Done = Result<Published, PublishError>;

impl<K: Kind> Namespace<K> {
    /// # Errors
    /// An option is wrong, or the function that is starting lacks something.
    pub(crate) fn new(options: Options, credential: Option<Arc<dyn TokenCredential>>, cx: &Init) -> Result<Self, OptionError> {
        let account = options.account::<K>(credential, cx)?;
        let service = Service::with_client(SERVICE, TIMEOUT, cx, errand_azure::client(cx))?;
        Ok(Self { service, account, options, clock: cx.clock()?, kind: PhantomData })
    }

    /// Whether there is something that lets us in, as far as that is known without a call.
    pub(crate) async fn check(&self) -> Result<(), PublishError> {
        self.account.with(|_| async { Ok(()) }).await.map_err(|error| publish_error(error, self.options.body_limit()))
    }

    /// Sends a batch, all of it or nothing; again, where its answer was lost and Service Bus drops the second one.
    async fn send_together(&self, entity: &str, messages: &[&Message]) -> Result<(), PublishError> {
        let (content_type, properties, body) = match messages {
            [message] => (self.options.content_type(), Some(message.header()), message.body.clone()),
            _ => (BATCH_TYPE, None, batch(messages)),
        };
        let once = |access: Access<Key>| {
            let (properties, body) = (properties.clone(), body.clone());
            async move {
                let url = format!("{}/messages", path(entity));
                let call = self.call(&access, Method::POST, entity, &format!("{url}?timeout={THEIR_TIMEOUT}"))?;
                let properties = properties.and_then(|properties| HeaderValue::try_from(properties).ok());
                let properties: HeaderMap = properties.into_iter().map(|value| (BROKER_PROPERTIES, value)).collect();
                let call = call.json_text(body).header(header::CONTENT_TYPE, content_type).headers(properties).retried(RETRY);
                judge::sent(&call.send().await?, K::NAME)
            }
        };
        let mut done = self.account.with(&once).await;
        if self.options.duplicate_detection && done.as_ref().is_err_and(|error| error.kind == ErrorKind::OutcomeUnknown) {
            done = self.account.with(&once).await;
        }
        done.map_err(|error| publish_error(error, self.options.body_limit()))
    }

    /// A call of what is below the namespace, for an entity.
    fn call(&self, access: &Access<Key>, method: Method, entity: &str, path_and_query: &str) -> Result<Call<'_>, DeliveryError> {
        match access {
            Access::Token(base, token) => Ok(self.service.call(method, &format!("{base}/{path_and_query}")).bearer(token.clone())),
            Access::Key(key) if key.entity.as_deref().is_some_and(|own| own != entity) => {
                let why = format!("{SERVICE}: the connection string is for another {}: its EntityPath says so", K::NAME);
                Err(DeliveryError::new(ErrorKind::Misconfigured, why))
            }
            Access::Key(key) => {
                let signed = key.authorization(&format!("{}/{}", key.url, path(entity)), self.clock.now());
                Ok(self.service.call(method, &format!("{}/{path_and_query}", key.url)).secret(header::AUTHORIZATION, signed))
            }
        }
    }

    /// Whether an entity is there, as far as we may know.
    pub(crate) async fn find(&self, entity: &str) -> Result<(), PublishError> {
        let ask = |access: Access<Key>| async move {
            let call = self.call(&access, Method::GET, entity, &format!("{}?api-version=2017-04", path(entity)))?;
            judge::found(&call.send().await?, K::NAME)
        };
        self.account.with(ask).await.map_err(|error| publish_error(error, self.options.body_limit()))
    }
}

impl<K: Kind> Batching for Namespace<K> {
    type Message = Message;

    /// What Service Bus says of transactions; it is far below what it refuses batches for.
    const MOST: usize = 100;

    fn bytes(&self) -> usize {
        self.options.limit()
    }

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn entry(&self, envelope: &Envelope, now: Timestamp) -> Result<Entry<Message>, PublishError> {
        let message = Message::of(envelope, &self.options, now)?;
        let to = envelope.destination.clone().unwrap_or_default();
        Ok(Entry { to, size: message.length(), ordered: true, message })
    }

    /// All of a batch is taken or nothing: what is refused of it is looked for in its halves.
    async fn send(&self, to: &str, messages: &[&Message]) -> Result<Vec<(usize, Done)>, PublishError> {
        let all = 0..messages.len();
        let (mut answers, mut waiting) = (Vec::with_capacity(messages.len()), vec![all]);
        while let Some(places) = waiting.pop() {
            match self.send_together(to, &messages[places.clone()]).await {
                Ok(()) => answers.extend(places.map(|place| (place, Ok(Published { message_id: Some(messages[place].id.clone()) })))),
                Err(error) if of_one(&error) && places.len() > 1 => {
                    let middle = places.start + places.len() / 2;
                    waiting.extend([middle..places.end, places.start..middle]);
                }
                Err(error) if of_one(&error) => answers.push((places.start, Err(error))),
                Err(error) if answers.is_empty() => return Err(error),
                Err(error) => {
                    answers.extend(places.map(|place| (place, Err(error.clone()))));
                    let unsent = error.behind();
                    answers.extend(waiting.drain(..).flatten().map(|place| (place, Err(unsent.clone()))));
                }
            }
        }
        Ok(answers)
    }
}

/// Whether a refusal is of one message of a batch, and not of all.
const fn of_one(error: &PublishError) -> bool {
    matches!(error, PublishError::Refused(_) | PublishError::TooLarge { .. })
}
