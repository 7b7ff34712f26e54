//! The server at the other end, and what went wrong with it, in words: who, what happened, and what to do.

use std::fmt;
use std::io;
use std::time::Duration;

use ureq::http::StatusCode;

use super::text::{said, short_line, text_of};

/// How the standard library begins the error of a look-up.
const LOOKUP: &str = "failed to lookup address information";

/// A server, as messages name it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Host and port, without a login.
    name: String,
    /// Host and port of the proxy in between.
    proxy: Option<String>,
}

impl Peer {
    /// The server with this host and port, or this path of a socket.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), proxy: None }
    }

    /// Reached through this proxy.
    pub(crate) fn through(self, proxy: impl Into<String>) -> Self {
        Self { proxy: Some(proxy.into()), ..self }
    }

    /// Why a connection, or an exchange over it, failed.
    pub(crate) fn io(&self, error: &io::Error, timeout: Duration) -> String {
        #[cfg(feature = "tls-no-provider")]
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return self.tls(error);
        }
        match error.kind() {
            _ if error.to_string().starts_with(LOOKUP) => self.not_found(error),
            io::ErrorKind::ConnectionRefused => {
                format!("{self} refused the connection; check that it is running, and its port")
            }
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => {
                format!("{self} cannot be reached ({error}); check routes and firewalls")
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => self.silent(timeout),
            io::ErrorKind::InvalidData => self.not_http(),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::WriteZero => {
                format!("{self} closed the connection before it answered; if it expects TLS, use https://")
            }
            _ => format!("{self}: {error}"),
        }
    }

    /// Why ureq failed.
    pub(super) fn ureq(&self, error: &ureq::Error, timeout: Duration) -> String {
        match error {
            ureq::Error::Io(error) => self.io(error, timeout),
            ureq::Error::Timeout(ureq::Timeout::Connect) => self.no_connection(timeout),
            ureq::Error::Timeout(ureq::Timeout::Resolve) => {
                format!("{self}: DNS did not answer within {} s; check it", seconds(timeout))
            }
            ureq::Error::Timeout(_) => self.silent(timeout),
            ureq::Error::HostNotFound => self.not_found(error),
            ureq::Error::ConnectProxyFailed(reason) => {
                self.no_tunnel(reason.strip_prefix("proxy server ").unwrap_or(reason))
            }
            #[cfg(feature = "tls-no-provider")]
            ureq::Error::Rustls(error) => self.tls(error),
            ureq::Error::Tls(problem) => format!("{self}: no TLS connection ({problem})"),
            ureq::Error::BodyExceedsLimit(_) => format!("the answer of {self} is too large"),
            _ => self.not_http(),
        }
    }

    /// Why TLS failed.
    #[cfg(feature = "tls-no-provider")]
    pub(crate) fn tls(&self, error: &rustls::Error) -> String {
        use rustls::CertificateError as Wrong;
        match error {
            rustls::Error::InvalidCertificate(wrong) => match wrong {
                Wrong::UnknownIssuer | Wrong::BadSignature => format!(
                    "the TLS certificate of {self} is not trusted (unknown issuer); pass its authority's certificate \
                     as root_certificates"
                ),
                Wrong::Expired | Wrong::ExpiredContext { .. } => {
                    format!(
                        "the TLS certificate of {self} has expired; renew it, or set this machine's clock"
                    )
                }
                Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                    format!("the TLS certificate of {self} is not valid yet; check this machine's clock")
                }
                Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                    format!(
                        "the TLS certificate of {self} is for another name; use a name in it as host of the URL"
                    )
                }
                _ => format!("the TLS certificate of {self} is not trusted ({wrong:?})"),
            },
            rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => {
                format!("{self} does not speak TLS on this port; use http://, or its port for TLS")
            }
            _ => format!("{self}: no TLS connection ({error})"),
        }
    }

    /// Why a server did not take a request: its status, its own words, and what to do.
    pub(crate) fn refusal(
        &self,
        status: u16,
        location: Option<&str>,
        body: &[u8],
        secrets: &[String],
    ) -> String {
        let code = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let code = code.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"));
        let said = said(text_of(body), secrets);
        let next = match status {
            300..=399 => match location.and_then(origin) {
                Some(origin) => format!("; it redirects to {origin}: set that URL"),
                None => "; set the URL that it redirects to".to_owned(),
            },
            401 | 403 => "; check the login, key or header".to_owned(),
            404 | 405 => "; check the path of the URL".to_owned(),
            407 => "; the proxy needs http://user:password@host:port".to_owned(),
            413 => "; it only accepts smaller messages".to_owned(),
            502..=504 if self.proxy.is_some() => "; the proxy may not reach it".to_owned(),
            _ => String::new(),
        };
        format!("{self} answered {code}{said}{next}")
    }

    /// Why the proxy opened no tunnel.
    pub(crate) fn no_tunnel(&self, reason: &str) -> String {
        let proxy = self.proxy.as_deref().unwrap_or("in use");
        let reason = short_line(reason);
        format!(
            "the proxy {proxy} opened no tunnel to {} ({reason}); allow it there, or name the host in NO_PROXY",
            self.name
        )
    }

    pub(crate) fn no_connection(&self, timeout: Duration) -> String {
        format!("no connection to {self} within {} s; check the address and firewalls", seconds(timeout))
    }

    pub(crate) fn silent(&self, timeout: Duration) -> String {
        if timeout.is_zero() {
            return format!("{self} did not answer in time");
        }
        format!("{self} did not answer within {} s", seconds(timeout))
    }

    fn not_found(&self, error: &dyn fmt::Display) -> String {
        let error = error.to_string();
        let cause = error.rsplit(": ").next().unwrap_or(&error);
        let (name, whose) = match &self.proxy {
            Some(proxy) => (proxy, "the proxy"),
            None => (&self.name, "the host"),
        };
        format!("{whose} of {name} was not found ({cause}); check its name and DNS")
    }

    fn not_http(&self) -> String {
        format!(
            "the answer of {self} is not HTTP/1.1; check the port: TLS needs https://, and gRPC is another protocol"
        )
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.proxy {
            Some(proxy) => write!(f, " (through the proxy {proxy})"),
            None => Ok(()),
        }
    }
}

