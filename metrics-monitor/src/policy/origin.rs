//! Origins: scheme, host and port of a page, and of a request as its client made it.

use std::fmt;

use super::headers::{Headers, single, values};
use super::hosts::split;

/// An origin (RFC 6454).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    scheme: Scheme,
    host: &'a str,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("http") { Some(Self::Http) } else { is("https").then_some(Self::Https) }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl<'a> Origin<'a> {
    /// The value of an `Origin` header; `None` for `null`, for other schemes, and for what is no origin.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (scheme, authority) = std::str::from_utf8(value).ok()?.split_once("://")?;
        Self::new(Scheme::parse(scheme)?, authority.as_bytes())
    }

    /// What a client called, as far as the headers and the connection tell. `is_secure` is about the connection. With
    /// `trust_forwarded`, what the first proxy says takes precedence.
    pub(crate) fn of_request(
        headers: &'a dyn Headers,
        is_secure: bool,
        trust_forwarded: bool,
    ) -> Option<Self> {
        let forwarded = |name| first(headers, name).filter(|_| trust_forwarded);
        let connection = if is_secure { Scheme::Https } else { Scheme::Http };
        let scheme = match forwarded("x-forwarded-proto") {
            Some(proto) => Scheme::parse(std::str::from_utf8(proto).ok()?)?,
            None => connection,
        };
        Self::new(scheme, forwarded("x-forwarded-host").or_else(|| single(headers, "host"))?)
    }

    fn new(scheme: Scheme, authority: &'a [u8]) -> Option<Self> {
        let (host, port) = split(authority)?;
        Some(Self { scheme, host, port: port.unwrap_or(scheme.port()) })
    }

    /// The host's name.
    pub(crate) fn host(&self) -> &'a str {
        self.host
    }

    /// Whether the host's name is the same, whatever scheme and port are.
    pub(crate) fn is_same_host(&self, other: &Origin<'_>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
    }
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same_host(other) && (self.scheme, self.port) == (other.scheme, other.port)
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        let name = if *scheme == Scheme::Http { "http" } else { "https" };
        write!(f, "{name}://{host}")?;
        if *port == scheme.port() { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// The first element of a header that is a list, such as those of proxies in a row: what the first of them added.
fn first<'a>(headers: &'a dyn Headers, name: &'static str) -> Option<&'a [u8]> {
    elements(headers, name).next()
}

/// The elements of a header that is a list.
pub(crate) fn elements<'a>(headers: &'a dyn Headers, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    values(headers, name).flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::super::headers::List;
    use super::*;

    #[test]
    fn origins_are_equal_if_scheme_host_and_port_are() {
        let origin = |text: &'static str| Origin::parse(text.as_bytes());
        for (one, other) in [
            ("http://a", "http://A:80"),
            ("https://a.example", "HTTPS://a.example:443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert!(origin(one).is_some() && origin(one) == origin(other), "{one} {other}");
        }
        for (one, other) in [
            ("http://a", "https://a"),
            ("http://a", "http://a:81"),
            ("https://a", "https://a:80"),
            ("http://a", "http://b"),
            ("http://a", "http://a.b"),
        ] {
            assert!(origin(one).is_some() && origin(one) != origin(other), "{one} {other}");
        }
        for text in ["null", "", "evil://a", "ws://a", "a", "http://", "http://a:b", "http://a/b:1", "://a"] {
            assert!(origin(text).is_none(), "{text}");
        }
        assert_eq!(origin("https://A.example:443").unwrap().to_string(), "https://A.example");
        assert_eq!(origin("http://a:8080").unwrap().to_string(), "http://a:8080");
    }

    #[test]
    fn a_request_has_the_origin_of_its_connection_unless_a_trusted_proxy_says_otherwise() {
        let proxy = [
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example:8443, inner"),
            ("host", "inner:80"),
        ];
        let origin = |headers: &List<'_>, is_secure, trusts| {
            Origin::of_request(headers, is_secure, trusts).map(|origin| origin.to_string())
        };
        assert_eq!(origin(&List(&proxy), false, true).unwrap(), "https://a.example:8443");
        assert_eq!(origin(&List(&proxy), false, false).unwrap(), "http://inner");
        assert_eq!(origin(&List(&[("host", "a")]), true, true).unwrap(), "https://a");
        assert_eq!(origin(&List(&[("host", "a"), ("host", "b")]), true, true), None);
        assert_eq!(origin(&List(&[("host", "a"), ("x-forwarded-proto", "evil")]), true, true), None);
    }
}
