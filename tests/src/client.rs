//! A real HTTP client.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::server::METRICS;

/// A client with a connection of its own, kept alive between calls.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    addr: SocketAddr,
}

/// A response that was read to its end.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Self { agent, addr }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends a request without a body.
    pub fn send(&self, method: &str, path: &str) -> Reply {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.addr))
            .body(())
            .expect("method and path are valid");
        let mut response = self.agent.run(request).expect("the server answers");
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let headers = headers.collect();
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_string().expect("the body is whole and UTF-8");
        Reply { status, headers, body }
    }

    /// Calls one of the metrics endpoints, which must succeed, and gives its `data`.
    pub fn metrics(&self, method: &str, name: &str) -> Value {
        let reply = self.send(method, &format!("{METRICS}/{name}"));
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        let mut answer: Value = serde_json::from_str(&reply.body).expect("the answer is JSON");
        assert_eq!(answer["success"], true);
        answer["data"].take()
    }
}

impl Reply {
    /// The value of a header, by lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
