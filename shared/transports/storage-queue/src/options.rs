use std::{borrow::Cow, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_azure::{Account, Login, TokenCredential, storage::Key};
use errand_core::{HTTP_URL, Init, OptionError, Problems, http_url};
use errand_wire::Format;
use serde::Deserialize;

/// The largest message as it is sent, in bytes. <https://learn.microsoft.com/azure/storage/queues/scalability-targets>
const LARGEST: usize = 64 * 1024;

/// How long a message is kept of which nothing is said, and the longest time that it can be hidden for.
/// <https://learn.microsoft.com/rest/api/storageservices/put-message#uri-parameters>
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 86400);

/// What an alias says. Names in capitals are those of django-tasks-cloud.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where the account is, and what lets us in; or a reference to it.
    #[serde(alias = "STORAGE_ACCOUNT_CONNECTION_STRING")]
    connection_string: Option<String>,
    /// The account's URL, `https://shop.queue.core.windows.net`: for tokens of Entra.
    #[serde(alias = "STORAGE_ACCOUNT_URL")]
    account_url: Option<String>,
    /// The tenant of the application; without it `AZURE_TENANT_ID` says it.
    tenant_id: Option<String>,
    /// The application, or the managed identity; without it `AZURE_CLIENT_ID` says it.
    client_id: Option<String>,
    /// A secret of the application, or a reference to it; without it `AZURE_CLIENT_SECRET` says it.
    client_secret: Option<String>,
    /// What those read who take them.
    #[serde(default)]
    pub(crate) format: Format,
    /// How messages are written.
    #[serde(default)]
    encoding: Encoding,
    /// How long a message is kept that nobody takes, in seconds; -1 for ever; without it seven days. A task that expires sooner is kept for as long.
    time_to_live: Option<i64>,
    /// Whether the queue holds back what is due later, by the message's visibility timeout. What it has cannot be taken back.
    #[serde(default)]
    visibility_timeout: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As it is: what the libraries for Python and JavaScript read.
    #[default]
    Text,
    /// In base64: what Azure Functions expect, unless their `host.json` says otherwise, and old libraries for .NET.
    Base64,
}

impl Options {
    /// The account that they are of.
    pub(crate) fn account(&self, credential: Option<Arc<dyn TokenCredential>>, cx: &Init) -> Result<Account<Key>, OptionError> {
        if self.time_to_live.is_some_and(|seconds| seconds < -1 || seconds == 0) {
            return Err(Problems::at("/time_to_live", "expected 1 second or more, or -1").into());
        }
        let login = Login {
            connection_string: self.connection_string.as_deref(),
            url: self.account_url.as_deref().map(url).transpose()?.map(|url| ("account_url", url)),
            tenant_id: self.tenant_id.as_deref(),
            client_id: self.client_id.as_deref(),
            client_secret: self.client_secret.as_deref(),
        };
        Account::new(&login, credential, cx)
    }

    /// The largest body, in bytes.
    pub(crate) const fn body_limit(&self) -> usize {
        match self.encoding {
            Encoding::Text => LARGEST,
            Encoding::Base64 => LARGEST / 4 * 3,
        }
    }

    /// A body as what is sent; `None` where that is too large.
    pub(crate) fn encode<'a>(&self, body: &'a str) -> Option<Cow<'a, str>> {
        let text = match self.encoding {
            Encoding::Text => errand_azure::escape(body),
            Encoding::Base64 => Cow::Owned(STANDARD.encode(body)),
        };
        Some(text).filter(|text| text.len() <= LARGEST)
    }

    /// The longest time that a message is hidden for: it must be seen before it is gone.
    pub(crate) fn longest_delay(&self) -> Duration {
        let kept = match self.time_to_live {
            Some(seconds) => u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs),
            None => WEEK,
        };
        if self.visibility_timeout { kept.saturating_sub(Duration::from_secs(1)).min(WEEK) } else { Duration::ZERO }
    }

    /// How long a message is kept that expires after so many seconds, if it does: what is said of it, where something is.
    pub(crate) fn time_to_live(&self, expires: Option<i64>) -> Option<i64> {
        match (self.time_to_live, expires) {
            // Without a word it would be a week.
            (said, Some(expires)) if said.map_or(expires < 7 * 86400, |said| said == -1 || expires < said) => Some(expires),
            (said, _) => said,
        }
    }
}

/// The URL of an account; what is behind a question mark lets somebody in, and belongs into a connection string.
fn url(account: &str) -> Result<String, Problems> {
    let url = http_url(account).filter(|url| !url.contains('?'));
    let wrong = || Problems::at("/account_url", format!("expected {HTTP_URL}, such as https://shop.queue.core.windows.net"));
    Ok(url.ok_or_else(wrong)?.trim_end_matches('/').to_owned())
}
