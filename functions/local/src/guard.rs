//! Keeps a server without keys to this machine's own users, and lets it call this machine.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use errand_core::Environment;

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
    if listen.ip().is_loopback() { env.with_default("ERRAND_WEBHOOK_ALLOW", "127.0.0.0/8,::1/128") } else { env.clone() }
}

/// Whether a call names this machine as its host. A web page that has its own name resolved to this machine (DNS rebinding) does not.
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
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
        let allowed = |listen: &str, env: Environment| {
            with_this_machine(&env, listen.parse().unwrap()).get("ERRAND_WEBHOOK_ALLOW").map(ToOwned::to_owned)
        };
        assert_eq!(allowed("127.0.0.1:3000", Environment::default()).unwrap(), "127.0.0.0/8,::1/128");
        assert_eq!(allowed("[::1]:3000", Environment::default()).unwrap(), "127.0.0.0/8,::1/128");
        assert_eq!(allowed("0.0.0.0:3000", Environment::default()), None);
        let told = [("ERRAND_WEBHOOK_ALLOW", "10.0.0.0/8")].into_iter().collect();
        assert_eq!(allowed("127.0.0.1:3000", told).unwrap(), "10.0.0.0/8");
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
