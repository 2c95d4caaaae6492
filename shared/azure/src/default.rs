use errand_core::{BoxFuture, DeliveryError, Environment, ErrorKind, Init, OptionError, Secret};
use errand_http::{Credential, Issued, token};

use crate::{
    TokenCredential,
    account::Login,
    assertion::{self, AwsRole},
    entra::{Application, Proof},
    managed_identity::ManagedIdentity,
    settings::{CLIENT_ID, CLIENT_SECRET, FEDERATED_TOKEN_FILE, TENANT_ID},
};

/// What Azure's libraries call so: each way to get a token that there are settings for, in the order of theirs, until one works. A client secret; a token of another issuer
/// in a file, or on AWS one of the function's own role; a managed identity.
/// <https://learn.microsoft.com/python/api/azure-identity/azure.identity.defaultazurecredential>
pub struct DefaultAzureCredential(Vec<Way>);

/// A way to a token by its name, or why it is none here.
struct Way {
    name: &'static str,
    source: Result<Source, &'static str>,
}

enum Source {
    Secret(Application, Credential),
    File(Application, String),
    AwsRole(Application, AwsRole),
    ManagedIdentity(ManagedIdentity),
}

impl DefaultAzureCredential {
    /// The ways that options and environment give; none is asked. Options win.
    ///
    /// # Errors
    /// A setting is wrong, or there is no way at all: all are named, with what they lack.
    pub fn new(login: &Login<'_>, cx: &Init) -> Result<Self, OptionError> {
        let none = Environment::default();
        let env = cx.shared::<Environment>().unwrap_or(&none);
        let (tenant, client) = (login.tenant_id.or_else(|| env.get(&TENANT_ID)), login.client_id.or_else(|| env.get(&CLIENT_ID)));
        let application = match (tenant, client) {
            (Some(tenant), Some(client)) => Some(Application::new(env, tenant, client, cx)?),
            _ => None,
        };
        let needs = || application.clone().ok_or("AZURE_TENANT_ID and AZURE_CLIENT_ID, or tenant_id and client_id, are not set");
        let secret = match login.client_secret {
            Some(secret) => Some(Credential::from_option("client_secret", &Secret::new(secret), cx, token)?),
            None => Credential::from_env(env, &CLIENT_SECRET, cx, token)?,
        };
        let file = env.get(&FEDERATED_TOKEN_FILE).map(ToOwned::to_owned);
        let (role, identity) = (AwsRole::new(env, cx)?, ManagedIdentity::from_env(env, client, cx)?);
        let ways = [
            ("client secret", secret.ok_or("AZURE_CLIENT_SECRET is not set").and_then(|secret| Ok(Source::Secret(needs()?, secret)))),
            ("workload identity", file.ok_or("AZURE_FEDERATED_TOKEN_FILE is not set").and_then(|file| Ok(Source::File(needs()?, file)))),
            ("AWS role", role.ok_or("there is no AWS configuration").and_then(|role| Ok(Source::AwsRole(needs()?, role)))),
            ("managed identity", identity.map(Source::ManagedIdentity).ok_or("IDENTITY_ENDPOINT and IDENTITY_HEADER are not set")),
        ];
        Ok(Self(ways.into_iter().map(|(name, source)| Way { name, source }).collect()))
    }

    /// Why there is no way at all, if there is none.
    #[must_use]
    pub fn lacks(&self) -> Option<String> {
        let lacking: Option<Vec<String>> = self.0.iter().map(|way| Some(format!("{}: {}", way.name, way.source.as_ref().err()?))).collect();
        lacking.map(|lacking| lacking.join("; "))
    }

    async fn first(&self, scope: &str) -> Result<Issued, DeliveryError> {
        let (mut kind, mut told) = (ErrorKind::Misconfigured, Vec::new());
        for Way { name, source } in &self.0 {
            match source {
                Err(why) => told.push(format!("{name}: {why}")),
                Ok(source) => match source.token(scope).await {
                    Ok(issued) => return Ok(issued),
                    Err(error) => {
                        // What may pass is tried again.
                        if !matches!(error.kind, ErrorKind::Misconfigured | ErrorKind::Rejected) {
                            kind = ErrorKind::Unavailable;
                        }
                        told.push(format!("{name}: {}", error.message));
                    }
                },
            }
        }
        Err(DeliveryError::new(kind, format!("no credential for Azure works: {}", told.join("; "))))
    }
}

impl TokenCredential for DefaultAzureCredential {
    fn token<'a>(&'a self, scope: &'a str) -> BoxFuture<'a, Result<Issued, DeliveryError>> {
        Box::pin(self.first(scope))
    }
}

impl Source {
    async fn token(&self, scope: &str) -> Result<Issued, DeliveryError> {
        let by = async |application: &Application, proof: Proof| application.token(&proof, scope).await;
        match self {
            Self::Secret(application, secret) => secret.with(|secret: Secret| by(application, Proof::Secret(secret))).await,
            Self::File(application, path) => by(application, Proof::Assertion(assertion::of_file(path).await?)).await,
            Self::AwsRole(application, role) => by(application, Proof::Assertion(role.token().await?)).await,
            Self::ManagedIdentity(identity) => identity.token(scope).await,
        }
    }
}
