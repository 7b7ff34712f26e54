//! Which hosts are reached without a proxy: this machine, and those in `NO_PROXY`.
//!
//! The list is read as curl (`CURLOPT_NOPROXY`) and Go (`golang.org/x/net/http/httpproxy`) read it. Entries are separated
//! by commas or blanks. Each is one of
//!
//! - `*`: all hosts;
//! - a network, `10.0.0.0/8` or `fd00::/8`;
//! - an address, `10.1.2.3`, `::1` or `[::1]`;
//! - a name, `example.com`, which also matches all names below it. `.example.com` and `*.example.com` match the same, as
//!   in curl; Go leaves out `example.com` itself.
//!
//! Names and addresses may end with a port, as in Go: `example.com:4318`, `[::1]:4318`. Names match in any case, and with
//! or without a dot at the end. Names are not resolved, so a network matches no name. Other entries match nothing.

use std::net::IpAddr;

/// A host of a URL.
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads the host of a URL, which has brackets around an IPv6 address.
    fn of(host: &'a str) -> Self {
        address(host).map_or(Self::Name(host.trim_end_matches('.')), Self::Address)
    }
}

/// Whether a host is this machine. No proxy can reach it, so none is asked.
pub(super) fn is_this_machine(host: &str) -> bool {
    match Host::of(host) {
        Host::Address(address) => address.is_loopback() || address.is_unspecified(),
        // Names below it are this machine, too (RFC 6761, 6.3).
        Host::Name(name) => is_or_is_below(name, "localhost"),
    }
}

/// Whether a list has the host and port of a URL.
pub(super) fn contains(list: &str, host: &str, port: u16) -> bool {
    let host = Host::of(host);
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| matches(entry, &host, port))
}

fn matches(entry: &str, host: &Host<'_>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let network = address(network).zip(bits.parse().ok().map(|bits| of_canonical(network, bits)));
        return match (host, network) {
            (Host::Address(host), Some((network, bits))) => is_within(*host, network, bits),
            _ => false,
        };
    }
    let Some((name, wanted)) = split_port(entry) else { return false };
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    match host {
        Host::Address(host) => address(name) == Some(*host),
        Host::Name(host) => {
            let name = name.strip_prefix("*.").or(name.strip_prefix('.')).unwrap_or(name);
            let name = name.trim_end_matches('.');
            !name.is_empty() && is_or_is_below(host, name)
        }
    }
}

/// Splits the port off an entry; `None` if it is not a number.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    let begin = entry.rfind(']').unwrap_or(0);
    // An IPv6 address without brackets has no port.
    if address(entry).is_some() {
        return Some((entry, None));
    }
    match entry[begin..].split_once(':') {
        Some((_, port)) => {
            let name = &entry[..entry.len() - port.len() - 1];
            Some((name, Some(port.parse().ok()?)))
        }
        None => Some((entry, None)),
    }
}

/// Parses an address, with or without brackets. An IPv4 address in IPv6's form is that IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    inner.parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The length of a prefix, counted from where the address that [`address`] returns begins.
fn of_canonical(network: &str, bits: u32) -> u32 {
    let is_mapped = network.contains(':') && address(network).is_some_and(|address| address.is_ipv4());
    // One that is shorter than the form itself is as wrong as one of over 32 bits.
    if is_mapped { bits.checked_sub(96).unwrap_or(u32::MAX) } else { bits }
}

