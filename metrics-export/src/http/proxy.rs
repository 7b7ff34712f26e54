//! Which proxy a destination is reached through.

use metrics_core::InvalidSetting;
use ureq::{Proxy, ProxyProtocol};

use crate::secret::Secret;

/// Reads a variable of the environment.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the proxy that is set, or else the one that variables name for the URL: `HTTPS_PROXY` or `HTTP_PROXY`,
/// depending on the URL's scheme, then `ALL_PROXY`, unless `NO_PROXY` has the host. Each may be lower case, too.
pub(super) fn proxy(
    set: Option<&Secret>,
    url: &str,
    variable: Variable<'_>,
) -> Result<Option<Proxy>, InvalidSetting> {
    match set {
        Some(proxy) => usable(Proxy::new(proxy.expose())).map(Some),
        None => from_variables(url, variable),
    }
}

fn from_variables(url: &str, variable: Variable<'_>) -> Result<Option<Proxy>, InvalidSetting> {
    let get = |names: [&str; 2]| names.into_iter().find_map(variable).filter(|value| !value.is_empty());
    let own =
        if url.starts_with("https:") { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let Some(value) = get(own).or_else(|| get(["ALL_PROXY", "all_proxy"])) else { return Ok(None) };
    let except = get(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    // Applied to a proxy of their own, so that exceptions hold even if the proxy itself is unusable.
    let direct = except
        .split(',')
        .fold(Proxy::builder(ProxyProtocol::Http), |proxy, name| proxy.no_proxy(name.trim()));
    let direct = direct.build().map_err(|_| invalid(NOT_A_URL))?;
    if url.parse().is_ok_and(|uri| direct.is_no_proxy(&uri)) {
        return Ok(None);
    }
    usable(Proxy::new(&value)).map(Some)
}

const NOT_A_URL: &str = "is not the URL of a proxy";

fn usable(proxy: Result<Proxy, ureq::Error>) -> Result<Proxy, InvalidSetting> {
    let proxy = proxy.map_err(|_| invalid(NOT_A_URL))?;
    match proxy.protocol() {
        ProxyProtocol::Http => Ok(proxy),
        ProxyProtocol::Https if cfg!(feature = "tls-no-provider") => Ok(proxy),
        ProxyProtocol::Https => Err(invalid("begins with https://, which needs the cargo feature `tls`")),
        _ => Err(invalid("does not speak HTTP")),
    }
}

/// Rejects a proxy without repeating it, since it may hold a password.
fn invalid(problem: &str) -> InvalidSetting {
    InvalidSetting::sentence(
        "proxy",
        format!("the proxy {problem}; allowed: http://[user:password@]host[:port]"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let proxy = proxy(None, url, &variable).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| proxy.host().to_owned()))
    }

    #[test]
    fn the_variable_for_the_scheme_of_the_url_wins_over_all_proxy() {
        let [https, http, all] =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:1"), ("ALL_PROXY", "http://a:1")];
        let of = |url, variables: &[_]| named(url, variables).unwrap();
        let url = "http://localhost:4318/v1/metrics";
        assert_eq!([of(url, &[]), of(url, &[https])], [None, None]);
        assert_eq!(of(url, &[https, http, all]).as_deref(), Some("p"));
        assert_eq!(of(url, &[https, all]).as_deref(), Some("a"));
        assert_eq!(of("https://collector", &[https, http, all]).as_deref(), Some("s"));
        assert_eq!(of(url, &[all, ("NO_PROXY", "other, localhost")]), None);
        assert_eq!(of("http://collector", &[all, ("NO_PROXY", "localhost")]).as_deref(), Some("a"));
    }

    #[test]
    fn an_unusable_proxy_is_rejected_unless_the_url_does_not_go_through_it() {
        let allowed = "; allowed: http://[user:password@]host[:port]";
        for value in ["socks5://user:hunter2@a:1", "socks5h://a:1", "http://hunter2:x:y", "ftp://hunter2"] {
            let error = named("http://b", &[("ALL_PROXY", value)]).unwrap_err();
            assert!(error.starts_with("the proxy ") && error.ends_with(allowed), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(named("http://b", &[("ALL_PROXY", value), ("NO_PROXY", "b")]), Ok(None));
        }
        assert!(proxy(Some(&"socks5://a:1".into()), "http://b", &|_| None).is_err());
    }
}
