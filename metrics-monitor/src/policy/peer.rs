//! Where a request comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::headers::Headers;
use super::origin::elements;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client with this address, which may be a proxy.
    Address(IpAddr),
    /// A client of a Unix socket: always of this machine.
    UnixSocket,
}

impl Peer {
    /// Whether it is on this machine.
    pub(crate) fn is_loopback(self) -> bool {
        match self {
            // An IPv4 address is mapped where one socket listens for both.
            Self::Address(address) => address.to_canonical().is_loopback(),
            Self::UnixSocket => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.to_canonical().fmt(f),
            Self::UnixSocket => f.write_str("a Unix socket"),
        }
    }
}

/// Who a limit is shared by: clients with one address, or all whose address is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Address(IpAddr),
    /// A network of IPv6, of which one client has all addresses: the first 64 bits.
    Network(u64),
    UnixSocket,
}

impl Source {
    /// Where a request comes from. With `trust_forwarded`, the last address in `X-Forwarded-For` takes precedence: the
    /// proxy itself added it, while clients can send others before it.
    pub(crate) fn of(peer: Peer, headers: &dyn Headers, trust_forwarded: bool) -> Self {
        let forwarded = || elements(headers, "x-forwarded-for").last();
        match forwarded().filter(|_| trust_forwarded).and_then(address) {
            Some(address) => Self::of_address(address),
            None => Self::of_peer(peer),
        }
    }

    pub(crate) fn of_peer(peer: Peer) -> Self {
        match peer {
            Peer::Address(address) => Self::of_address(address),
            Peer::UnixSocket => Self::UnixSocket,
        }
    }

    fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => Self::Network((address.to_bits() >> 64) as u64),
            address => Self::Address(address),
        }
    }

    /// Whether it may be a proxy, and so stand for many clients: proxies are near, mostly.
    pub(crate) fn is_near(self) -> bool {
        match self {
            Self::Address(IpAddr::V4(address)) => {
                address.is_loopback() || address.is_private() || address.is_link_local()
            }
            Self::Address(IpAddr::V6(_)) | Self::UnixSocket => true,
            Self::Network(bits) => {
                let address = Ipv6Addr::from_bits(u128::from(bits) << 64);
                address.is_unique_local() || address.is_unicast_link_local()
            }
        }
    }

    /// How many of so many places it may have: a quarter, so that others find some; three quarters if it may be a
    /// proxy.
    pub(crate) fn share(self, places: usize) -> usize {
        if self.is_near() { places / 4 * 3 } else { places / 4 }
    }
}

/// An address, perhaps with a port. An IPv6 address may be in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let with_port = || text.parse::<std::net::SocketAddr>().map(|address| address.ip());
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().or_else(|_| with_port()).ok()
}

/// Headers that proxies and content delivery networks add.
const FORWARDING: [&str; 14] = [
    "client-ip",
    "cdn-loop",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "proxy-client-ip",
    "remote-addr",
    "true-client-ip",
    "via",
    "wl-proxy-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
    "x-scheme",
];

/// What other such headers begin with.
const FORWARDING_PREFIXES: [&str; 11] = [
    "akamai-",
    "cf-",
    "x-akamai-",
    "x-amz-cf-",
    "x-amzn-",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-forwarded",
    "x-original-",
    "x-varnish",
];

/// Whether a request went through a proxy that says so.
pub(crate) fn is_forwarded(headers: &dyn Headers) -> bool {
    headers.any_name(&|name| {
        FORWARDING.contains(&name) || FORWARDING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

#[cfg(test)]
mod tests {
    use super::super::headers::List;
    use super::*;

    #[test]
    fn this_machine_is_loopback_in_each_notation_and_each_unix_socket() {
        let is_loopback = |address: &str| Peer::Address(address.parse().unwrap()).is_loopback();
        for address in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(address), "{address}");
        }
        for address in ["10.0.0.1", "0.0.0.0", "::", "::ffff:10.0.0.1", "::127.0.0.1", "fe80::1"] {
            assert!(!is_loopback(address), "{address}");
        }
        assert!(Peer::UnixSocket.is_loopback());
    }

    #[test]
    fn a_source_is_an_address_or_a_network_and_of_a_trusted_proxy_the_client_that_it_names() {
        let peer = |address: &str| Peer::Address(address.parse().unwrap());
        let source = |address: &str| Source::of_peer(peer(address));
        assert_eq!(source("::ffff:203.0.113.7"), source("203.0.113.7"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::2:3"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        for near in ["127.0.0.1", "::1", "10.0.0.1", "172.17.0.1", "169.254.1.1", "fd00::1", "fe80::1"] {
            assert!(source(near).is_near(), "{near}");
        }
        for far in ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"] {
            assert!(!source(far).is_near(), "{far}");
        }
        let of = |forwarded: &'static str, trusts| {
            Source::of(peer("10.0.0.1"), &List(&[("x-forwarded-for", forwarded)]), trusts)
        };
        for (forwarded, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("198.51.100.9, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("[2001:db8::1]:4711", "2001:db8::"),
            ("[2001:db8::1]", "2001:db8::"),
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(of(forwarded, true), source(expected), "{forwarded}");
            assert_eq!(of(forwarded, false), source("10.0.0.1"), "{forwarded}");
        }
    }

    #[test]
    fn headers_of_proxies_are_known_by_their_names() {
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded",
            "forwarded",
            "via",
            "x-real-ip",
            "cf-ray",
            "cf-connecting-ip",
            "x-amzn-trace-id",
            "x-envoy-external-address",
            "true-client-ip",
        ] {
            assert!(is_forwarded(&List(&[("host", "a"), (name, "")])), "{name}");
        }
        let direct = [
            "host",
            "accept",
            "user-agent",
            "authorization",
            "x-request-id",
            "traceparent",
            "origin",
            "cookie",
        ];
        assert!(!is_forwarded(&List(&direct.map(|name| (name, "1")))));
    }
}
