//! The settings of the AWS clients in a function: from its environment, without I/O. Only Amazon's roots are trusted, one connection pool
//! serves all clients, and no client parses certificates before its first request.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion,
    http::{SharedHttpClient, SharedHttpConnector, http_client_fn},
    orchestrator::HttpResponse,
    result::SdkError,
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_smithy_types::{error::metadata::ProvideErrorMetadata, retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{
    region::Region,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use errand_core::{
    Environment, PublishError, SettingsError,
    settings::all::{
        AWS_ACCESS_KEY_ID, AWS_CA_BUNDLE, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, AWS_REGION,
        AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    },
};

pub use aws_types::SdkConfig;

use crate::{
    client::not_sent,
    connect::{Limits, connector},
    guard::Dns,
    roots,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the first byte of an answer. Every call that we make answers in milliseconds.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// For all attempts at a call together: a dead endpoint must not eat an invocation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(9);

const ENDPOINT: &str = AWS_ENDPOINT_URL.name;

/// The settings that Lambda puts into every function's environment, and the endpoints that an operator may set.
///
/// # Errors
/// The region or the credentials are not there.
pub fn sdk_config(env: &Environment) -> Result<SdkConfig, SettingsError> {
    let region = env.get(&AWS_REGION).or_else(|| env.get(&AWS_DEFAULT_REGION)).ok_or_else(|| SettingsError::missing(AWS_REGION.name))?;
    let secret = |setting| env.required(setting).map(ToOwned::to_owned);
    let credentials = Credentials::new(
        secret(&AWS_ACCESS_KEY_ID)?,
        secret(&AWS_SECRET_ACCESS_KEY)?,
        secret(&AWS_SESSION_TOKEN).ok(),
        None,
        "environment",
    );
    let endpoints = Endpoints::from_env(env);
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(http_client(env))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(200)))
        .timeout_config(timeouts())
        // Guards against slow streams; our calls are small and have a timeout.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    config.set_endpoint_url(endpoints.0.get(ENDPOINT).cloned());
    Ok(config.service_config(endpoints).build())
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

/// The HTTP client of all AWS clients. It trusts Amazon's roots, and those in the file that `AWS_CA_BUNDLE` names, which is read at the first
/// request. The SDK's own would build a connector, and parse all certificates, for each client that is made.
#[must_use]
pub fn http_client(env: &Environment) -> SharedHttpClient {
    let ca_bundle = env.get(&AWS_CA_BUNDLE).map(PathBuf::from);
    let connector = Arc::new(LazyLock::new(move || {
        let limits = Limits { connect: CONNECT_TIMEOUT, read: Some(READ_TIMEOUT) };
        connector(limits, roots::amazon(ca_bundle.as_deref()), Dns(None))
    }));
    http_client_fn(move |_, _| SharedHttpConnector::clone(&connector))
}

/// `AWS_ENDPOINT_URL` and its per-service forms, which win over it.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
#[derive(Clone, Debug, Default)]
struct Endpoints(HashMap<String, String>);

impl Endpoints {
    fn from_env(env: &Environment) -> Self {
        if env.get(&AWS_IGNORE_CONFIGURED_ENDPOINT_URLS).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Self::default();
        }
        Self(env.family(&AWS_ENDPOINT_URL).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        self.0.get(&format!("{}_{service}", key.env())).cloned()
    }
}

/// What is known of a call to AWS that failed. No text repeats what the service said of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service answered with this error code and HTTP status.
    Answered {
        /// The service's own code, such as `ThrottlingException`; `Unknown` when it gave none.
        code: String,
        /// The HTTP status.
        status: u16,
        /// What it said. Not for logs: it may repeat the request.
        message: String,
    },
    /// Nothing left this machine. Holds why.
    NotSent(String),
    /// The request left, and no answer came or none that can be read: it may have been done.
    Unanswered,
}

impl Failure {
    /// The failure in an SDK's error.
    pub fn of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Self {
        if error.raw_response().is_some_and(|answer| answer.status().is_success()) {
            // An answer that broke off or is not the service's: what it was asked is probably done.
            return Self::Unanswered;
        }
        match error {
            SdkError::ServiceError(context) => Self::Answered {
                code: context.err().code().unwrap_or("Unknown").to_owned(),
                status: context.raw().status().as_u16(),
                message: context.err().message().unwrap_or_default().to_owned(),
            },
            SdkError::ResponseError(context) => {
                Self::Answered { code: "Unknown".to_owned(), status: context.raw().status().as_u16(), message: String::new() }
            }
            SdkError::ConstructionFailure(_) => Self::NotSent("no request can be made of it".to_owned()),
            SdkError::DispatchFailure(failure) => failure.as_connector_error().and_then(not_sent).map_or(Self::Unanswered, Self::NotSent),
            _ => Self::Unanswered,
        }
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Answered { status, code, .. } => *status >= 500 || *status == 429 || throttled(code),
            Self::NotSent(_) | Self::Unanswered => true,
        }
    }

    /// What it means for who wanted to hand something over to `service`.
    #[must_use]
    pub fn to_publish(&self, service: &str) -> PublishError {
        let why = format!("{service}: {self}");
        if self.passes() { PublishError::Unavailable(why) } else { PublishError::Misconfigured(why) }
    }
}

/// Whether an error code asks to be called less often, with whatever status: `ThrottlingException`, `RequestThrottled`, `KmsThrottled`.
#[must_use]
pub fn throttled(code: &str) -> bool {
    code.contains("Throttl") || code.contains("TooManyRequests")
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered { code, status, .. } => write!(f, "HTTP {status} {code}"),
            Self::NotSent(why) => f.write_str(why),
            Self::Unanswered => f.write_str("the request left and no readable answer came"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Environment {
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")].iter().chain(vars).copied().collect()
    }

    fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id(service).env(ENDPOINT).profile("endpoint_url").build().unwrap();
        config.service_config().and_then(|services| services.load_config(key))
    }

    #[test]
    fn a_services_own_endpoint_wins_over_the_common_one() {
        let config = sdk_config(&env(&[(ENDPOINT, "http://all"), ("AWS_ENDPOINT_URL_SESV2", "http://ses")])).unwrap();
        assert_eq!(config.endpoint_url(), Some("http://all"));
        assert_eq!(endpoint(&config, "SESv2").as_deref(), Some("http://ses"));
        assert_eq!(endpoint(&config, "SQS"), None);
        let ignored = sdk_config(&env(&[(ENDPOINT, "http://all"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")])).unwrap();
        assert_eq!(ignored.endpoint_url(), None);
    }

    #[test]
    fn what_lambda_always_sets_is_named_when_it_is_missing() {
        let missing = |vars: &[(&str, &str)]| sdk_config(&vars.iter().copied().collect()).unwrap_err().name;
        assert_eq!(missing(&[]), "AWS_REGION");
        assert_eq!(missing(&[("AWS_DEFAULT_REGION", "x")]), "AWS_ACCESS_KEY_ID");
        assert_eq!(missing(&[("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "a")]), "AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn a_request_that_no_connection_can_carry_was_not_sent() {
        use aws_smithy_runtime_api::client::result::ConnectorError;
        let failure = |error| Failure::of(&SdkError::<aws_smithy_types::error::ErrorMetadata, _>::dispatch_failure(error));
        assert!(matches!(failure(ConnectorError::user("no".into())), Failure::NotSent(_)));
        assert_eq!(failure(ConnectorError::io("broke".into())), Failure::Unanswered);
    }

    #[test]
    fn the_embedded_roots_can_be_used() {
        assert_eq!(roots::amazon(None).len(), 5);
        assert_eq!(roots::web().len(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    }
}