/// A timeout in seconds, to the millisecond.
fn seconds(timeout: Duration) -> f64 {
    (timeout.as_secs_f64() * 1e3).round() / 1e3
}

/// Scheme, host and port of a URL, whose path may hold a secret.
fn origin(url: &str) -> Option<String> {
    let uri: ureq::http::Uri = url.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(format!("{}://{host}", uri.scheme_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn peer() -> Peer {
        Peer::new("collector:4318")
    }

    #[test]
    fn an_error_names_the_host_the_cause_and_the_next_step() {
        let said = |kind: io::ErrorKind| peer().io(&kind.into(), TIMEOUT);
        for (kind, text) in [
            (
                io::ErrorKind::ConnectionRefused,
                "collector:4318 refused the connection; check that it is running",
            ),
            (
                io::ErrorKind::NetworkUnreachable,
                "collector:4318 cannot be reached (network unreachable); check",
            ),
            (io::ErrorKind::TimedOut, "collector:4318 did not answer within 10 s"),
            (io::ErrorKind::UnexpectedEof, "collector:4318 closed the connection before it answered; if it"),
            (io::ErrorKind::InvalidData, "the answer of collector:4318 is not HTTP/1.1; check the port"),
            (io::ErrorKind::PermissionDenied, "collector:4318: permission denied"),
        ] {
            assert!(said(kind).starts_with(text), "{}", said(kind));
        }
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        let said = Peer::new("no-such-host.invalid:80").io(&lookup, TIMEOUT);
        let expected = "the host of no-such-host.invalid:80 was not found (Name or service not known); check its name \
                        and DNS";
        assert_eq!(said, expected);
        let proxied = peer().through("proxy:3128");
        assert!(proxied.io(&lookup, TIMEOUT).starts_with("the proxy of proxy:3128 was not found"));
        let refused = ureq::Error::ConnectProxyFailed("proxy server responded 403/Forbidden".to_owned());
        let said = proxied.ureq(&refused, TIMEOUT);
        assert!(
            said.starts_with("the proxy proxy:3128 opened no tunnel to collector:4318 (responded 403"),
            "{said}"
        );
    }

    #[cfg(feature = "tls-no-provider")]
    #[test]
    fn an_error_of_tls_tells_a_wrong_certificate_from_a_wrong_port() {
        use rustls::{CertificateError, Error, InvalidMessage};
        for (error, text) in [
            (CertificateError::UnknownIssuer.into(), "is not trusted (unknown issuer); pass its authority's"),
            (CertificateError::Expired.into(), "has expired; renew it"),
            (CertificateError::NotValidForName.into(), "is for another name; use a name in it"),
            (CertificateError::Revoked.into(), "is not trusted (Revoked)"),
            (InvalidMessage::InvalidContentType.into(), "does not speak TLS on this port; use http://"),
            (Error::DecryptError, "no TLS connection"),
        ] {
            let said = peer().io(&io::Error::new(io::ErrorKind::InvalidData, error), TIMEOUT);
            assert!(said.contains("collector:4318") && said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_refusal_has_the_servers_words_and_the_next_step_and_no_secret() {
        let said =
            |status, body: &str| peer().refusal(status, None, body.as_bytes(), &["hunter2".to_owned()]);
        assert_eq!(said(404, ""), "collector:4318 answered 404 Not Found; check the path of the URL");
        assert_eq!(
            said(401, "{\"message\":\"bad key hunter2\"}"),
            "collector:4318 answered 401 Unauthorized: \"{\"message\":\"bad key ***\"}\"; check the login, key or header"
        );
        assert_eq!(said(429, "slow\ndown"), "collector:4318 answered 429 Too Many Requests: \"slow\\ndown\"");
        assert_eq!(said(599, ""), "collector:4318 answered 599");
        let moved = peer().refusal(301, Some("https://a:hunter2@new:443/hunter2?x"), b"", &[]);
        assert_eq!(
            moved,
            "collector:4318 answered 301 Moved Permanently; it redirects to https://new:443: set that URL"
        );
        assert!(
            peer().refusal(302, Some("/relative"), b"", &[]).ends_with("set the URL that it redirects to")
        );
    }
}
