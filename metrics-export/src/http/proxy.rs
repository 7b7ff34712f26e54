//! Which proxy a destination is reached through.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metrics_core::InvalidSetting;
use ureq::http::{HeaderValue, Uri};
use ureq::{Proxy, ProxyProtocol};

use super::no_proxy;
use crate::secret::Secret;

/// Reads a variable of the environment.
pub(super) type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The kind of connection that a proxy makes, which decides whose variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    /// Requests are forwarded: `HTTP_PROXY`.
    Requests,
    /// Bytes are passed on: `HTTPS_PROXY`.
    Tunnel,
}

/// Returns the proxy that is set, or else the one that variables name for the URL.
///
/// That is the one in `HTTP_PROXY` or `HTTPS_PROXY`, or else in `ALL_PROXY`, each also in lower case; an empty variable
/// counts as missing. Hosts in [`NO_PROXY`](no_proxy) and this machine have none. A proxy that is set is used for all
/// hosts.
///
/// Where `REQUEST_METHOD` is set, `HTTP_PROXY` is ignored and `http_proxy` is not, as in curl and Go: a program that a web
/// server runs by CGI finds the client's header `Proxy` in that variable.
pub(crate) fn proxy(
    set: Option<&Secret>,
    url: &str,
    through: Through,
    variable: Variable<'_>,
) -> Result<Option<Proxy>, InvalidSetting> {
    match set {
        Some(proxy) => usable("proxy", Proxy::new(proxy.expose())).map(Some),
        None => from_variables(url, through, variable),
    }
}

fn from_variables(
    url: &str,
    through: Through,
    variable: Variable<'_>,
) -> Result<Option<Proxy>, InvalidSetting> {
    let set = |name: &'static str| {
        let value = variable(name)?;
        Some((name, value.trim().to_owned())).filter(|(_, value)| !value.is_empty())
    };
    let get = |names: [&'static str; 2]| names.into_iter().find_map(set);
    let own = match through {
        Through::Tunnel => get(["HTTPS_PROXY", "https_proxy"]),
        Through::Requests if set("REQUEST_METHOD").is_some() => set("http_proxy"),
        Through::Requests => get(["HTTP_PROXY", "http_proxy"]),
    };
    let Some((name, value)) = own.or_else(|| get(["ALL_PROXY", "all_proxy"])) else { return Ok(None) };
    let except = get(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
    // Whoever posts to the URL rejects one without a host.
    let Some((host, port)) = host_and_port(url) else { return Ok(None) };
    // Looked up before the proxy is parsed: an unusable one does no harm to those who do not need it.
    if no_proxy::is_this_machine(&host) || no_proxy::contains(&except, &host, port) {
        return Ok(None);
    }
    usable(name, Proxy::new(&value)).map(Some)
}

/// The header with which a proxy's user logs in.
pub(crate) fn login(proxy: &ureq::Proxy) -> Option<HeaderValue> {
    let user = proxy.username()?;
    let pair = format!("{user}:{}", proxy.password().unwrap_or_default());
    let login = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut login = login.expect("base64 is visible ASCII");
    login.set_sensitive(true);
    Some(login)
}

fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(port)))
}

/// Checks the proxy that `field` was set to.
fn usable(field: &'static str, proxy: Result<Proxy, ureq::Error>) -> Result<Proxy, InvalidSetting> {
    let invalid = |problem| invalid(field, problem);
    let proxy = proxy.map_err(|_| invalid("is not the URL of a proxy"))?;
    match proxy.protocol() {
        ProxyProtocol::Http => Ok(proxy),
        ProxyProtocol::Https if cfg!(feature = "tls-no-provider") => Ok(proxy),
        ProxyProtocol::Https => Err(invalid("begins with https://, which needs the cargo feature `tls`")),
        _ => Err(invalid("does not speak HTTP")),
    }
}

