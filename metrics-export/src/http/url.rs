//! URLs to post to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use metrics_core::InvalidSetting;
use ureq::http::{HeaderValue, Uri};

#[cfg(any(feature = "datadog", feature = "otlp"))]
use crate::environment::Variables;
#[cfg(any(feature = "datadog", feature = "otlp"))]
use crate::secret::Secret;

#[cfg(not(feature = "tls-no-provider"))]
const ALLOWED: &str = "http://host[:port][/path]";
#[cfg(feature = "tls-no-provider")]
const ALLOWED: &str = "http://host[:port][/path] or https://host[:port][/path]";

/// Rejects a URL without repeating it, since many URLs hold a secret.
pub(crate) fn invalid(field: &'static str, problem: &str) -> InvalidSetting {
    InvalidSetting::sentence(field, format!("{field}: the URL {problem}; allowed: {ALLOWED}"))
}

/// Checks that requests can be posted to a URL.
pub(crate) fn check(field: &'static str, url: &str) -> Result<(), InvalidSetting> {
    let invalid = |problem| Err(invalid(field, problem));
    let no_scheme = "does not begin with http://";
    let Ok(uri) = url.parse::<Uri>() else {
        return invalid(if url.contains("://") { "cannot be parsed" } else { no_scheme });
    };
    match uri.scheme_str() {
        Some("http") => {}
        #[cfg(feature = "tls-no-provider")]
        Some("https") if has_provider() => {}
        #[cfg(feature = "tls-no-provider")]
        Some("https") => {
            let problem = "`https` needs a crypto provider; install rustls's default provider before `build`, \
                           or enable the cargo feature `tls`";
            return Err(InvalidSetting::sentence(field, format!("{field}: {problem}")));
        }
        #[cfg(not(feature = "tls-no-provider"))]
        Some("https") => {
            let needs_tls = format!("{field}: `https` needs the cargo feature `tls`, or an `http` proxy");
            return Err(InvalidSetting::sentence(field, needs_tls));
        }
        _ => return invalid(no_scheme),
    }
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return invalid("has no host") };
    // An invalid port would be replaced by the default one.
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    let port = host_and_port.strip_prefix(host).filter(|port| !port.is_empty());
    if port.is_some() && uri.port_u16().is_none_or(|port| port == 0) {
        return invalid("has a port that is not in 1 to 65535");
    }
    Ok(())
}

/// Returns the URL in a variable. One that cannot be used keeps the destination off.
#[cfg(any(feature = "datadog", feature = "otlp"))]
pub(crate) fn usable(variables: &Variables<'_>, name: &'static str, url: Secret) -> Option<Secret> {
    let checked = check(name, url.expose()).and_then(|()| without_login(name, url.expose()));
    checked.map_err(|problem| variables.refuse(problem)).ok().map(|_| url)
}

/// Whether there is a crypto provider: `ring`, or one that the application installed.
#[cfg(feature = "tls-no-provider")]
fn has_provider() -> bool {
    cfg!(feature = "tls") || rustls::crypto::CryptoProvider::get_default().is_some()
}

/// Host and port of a URL that was checked.
pub(crate) fn host_and_port(url: &Uri) -> String {
    let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
    format!("{}:{}", url.host().unwrap_or_default(), url.port_u16().unwrap_or(port))
}

/// Splits user and password off a URL, and returns them as the header for `Basic` authentication (RFC 7617).
pub(crate) fn without_login(
    field: &'static str,
    url: &str,
) -> Result<(String, Option<HeaderValue>), InvalidSetting> {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |length| authority + length);
    let Some((user, host)) = url[authority..end].rsplit_once('@') else { return Ok((url.to_owned(), None)) };
    let not_encoded = || invalid(field, "has a user or password that is not percent-encoded");
    let mut pair = percent_decoded(user).ok_or_else(not_encoded)?;
    if !user.contains(':') {
        pair.push(':');
    }
    let login = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut login = login.expect("base64 is visible ASCII");
    login.set_sensitive(true);
    Ok((format!("{}{host}{}", &url[..authority], &url[end..]), Some(login)))
}

/// Replaces each `%` and the two hexadecimal digits after it by their byte; `None` if digits are missing, or the result
/// is not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            (digit(bytes.next()?)? * 16 + digit(bytes.next()?)?) as u8
        } else {
            byte
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_posted_to_is_rejected_and_not_repeated() {
        for url in [
            "",
            "hunter2",
            "ftp://hunter2",
            "https://",
            "http:///hunter2",
            "http://a b",
            "http://a:81260/hunter2",
            "http://a:hunter2",
            "http://[::1]:0",
            "http://b:c@a:",
        ] {
            let error = check("endpoint", url).unwrap_err().to_string();
            assert!(error.starts_with("endpoint: the URL "), "{error}");
            assert!(error.contains("; allowed: http://host[:port][/path]"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        for url in ["http://a", "http://[::1]", "http://[::1]:80/", "http://b:c@a:65535/x:y", "http://b:c@a"]
        {
            assert_eq!(check("endpoint", url), Ok(()), "{url}");
        }
    }

    #[test]
    fn https_needs_the_feature_tls() {
        let checked = check("endpoint", "https://example.com/hunter2").map_err(|error| error.to_string());
        let needs_tls = "endpoint: `https` needs the cargo feature `tls`, or an `http` proxy";
        assert_eq!(checked, if cfg!(feature = "tls") { Ok(()) } else { Err(needs_tls.to_owned()) });
    }

    #[test]
    fn a_user_in_a_url_becomes_a_header() {
        let split = |url| {
            let (url, login) = without_login("endpoint", url).unwrap();
            (url, login.map(|login| (login.to_str().unwrap().to_owned(), login.is_sensitive())))
        };
        for plain in ["http://a:1/b@c?d@e", "http://[::1]/", "http://a?b@c"] {
            assert_eq!(split(plain), (plain.to_owned(), None));
        }
        let login = |text: &str| Some((format!("Basic {}", STANDARD.encode(text)), true));
        assert_eq!(
            split("https://elastic:p%40ss@es:9200/x@y"),
            ("https://es:9200/x@y".to_owned(), login("elastic:p@ss"))
        );
        assert_eq!(split("http://key@[::1]:80"), ("http://[::1]:80".to_owned(), login("key:")));
        for wrong in ["http://a:%4@b", "http://a:hunter2%zz@b", "http://%ff@b"] {
            let error = without_login("endpoint", wrong).unwrap_err().to_string();
            assert!(error.contains("is not percent-encoded; allowed: "), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
