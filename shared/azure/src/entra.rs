//! Tokens by OAuth's client credentials. <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use std::time::Duration;

use errand_core::{DeliveryError, Environment, ErrorKind, Init, OptionError, Secret};
use errand_http::{Answer, Issued, Meanings, Service};
use serde::Deserialize;

use crate::settings::AUTHORITY_HOST;

/// For one call, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What says that an assertion is a JSON Web Token (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An application, as Entra knows it.
#[derive(Clone)]
pub(crate) struct Application {
    entra: Service,
    tenant: String,
    client: String,
}

/// With what an application shows that it is itself.
pub(crate) enum Proof {
    /// A secret of its own.
    Secret(Secret),
    /// The token of an issuer that it trusts.
    Assertion(Secret),
}

impl Application {
    /// # Errors
    /// The authority is no URL; or the function that is starting has no clock.
    pub(crate) fn new(env: &Environment, tenant: &str, client: &str, cx: &Init) -> Result<Self, OptionError> {
        let entra = Service::with_client("Entra", TIMEOUT, cx, crate::client(cx))?.at(env, &AUTHORITY_HOST)?;
        Ok(Self { entra, tenant: tenant.to_owned(), client: client.to_owned() })
    }

    /// A token for a scope.
    ///
    /// # Errors
    /// None is issued; the message holds Entra's code, such as `AADSTS7000215`.
    pub(crate) async fn token(&self, proof: &Proof, scope: &str) -> Result<Issued, DeliveryError> {
        let (grant, id) = (("grant_type", "client_credentials"), ("client_id", self.client.as_str()));
        let path = format!("/{}/oauth2/v2.0/token", self.tenant);
        let call = self.entra.post(&path);
        let call = match proof {
            Proof::Secret(secret) => call.form(&[grant, id, ("scope", scope), ("client_secret", secret.expose())]),
            Proof::Assertion(token) => {
                let (kind, token) = (("client_assertion_type", JWT_BEARER), ("client_assertion", token.expose()));
                call.form(&[grant, id, ("scope", scope), kind, token])
            }
        };
        issued(&call.send().await?)
    }
}

fn issued(answer: &Answer) -> Result<Issued, DeliveryError> {
    #[derive(Deserialize)]
    struct Told {
        access_token: String,
        expires_in: u64,
    }
    if !answer.success() {
        return Err(refused(answer));
    }
    let Told { access_token, expires_in } = answer.json().ok_or_else(|| answer.unclear())?;
    Ok(Issued::ending_in(Duration::from_secs(expires_in), Secret::new(access_token)))
}

/// A refusal with what Entra calls it. Its words repeat ids; its code, which they begin with, tells what to do.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
fn refused(answer: &Answer) -> DeliveryError {
    let told = answer.told();
    let (error, words) = (told.get::<String>("error"), told.get::<String>("error_description").unwrap_or_default());
    let code = words.split(':').next().filter(|code| code.starts_with("AADSTS")).map(ToOwned::to_owned);
    let known = code.is_some();
    let causes: Vec<String> = error.iter().filter(|_| known).cloned().chain(answer.clock_off()).collect();
    answer.refused(
        &Meanings { statuses: &[(&[400, 404], ErrorKind::Misconfigured)], ..Meanings::default() },
        code.or(error).as_deref(),
        &causes,
    )
}
