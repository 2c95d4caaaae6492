//! Keeps requests to hosts that callers name away from what only this machine or its network should reach.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::LazyLock,
    task::{Context, Poll},
};

use errand_core::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use ipnet::IpNet;
use tower_service::Service;

/// Networks with a special purpose, by the IANA registries of
/// [IPv4](https://www.iana.org/assignments/iana-ipv4-special-registry) and [IPv6](https://www.iana.org/assignments/iana-ipv6-special-registry),
/// and multicast. Forms of IPv6 that hold an IPv4 address are judged by that, see [`inner`].
const SPECIAL: [&str; 31] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "100:0:0:1::/64",
    "2001::/23",
    "2001:db8::/32",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Whether an address is of the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    static NETWORKS: LazyLock<Vec<IpNet>> = LazyLock::new(|| SPECIAL.iter().filter_map(|network| network.parse().ok()).collect());
    let address = inner(address);
    !NETWORKS.iter().any(|network| network.contains(&address))
}

/// The IPv4 address inside an IPv6 one, where a gateway or this machine would take it out: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Networks that may be called although they are not public.
#[derive(Clone, Debug, Default)]
pub struct AllowList(Vec<IpNet>);

impl AllowList {
    fn allows(&self, address: IpAddr) -> bool {
        is_public(address) || self.0.iter().any(|network| network.contains(&address) || network.contains(&inner(address)))
    }
}

impl FromStr for AllowList {
    type Err = ipnet::AddrParseError;

    /// Networks as `10.1.0.0/16`, separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What a client may call: public addresses, and those of a list.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) allowed: AllowList,
    /// The setting that the list is of, for who is refused.
    pub(crate) setting: &'static str,
}

impl Guard {
    /// Lets an address pass.
    ///
    /// # Errors
    /// It may not be called.
    fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        if self.allowed.allows(address) { Ok(()) } else { Err(Forbidden { setting: self.setting }) }
    }
}

/// An address that may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forbidden {
    /// The setting that would allow it.
    pub(crate) setting: &'static str,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the host's address is not public, and {} does not name it", self.setting)
    }
}

impl std::error::Error for Forbidden {}

/// Checks a URL whose host is an address: no resolver sees that.
pub(crate) fn check_host(uri: &http::Uri, guard: &Guard) -> Result<(), Forbidden> {
    let host = uri.host().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = host.parse::<Ipv4Addr>().map(IpAddr::V4).or_else(|_| host.parse::<Ipv6Addr>().map(IpAddr::V6));
    address.map_or(Ok(()), |address| guard.check(address))
}

/// The system's resolver, refusing a name any of whose addresses may not be called, where there is a guard. It answers the very
/// connection that is made, so that a name cannot be one address when it is checked and another when it is called.
#[derive(Clone, Debug)]
pub(crate) struct Dns(pub(crate) Option<Guard>);

impl Dns {
    /// The addresses of a name.
    ///
    /// # Errors
    /// It has none, or one that may not be called.
    async fn resolve(self, name: String) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?.collect();
        if let Some(guard) = &self.0 {
            addresses.iter().try_for_each(|address| guard.check(address.ip())).map_err(io::Error::other)?;
        }
        Ok(addresses)
    }
}

impl Service<Name> for Dns {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { addresses.await.map(Vec::into_iter) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_the_table_is_one() {
        assert!(SPECIAL.iter().all(|network| network.parse::<IpNet>().is_ok()));
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.20.0.0",
            "100.128.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.1.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.5",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2001:1ff:ffff::1",
            "2620:4f:8000::1",
            "3fff::1",
            "5f00::1",
            "100::1",
            "100:0:0:1::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_allowed_network_is_allowed_in_every_form() {
        let allowed: AllowList = "10.1.0.0/16, 127.0.0.1/32,".parse().unwrap();
        assert!(allowed.allows("10.1.2.3".parse().unwrap()) && allowed.allows("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!allowed.allows("10.2.0.1".parse().unwrap()) && !allowed.allows("127.0.0.2".parse().unwrap()));
        assert!("10.1.0.0/99".parse::<AllowList>().is_err());
    }

    fn guard(allowed: &str) -> Guard {
        Guard { allowed: allowed.parse().unwrap(), setting: "ERRAND_X_ALLOW" }
    }

    #[test]
    fn a_host_that_is_an_address_is_checked_before_anything_is_sent() {
        let check = |url: &str| check_host(&url.parse().unwrap(), &guard(""));
        for url in ["http://127.0.0.1/", "http://169.254.169.254/latest/meta-data", "https://[::1]:8443/", "http://[::ffff:10.0.0.1]/"] {
            assert_eq!(check(url), Err(Forbidden { setting: "ERRAND_X_ALLOW" }), "{url}");
        }
        assert_eq!(check("https://example.com/"), Ok(()));
        assert_eq!(check("https://8.8.8.8/"), Ok(()));
    }

    #[tokio::test]
    async fn a_name_is_checked_by_all_that_it_resolves_to() {
        // Names that the system's resolver turns into addresses by itself.
        for name in ["localhost", "127.1", "0x7f.1", "2130706433"] {
            let refused = Dns(Some(guard(""))).resolve(name.to_owned()).await;
            assert!(refused.unwrap_err().to_string().ends_with("ERRAND_X_ALLOW does not name it"), "{name}");
        }
        let allowed = Dns(Some(guard("127.0.0.0/8,::1/128")));
        assert!(allowed.resolve("localhost".to_owned()).await.is_ok());
    }
}
