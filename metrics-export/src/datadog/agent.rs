//! How an Agent is reached: by HTTP over TCP, or over a Unix socket.

use std::time::Instant;

#[cfg(unix)]
use super::socket::Socket;
use crate::http::Client;
use crate::push::{Connection, Failed, UrlError, post};

/// What is sent.
pub(super) const MSGPACK: &str = "application/msgpack";

/// What the Agent is told with each request.
pub(super) const HEADERS: [(&str, &str); 4] = [
    ("Datadog-Meta-Lang", super::service::LANGUAGE),
    ("Datadog-Meta-Tracer-Version", super::service::TRACER_VERSION),
    // So that the Agent counts nothing of the traces, and takes their word for which spans are a service's first.
    ("Datadog-Client-Computed-Stats", "yes"),
    ("Datadog-Client-Computed-Top-Level", "yes"),
];

const STATS: &str = "/v0.6/stats";
const TRACES: &str = "/v0.4/traces";

#[derive(Debug)]
pub(super) enum Agent {
    Tcp {
        stats: Box<Client>,
        traces: Box<Client>,
    },
    #[cfg(unix)]
    Socket(Socket),
}

impl Agent {
    /// That at a URL, or at the socket of `unix:///path`.
    pub(super) fn at(url: &str, connection: &Connection) -> Result<Self, UrlError> {
        #[cfg(unix)]
        if let Some(path) = url.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
            return Ok(Self::Socket(Socket::new(path)));
        }
        let client = |path: &str| {
            let mut client = connection.client(&format!("{}{path}", url.trim_end_matches('/')))?;
            for (name, value) in HEADERS {
                client = client.header(name, value).expect("names and values are those of headers");
            }
            Ok(Box::new(client))
        };
        Ok(Self::Tcp { stats: client(STATS)?, traces: client(TRACES)? })
    }

    /// Sends figures.
    pub(super) fn post_stats(&self, body: &[u8], deadline: Instant) -> Result<(), Failed> {
        match self {
            Self::Tcp { stats, .. } => post(stats, MSGPACK, None, body, deadline).map(drop),
            #[cfg(unix)]
            Self::Socket(socket) => socket.post(STATS, &[], body, deadline),
        }
    }

    /// Sends so many traces.
    pub(super) fn post_traces(&self, count: usize, body: &[u8], deadline: Instant) -> Result<(), Failed> {
        let (name, count) = ("X-Datadog-Trace-Count", count.to_string());
        match self {
            Self::Tcp { traces, .. } => {
                let client =
                    Client::clone(traces).header(name, &count).expect("a number can be a header's value");
                post(&client, MSGPACK, None, body, deadline).map(drop)
            }
            #[cfg(unix)]
            Self::Socket(socket) => socket.post(TRACES, &[(name, &count)], body, deadline),
        }
    }
}
