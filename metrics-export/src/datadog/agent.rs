//! How an Agent is reached: over TCP, or over a Unix socket.

use std::time::Instant;

use metrics_core::InvalidSetting;

use super::container;
use super::origin::{HEADERS, MSGPACK};
#[cfg(unix)]
use super::socket::Socket;
use crate::environment::Variables;
use crate::http::{self, Client, HttpOptions};
use crate::push::{Failed, post};
use crate::secret::Secret;

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
    /// The Agent at a URL: `http://host:port`, or the socket in `unix:///path`.
    pub(super) fn at(
        url: &str,
        external_env: Option<String>,
        options: &HttpOptions,
        variables: &Variables<'_>,
    ) -> Result<Self, InvalidSetting> {
        let external_env = external_env.map(|value| ("Datadog-External-Env", value));
        let own = HEADERS.map(|(name, value)| (name, value.to_owned()));
        let own = own.into_iter().chain(container::headers()).chain(external_env);
        #[cfg(unix)]
        if let Some(path) = socket_path("agent_url", url)? {
            let mut headers: Vec<(String, Secret)> = Vec::new();
            headers.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
            headers.extend(options.headers.iter().cloned());
            return Ok(Self::Socket(Socket::new("agent_url", path, headers)?));
        }
        let own: Vec<_> = own.collect();
        let client = |path: &str| {
            let url = format!("{}{path}", url.trim_end_matches('/'));
            let mut client = options.client("agent_url", &url, 0, variables)?;
            for (name, value) in &own {
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

/// Returns the Agent's URL in a variable. One that cannot be used keeps the exporter off.
pub(super) fn usable(variables: &Variables<'_>, name: &'static str, url: Secret) -> Option<Secret> {
    #[cfg(unix)]
    match socket_path(name, url.expose()) {
        Ok(None) => {}
        Ok(Some(path)) => {
            let socket = Socket::new(name, path, Vec::new());
            return socket.map_err(|problem| variables.refuse(problem)).ok().map(|_| url);
        }
        Err(problem) => {
            variables.refuse(problem);
            return None;
        }
    }
    http::usable(variables, name, url)
}

/// The path in the URL of a socket, `unix:///path` or `unix:/path`; `None` for another URL.
#[cfg(unix)]
fn socket_path<'a>(field: &'static str, url: &'a str) -> Result<Option<&'a str>, InvalidSetting> {
    let Some((_, path)) = url.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("unix"))
    else {
        return Ok(None);
    };
    let path = path.strip_prefix("//").unwrap_or(path).trim_end_matches('/');
    if path.starts_with('/') {
        return Ok(Some(path));
    }
    Err(InvalidSetting::sentence(
        field,
        format!("{field}: the path of the socket is not absolute; allowed: unix:///path"),
    ))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_socket_has_one_slash_or_three() {
        let path = |url| socket_path("agent_url", url).map_err(|error| error.to_string());
        let known = "/run/datadog/apm.socket";
        for url in [
            "unix:/run/datadog/apm.socket",
            "unix:///run/datadog/apm.socket",
            "UNIX:///run/datadog/apm.socket/",
        ] {
            assert_eq!(path(url), Ok(Some(known)), "{url}");
        }
        for url in ["unix:", "unix:///", "unix://run/a", "unix:a"] {
            let error = path(url).unwrap_err();
            assert_eq!(error, "agent_url: the path of the socket is not absolute; allowed: unix:///path");
        }
        assert_eq!(path("http://agent:8126"), Ok(None));
    }
}
