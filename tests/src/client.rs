//! A real HTTP client.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

/// The path of the endpoints.
pub(crate) const METRICS: &str = "/api/metrics";

/// A client with a connection of its own, kept alive between calls.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    addr: SocketAddr,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Reply<B = String> {
    /// The status.
    pub status: u16,
    /// The headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: B,
}

impl Client {
    /// A client of the server at this address.
    pub fn to(addr: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Self { agent, addr }
    }

    /// The server's address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a request without a body.
    pub fn send(&self, method: &str, path: &str) -> Reply {
        let Reply { status, headers, body } = self.send_with(method, path, &[]);
        Reply { status, headers, body: String::from_utf8(body).expect("the body is UTF-8") }
    }

    /// Sends a request with these headers and without a body. The reply's body is neither decompressed nor decoded.
    pub fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply<Vec<u8>> {
        let request =
            ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.addr));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(()).expect("method, path and headers are valid");
        let mut response = self.agent.run(request).expect("the server answers");
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let status = response.status().as_u16();
        let body =
            response.body_mut().with_config().limit(u64::MAX).read_to_vec().expect("the body is whole");
        Reply { status, headers, body }
    }

    /// Calls one of the metrics endpoints, which must succeed, and returns its `data`.
    pub fn metrics(&self, method: &str, name: &str) -> Value {
        let reply = self.send(method, &format!("{METRICS}/{name}"));
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        let mut answer: Value = serde_json::from_str(&reply.body).expect("the answer is JSON");
        assert_eq!(answer["success"], true);
        answer["data"].take()
    }
}

impl<B> Reply<B> {
    /// The value of a header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
