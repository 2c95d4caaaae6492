use std::time::Duration;

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Provider, Receipt, Setting, SettingsError, TaskResult};
use errand_http::{Client, Credential, Meanings, Service, sign};
use errand_payloads::webhook::Call;

use crate::settings::{ALLOW, SECRET, SETTINGS, TIMEOUT_SECONDS};

/// Calls URLs that senders name. No redirect is followed, and only addresses of the public internet, or allowed ones, are called.
pub struct Webhook {
    receiver: Service,
    keys: Credential<sign::Keys>,
}

impl Provider for Webhook {
    const NAME: &'static str = "webhook";
    const TASKS: &'static [&'static str] = &["webhook", TaskResult::CALLBACK];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Call;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let keys = sign::keys(env, &SECRET, cx)?;
        let timeout = cx.invocation().reserving(keys.patience()).timeout(env, &TIMEOUT_SECONDS, Duration::from_secs(15))?;
        let receiver = Service::with_client("the receiver", timeout, cx, Client::guarded(env, &ALLOW)?)?;
        Ok(Self { receiver, keys })
    }

    fn timeout(&self) -> Duration {
        self.receiver.timeout() + self.keys.patience()
    }

    async fn deliver(&self, call: Call, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let own = call.secret.as_ref().map(sign::key).transpose();
        let own = own.map_err(|expected| DeliveryError::new(ErrorKind::InvalidPayload, format!("/kwargs/secret: expected {expected}")))?;
        let keys = match own {
            Some(own) => sign::Keys::from([own]),
            None => self.keys.get().await?,
        };
        let request = self.receiver.call(call.method, &call.url.to_string()).json_text(call.body.get().to_owned()).headers(call.headers);
        let answer = request.webhook(&attempt.key, &keys).of(attempt).send().await?;
        if answer.success() { Ok(answer.receipt()) } else { Err(answer.refused(&MEANINGS, None, &[])) }
    }
}

/// By the Standard Webhooks specification 410 ends the subscription, and 429, 502 and 504 ask for less. A receiver's other refusals are tried again as well: it is a
/// program that somebody mends.
static MEANINGS: Meanings = Meanings {
    codes: &[],
    statuses: &[(&[401, 403, 404], ErrorKind::Unavailable), (&[410], ErrorKind::RecipientGone), (&[502, 504], ErrorKind::RateLimited)],
};
