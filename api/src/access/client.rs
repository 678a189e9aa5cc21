//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr};

use axum::http::{Extensions, HeaderMap, HeaderName};
use upshot_runtime::settings::network;

use crate::serve::Peer;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The bits of an IPv6 address that a network has. A client has all addresses below them.
const IPV6_NETWORK: u32 = 64;

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<(IpAddr, u32)>);

impl Proxies {
    /// The proxies of the settings, which were checked at start.
    pub fn new(written: &[String]) -> Self {
        Self(written.iter().filter_map(|proxy| network(proxy)).collect())
    }

    /// Where a request comes from: the peer or, if that is a trusted proxy, the last address in
    /// `X-Forwarded-For` that is not.
    pub fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let Peer(peer) = extensions.get::<Peer>()?;
        let mut client = peer.to_canonical();
        let lists = headers.get_all(FORWARDED_FOR).iter().filter_map(|list| list.to_str().ok());
        let said: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
        for address in said.into_iter().rev() {
            if !self.has(client) {
                break;
            }
            // What a proxy did not write as an address says nothing.
            let Ok(address) = address.parse::<IpAddr>() else { break };
            client = address.to_canonical();
        }
        Some(client)
    }

    fn has(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, bits)| is_within(address, *network, *bits))
    }
}

/// The name under which a client's failures are counted.
pub fn counted(client: IpAddr) -> String {
    match client {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(first(address.to_bits(), IPV6_NETWORK)).to_string(),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let wide = |ip: std::net::Ipv4Addr| first(u128::from(ip.to_bits()) << 96, bits);
            wide(one) == wide(other)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => first(one.to_bits(), bits) == first(other.to_bits(), bits),
        _ => false,
    }
}

/// The first bits of 128.
const fn first(address: u128, bits: u32) -> u128 {
    match u128::MAX.checked_shr(bits) {
        Some(rest) => address & !rest,
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies = Proxies::new(&trusted.iter().map(|proxy| (*proxy).to_owned()).collect::<Vec<_>>());
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        let headers = forwarded.iter().map(|list| (FORWARDED_FOR, list.parse().unwrap())).collect();
        proxies.client(&extensions, &headers).unwrap().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        for (trusted, peer, forwarded, expected) in [
            (&[][..], "192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            (&["192.0.2.1"], "192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.2"], "192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            // The client's own words come first, and do not count.
            (&["192.0.2.1"], "192.0.2.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.1"], "192.0.2.1", &["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.1", "10.0.0.0/8"], "192.0.2.1", &["198.51.100.1, 10.1.2.3"], "198.51.100.1"),
            (&["192.0.2.1"], "192.0.2.1", &["nonsense"], "192.0.2.1"),
            (&["192.0.2.1"], "192.0.2.1", &[], "192.0.2.1"),
            (&["2001:db8::/32"], "2001:db8::7", &["2001:db9::1"], "2001:db9::1"),
            (&["0.0.0.0/0"], "192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
            (&["192.0.2.1"], "::ffff:192.0.2.1", &["198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(client(trusted, peer, forwarded), expected, "{trusted:?} {peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(counted("2001:db8:1:2:3::4".parse().unwrap()), "2001:db8:1:2::");
        assert_eq!(counted("192.0.2.1".parse().unwrap()), "192.0.2.1");
    }
}
