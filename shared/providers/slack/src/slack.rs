use std::time::Duration;

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Lack, Provider, Receipt, Secret, Setting, SettingsError};
use errand_http::Client;
use errand_payloads::slack::{self, Message};
use http::header;

use crate::{SETTINGS, answer, settings};

const TOKEN: &str = settings::TOKEN.name;
const WEBHOOK_URL: &str = settings::WEBHOOK_URL.name;

/// For one call, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Posts to Slack by its Web API or by an incoming webhook.
pub struct Slack {
    client: Client,
    /// A bot token, for messages that name a channel.
    token: Option<Secret>,
    /// An incoming webhook, for messages that do not.
    webhook_url: Option<Secret>,
    /// The base URL of the Web API.
    url: String,
}

impl Provider for Slack {
    const NAME: &'static str = "slack";
    const TASKS: &'static [&'static str] = &["slack"];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Message;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let (token, webhook_url) = (env.secret(&settings::TOKEN), env.secret(&settings::WEBHOOK_URL));
        if token.is_none() && webhook_url.is_none() {
            return Err(SettingsError { problem: "must be set, or ERRAND_SLACK_WEBHOOK_URL".to_owned(), ..SettingsError::missing(TOKEN) });
        }
        if token.as_ref().is_some_and(|token| !token.expose().bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(SettingsError::invalid(TOKEN, "holds a character that no token has"));
        }
        if let Some(Err(expected)) = webhook_url.as_ref().map(|url| slack::webhook_url(url.expose())) {
            return Err(SettingsError::invalid(WEBHOOK_URL, &format!("expected {expected}")));
        }
        let url = env.required(&settings::URL)?.to_owned();
        if !url.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
            return Err(SettingsError::invalid(settings::URL.name, "expected the base URL of the Web API, such as https://slack.com/api"));
        }
        Ok(Self { client: cx.shared::<Client>()?.clone(), token, webhook_url, url })
    }

    async fn deliver(&self, message: Message, _: &Attempt) -> Result<Receipt, DeliveryError> {
        let body = serde_json::to_vec(&message)
            .map_err(|_| DeliveryError::new(ErrorKind::InvalidPayload, "the message cannot be written as JSON"))?;
        let hook =
            message.webhook_url.as_deref().or_else(|| self.webhook_url.as_ref().filter(|_| message.channel.is_none()).map(Secret::expose));
        match (hook, &self.token) {
            // A message's own webhook that does not work stops no other message.
            (Some(url), _) if message.webhook_url.is_some() => self.post_to_webhook(url, body).await.map_err(|mut error| {
                error.stops = false;
                error
            }),
            (Some(url), _) => self.post_to_webhook(url, body).await,
            (None, Some(token)) if message.channel.is_some() => self.post_message(token, body).await,
            (None, _) => Err(self.lack(&message)),
        }
    }
}

impl Slack {
    /// Why a message cannot be delivered with the settings that there are.
    fn lack(&self, message: &Message) -> DeliveryError {
        let has = |name: &str| (name == TOKEN && self.token.is_some()) || (name == WEBHOOK_URL && self.webhook_url.is_some());
        match message.lacks(&has) {
            Some(lack @ Lack::Field(field, _)) => DeliveryError::new(ErrorKind::InvalidPayload, format!("/kwargs/{field}: {lack}")),
            lack => DeliveryError::new(ErrorKind::Misconfigured, lack.unwrap_or(Lack::Setting(TOKEN)).to_string()),
        }
    }

    async fn post_message(&self, token: &Secret, body: Vec<u8>) -> Result<Receipt, DeliveryError> {
        let url = format!("{}/chat.postMessage", self.url.trim_end_matches('/'));
        let request = http::Request::post(url).header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        let response = self.send(request, body).await?;
        answer::of_web_api(&response)
    }

    async fn post_to_webhook(&self, url: &str, body: Vec<u8>) -> Result<Receipt, DeliveryError> {
        let response = self.send(http::Request::post(url), body).await?;
        answer::of_webhook(&response)
    }

    async fn send(&self, request: http::request::Builder, body: Vec<u8>) -> Result<http::Response<bytes::Bytes>, DeliveryError> {
        let request = request.header(header::CONTENT_TYPE, "application/json; charset=utf-8").body(body.into());
        let request = request.map_err(|_| DeliveryError::new(ErrorKind::Misconfigured, "the URL of Slack is not valid"))?;
        Ok(self.client.send(request, TIMEOUT).await?)
    }
}

#[cfg(test)]
mod tests {
    use errand_testkit::{Answer, Stub, answers, provider::attempt};

    use errand_core::Payload;

    use super::*;

    /// One whose incoming webhook is not Slack's.
    fn slack(webhook_url: &str) -> Slack {
        Slack { client: Client::new(), token: None, webhook_url: Some(Secret::new(webhook_url)), url: String::new() }
    }

    #[tokio::test]
    async fn every_answer_of_an_incoming_webhook_has_its_consequence() {
        answers::check(slack, r#"{"text":"x"}"#, include_str!("../tests/incoming-webhooks.json"), 18).await;
    }

    #[tokio::test]
    async fn a_messages_own_webhook_stops_no_other_message() {
        let stub = Stub::start(|_| Answer::json(403, "invalid_token")).await;
        let theirs = Message { webhook_url: Some(stub.url().to_owned()), ..Message::from_json(r#"{"text":"x"}"#).unwrap() };
        let error = slack(stub.url()).deliver(theirs, &attempt("k")).await.unwrap_err();
        assert_eq!((error.kind, error.stops), (ErrorKind::Misconfigured, false));
    }
}
