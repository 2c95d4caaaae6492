//! What settings refer to: parameters of Systems Manager, secrets of Secrets Manager, files.

use std::{io::Read as _, sync::Arc, time::Duration};

use aws_types::SdkConfig;
use errand_core::{
    Clock, DeliveryError, Environment, ErrorKind, Init, Reader, Reference, Secret, Setting, SettingsError, Timestamp,
    settings::all::SETTINGS,
};
use http::header::CONTENT_TYPE;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Client, Meanings, Retry, Service, aws};

/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>
const PARAMETER_STORE: aws::Api = aws::Api { name: "Parameter Store", id: "SSM", host: "ssm", signed_as: "ssm" };

/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
const SECRETS_MANAGER: aws::Api =
    aws::Api { name: "Secrets Manager", id: "Secrets Manager", host: "secretsmanager", signed_as: "secretsmanager" };

/// How long a value may take to be read, in all.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Parameter Store takes 40 calls a second of an account by default, which many cold starts at once are more than.
/// <https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm>
const RETRY: Retry = Retry::repeatable(4, Duration::from_millis(100));

/// The longest value, in bytes: a secret of Secrets Manager.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const LONGEST: usize = 65_536;

/// The longest answer that holds one, each byte of it written as `\u0000`, and what stands beside it.
const ANSWER_LIMIT: usize = 6 * LONGEST + 4096;

/// Reads what settings refer to. It trusts Amazon's roots alone, and calls nobody before something is read. Clones share connections.
#[derive(Clone)]
pub struct References {
    aws: Option<Aws>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

#[derive(Clone)]
struct Aws {
    parameters: Service,
    secrets: Service,
}

impl References {
    /// What reads files, and with the AWS configuration that the function has what is on AWS.
    ///
    /// # Errors
    /// That has no region or no credentials; or the function that is starting has no clock.
    pub fn new(env: &Environment, cx: &Init) -> Result<Self, SettingsError> {
        let client = Client::aws(env);
        let service = |api: aws::Api| api.service(TIMEOUT, cx, client.clone());
        let aws = match cx.shared::<SdkConfig>() {
            Ok(_) => Some(Aws { parameters: service(PARAMETER_STORE)?, secrets: service(SECRETS_MANAGER)? }),
            Err(_) => None,
        };
        Ok(Self { aws, clock: cx.clock()?, timeout: cx.call_timeout(TIMEOUT) })
    }

    /// The settings of `reader`, with the values that those have which are [whole](Environment::whole_references) by reference. They are read one after the other, over
    /// one connection.
    ///
    /// # Errors
    /// One cannot be read, or is no reference; or a call takes longer than 2 seconds.
    pub async fn whole(&self, env: &Environment, reader: Reader) -> Result<Environment, SettingsError> {
        let read = async |env: Environment, setting: &Setting, reference: &Reference| {
            let value = self.read(reference).await.map_err(|error| SettingsError::invalid(setting.name, &error.message))?;
            Ok::<_, SettingsError>(env.with_value(setting, value.expose()))
        };
        // What holds others comes first: they may be references as well.
        let mut whole = match env.reference(&SETTINGS)?.filter(|_| SETTINGS.readers.contains(&reader)) {
            Some(reference) => read(env.clone(), &SETTINGS, &reference).await?,
            None => env.clone(),
        }
        .with_more(reader)?;
        for (setting, reference) in whole.whole_references(reader)? {
            whole = read(whole, &setting, &reference).await?;
        }
        Ok(whole)
    }

    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How long a value may take to be read.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Reads a value. An error says what to do and names neither the setting nor what it holds. Nothing was asked of the service that wants the value: what may pass
    /// is unavailable, and what does not is misconfigured and stops all that needs it.
    pub(crate) async fn read(&self, reference: &Reference) -> Result<Secret, DeliveryError> {
        timeout(self.timeout, self.read_whole(reference)).await.unwrap_or_else(|_| Err(late(self.timeout)))
    }

