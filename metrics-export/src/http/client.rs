//! The blocking client: a POST, and its answer.

use std::fmt;
use std::time::Duration;

use metrics_core::InvalidSetting;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use super::forward::Forward;
use super::peer::Peer;
use super::proxy;
use super::response::{HttpResponse, MAX_ANSWER};
use super::secrets::{secret_parts, secret_words};
use super::url::{check, host_and_port, invalid, without_login};

/// How long an idle connection is kept: from one POST to the next in a row.
const MAX_IDLE: Duration = Duration::from_secs(2);

/// How to connect, before the settings that all clients share.
pub(super) type Config = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

/// Posts to one URL.
#[derive(Clone)]
pub(crate) struct Client {
    route: Route,
    url: Uri,
    peer: Peer,
    headers: HeaderMap,
    /// What an answer may repeat and nobody may see.
    secrets: Vec<String>,
}

/// How requests reach the server.
#[derive(Clone)]
enum Route {
    /// Straight, or through a tunnel.
    Connection(ureq::Agent),
    /// A proxy forwards each.
    Forward(Forward),
}

impl Client {
    /// A client for a URL, which `field` was set to.
    pub(super) fn new(
        field: &'static str,
        url: &str,
        proxy: Option<ureq::Proxy>,
        config: Config,
    ) -> Result<Self, InvalidSetting> {
        check(field, url)?;
        let mut secrets = secret_parts(url);
        let (url, login) = without_login(field, url)?;
        let proxy_login = proxy.as_ref().and_then(proxy::login);
        for login in [&login, &proxy_login].into_iter().flatten() {
            secrets.extend(login.to_str().into_iter().flat_map(secret_words));
        }
        let url: Uri = url.parse().map_err(|_| invalid(field, "cannot be parsed"))?;
        let headers = login.map(|login| (header::AUTHORIZATION, login)).into_iter().collect();
        let mut peer = Peer::new(host_and_port(&url));
        if let Some(proxy) = &proxy {
            peer = peer.through(format!("{}:{}", proxy.host(), proxy.port()));
        }
        let is_forwarded = |proxy: &&ureq::Proxy| {
            url.scheme_str() == Some("http") && proxy.protocol() == ureq::ProxyProtocol::Http
        };
        let route = match proxy.as_ref().filter(is_forwarded) {
            Some(proxy) => Route::Forward(Forward::new(proxy)),
            None => Route::Connection(
                config
                    .proxy(proxy)
                    .http_status_as_error(false)
                    .max_redirects(0)
                    .user_agent(USER_AGENT)
                    .max_idle_age(MAX_IDLE)
                    .build()
                    .into(),
            ),
        };
        Ok(Self { route, url, peer, headers, secrets })
    }

    /// Adds a header, whose value is a secret; `None` if name or value are not allowed in a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Option<Self> {
        let mut header = HeaderValue::from_str(value).ok()?;
        header.set_sensitive(true);
        self.headers.insert(HeaderName::try_from(name).ok()?, header);
        self.secrets.extend(secret_words(value));
        Some(self)
    }

    /// Posts a body. The error names the host, and does not repeat the URL.
    pub(crate) fn post(
        &self,
        content_type: &str,
        encoding: Option<&str>,
        body: &[u8],
        timeout: Duration,
    ) -> Result<HttpResponse, String> {
        if timeout.is_zero() {
            return Err("no time was left to send".to_owned());
        }
        let mut headers = self.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a constant"));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(encoding).expect("a constant"));
        }
        let answer = match &self.route {
            Route::Connection(agent) => self.send(agent, &headers, body, timeout)?,
            Route::Forward(forward) => {
                headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
                forward.post(&self.peer, &self.url, &headers, body, timeout)?
            }
        };
        Ok(answer.explained(&self.peer, &self.secrets))
    }

    fn send(
        &self,
        agent: &ureq::Agent,
        headers: &HeaderMap,
        body: &[u8],
        timeout: Duration,
    ) -> Result<HttpResponse, String> {
        let mut request = agent.post(&self.url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // Shorter, so that an error tells a connection that was not made from an answer that did not come.
        let to_connect = timeout.mul_f64(0.9);
        let config = request.config().timeout_global(Some(timeout));
        let config = config.timeout_resolve(Some(to_connect)).timeout_connect(Some(to_connect));
        let sent = config.build().send(body);
        let mut response = sent.map_err(|error| self.peer.ureq(&error, timeout))?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.map_err(|error| self.peer.ureq(&error, timeout));
        Ok(HttpResponse::new(response.status().as_u16(), response.headers(), body))
    }
}

const USER_AGENT: &str = concat!("metrics-export/", env!("CARGO_PKG_VERSION"));

impl fmt::Debug for Client {
    /// Without URL and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_repeats_a_login_does_not_show_it() {
        let proxy = ureq::Proxy::new("http://user:hunter3@proxy:3128").unwrap();
        let url = "http://user:hunter2@127.0.0.1:9093/";
        let client = Client::new("url", url, Some(proxy), ureq::Agent::config_builder()).unwrap();
        // Of "user:hunter2" and "user:hunter3".
        let body = b"Basic dXNlcjpodW50ZXIy, Basic dXNlcjpodW50ZXIz".to_vec();
        let answer =
            HttpResponse::new(400, &HeaderMap::new(), Ok(body)).explained(&client.peer, &client.secrets);
        assert!(
            answer.refusal.ends_with("answered 400 Bad Request: \"Basic ***, Basic ***\""),
            "{}",
            answer.refusal
        );
    }

    #[test]
    fn a_client_shows_neither_its_url_nor_its_headers() {
        let url = "http://user:hunter2@127.0.0.1:9093/hunter2";
        let client = Client::new("url", url, None, ureq::Agent::config_builder()).unwrap();
        let client = client.header("x-api-key", "hunter2").unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
        assert!(client.clone().header("x api key", "").is_none());
        assert!(client.header("x-api-key", "hunter2\n").is_none());
    }
}
