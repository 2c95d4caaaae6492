//! Tokens of the identity that Azure gives a container or an App Service: what listens at `IDENTITY_ENDPOINT`.
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use std::{sync::Arc, time::Duration};

use errand_core::{
    Clock, DeliveryError, Environment, ErrorKind, Init, OptionError, Secret, SettingsError, Timestamp, http_url, percent_encode,
};
use errand_http::{Credential, Issued, Meanings, Service, token};
use http::{HeaderName, Method};
use serde::Deserialize;
use serde_json::Value;

use crate::settings::{IDENTITY_ENDPOINT, IDENTITY_HEADER};

/// It is on the same machine.
const TIMEOUT: Duration = Duration::from_secs(3);

const VERSION: &str = "2019-08-01";

pub(crate) struct ManagedIdentity {
    service: Service,
    endpoint: String,
    header: Credential,
    /// Which of several; the machine's own without it.
    client: Option<String>,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Told {
    access_token: String,
    /// Seconds since 1970, as a number or a text.
    expires_on: Value,
}

impl ManagedIdentity {
    /// The one of this machine, if it has one.
    ///
    /// # Errors
    /// Its address is none; or the function that is starting lacks something.
    pub(crate) fn from_env(env: &Environment, client: Option<&str>, cx: &Init) -> Result<Option<Self>, OptionError> {
        let Some(header) = Credential::from_env(env, &IDENTITY_HEADER, cx, token)? else { return Ok(None) };
        let Some(endpoint) = env.get(&IDENTITY_ENDPOINT) else { return Ok(None) };
        let endpoint = http_url(endpoint).ok_or_else(|| SettingsError::wrong(&IDENTITY_ENDPOINT))?.into_owned();
        let service = Service::with_client("the managed identity", TIMEOUT, cx, crate::client(cx))?;
        Ok(Some(Self { service, endpoint, header, client: client.map(ToOwned::to_owned), clock: cx.clock()? }))
    }

    pub(crate) async fn token(&self, scope: &str) -> Result<Issued, DeliveryError> {
        let resource = percent_encode(scope.trim_end_matches("/.default"));
        let client = self.client.as_ref().map(|client| format!("&client_id={}", percent_encode(client))).unwrap_or_default();
        let url = format!("{}?api-version={VERSION}&resource={resource}{client}", self.endpoint);
        let header = HeaderName::from_static("x-identity-header");
        let answer = self.service.call(Method::GET, &url).secret(header, self.header.get().await?).send().await?;
        if !answer.success() {
            // It says of an identity that there is not that the request is wrong.
            let meanings = Meanings { statuses: &[(&[400, 404], ErrorKind::Misconfigured)], ..Meanings::default() };
            return Err(answer.refused(&meanings, None, &[]));
        }
        let Told { access_token, expires_on } = answer.json().ok_or_else(|| answer.unclear())?;
        let seconds = expires_on.as_i64().or_else(|| expires_on.as_str()?.parse().ok()).ok_or_else(|| answer.unclear())?;
        let lifetime = Timestamp::from_millis(seconds.saturating_mul(1000)).since(self.clock.now());
        Ok(Issued::ending_in(lifetime, Secret::new(access_token)))
    }
}
