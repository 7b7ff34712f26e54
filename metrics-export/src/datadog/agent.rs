//! How an Agent is reached: over TCP, or over a Unix socket.

use std::time::Instant;

use metrics_core::InvalidSetting;

use super::origin::{HEADERS, MSGPACK};
#[cfg(unix)]
use super::socket::Socket;
use crate::http::{Client, HttpOptions};
use crate::push::{Failed, post};

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
    /// The Agent at a URL: `http://host:port`, or the socket in `unix:///path`, which takes no headers.
    pub(super) fn at(url: &str, options: &HttpOptions) -> Result<Self, InvalidSetting> {
        #[cfg(unix)]
        if let Some(path) = url.strip_prefix("unix://").filter(|path| path.starts_with('/')) {
            if let Some((name, _)) = options.headers.first() {
                return Err(InvalidSetting::new("header", name, "none over a Unix socket"));
            }
            return Ok(Self::Socket(Socket::new(path)));
        }
        let client = |path: &str| {
            let url = format!("{}{path}", url.trim_end_matches('/'));
            let mut client = options.client("agent_url", &url, 0)?;
            for (name, value) in HEADERS {
                client = client.header(name, value).expect("these names and values are valid");
            }
            Ok(Box::new(client))
        };
        Ok(Self::Tcp { stats: client(STATS)?, traces: client(TRACES)? })
    }

    /// Sends stats.
    pub(super) fn post_stats(&self, body: &[u8], deadline: Instant) -> Result<(), Failed> {
        match self {
            Self::Tcp { stats, .. } => post(stats, MSGPACK, None, body, deadline).map(drop),
            #[cfg(unix)]
            Self::Socket(socket) => socket.post(STATS, &[], body, deadline),
        }
    }

    /// Sends `count` traces.
    pub(super) fn post_traces(&self, count: usize, body: &[u8], deadline: Instant) -> Result<(), Failed> {
        let (name, count) = ("X-Datadog-Trace-Count", count.to_string());
        match self {
            Self::Tcp { traces, .. } => {
                let client = Client::clone(traces).header(name, &count).expect("a number is a valid value");
                post(&client, MSGPACK, None, body, deadline).map(drop)
            }
            #[cfg(unix)]
            Self::Socket(socket) => socket.post(TRACES, &[(name, &count)], body, deadline),
        }
    }
}