/// Whether the first `bits` bits are the same.
fn is_within(host: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (host, network) {
        (IpAddr::V4(host), IpAddr::V4(network)) if bits <= 32 => {
            (host.to_bits() ^ network.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(host), IpAddr::V6(network)) if bits <= 128 => {
            (host.to_bits() ^ network.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// Whether a name is the domain, or below it.
fn is_or_is_below(name: &str, domain: &str) -> bool {
    let Some(above) = name.len().checked_sub(domain.len()) else { return false };
    name.get(above..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        && (above == 0 || name.as_bytes()[above - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_itself_and_the_names_below_it() {
        for entry in ["example.com", ".example.com", "*.example.com", "EXAMPLE.com.", "example.com:4318"] {
            for host in ["example.com", "a.example.com", "A.b.Example.COM", "example.com."] {
                assert!(contains(entry, host, 4318), "{entry} {host}");
            }
            for host in ["badexample.com", "example.com.org", "com", "10.0.0.1", "[::1]"] {
                assert!(!contains(entry, host, 4318), "{entry} {host}");
            }
        }
    }

    #[test]
    fn a_network_matches_the_addresses_in_it() {
        for (entry, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/31", "10.1.2.2", "10.1.2.4"),
            ("192.168.1.7/32", "192.168.1.7", "192.168.1.6"),
            ("0.0.0.0/0", "1.2.3.4", "[fd00::1]"),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]", "[::10.0.0.1]"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            ("[::ffff:0.0.0.0]/96", "10.0.0.1", "[fd00::1]"),
            ("fd00::/8", "[fdff::1]", "[fe00::1]"),
            ("2001:db8::/127", "[2001:db8::1]", "[2001:db8::2]"),
            ("::/0", "[fe80::1]", "1.2.3.4"),
        ] {
            assert!(contains(entry, inside, 80), "{entry} {inside}");
            assert!(!contains(entry, outside, 80), "{entry} {outside}");
        }
        for entry in [
            "::ffff:10.0.0.0/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/x",
            "10.0.0.0/-1",
            "fd00::/129",
            "/8",
            "example.com/8",
        ] {
            assert!(!contains(entry, "10.0.0.0", 80) && !contains(entry, "example.com", 80), "{entry}");
        }
        // Names are not resolved.
        assert!(!contains("10.0.0.0/8", "collector", 80));
    }

    #[test]
    fn an_address_matches_however_it_is_written() {
        for entry in ["::1", "[::1]", "[::1]:80", "0:0:0:0:0:0:0:1"] {
            assert!(contains(entry, "[::1]", 80), "{entry}");
            assert!(!contains(entry, "[::2]", 80), "{entry}");
        }
        assert!(contains("10.0.0.1:80", "10.0.0.1", 80) && !contains("10.0.0.1:81", "10.0.0.1", 80));
        assert!(contains("10.0.0.1", "[::ffff:10.0.0.1]", 80));
        // Not a prefix, and not a suffix.
        assert!(!contains("10.0.0", "10.0.0.1", 80) && !contains("0.1", "10.0.0.1", 80));
    }

    #[test]
    fn a_port_must_be_the_urls() {
        assert!(contains("collector:4318", "collector", 4318));
        assert!(!contains("collector:4318", "collector", 4317));
        assert!(contains(".internal:80", "a.internal", 80) && !contains("*.internal:80", "a.internal", 443));
        for entry in ["collector:", "collector:x", "collector:99999", ":80", "[::1]x", "[::1"] {
            assert!(!contains(entry, "collector", 80), "{entry}");
        }
    }

    #[test]
    fn a_list_is_separated_by_commas_or_blanks_and_a_star_is_all() {
        for list in ["a,b", " a , b", "a b", "a,,\tb,"] {
            assert!(contains(list, "a", 80) && contains(list, "b", 80) && !contains(list, "c", 80), "{list}");
        }
        for list in ["*", "a, *", "a *,b"] {
            assert!(contains(list, "c", 80) && contains(list, "[::1]", 80), "{list}");
        }
        for list in ["", " , ", ".", "*.", "**", "*c", "c*"] {
            assert!(!contains(list, "c", 80), "{list}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        let own = [
            "localhost",
            "LocalHost.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ];
        for host in own.into_iter().chain(["0.0.0.0", "[::]"]) {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["localhost.example", "notlocalhost", "10.0.0.1", "[::2]", "128.0.0.1"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
