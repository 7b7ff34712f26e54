//! Where a request comes from.

use std::fmt;
use std::net::IpAddr;

use super::headers::Headers;

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