/// Rejects a proxy without repeating it, since it may hold a password.
fn invalid(field: &'static str, problem: &str) -> InvalidSetting {
    let allowed = "http://[user:password@]host[:port]";
    InvalidSetting::sentence(field, format!("{field}: the proxy {problem}; allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let through = if url.starts_with("https:") { Through::Tunnel } else { Through::Requests };
        let proxy = proxy(None, url, through, &variable).map_err(|error| error.to_string())?;
        Ok(proxy.map(|proxy| proxy.host().to_owned()))
    }

    #[test]
    fn the_variable_for_the_scheme_of_the_url_wins_over_all_proxy() {
        let [https, http, all] =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:1"), ("ALL_PROXY", "http://a:1")];
        let of = |url, variables: &[_]| named(url, variables).unwrap();
        let url = "http://collector:4318/v1/metrics";
        assert_eq!([of(url, &[]), of(url, &[https])], [None, None]);
        assert_eq!(of(url, &[https, http, all]).as_deref(), Some("p"));
        assert_eq!(of(url, &[https, all]).as_deref(), Some("a"));
        assert_eq!(of("https://collector", &[https, http, all]).as_deref(), Some("s"));
        assert_eq!(of(url, &[all, ("NO_PROXY", "other, collector")]), None);
        assert_eq!(of(url, &[all, ("NO_PROXY", "other")]).as_deref(), Some("a"));
        // The default port counts.
        assert_eq!(of("https://collector", &[https, ("no_proxy", "collector:443")]), None);
    }

    #[test]
    fn an_empty_variable_counts_as_missing() {
        let url = "http://collector";
        let of = |variables: &[_]| named(url, variables).unwrap();
        assert_eq!(of(&[("HTTP_PROXY", ""), ("http_proxy", "p:3128")]).as_deref(), Some("p"));
        assert_eq!(of(&[("HTTP_PROXY", " "), ("ALL_PROXY", " http://a:1\n")]).as_deref(), Some("a"));
        assert_eq!(of(&[("ALL_PROXY", "a"), ("NO_PROXY", ""), ("no_proxy", "collector")]), None);
        assert_eq!(of(&[("HTTP_PROXY", "")]), None);
    }

    #[test]
    fn this_machine_has_no_proxy_unless_one_is_set() {
        let unusable = [("ALL_PROXY", "socks5://a:1")];
        for url in
            ["http://localhost:4318", "http://127.0.0.1:1/v1", "https://[::1]:8126", "http://a.localhost"]
        {
            assert_eq!(named(url, &unusable), Ok(None), "{url}");
            let set = proxy(Some(&"http://a:1".into()), url, Through::Requests, &|_| None).unwrap();
            assert_eq!(set.unwrap().host(), "a");
        }
    }

    #[test]
    fn a_program_that_a_web_server_runs_ignores_the_variable_that_a_client_can_set() {
        let cgi = ("REQUEST_METHOD", "GET");
        let of = |variables: &[_]| named("http://collector", variables).unwrap();
        assert_eq!(of(&[cgi, ("HTTP_PROXY", "http://evil:1")]), None);
        let lower = ("http_proxy", "http://p:1");
        assert_eq!(of(&[cgi, ("HTTP_PROXY", "http://evil:1"), lower]).as_deref(), Some("p"));
    }

    #[test]
    fn an_unusable_proxy_is_rejected_unless_the_url_does_not_go_through_it() {
        let allowed = "; allowed: http://[user:password@]host[:port]";
        for value in ["socks5://user:hunter2@a:1", "socks5h://a:1", "http://hunter2:x:y", "ftp://hunter2"] {
            let error = named("http://b", &[("ALL_PROXY", value)]).unwrap_err();
            assert!(error.starts_with("ALL_PROXY: the proxy ") && error.ends_with(allowed), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(named("http://b", &[("ALL_PROXY", value), ("NO_PROXY", "b")]), Ok(None));
        }
        assert!(proxy(Some(&"socks5://a:1".into()), "http://b", Through::Requests, &|_| None).is_err());
    }
}
