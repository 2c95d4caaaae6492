use std::sync::Arc;

use errand_core::{DeliveryError, Init, OptionError, Problems, Secret};
use errand_http::Credential;

use crate::{AccessToken, DefaultAzureCredential, TokenCredential};

/// What options say of where a service is and who we are there; what is not said of who we are is in the environment.
#[derive(Default)]
pub struct Login<'a> {
    /// Where it is, and what lets us in; or a reference to it.
    pub connection_string: Option<&'a str>,
    /// Where it is, in place of a connection string; and the option that says it.
    pub url: Option<(&'static str, String)>,
    /// The tenant of the application.
    pub tenant_id: Option<&'a str>,
    /// The application, or the managed identity.
    pub client_id: Option<&'a str>,
    /// A secret of the application, or a reference to it.
    pub client_secret: Option<&'a str>,
}

/// What a service's connection strings say.
pub trait Key: Send + Sync + Sized + 'static {
    /// What a token of Entra must be for, where there is no connection string.
    const SCOPE: &'static str;

    /// Reads a connection string.
    ///
    /// # Errors
    /// What was expected; it repeats nothing.
    fn read(text: &Secret) -> Result<Arc<Self>, String>;
}

/// A namespace of Service Bus or an account of Storage: where it is, and what lets us in. `K` is what its connection string says.
pub enum Account<K> {
    /// By its connection string, which says both.
    Key(Credential<Arc<K>>),
    /// At this URL, by a token of Entra.
    Token(Arc<str>, AccessToken),
}

/// What one call goes with.
#[derive(Clone)]
pub enum Access<K> {
    /// What the connection string says.
    Key(Arc<K>),
    /// The URL, and a token.
    Token(Arc<str>, Secret),
}

impl<K: Key> Account<K> {
    /// The one that options say: with `credential` where there is no connection string, or where that is none, with [`DefaultAzureCredential`].
    ///
    /// # Errors
    /// Neither a connection string nor a URL is said, or both are; one is wrong; or there is no credential at all.
    pub fn new(login: &Login<'_>, credential: Option<Arc<dyn TokenCredential>>, cx: &Init) -> Result<Self, OptionError> {
        let wrong = |option: &str, problem: String| Err(OptionError::from(Problems::at(&format!("/{option}"), problem)));
        match (login.connection_string, &login.url) {
            (Some(text), None) => Ok(Self::Key(Credential::from_option("connection_string", &Secret::new(text), cx, K::read)?)),
            (Some(_), Some((option, _))) => wrong(option, "expected either it or connection_string, got both".to_owned()),
            (None, None) => wrong("connection_string", "is required".to_owned()),
            (None, Some((option, url))) => {
                let credential = match credential {
                    Some(credential) => credential,
                    None => {
                        let default = DefaultAzureCredential::new(login, cx)?;
                        if let Some(lacks) = default.lacks() {
                            return wrong(option, format!("there is no credential for it: {lacks}"));
                        }
                        Arc::new(default)
                    }
                };
                Ok(Self::Token(Arc::from(url.as_str()), AccessToken::new(K::SCOPE, credential, cx)?))
            }
        }
    }

    /// Does `work` with what lets us in, and once more with a newer one where that is refused as misconfigured and there may be a newer one.
    ///
    /// # Errors
    /// Nothing lets us in, or the work fails.
    pub async fn with<R, W>(&self, work: impl Fn(Access<K>) -> W + Send + Sync) -> Result<R, DeliveryError>
    where
        W: Future<Output = Result<R, DeliveryError>> + Send,
        R: Send,
    {
        match self {
            Self::Key(key) => key.with(|key| work(Access::Key(key))).await,
            Self::Token(url, token) => token.with(|token| work(Access::Token(Arc::clone(url), token))).await,
        }
    }
}
