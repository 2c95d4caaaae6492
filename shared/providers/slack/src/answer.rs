//! What Slack's answers mean.

use errand_core::{DeliveryError, ErrorKind, Receipt, Timestamp};
use errand_http::{failure, kind_of, retry_after, said};
use serde::{
    Deserialize,
    de::{Deserializer as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::json;

/// How many of the messages of a refusal are told.
const MOST_MESSAGES: usize = 3;

type Response = http::Response<bytes::Bytes>;

/// What Slack's Web API says in every answer, whose status is nearly always 200.
#[derive(Default)]
struct Answer {
    ok: Option<bool>,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
    /// What the token may not do and would have to.
    needed: Option<String>,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    /// What is wrong with the message, and where.
    messages: Vec<String>,
}

impl Answer {
    /// Reads an answer as far as it goes: Slack repeats the message behind these fields, and a long one is cut there.
    fn read(body: &[u8]) -> Self {
        let mut answer = Self::default();
        serde_json::Deserializer::from_slice(body).deserialize_map(Reader(&mut answer)).ok();
        answer
    }

    /// What it says of the cause, without what it repeats of the message.
    fn cause(&self) -> String {
        let needed = self.needed.iter().map(|scope| format!("the token needs the scope {scope}"));
        let messages = self.metadata.messages.iter().take(MOST_MESSAGES).map(|message| message.trim_start_matches("[ERROR] ").to_owned());
        needed.chain(messages).map(|cause| said(&cause)).collect::<Vec<_>>().join("; ")
    }
}

struct Reader<'a>(&'a mut Answer);

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an answer of Slack")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "ok" => self.0.ok = map.next_value()?,
                "error" => self.0.error = map.next_value()?,
                "channel" => self.0.channel = map.next_value()?,
                "ts" => self.0.ts = map.next_value()?,
                "needed" => self.0.needed = map.next_value()?,
                "response_metadata" => self.0.metadata = map.next_value::<Option<_>>()?.unwrap_or_default(),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// What an answer to `chat.postMessage` means.
pub(crate) fn of_web_api(response: &Response) -> Result<Receipt, DeliveryError> {
    let success = response.status().is_success();
    let answer = Answer::read(response.body());
    match answer {
        Answer { ok: Some(true), channel, ts, .. } if success => Ok(Receipt(json!({ "channel": channel, "ts": ts }).into())),
        Answer { ok: Some(false), error: Some(ref code), .. } => Err(refusal(code, &answer.cause(), response)),
        _ if success => Err(DeliveryError::new(ErrorKind::OutcomeUnknown, "Slack answered what is no answer of its Web API")),
        _ => Err(failure("Slack", response, Timestamp::now())),
    }
}

/// What an answer of an incoming webhook means: a word, `ok` or an error code; of a workflow's, JSON as of the Web API.
/// <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>
pub(crate) fn of_webhook(response: &Response) -> Result<Receipt, DeliveryError> {
    let answer = Answer::read(response.body());
    if let Answer { ok: Some(false), error: Some(code), .. } = &answer {
        return Err(refusal(code, &answer.cause(), response));
    }
    if response.status().is_success() {
        return Ok(Receipt::default());
    }
    let code = String::from_utf8_lossy(response.body());
    Err(if is_code(&code) { refusal(&code, "", response) } else { failure("Slack", response, Timestamp::now()) })
}

/// Whether a text is one of Slack's error codes, and not a page of something between.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// What an error code means: <https://docs.slack.dev/reference/methods/chat.postMessage#errors>. One that is not known is judged by the status.
fn refusal(code: &str, cause: &str, response: &Response) -> DeliveryError {
    let kind = match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => ErrorKind::RateLimited,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "rollup_error" | "team_added_to_org" => {
            ErrorKind::Unavailable
        }
        _ if concerns_all(code) => ErrorKind::Misconfigured,
        // What one message asks for, and another may not.
        "missing_scope" | "no_permission" | "access_denied" | "action_prohibited" => ErrorKind::Misconfigured,
        "channel_not_found"
        | "not_in_channel"
        | "is_archived"
        | "channel_is_archived"
        | "user_not_found"
        | "messages_tab_disabled"
        | "no_service"
        | "no_active_hooks" => ErrorKind::RecipientGone,
        _ if response.status().is_success() => ErrorKind::Rejected,
        _ => kind_of(response.status()),
    };
    let told = if is_code(code) { code } else { "an error of no known form" };
    let colon = if cause.is_empty() { "" } else { ": " };
    let error = DeliveryError::new(kind, format!("Slack answered HTTP {} {told}{colon}{cause}", response.status().as_u16()))
        .retry_after(retry_after(response.headers(), Timestamp::now()));
    if concerns_all(code) { error.stopping() } else { error }
}

/// Whether an error code is about the token or the workspace, and so about every message.
fn concerns_all(code: &str) -> bool {
    matches!(
        code,
        "invalid_auth"
            | "not_authed"
            | "token_revoked"
            | "token_expired"
            | "account_inactive"
            | "not_allowed_token_type"
            | "org_login_required"
            | "two_factor_setup_required"
            | "enterprise_is_restricted"
            | "accesslimited"
            | "ekm_access_denied"
            | "team_access_not_granted"
            | "invalid_token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        http::Response::builder().status(status).body(body.to_owned().into()).unwrap()
    }

    #[test]
    fn a_message_that_slack_repeats_at_length_is_delivered() {
        let long = format!(r#"{{"ok":true,"channel":"C1","ts":"1.2","message":{{"text":"{}"}}}}"#, "x".repeat(100));
        for length in [long.len(), long.len() - 3, 50] {
            let receipt = of_web_api(&response(200, &long[..length])).unwrap();
            assert_eq!(receipt.0, json!({ "channel": "C1", "ts": "1.2" }).into(), "{length}");
        }
        assert_eq!(of_web_api(&response(200, r#"{"ok":tr"#)).unwrap_err().kind, ErrorKind::OutcomeUnknown);
    }
}
