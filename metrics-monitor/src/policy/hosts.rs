//! Host names: which ones a monitor answers to without a token.
//!
//! A page of another site can have its own name resolve to this machine (DNS rebinding). Its requests then count as
//! same-origin in the browser, and only the name in `Host` gives them away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use metrics_core::InvalidSetting;

/// Endings of names that nobody else can register: this machine, mDNS, private networks, services of a Kubernetes
/// cluster (RFC 6761, RFC 6762, ICANN's resolution 2024.07.29.06).
const PRIVATE: [&str; 4] = [".localhost", ".local", ".internal", ".svc"];

/// The host names that a builder was told, in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Checks the names that a setter was given.
    pub(crate) fn new(hosts: &[String]) -> Result<Self, InvalidSetting> {
        let check = |host: &String| {
            let name = without_dot(host.strip_prefix("*.").unwrap_or(host));
            if is_name(name) {
                return Ok(without_dot(host).to_ascii_lowercase());
            }
            let allowed =
                "names without scheme and port, such as \"orders.example.com\" or \"*.example.com\"";
            Err(InvalidSetting::new("allowed_hosts", format!("{host:?}"), allowed))
        };
        hosts.iter().map(check).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the name, without a port, is one of them or below one that begins with `*.`.
    pub(crate) fn contain(&self, name: &str) -> bool {
        let name = without_dot(name).to_ascii_lowercase();
        self.0.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some(ending) => name.len() > ending.len() && name.ends_with(ending),
            None => *allowed == name,
        })
    }
}

/// The name and the port of a `Host` header or of another authority; `None` if it is no authority. An IPv6 address keeps
/// its brackets.
pub(crate) fn split(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    let authority = std::str::from_utf8(authority).ok()?;
    let end_of_address = authority.strip_prefix('[').and_then(|rest| rest.find(']')).map(|at| at + 2);
    let at = end_of_address.or_else(|| authority.find(':')).unwrap_or(authority.len());
    let (name, port) = authority.split_at(at);
    if !is_name(name) && end_of_address.is_none() {
        return None;
    }
    if port.is_empty() || port == ":" {
        return Some((name, None));
    }
    let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((name, Some(digits.parse().ok()?)))
}

/// Whether no hostile page can have this name: an IP address, a name without a dot, or one with a private ending.
pub(crate) fn is_private(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|address| address.split('%').next());
        return address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = without_dot(name);
    let ends = |ending: &&str| {
        let at = name.len().checked_sub(ending.len());
        at.and_then(|at| name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    };
    let is_address = || name.parse::<Ipv4Addr>().is_ok();
    is_name(name) && (!name.contains('.') || PRIVATE.iter().any(ends) || is_address())
}

/// Whether a name leads to the machine of whoever uses it: `localhost` and names below it, loopback addresses, and
/// 0.0.0.0, under which many services say that they listen.
pub(crate) fn is_of_this_machine(name: &str) -> bool {
    let is_here = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(without_dot(name)).parse::<IpAddr>() {
        return is_here(address.to_canonical());
    }
    let last = without_dot(name).rsplit('.').next();
    is_name(name) && last.is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

/// The name without the dot that may end a fully qualified one.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=253).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_its_port() {
        for (authority, expected) in [
            ("orders", Some(("orders", None))),
            ("orders:8080", Some(("orders", Some(8_080)))),
            ("orders:", Some(("orders", None))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:8080", Some(("[::1]", Some(8_080)))),
            ("[::1", None),
            ("[::1]8080", None),
            ("::1", None),
            ("orders:http", None),
            ("orders:+80", None),
            ("orders/b:80", None),
            ("", None),
            ("orders:65536", None),
            ("evil.example:80@localhost", None),
        ] {
            assert_eq!(split(authority.as_bytes()), expected, "{authority}");
        }
        assert_eq!(split(b"\xff"), None);
    }

    #[test]
    fn names_that_no_stranger_can_register_are_private() {
        for name in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "shop.localhost",
            "127.0.0.1",
            "10.1.2.3",
            "203.0.113.7",
            "[::1]",
            "[fe80::1%25eth0]",
            "[::ffff:127.0.0.1]",
            "orders",
            "orders_api",
            "printer.local",
            "x.Internal",
            "orders.shop.svc",
            "orders.shop.svc.cluster.local",
            "orders.internal.",
            "127.0.0.1.",
        ] {
            assert!(is_private(name), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example.",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "local.example",
            "evillocal.example",
            "svc.evil.example",
            "orders.svc.evil.example",
            "1.2.3",
            "",
            ".",
            ".local",
            "a b",
            "[::1",
            "[evil]",
            "[]",
            "evil.example@localhost",
            "\u{202e}",
        ] {
            assert!(!is_private(name), "{name}");
        }
    }

    #[test]
    fn names_that_lead_to_the_callers_own_machine_are_told_from_others() {
        for name in [
            "localhost",
            "LOCALHOST.",
            "shop.localhost",
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "0.0.0.0",
            "[::]",
        ] {
            assert!(is_of_this_machine(name), "{name}");
        }
        assert!(is_of_this_machine("[::ffff:127.0.0.1]"));
        for name in [
            "orders",
            "orders.internal",
            "10.0.0.1",
            "203.0.113.7",
            "[2001:db8::1]",
            "localhost.evil.example",
            "evillocalhost",
            ".localhost",
            "[localhost]",
            "",
        ] {
            assert!(!is_of_this_machine(name), "{name}");
        }
    }

    #[test]
    fn an_allowed_host_is_a_name_or_all_names_below_one() {
        let hosts = ["Orders.example.com.", "*.shop.example", "localhost"].map(str::to_owned);
        let hosts = AllowedHosts::new(&hosts).unwrap();
        for name in ["orders.example.com", "ORDERS.example.com.", "a.shop.example", "a.b.shop.example"] {
            assert!(hosts.contain(name), "{name}");
        }
        for name in
            ["x.orders.example.com", "example.com", "shop.example", ".shop.example", "evilshop.example", ""]
        {
            assert!(!hosts.contain(name), "{name}");
        }
        for host in ["", "*", "*.", "https://a.example", "a.example:80", "é.example", "a/b", "a b"] {
            let error = AllowedHosts::new(&[host.to_owned()]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("allowed_hosts is {host:?}; allowed: names without")),
                "{error}"
            );
        }
    }
}
