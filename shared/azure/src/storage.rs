//! How calls of Storage's queues are authorised.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use errand_core::{HTTP_URL, Secret, http_url};
use http::{HeaderMap, Method, Uri};
use ring::hmac;

use crate::{account, connection_string::ConnectionString};

/// What an account's connection string says of its queues.
pub struct Key {
    /// The URL that its queues are below.
    pub url: String,
    grant: Grant,
}

enum Grant {
    /// The account's name, and its key.
    Account(String, hmac::Key),
    /// The parameters that somebody has signed before.
    Signature(Secret),
}

impl account::Key for Key {
    const SCOPE: &'static str = "https://storage.azure.com/.default";

    /// Reads a connection string: `AccountName` and `AccountKey`, or `SharedAccessSignature`; and `QueueEndpoint`, or what that is made of.
    /// <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>
    ///
    /// # Errors
    /// What was expected.
    fn read(text: &Secret) -> Result<Arc<Self>, String> {
        let parts = ConnectionString::read(text.expose())?;
        let (account, key) = (parts.get("AccountName"), parts.get("AccountKey"));
        let url = match (parts.get("QueueEndpoint"), account) {
            (Some(endpoint), _) => endpoint.to_owned(),
            (None, Some(account)) => {
                let (scheme, suffix) = (parts.get("DefaultEndpointsProtocol"), parts.get("EndpointSuffix"));
                format!("{}://{account}.queue.{}", scheme.unwrap_or("https"), suffix.unwrap_or("core.windows.net"))
            }
            (None, None) => return Err("expected QueueEndpoint or AccountName in it".to_owned()),
        };
        let url = http_url(&url).ok_or_else(|| format!("expected {HTTP_URL} as its QueueEndpoint"))?;
        let grant = match (parts.get("SharedAccessSignature"), account, key) {
            (Some(signature), ..) => Grant::Signature(Secret::new(signature.trim_start_matches('?'))),
            (None, Some(account), Some(key)) => {
                let key = STANDARD.decode(key).map_err(|_| "expected base64 as its AccountKey")?;
                Grant::Account(account.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, &key))
            }
            _ => return Err("expected AccountName and AccountKey in it, or SharedAccessSignature".to_owned()),
        };
        Ok(Arc::new(Self { url: url.trim_end_matches('/').to_owned(), grant }))
    }
}

impl Key {
    /// The URL of a call, and where an account's key signs it, the value of `Authorization`. `headers` are all that it has of those that count: those of `x-ms-`, and the
    /// type of its body.
    #[must_use]
    pub fn authorize(&self, method: &Method, url: String, headers: &HeaderMap, length: usize) -> (String, Option<Secret>) {
        match &self.grant {
            Grant::Account(account, key) => {
                let signature = STANDARD.encode(hmac::sign(key, text_to_sign(account, method, &url, headers, length).as_bytes()));
                (url, Some(Secret::new(format!("SharedKey {account}:{signature}"))))
            }
            Grant::Signature(signature) => {
                let joint = if url.contains('?') { '&' } else { '?' };
                (format!("{url}{joint}{}", signature.expose()), None)
            }
        }
    }
}

/// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key#constructing-the-signature-string>
fn text_to_sign(account: &str, method: &Method, url: &str, headers: &HeaderMap, length: usize) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let length = if length == 0 { String::new() } else { length.to_string() };
    // Of the other headers that count, and the date, which x-ms-date tells, there is none.
    let mut signed = format!("{method}\n\n\n{length}\n\n{}\n\n\n\n\n\n\n", text("content-type"));
    let own: BTreeMap<&str, &str> =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-ms-")).map(|name| (name, text(name))).collect();
    for (name, value) in own {
        // Writing to a text cannot fail.
        let _ = writeln!(signed, "{name}:{}", value.trim());
    }
    let uri: Uri = url.parse().unwrap_or_default();
    let _ = write!(signed, "/{account}{}", uri.path());
    let parameters: BTreeMap<&str, &str> =
        uri.query().into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('=')).collect();
    for (name, value) in parameters {
        let _ = write!(signed, "\n{name}:{value}");
    }
    signed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key as _;

    const KEY: &str = "DefaultEndpointsProtocol=https;AccountName=orders;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net";

    fn read(text: &str) -> Result<Arc<Key>, String> {
        Key::read(&Secret::new(text))
    }

    #[test]
    fn the_signature_is_that_of_the_python_sdk() {
        let headers = [("content-type", "application/xml"), ("x-ms-version", "2024-11-04"), ("x-ms-date", "Fri, 15 Jan 2027 08:00:00 GMT")];
        let headers: HeaderMap =
            headers.map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).into_iter().collect();
        let url = "https://orders.queue.core.windows.net/tasks/messages?visibilitytimeout=5&messagettl=60".to_owned();
        let (same, authorization) = read(KEY).unwrap().authorize(&Method::POST, url.clone(), &headers, 123);
        // azure-storage-queue 12.18.1: SharedKeyCredentialPolicy.
        assert_eq!((same, authorization.unwrap().expose()), (url, "SharedKey orders:QvljVOAT63hweQ7ikbCGdUQXgEzHptNfBYSu7LAnzaY="));
    }

    #[test]
    fn a_connection_string_says_where_it_is_and_what_lets_us_in() {
        assert_eq!(read(KEY).unwrap().url, "https://orders.queue.core.windows.net");
        assert_eq!(read("AccountName=a;AccountKey=YQ==").unwrap().url, "https://a.queue.core.windows.net");
        let signed = read("QueueEndpoint=http://127.0.0.1:1/a/;SharedAccessSignature=?sv=1&sig=a%3D").unwrap();
        let none = HeaderMap::new();
        assert_eq!(
            signed.authorize(&Method::GET, format!("{}/q", signed.url), &none, 0),
            ("http://127.0.0.1:1/a/q?sv=1&sig=a%3D".to_owned(), None)
        );
        assert_eq!(signed.authorize(&Method::GET, "http://x/q?a=1".to_owned(), &none, 0).0, "http://x/q?a=1&sv=1&sig=a%3D");
    }

    #[test]
    fn what_is_none_is_refused_without_being_told() {
        for (text, told) in [
            ("hunter2", "expected a connection string"),
            ("AccountKey=hunter2", "expected QueueEndpoint or AccountName"),
            ("AccountName=a", "expected AccountName and AccountKey"),
            ("AccountName=a;AccountKey=hunter2", "expected base64"),
            ("AccountName=hunter2@x;AccountKey=YQ==", "expected an http or https URL"),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.starts_with(told) && !error.contains("hunter2"), "{error}");
        }
    }
}
