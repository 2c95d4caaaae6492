//! AWS as this machine's user has set it up: profiles, single sign-on, a container's or an instance's role.

use std::{error::Error, iter::successors, time::Duration};

use aws_config::{
    SdkConfig, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain, profile::ProfileFileRegionProvider,
};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};
use errand_core::{Environment, SettingsError};
use tokio::time::timeout;

/// How long to look for credentials. The metadata service, which is asked last, answers at once where there is one; a laptop has none, and packets to it
/// may be lost without a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// The settings of AWS clients, for what `wants` them. The metadata service is never asked for a region, so that a machine without AWS hears at once
/// that it has none.
///
/// # Errors
/// There is no region, or there are no credentials.
pub(crate) async fn sdk_config(env: &Environment, wants: &str) -> Result<SdkConfig, SettingsError> {
    let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(ProfileFileRegionProvider::new());
    let region = region
        .region()
        .await
        .ok_or_else(|| SettingsError::invalid("AWS_REGION", &format!("must be set for {wants}, or the profile's region")))?;
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(errand_http::aws::http_client(env)).region(region);
    let config = config.load().await;
    let missing = |why: &str| {
        SettingsError::invalid("AWS_PROFILE", &format!("must be set for {wants}, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: {why}"))
    };
    let credentials = config.credentials_provider().ok_or_else(|| missing("no credentials were found"))?;
    match timeout(PATIENCE, credentials.provide_credentials()).await {
        Ok(Ok(_)) => Ok(config),
        Ok(Err(CredentialsError::CredentialsNotLoaded(_))) | Err(_) => Err(missing("no credentials were found")),
        Ok(Err(error)) => Err(missing(&causes(&error))),
    }
}

/// An error and what caused it, in one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = successors(Some(error), |&error| error.source()).map(ToString::to_string).collect();
    causes.join(": ")
}