    async fn read_whole(&self, reference: &Reference) -> Result<Secret, DeliveryError> {
        let text = match (reference, &self.aws) {
            (Reference::File(path), _) => read_file(path.clone()).await?,
            (_, None) => return Err(wrong("refers to AWS, and this function has no AWS configuration")),
            (Reference::Parameter(name), Some(aws)) => {
                let body = json!({ "Name": name, "WithDecryption": true });
                call::<GotParameter>(&aws.parameters, "AmazonSSM.GetParameter", &body).await?.parameter.value
            }
            (Reference::Secret { name, key }, Some(aws)) => {
                let got: GotSecret = call(&aws.secrets, "secretsmanager.GetSecretValue", &json!({ "SecretId": name })).await?;
                let text = got.secret_string.ok_or_else(|| wrong("refers to a secret that is binary: store it as text"))?;
                key.as_deref().map_or_else(|| Ok(text.clone()), |key| field(&text, key))?
            }
        };
        // Whoever writes a file by an editor or by `echo` has written the end of a line as well, and some editors begin with a mark.
        match text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']) {
            "" => Err(wrong("refers to what is empty")),
            text => Ok(Secret::new(text)),
        }
    }
}

#[derive(Deserialize)]
struct GotParameter {
    #[serde(rename = "Parameter")]
    parameter: Parameter,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Deserialize)]
struct GotSecret {
    /// Not there for a binary one.
    #[serde(rename = "SecretString")]
    secret_string: Option<String>,
}

/// A call by AWS's JSON protocol. <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>
async fn call<T: DeserializeOwned>(service: &Service, target: &'static str, body: &Value) -> Result<T, DeliveryError> {
    let call = service.post("/").json(body).header(CONTENT_TYPE, "application/x-amz-json-1.1").header("x-amz-target", target);
    let answer = call.up_to(ANSWER_LIMIT).retried(RETRY).send().await.map_err(|error| unread(error, ""))?;
    if !answer.success() {
        let advice = advice(aws::code(&answer).as_deref().unwrap_or_default());
        return Err(unread(aws::refused(&answer, &Meanings::default()), advice));
    }
    answer.json().ok_or_else(|| unread(answer.unclear(), ""))
}

/// What to do about a refusal.
fn advice(code: &str) -> &'static str {
    match code {
        "ParameterNotFound" | "ResourceNotFoundException" => ": make it, in the account and region of what reads it",
        "AccessDenied" | "AccessDeniedException" => ": allow what reads it to do so, and to decrypt with its key",
        "InvalidKeyId" | "DecryptionFailure" => ": see to the key that it is encrypted with",
        "InvalidRequestException" => ": it was deleted, or has no value yet",
        _ => "",
    }
}

/// What it means that a value could not be had: whether that passes.
fn unread(error: DeliveryError, advice: &str) -> DeliveryError {
    let message = format!("what it refers to cannot be read: {}{advice}", error.message);
    match error.kind {
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
            DeliveryError::new(ErrorKind::Unavailable, message).retry_after(error.retry_after)
        }
        _ => DeliveryError::new(ErrorKind::Misconfigured, message).stopping(),
    }
}

fn wrong(what: &str) -> DeliveryError {
    DeliveryError::new(ErrorKind::Misconfigured, what).stopping()
}

/// A value that did not come in time.
pub(crate) fn late(limit: Duration) -> DeliveryError {
    DeliveryError::new(ErrorKind::Unavailable, format!("what it refers to was not read within {} seconds", limit.as_secs_f64()))
}

/// A field of a JSON object: a text as it is, anything else as JSON.
fn field(text: &str, key: &str) -> Result<String, DeliveryError> {
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(text)
        .map_err(|_| wrong("refers to a field of a secret that is no JSON object: leave out the # and the field"))?;
    match object.remove(key) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Err(wrong("refers to a field that its secret does not have")),
        Some(other) => Ok(other.to_string()),
    }
}

/// Reads a file on another thread: one that hangs must not hold up what else runs.
async fn read_file(path: String) -> Result<String, DeliveryError> {
    let read = move || {
        let mut text = String::new();
        std::fs::File::open(path)?.take(LONGEST as u64 + 1).read_to_string(&mut text).map(|_| text)
    };
    let read = tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
    let text = read.map_err(|error| wrong(&format!("refers to a file that cannot be read: {}", error.kind())))?;
    if text.len() > LONGEST { Err(wrong("refers to a file of more than 64 KiB")) } else { Ok(text) }
}
