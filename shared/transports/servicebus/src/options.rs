use std::sync::Arc;

use errand_azure::{Account, Login, TokenCredential, service_bus::Key};
use errand_core::{HTTP_URL, Init, OptionError, Problems, http_url};
use errand_wire::Format;
use serde::Deserialize;

use crate::Kind;

/// What is kept free of a message for its properties, in bytes: they count as the body does, and ours are a few hundred.
const PROPERTIES: usize = 2048;

/// What an alias says. Names in capitals are those of django-tasks-cloud.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Where the namespace is, and what lets us in; or a reference to it.
    #[serde(alias = "SERVICEBUS_CONNECTION_STRING")]
    connection_string: Option<String>,
    /// The namespace's host, `shop.servicebus.windows.net`: for tokens of Entra.
    #[serde(alias = "SERVICEBUS_NAMESPACE_FQDN")]
    namespace: Option<String>,
    /// The tenant of the application; without it `AZURE_TENANT_ID` says it.
    tenant_id: Option<String>,
    /// The application, or the managed identity; without it `AZURE_CLIENT_ID` says it.
    client_id: Option<String>,
    /// A secret of the application, or a reference to it; without it `AZURE_CLIENT_SECRET` says it.
    client_secret: Option<String>,
    /// What those read who take messages.
    #[serde(default)]
    pub(crate) format: Format,
    /// The namespace's tier, which says how large a message may be.
    #[serde(default)]
    tier: Tier,
    /// How long a message is kept that nobody takes, in seconds; without it as long as the entity says. A task that expires sooner is kept for as long.
    pub(crate) time_to_live: Option<u64>,
    /// Whether Service Bus holds back what is due later, by `ScheduledEnqueueTimeUtc`. What it has cannot be taken back.
    #[serde(default)]
    pub(crate) scheduled_enqueue_time: bool,
    /// Whether the entities have duplicate detection on: then a message whose answer was lost is sent again.
    #[serde(default)]
    pub(crate) duplicate_detection: bool,
}

/// <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Basic,
    #[default]
    Standard,
    /// Over HTTP, large messages are not to be had.
    Premium,
}

impl Options {
    /// The type of the bodies.
    pub(crate) const fn content_type(&self) -> &'static str {
        match self.format {
            Format::CloudEvents(_) => "application/cloudevents+json",
            Format::Native | Format::DjangoTasks(_) | Format::DjangoNotifs(_) => "application/json",
        }
    }

    /// The largest message with its properties, or batch of them, in bytes.
    pub(crate) const fn limit(&self) -> usize {
        match self.tier {
            Tier::Basic | Tier::Standard => 256 * 1024,
            Tier::Premium => 1024 * 1024,
        }
    }

    /// The largest body, in bytes.
    pub(crate) const fn body_limit(&self) -> usize {
        self.limit() - PROPERTIES
    }

    /// The namespace that they are of.
    pub(crate) fn account<K: Kind>(&self, credential: Option<Arc<dyn TokenCredential>>, cx: &Init) -> Result<Account<Key>, OptionError> {
        if self.tier == Tier::Basic && !K::IN_BASIC {
            return Err(Problems::at("/tier", format!("Basic has no {}s: expected standard or premium", K::NAME)).into());
        }
        if self.time_to_live == Some(0) {
            return Err(Problems::at("/time_to_live", "expected 1 second or more").into());
        }
        let login = Login {
            connection_string: self.connection_string.as_deref(),
            url: self.namespace.as_deref().map(url).transpose()?.map(|url| ("namespace", url)),
            tenant_id: self.tenant_id.as_deref(),
            client_id: self.client_id.as_deref(),
            client_secret: self.client_secret.as_deref(),
        };
        Account::new(&login, credential, cx)
    }
}

/// The URL of a namespace: of its host, or as it is, for a proxy.
fn url(namespace: &str) -> Result<String, Problems> {
    let url = if namespace.contains("://") { namespace.to_owned() } else { format!("https://{namespace}") };
    let wrong = || Problems::at("/namespace", format!("expected a host, such as shop.servicebus.windows.net, or {HTTP_URL}"));
    Ok(http_url(&url).ok_or_else(wrong)?.trim_end_matches('/').to_owned())
}
