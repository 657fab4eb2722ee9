//! Addresses that are nobody's on the Internet: a server out there must not lead us to them.
//!
//! The URLs of the list are the user's own. A redirect or a link to the next page is a server's, and where the page's
//! listed host is public it may lead to public addresses alone: else it could have us read what only this machine or its
//! network can reach. A name is judged by what it resolves to when the connection is made, so that no second answer of its
//! DNS counts. Behind a proxy, which resolves names itself, only addresses can be judged.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;

use url::{Host, Url};

use crate::model::Ask;

/// Variables that name a proxy, in capitals and not.
const PROXY_VARIABLES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];

/// Decides where a server may lead.
#[derive(Debug)]
pub(super) struct Guard {
    allows_private: bool,
    has_proxy: bool,
    /// Tells whether the hosts of the list are private, of those that were looked up.
    listed: Mutex<HashMap<String, bool>>,
}

/// A name leads to private addresses alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct PrivateAddress;

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its name has a private address, to which a public server may not lead (--allow-private)")
    }
}

impl std::error::Error for PrivateAddress {}

impl Guard {
    pub(super) fn new(allows_private: bool, has_proxy: bool) -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_variable = PROXY_VARIABLES.iter().any(|name| is_set(name) || is_set(&name.to_uppercase()));
        Self { allows_private, has_proxy: has_proxy || has_variable, listed: Mutex::default() }
    }

    /// Tells whether the addresses of the host of `url` are to be judged when they are known.
    ///
    /// # Errors
    /// In words, why it is not asked.
    pub(super) async fn check(&self, url: &Url, ask: &Ask) -> Result<bool, String> {
        let (Some(listed), Some(host)) = (ask.listed_host(), url.host()) else { return Ok(false) };
        if self.allows_private || host == *listed {
            return Ok(false);
        }
        let is_private = match &host {
            Host::Ipv4(address) => is_private((*address).into()),
            Host::Ipv6(address) => is_private((*address).into()),
            Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        };
        let is_known = is_private || !matches!(host, Host::Domain(_)) || self.has_proxy;
        if is_known && !is_private || self.is_private_host(listed).await {
            return Ok(false);
        }
        if is_private {
            return Err(format!(
                "{host} is private, and a public server may not lead there; --allow-private permits it"
            ));
        }
        Ok(true)
    }

    async fn is_private_host(&self, host: &Host<String>) -> bool {
        let name = match host {
            Host::Ipv4(address) => return is_private((*address).into()),
            Host::Ipv6(address) => return is_private((*address).into()),
            Host::Domain(name) => name,
        };
        let known = self.listed().get(name).copied();
        if let Some(known) = known {
            return known;
        }
        let is_private =
            !self.has_proxy && addresses(name).await.is_ok_and(|mut all| all.any(|at| is_private(at.ip())));
        self.listed().insert(name.clone(), is_private);
        is_private
    }

    fn listed(&self) -> std::sync::MutexGuard<'_, HashMap<String, bool>> {
        self.listed.lock().expect("nobody panics while holding it")
    }
}

/// The public addresses of a name.
///
/// # Errors
/// It can't be resolved, or has none but private ones.
pub(super) async fn public_addresses(
    name: &str,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let public: Vec<_> = addresses(name).await?.filter(|at| !is_private(at.ip())).collect();
    if public.is_empty() { Err(PrivateAddress.into()) } else { Ok(public) }
}

async fn addresses(name: &str) -> std::io::Result<impl Iterator<Item = SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect::<Vec<_>>().into_iter())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

/// By the registry of special addresses (RFC 6890): this host, this link, private networks, and what carriers share.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || first == 0
        || first == 100 && second & 0xc0 == 64
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    // IPv4 in disguise: mapped, compatible, and behind the prefix of NAT64.
    let [.., high, low] = address.segments();
    let bytes = [high.to_be_bytes(), low.to_be_bytes()].concat();
    let inside = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
    let is_nat64 = address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    let is_compatible = address.segments()[..6] == [0; 6];
    let is_mapped = address.to_ipv4_mapped().is_some();
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || (is_mapped || is_nat64 || is_compatible) && is_private_v4(inside)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Location;

    #[test]
    fn addresses_that_are_nobodys_on_the_internet_are_private_in_every_spelling() {
        for private in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "::127.0.0.1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "172.15.0.1",
            "192.167.1.1",
            "169.253.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:db8::1",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    async fn checked(listed: &str, url: &str, allows_private: bool, has_proxy: bool) -> Result<bool, String> {
        let guard = Guard { allows_private, has_proxy, listed: Mutex::default() };
        let ask = Ask::new(&Location::Http(Url::parse(listed).unwrap()), Arc::default()).unwrap();
        guard.check(&Url::parse(url).unwrap(), &ask.away()).await
    }

    #[tokio::test]
    async fn public_server_leads_to_public_addresses_alone() {
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest",
            "http://localhost:1/",
            "http://a.localhost/",
            "https://10.1.2.3/",
        ] {
            assert!(checked("https://8.8.8.8/", url, false, false).await.is_err(), "{url}");
            assert!(checked("https://8.8.8.8/", url, false, true).await.is_err(), "{url}");
            assert_eq!(checked("https://8.8.8.8/", url, true, false).await, Ok(false), "{url}");
            // Whoever lists a private host works in a private network.
            assert_eq!(checked("http://192.168.1.1/", url, false, false).await, Ok(false), "{url}");
        }
        assert_eq!(checked("https://8.8.8.8/", "https://1.1.1.1/", false, false).await, Ok(false));
        assert_eq!(checked("https://8.8.8.8/", "https://name.example/", false, false).await, Ok(true));
        assert_eq!(checked("https://8.8.8.8/", "https://name.example/", false, true).await, Ok(false));
        assert_eq!(checked("http://127.0.0.1:1/", "http://127.0.0.1:2/", false, false).await, Ok(false));
    }

    #[tokio::test]
    async fn name_of_a_private_address_is_refused_when_it_is_resolved() {
        let error = public_addresses("localhost").await.unwrap_err();
        assert!(error.is::<PrivateAddress>(), "{error}");
    }
}
