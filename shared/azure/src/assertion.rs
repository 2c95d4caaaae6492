//! Tokens of others that Entra takes in place of a secret.

use std::time::Duration;

use errand_core::{DeliveryError, Environment, ErrorKind, Init, Secret, SettingsError};
use errand_http::{
    Client, Meanings, Service,
    aws::{self, SdkConfig},
};

use crate::xml::element;

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>
const STS: aws::Api = aws::Api { name: "STS", id: "STS", host: "sts", signed_as: "sts" };

/// For one call, from the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whom the tokens are for that Entra takes.
/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-create-trust#configure-a-federated-identity-credential-on-an-app>
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// The token in a file. Who puts it there puts another one there before it ends, so it is read each time.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn of_file(path: &str) -> Result<Secret, DeliveryError> {
    let wrong = |what: &str| DeliveryError::new(ErrorKind::Misconfigured, format!("AZURE_FEDERATED_TOKEN_FILE names a file {what}"));
    let text = tokio::fs::read_to_string(path).await.map_err(|error| wrong(&format!("that cannot be read: {}", error.kind())))?;
    match text.trim() {
        "" => Err(wrong("that is empty")),
        token => Ok(Secret::new(token)),
    }
}

/// What gives tokens that say which role of AWS we have: IAM's outbound federation.
pub(crate) struct AwsRole(Service);

impl AwsRole {
    /// That of the function's own credentials, where it has any.
    ///
    /// # Errors
    /// The function that is starting lacks something.
    pub(crate) fn new(env: &Environment, cx: &Init) -> Result<Option<Self>, SettingsError> {
        match cx.shared::<SdkConfig>() {
            Ok(_) => Ok(Some(Self(STS.service(TIMEOUT, cx, Client::aws(env))?))),
            Err(_) => Ok(None),
        }
    }

    /// A token for Entra, good for five minutes.
    ///
    /// # Errors
    /// The account has no outbound federation, or the role may not ask for it.
    pub(crate) async fn token(&self) -> Result<Secret, DeliveryError> {
        let call = self.0.post("/").form(&[
            ("Action", "GetWebIdentityToken"),
            ("Version", "2011-06-15"),
            ("Audience.member.1", AUDIENCE),
            ("SigningAlgorithm", "RS256"),
            ("DurationSeconds", "300"),
        ]);
        let answer = call.send().await?;
        if !answer.success() {
            return Err(aws::refused(&answer, &MEANINGS));
        }
        let token = std::str::from_utf8(answer.body()).ok().and_then(|text| element(text, "WebIdentityToken"));
        token.map(Secret::new).ok_or_else(|| answer.unclear())
    }
}

/// What no other role or account could do better is for an operator to mend.
static MEANINGS: Meanings = Meanings { codes: &[], statuses: &[(&[400], ErrorKind::Misconfigured)] };
