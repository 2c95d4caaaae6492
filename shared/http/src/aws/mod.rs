//! The settings of the AWS clients in a function: from its environment, without I/O. Only Amazon's roots are trusted, one connection pool
//! serves all clients, and no client parses certificates before its first request. And calls that need no client: see [`Api`].

mod failure;
mod functions;
mod signer;

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
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{
    region::Region,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};
use errand_core::{
    Environment, SettingsError,
    settings::all::{
        AWS_ACCESS_KEY_ID, AWS_CA_BUNDLE, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, AWS_REGION,
        AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
    },
};

pub use aws_types::SdkConfig;
pub use failure::{Failure, code, element, refused, refused_alone, throttled};
pub use functions::{Functions, Invoke, LAMBDA};
pub use signer::Api;

pub(crate) use failure::meaning;
pub(crate) use signer::Signer;

use crate::{
    Retry,
    connect::{Limits, connector},
    guard::Dns,
    roots,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the first byte of an answer. Every call that we make answers in milliseconds.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// For all attempts at a call together: a dead endpoint must not eat an invocation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(9);
/// How often a call is made in all that failed for a passing reason, and how long is waited between, doubling.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// What is repeated of a call that hands something over: one that was certainly not done.
pub const ONCE: Retry = Retry::once(TRIES, PAUSE);
/// The same where the service knows what it was given before.
pub const REPEATABLE: Retry = Retry::repeatable(TRIES, PAUSE);

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
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES).with_initial_backoff(PAUSE))
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

/// The region that an ARN names. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[must_use]
pub fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

/// The one region that names and ARNs are in: where an alias' options have more than one, its calls would go to the wrong one.
///
/// # Errors
/// They are in several.
pub fn one_region<'a>(said: Option<&'a str>, names: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, String> {
    let mut regions: Vec<&str> = said.into_iter().chain(names.filter_map(region_of)).collect();
    regions.sort_unstable();
    regions.dedup();
    match regions[..] {
        [] => Ok(None),
        [region] => Ok(Some(region)),
        _ => Err(format!("expected one region, got {}: each needs an alias of its own", regions.join(", "))),
    }
}

/// Where a service is that is not at AWS's own endpoint, by the id that AWS knows it by.
fn endpoint_of(sdk: &SdkConfig, id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(id).env(ENDPOINT).profile("endpoint_url").build().ok();
    let own = key.and_then(|key| sdk.service_config()?.load_config(key));
    own.or_else(|| sdk.endpoint_url().map(ToOwned::to_owned))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Environment {
        [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "s")].iter().chain(vars).copied().collect()
    }

    #[test]
    fn a_services_own_endpoint_wins_over_the_common_one() {
        let config = sdk_config(&env(&[(ENDPOINT, "http://all"), ("AWS_ENDPOINT_URL_SESV2", "http://ses")])).unwrap();
        assert_eq!(endpoint_of(&config, "SESv2").as_deref(), Some("http://ses"));
        assert_eq!(endpoint_of(&config, "SQS").as_deref(), Some("http://all"));
        let ignored = sdk_config(&env(&[(ENDPOINT, "http://all"), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")])).unwrap();
        assert_eq!(endpoint_of(&ignored, "SQS"), None);
    }

    #[test]
    fn arns_and_what_is_said_must_be_of_one_region() {
        let of = |said, names: &[&'static str]| one_region(said, names.iter().copied());
        assert_eq!(of(None, &["orders", "1:function:orders"]), Ok(None));
        assert_eq!(of(Some("eu-west-1"), &["arn:aws:sns:eu-west-1:1:a", "arn:aws-cn:sns:eu-west-1:1:b"]), Ok(Some("eu-west-1")));
        let several = of(Some("us-east-1"), &["arn:aws:sns:eu-west-1:1:a", "arn:aws:s3:::bucket"]).unwrap_err();
        assert_eq!(several, "expected one region, got eu-west-1, us-east-1: each needs an alias of its own");
    }

    #[test]
    fn what_lambda_always_sets_is_named_when_it_is_missing() {
        let missing = |vars: &[(&str, &str)]| sdk_config(&vars.iter().copied().collect()).unwrap_err().name;
        assert_eq!(missing(&[]), "AWS_REGION");
        assert_eq!(missing(&[("AWS_DEFAULT_REGION", "x")]), "AWS_ACCESS_KEY_ID");
        assert_eq!(missing(&[("AWS_REGION", "x"), ("AWS_ACCESS_KEY_ID", "a")]), "AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn the_embedded_roots_can_be_used() {
        assert_eq!(roots::amazon(None).len(), 5);
        assert_eq!(roots::web().len(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
    }
}
