//! Keeps a server without keys to this machine's own users, and lets it call this machine.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, Method, header};
use errand_api::{Access, ProblemDocument, Scope};
use errand_core::{Environment, Secret, Timestamp};

/// # Errors
/// The address is one that other machines reach, and there are no keys.
pub(crate) fn check_address(listen: SocketAddr, open: bool) -> Result<(), String> {
    if open && !listen.ip().is_loopback() {
        return Err(format!("other machines could reach {listen} and anyone could send: set ERRAND_API_KEYS, or listen on 127.0.0.1"));
    }
    Ok(())
}

/// The settings, with leave to call this machine where only this machine reaches the server and nothing else is said: that is how webhooks and callbacks
/// are tried, and whoever sends them could call the same by himself.
pub(crate) fn with_this_machine(env: &Environment, listen: SocketAddr) -> Environment {
    if listen.ip().is_loopback() { env.with_default(&webhook::ALLOW, "127.0.0.0/8,::1/128") } else { env.clone() }
}

/// Whether a call names this machine as its host. A web page that has its own name resolved to this machine (DNS rebinding) does not.
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Lets a key pass that was not sent with a call: one that was entered in a page, or as a password.
///
/// # Errors
/// Why it may not, as [`Access::admit`] says it.
pub(crate) async fn admit(access: &Access, key: &Secret, scope: Scope) -> Result<(), ProblemDocument> {
    let mut request = errand_api::Request::default();
    request.headers_mut().extend(authorization(key).map(|value| (header::AUTHORIZATION, value)));
    access.admit(&request, Some(scope), Timestamp::now()).await.map(drop)
}

/// The header by which a call says its key; none where it cannot be one.
pub(crate) fn authorization(key: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether a browser makes a call that changes something for a page of another site: `Sec-Fetch-Site` says so, or, in a browser that does not send it,
/// an `Origin` that is not this host. Programs send neither. The rules of Go's
/// [`CrossOriginProtection`](https://pkg.go.dev/net/http#CrossOriginProtection).
pub(crate) fn is_of_another_site(method: &Method, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return false;
    }
    match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => {
            let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            !matches!((host, own), (Some(host), Some(own)) if host.eq_ignore_ascii_case(own))
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_open_without_keys() {
        assert!(check_address("127.0.0.1:3000".parse().unwrap(), true).is_ok());
        assert!(check_address("[::1]:3000".parse().unwrap(), true).is_ok());
        assert!(check_address("0.0.0.0:3000".parse().unwrap(), true).is_err());
        assert!(check_address("0.0.0.0:3000".parse().unwrap(), false).is_ok());
    }

    #[test]
    fn this_machine_is_called_by_a_server_that_only_it_reaches_unless_it_is_told_otherwise() {
        let allowed =
            |listen: &str, env: Environment| with_this_machine(&env, listen.parse().unwrap()).get(&webhook::ALLOW).map(ToOwned::to_owned);
        assert_eq!(allowed("127.0.0.1:3000", Environment::default()).unwrap(), "127.0.0.0/8,::1/128");
        assert_eq!(allowed("[::1]:3000", Environment::default()).unwrap(), "127.0.0.0/8,::1/128");
        assert_eq!(allowed("0.0.0.0:3000", Environment::default()), None);
        let told = [("ERRAND_WEBHOOK_ALLOW", "10.0.0.0/8")].into_iter().collect();
        assert_eq!(allowed("127.0.0.1:3000", told).unwrap(), "10.0.0.0/8");
    }

    #[test]
    fn a_page_of_another_site_changes_nothing() {
        let refused = |method: Method, sent: &[(&'static str, &str)]| {
            let sent = [("host", "localhost:3000")].iter().chain(sent);
            is_of_another_site(&method, &sent.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
        };
        let post = |sent: &[(&'static str, &str)]| refused(Method::POST, sent);
        assert!(!post(&[]) && !post(&[("origin", "http://localhost:3000")]) && !post(&[("sec-fetch-site", "none")]));
        assert!(!post(&[("sec-fetch-site", "same-origin"), ("origin", "https://a-proxy.example")]));
        for origin in ["http://evil.example", "http://localhost:8080", "http://localhost", "null", "", "http://localhost:3000.evil.example"]
        {
            assert!(post(&[("origin", origin)]), "{origin}");
            assert!(!refused(Method::GET, &[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(post(&[("sec-fetch-site", site)]) && refused(Method::DELETE, &[("sec-fetch-site", site)]), "{site}");
        }
    }

    #[test]
    fn a_page_of_another_name_is_told_apart() {
        let named = |host: &str| names_this_machine(&[(header::HOST, host.parse().unwrap())].into_iter().collect());
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.1"] {
            assert!(named(host), "{host}");
        }
        for host in ["evil.example", "evil.example:3000", "localhost.evil.example", "10.0.0.1:3000", ""] {
            assert!(!named(host), "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
