use std::sync::Arc;

use errand_core::{BoxFuture, Clock, DeliveryError, ErrorKind, Init, Secret, SettingsError};
use errand_http::{Issued, Token};

/// Gives tokens of Entra: credentials of one's own are a type with this one method. Tokens are kept until shortly before their end by who asks for them.
pub trait TokenCredential: Send + Sync + 'static {
    /// A token for a scope, such as `https://servicebus.azure.net/.default`. Its message tells an operator what to do, and no secret.
    fn token<'a>(&'a self, scope: &'a str) -> BoxFuture<'a, Result<Issued, DeliveryError>>;
}

/// The token of one scope, kept.
pub struct AccessToken {
    scope: &'static str,
    credential: Arc<dyn TokenCredential>,
    held: Token,
    clock: Arc<dyn Clock>,
}

impl AccessToken {
    /// None yet.
    ///
    /// # Errors
    /// The function that is starting has no clock.
    pub fn new(scope: &'static str, credential: Arc<dyn TokenCredential>, cx: &Init) -> Result<Self, SettingsError> {
        Ok(Self { scope, credential, held: Token::new(), clock: cx.clock()? })
    }

    /// Does `work` with the token. Where that is refused as [misconfigured](ErrorKind::Misconfigured), and the token is older than a minute, it is done once more with a
    /// new one.
    ///
    /// # Errors
    /// There is no token, or the work fails.
    pub async fn with<R, W>(&self, work: impl Fn(Secret) -> W + Send + Sync) -> Result<R, DeliveryError>
    where
        W: Future<Output = Result<R, DeliveryError>> + Send,
        R: Send,
    {
        let token = self.get().await?;
        let done = work(token.clone()).await;
        let refused = done.as_ref().is_err_and(|error| error.kind == ErrorKind::Misconfigured);
        if refused && self.held.is_wrong(&token, self.clock.now()).await { work(self.get().await?).await } else { done }
    }

    async fn get(&self) -> Result<Secret, DeliveryError> {
        self.held.get(self.clock.now(), || self.credential.token(self.scope)).await
    }
}
