use std::time::Duration;

use errand_core::{Attempt, DeliveryError, Environment, ErrorKind, Init, Lack, Provider, Receipt, Secret, Setting, SettingsError};
use errand_http::{Answer, Call, Credential, Meanings, Service, Told, is, is_code, stops, token};
use errand_payloads::slack::{self, Message};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;

use crate::{SETTINGS, settings};

const TOKEN: &str = settings::TOKEN.name;
const WEBHOOK_URL: &str = settings::WEBHOOK_URL.name;

/// For one call, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Posts to Slack by its Web API or by an incoming webhook.
pub struct Slack {
    slack: Service,
    /// A bot token, for messages that name a channel.
    token: Option<Credential>,
    /// An incoming webhook, for messages that do not.
    webhook_url: Option<Credential>,
}

impl Provider for Slack {
    const NAME: &'static str = "slack";
    const TASKS: &'static [&'static str] = &["slack"];
    const SETTINGS: &'static [Setting] = SETTINGS;
    type Payload = Message;

    fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let token = Credential::from_env(env, &settings::TOKEN, cx, token)?;
        let webhook_url = Credential::from_env(env, &settings::WEBHOOK_URL, cx, webhook_url)?;
        if token.is_none() && webhook_url.is_none() {
            return Err(SettingsError { problem: "must be set, or ERRAND_SLACK_WEBHOOK_URL".to_owned(), ..SettingsError::missing(TOKEN) });
        }
        Ok(Self { slack: Service::new("Slack", TIMEOUT, cx)?.at(env, &settings::URL)?, token, webhook_url })
    }

    fn timeout(&self) -> Duration {
        self.slack.timeout() + self.token.iter().chain(&self.webhook_url).map(Credential::patience).max().unwrap_or_default()
    }

    async fn deliver(&self, message: Message, attempt: &Attempt) -> Result<Receipt, DeliveryError> {
        let post = |to: &str| self.slack.post(to).json(&message).header(CONTENT_TYPE, "application/json; charset=utf-8").of(attempt);
        let ours = self.webhook_url.as_ref().filter(|_| message.channel.is_none());
        match (&message.webhook_url, ours, &self.token) {
            (Some(url), ..) => send(post(url), true).await.map_err(|mut error| {
                // A message's own webhook that does not work stops no other message.
                error.stops = false;
                error
            }),
            (None, Some(ours), _) => ours.with(|url| send(post(url.expose()), true)).await,
            (None, None, Some(token)) if message.channel.is_some() => {
                token.with(|token| send(post("/chat.postMessage").bearer(token), false)).await
            }
            _ => Err(self.lack(&message)),
        }
    }
}

async fn send(call: Call<'_>, by_webhook: bool) -> Result<Receipt, DeliveryError> {
    judge(&call.send().await?, by_webhook)
}

/// The form of an incoming webhook.
fn webhook_url(url: &Secret) -> Result<Secret, String> {
    slack::webhook_url(url.expose()).map(|()| url.clone()).map_err(|expected| format!("expected {expected}"))
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
}

/// What an answer means: of the Web API, and of a workflow's webhook, JSON whose status is nearly always 200; of an incoming webhook a word, `ok` or an error code.
/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>
fn judge(answer: &Answer, by_webhook: bool) -> Result<Receipt, DeliveryError> {
    let told = answer.told();
    match (told.get("ok"), told.get::<String>("error")) {
        (Some(false), Some(code)) => Err(answer.refused(&MEANINGS, Some(&code), &causes(&told))),
        _ if answer.success() && by_webhook => Ok(Receipt::default()),
        (Some(true), _) if answer.success() => {
            Ok(Receipt(json!({ "channel": told.get::<String>("channel"), "ts": told.get::<String>("ts") }).into()))
        }
        _ if answer.success() => Err(answer.unclear()),
        _ => Err(answer.refused(&MEANINGS, std::str::from_utf8(answer.body()).ok().filter(|word| is_code(word)), &[])),
    }
}

/// What Slack says of the cause.
fn causes(told: &Told<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Metadata {
        /// What is wrong with the message, and where.
        messages: Vec<String>,
    }
    let needed = told.get::<String>("needed").map(|scope| format!("the token needs the scope {scope}"));
    let messages = told.get::<Metadata>("response_metadata").map(|metadata| metadata.messages).unwrap_or_default();
    needed.into_iter().chain(messages.iter().take(3).map(|message| message.trim_start_matches("[ERROR] ").to_owned())).collect()
}

/// <https://docs.slack.dev/reference/methods/chat.postMessage#errors>
static MEANINGS: Meanings = Meanings {
    codes: &[
        ("ratelimited rate_limited message_limit_exceeded", is(ErrorKind::RateLimited)),
        ("internal_error fatal_error service_unavailable request_timeout rollup_error team_added_to_org", is(ErrorKind::Unavailable)),
        // The token or the workspace.
        (
            "invalid_auth not_authed token_revoked token_expired account_inactive not_allowed_token_type org_login_required invalid_token \
             two_factor_setup_required enterprise_is_restricted accesslimited ekm_access_denied team_access_not_granted",
            stops(ErrorKind::Misconfigured),
        ),
        // What one message asks for, and another may not.
        ("missing_scope no_permission access_denied action_prohibited", is(ErrorKind::Misconfigured)),
        (
            "channel_not_found not_in_channel is_archived channel_is_archived user_not_found messages_tab_disabled no_service no_active_hooks",
            is(ErrorKind::RecipientGone),
        ),
    ],
    statuses: &[],
};

#[cfg(test)]
mod tests {
    use errand_http::Client;
    use errand_testkit::{Answer, Stub, answers, init, provider::attempt};

    use errand_core::Payload;

    use super::*;

    /// One whose incoming webhook is not Slack's.
    fn slack(webhook_url: &str, cx: Init) -> Slack {
        let slack = Service::new("Slack", TIMEOUT, &cx.with(Client::new())).unwrap();
        Slack { slack, token: None, webhook_url: Some(Credential::of(Secret::new(webhook_url))) }
    }

    #[tokio::test]
    async fn every_answer_of_an_incoming_webhook_has_its_consequence() {
        answers::check(slack, r#"{"text":"x"}"#, include_str!("../tests/incoming-webhooks.json"), 18).await;
    }

    #[tokio::test]
    async fn a_messages_own_webhook_stops_no_other_message() {
        let stub = Stub::start(|_| Answer::json(403, "invalid_token")).await;
        let theirs = Message { webhook_url: Some(stub.url().to_owned()), ..Message::from_json(r#"{"text":"x"}"#).unwrap() };
        let error = slack(stub.url(), init()).deliver(theirs, &attempt("k")).await.unwrap_err();
        assert_eq!((error.kind, error.stops), (ErrorKind::Misconfigured, false));
    }
}
