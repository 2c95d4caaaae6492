//! How calls of Service Bus are authorised.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{HTTP_URL, Secret, Timestamp, http_url, percent_encode};
use ring::hmac;

use crate::{account, connection_string::ConnectionString};

/// How long a signature is good for: clocks may be off by some minutes.
const LIFETIME: Duration = Duration::from_secs(20 * 60);

/// What a namespace's or an entity's connection string says.
pub struct Key {
    /// The namespace's URL.
    pub url: String,
    /// The one queue or topic that it is for, if it is for one.
    pub entity: Option<String>,
    grant: Grant,
}

enum Grant {
    /// A policy and its key.
    Policy(String, Secret),
    /// What somebody has signed before.
    Signature(Secret),
}

impl account::Key for Key {
    const SCOPE: &'static str = "https://servicebus.azure.net/.default";

    /// Reads a connection string: `Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…`, or with a `SharedAccessSignature`; with `EntityPath` perhaps. An endpoint of
    /// `UseDevelopmentEmulator=true` is called without TLS.
    ///
    /// # Errors
    /// What was expected.
    fn read(text: &Secret) -> Result<Arc<Self>, String> {
        let parts = ConnectionString::read(text.expose())?;
        let endpoint = parts.get("Endpoint").ok_or("expected Endpoint=sb://… in it")?;
        let emulated = parts.get("UseDevelopmentEmulator").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let url = match endpoint.strip_prefix("sb://") {
            Some(host) => format!("{}://{host}", if emulated { "http" } else { "https" }),
            None => endpoint.to_owned(),
        };
        let url = http_url(&url).ok_or_else(|| format!("expected {HTTP_URL}, or sb://…, as its Endpoint"))?;
        let grant = match (parts.get("SharedAccessSignature"), parts.get("SharedAccessKeyName"), parts.get("SharedAccessKey")) {
            (Some(signature), ..) if signature.starts_with("SharedAccessSignature ") => Grant::Signature(Secret::new(signature)),
            (None, Some(policy), Some(key)) => Grant::Policy(policy.to_owned(), Secret::new(key)),
            _ => {
                return Err(
                    "expected SharedAccessKeyName and SharedAccessKey in it, or SharedAccessSignature=SharedAccessSignature …".to_owned()
                );
            }
        };
        let entity = parts.get("EntityPath").map(ToOwned::to_owned);
        Ok(Arc::new(Self { url: url.trim_end_matches('/').to_owned(), entity, grant }))
    }
}

impl Key {
    /// The value of `Authorization` for a call of this URL now.
    #[must_use]
    pub fn authorization(&self, url: &str, now: Timestamp) -> Secret {
        match &self.grant {
            Grant::Policy(policy, key) => sign(url, policy, key, (now + LIFETIME).seconds()),
            Grant::Signature(signature) => signature.clone(),
        }
    }
}

/// The shared access signature of a resource, good until `expiry`, in seconds since 1970. The key is taken as it is written, and not as base64.
/// <https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas#generate-a-shared-access-signature-token>
#[must_use]
pub fn sign(resource: &str, policy: &str, key: &Secret, expiry: i64) -> Secret {
    let resource = percent_encode(resource);
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let signature = percent_encode(&STANDARD.encode(hmac::sign(&key, format!("{resource}\n{expiry}").as_bytes())));
    Secret::new(format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={}", percent_encode(policy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key as _;

    const KEY: &str = "Endpoint=sb://orders.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=c2VjcmV0";

    fn read(text: &str) -> Result<Arc<Key>, String> {
        Key::read(&Secret::new(text))
    }

    #[test]
    fn the_signature_is_that_of_the_python_sdk() {
        // azure-servicebus 7.15.0: generate_sas_token of azure.servicebus._pyamqp.utils.
        let signed = sign("https://orders.servicebus.windows.net/tasks", "Root-Manage_Key.1", &Secret::new("a+b/c=="), 1_800_000_300);
        assert_eq!(
            signed.expose(),
            "SharedAccessSignature sr=https%3A%2F%2Forders.servicebus.windows.net%2Ftasks&sig=P%2FQeRevk44IrrTCAqtOFjr2O3l8a%2FBXpkbyI%2BG6psp4%3D&se=1800000300&skn=Root-Manage_Key.1"
        );
    }

    #[test]
    fn a_connection_string_says_where_it_is_and_what_lets_us_in() {
        let key = read(KEY).unwrap();
        assert_eq!((key.url.as_str(), &key.entity), ("https://orders.servicebus.windows.net", &None));
        let now = Timestamp::from_millis(1_800_000_000_999);
        assert_eq!(
            key.authorization("https://orders.servicebus.windows.net/tasks", now),
            sign("https://orders.servicebus.windows.net/tasks", "send", &Secret::new("c2VjcmV0"), 1_800_001_200)
        );
        let key = read("endpoint=sb://127.0.0.1:5300; SharedAccessKeyName=a;SharedAccessKey=b=;EntityPath=t;UseDevelopmentEmulator=true;")
            .unwrap();
        assert_eq!((key.url.as_str(), key.entity.as_deref()), ("http://127.0.0.1:5300", Some("t")));
        let key = read("Endpoint=sb://x.example;SharedAccessSignature=SharedAccessSignature sr=a&sig=b%3d&se=1&skn=c").unwrap();
        assert_eq!(key.authorization("https://x.example/t", now).expose(), "SharedAccessSignature sr=a&sig=b%3d&se=1&skn=c");
    }

    #[test]
    fn what_is_none_is_refused_without_being_told() {
        for (text, told) in [
            ("hunter2", "expected a connection string"),
            ("", "expected a connection string"),
            ("Endpoint=;hunter2=x", "expected Endpoint=sb://"),
            ("Endpoint=sb://hunter2@x;SharedAccessKeyName=a;SharedAccessKey=b", "expected an http or https URL"),
            ("Endpoint=sb://x;SharedAccessKey=hunter2", "expected SharedAccessKeyName and SharedAccessKey"),
            ("Endpoint=sb://x;SharedAccessSignature=hunter2", "expected SharedAccessKeyName and SharedAccessKey"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}");
        }
    }
}
