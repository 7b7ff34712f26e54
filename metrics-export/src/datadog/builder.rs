//! What an exporter to Datadog can be told.

use std::hash::RandomState;
use std::time::Duration;

use super::agent::Agent;
use super::environment;
use super::exporter::{Attempt, Datadog};
use super::service::Service;
use crate::push::{Connection, Secret, Settings, UrlError};
use crate::random;

/// Where an Agent listens on the same machine.
const DEFAULT_URL: &str = "http://localhost:8126";

/// Errors that wait at most for being traced, and as many other requests. 4xx are among the errors, which are then left out.
const MAX_ERRORS: usize = 1_000;

/// Windows that wait at most, each for itself: five minutes. What is more is merged into the last one.
const MAX_WINDOWS: usize = 30;

/// Makes a [`Datadog`]. What is set here wins over the environment.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    pub(super) url: Option<Secret>,
    pub(super) service: Option<String>,
    pub(super) env: Option<String>,
    pub(super) version: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    operation: Option<String>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    max_traces: Option<usize>,
    slow: Option<Duration>,
    pub(super) sample_rate: Option<f64>,
    connection: Connection,
    with_environment: bool,
}

/// A setting that is out of its range. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing can be sent to the Agent's URL.
    #[error("agent: {0}, or unix:///path of its socket, but on Windows")]
    Agent(#[from] UrlError),
    /// More traces a window than fit.
    #[error("max_traces is {value}; allowed: 0 to {MAX_ERRORS}")]
    MaxTraces {
        /// What was set.
        value: usize,
    },
    /// No share of all requests.
    #[error("sample_rate is {value}; allowed: 0 to 1")]
    SampleRate {
        /// What was set.
        value: String,
    },
    /// An environment variable cannot be understood.
    #[error("{name} is {value:?}; allowed: {allowed}")]
    Variable {
        /// What it is called.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: &'static str,
    },
}

impl Builder {
    /// Takes what is not set here from Datadog's variables; default: they are not looked at.
    ///
    /// `DD_TRACE_AGENT_URL`, or else `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`; `DD_SERVICE`, `DD_ENV`, `DD_VERSION` and
    /// `DD_TAGS`; `DD_TRACE_SAMPLE_RATE`.
    pub fn environment(mut self) -> Self {
        self.with_environment = true;
        self
    }

    /// Where the Agent takes traces, `http://host:port` or, but on Windows, `unix:///path/of/its/socket`; default:
    /// `http://localhost:8126`.
    pub fn agent_url(mut self, url: impl Into<Secret>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// What the service is called; default: as its program.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Where it runs, such as `prod`; default: what the Agent is set to.
    pub fn env(mut self, env: impl Into<String>) -> Self {
        self.env = Some(env.into());
        self
    }

    /// The version of the service; default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// A tag of traces; default: none. The Agent takes none with figures.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.tags.retain(|(known, _)| *known != key);
        self.tags.push((key, value));
        self
    }

    /// What is done for a request, which is the name of Datadog's metrics behind `trace.`; default: `http.server.request`. A
    /// service that was traced by something else keeps its dashboards with the name from there.
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// Traces at most so many requests of a window, errors first; default: 100. With 0 nothing is traced. The others are counted
    /// as rejected.
    pub fn max_traces(mut self, count: usize) -> Self {
        self.max_traces = Some(count);
        self
    }

    /// Traces requests that took at least this long, whatever came of them; default: 5xx and panics only.
    pub fn slow(mut self, from: Duration) -> Self {
        self.slow = Some(from);
        self
    }

    /// Traces a share of all requests, drawn by lot, from 0 to 1; default: 0. Whether the caller's trace is sampled does not
    /// matter.
    pub fn sample_rate(mut self, share: f64) -> Self {
        self.sample_rate = Some(share);
        self
    }

    /// From one window to the next; default 10 s, which is how long the Agent's own buckets are.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// How long an attempt may take; default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A proxy, such as `http://user:password@proxy:3128`; default: what `HTTPS_PROXY` or `HTTP_PROXY`, as the URL is, `ALL_PROXY` and
    /// `NO_PROXY` say.
    pub fn proxy(mut self, url: impl Into<Secret>) -> Self {
        self.connection.proxy = Some(url.into());
        self
    }

    /// The certificates to trust, in PEM; default: those of the web.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connection.roots = Some(pem.into());
        self
    }

    /// Makes the exporter.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range; the error says what is allowed.
    pub fn build(self) -> Result<Datadog, BuildError> {
        self.build_with(crate::environment::variable)
    }

    pub(super) fn build_with(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Datadog, BuildError> {
        if self.with_environment {
            environment::apply(&mut self, variable)?;
        }
        let max_traces = self.max_traces.unwrap_or(100);
        if max_traces > MAX_ERRORS {
            return Err(BuildError::MaxTraces { value: max_traces });
        }
        let sample_rate = self.sample_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&sample_rate) {
            return Err(BuildError::SampleRate { value: sample_rate.to_string() });
        }
        let settings = Settings {
            interval: self.interval.unwrap_or(Duration::from_secs(10)),
            timeout: self.timeout.unwrap_or(Duration::from_secs(10)),
            aligned: true,
            max_windows: MAX_WINDOWS,
            max_errors: if max_traces == 0 { 0 } else { MAX_ERRORS },
            slow: self.slow,
            sample_rate,
            max_requests: if max_traces == 0 { 0 } else { MAX_ERRORS },
            exact_statuses: true,
            ..Settings::default()
        };
        Ok(Datadog {
            agent: Agent::at(self.url.as_ref().map_or(DEFAULT_URL, Secret::expose), &self.connection)?,
            service: Service {
                name: self.service.unwrap_or_else(program),
                env: self.env.unwrap_or_default(),
                version: self.version.unwrap_or_default(),
                tags: self.tags,
                operation: self.operation.unwrap_or_else(|| "http.server.request".to_owned()),
                runtime_id: random::uuid(),
            },
            settings,
            max_traces,
            ids: RandomState::new(),
            attempt: Attempt::default(),
        })
    }
}

/// What the program is called that runs.
fn program() -> String {
    let path = std::env::current_exe().ok();
    let name =
        path.as_deref().and_then(|path| path.file_stem()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "unnamed-rust-service".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(builder: Builder, variables: &[(&str, &str)]) -> Result<Datadog, BuildError> {
        builder.environment().build_with(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const VARIABLES: [(&str, &str); 6] = [
        ("DD_AGENT_HOST", "agent"),
        ("DD_TRACE_AGENT_PORT", "8127"),
        ("DD_SERVICE", "orders"),
        ("DD_ENV", "prod"),
        ("DD_VERSION", ""),
        ("DD_TAGS", "team:a,env:b,version:1.2"),
    ];

    #[test]
    fn the_environment_says_what_the_builder_does_not() {
        let of = |builder: Builder| built(builder, &VARIABLES).unwrap().service;
        let service = of(Builder::default());
        assert_eq!([&*service.name, &*service.env, &*service.version], ["orders", "prod", "1.2"]);
        assert_eq!(service.tags, [("team".to_owned(), "a".to_owned())]);
        let service = of(Builder::default().service("shop").tag("team", "b").env("test"));
        assert_eq!([&*service.name, &*service.env], ["shop", "test"]);
        assert_eq!(service.tags, [("team".to_owned(), "b".to_owned())]);
        // A program's name, where nobody says what the service is called.
        assert!(!built(Builder::default(), &[]).unwrap().service.name.is_empty());
    }

    #[test]
    fn the_url_of_the_agent_wins_over_its_host() {
        let url = |variables: &[_]| {
            let mut builder = Builder::default();
            let get = |name: &str| {
                variables
                    .iter()
                    .find(|(known, _): &&(&str, &str)| *known == name)
                    .map(|(_, value)| value.to_string())
            };
            environment::apply(&mut builder, get).unwrap();
            builder.url.map(|url| url.expose().to_owned())
        };
        assert_eq!(url(&[]), None);
        assert_eq!(url(&VARIABLES).as_deref(), Some("http://agent:8127"));
        assert_eq!(url(&VARIABLES[1..]).as_deref(), Some("http://localhost:8127"));
        let both = [VARIABLES[0], ("DD_TRACE_AGENT_URL", "http://other:1/")];
        assert_eq!(url(&both).as_deref(), Some("http://other:1/"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_what_is_allowed() {
        for (name, value, allowed) in [
            ("DD_TRACE_AGENT_PORT", "0", "allowed: 1 to 65535"),
            ("DD_TRACE_AGENT_PORT", "x", "allowed: 1 to 65535"),
            ("DD_TRACE_SAMPLE_RATE", "1.01", "allowed: 0 to 1"),
            ("DD_TRACE_SAMPLE_RATE", "NaN", "allowed: 0 to 1"),
            ("DD_TRACE_AGENT_URL", "hunter2", "allowed: http://host[:port]"),
        ] {
            let error = built(Builder::default(), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(allowed) && !error.contains("hunter2"), "{error}");
        }
        let error = Builder::default().max_traces(1_001).build().unwrap_err();
        assert_eq!(error.to_string(), "max_traces is 1001; allowed: 0 to 1000");
        for share in [-0.1, 1.1, f64::NAN] {
            let error = Builder::default().sample_rate(share).build().unwrap_err();
            assert_eq!(error.to_string(), format!("sample_rate is {share}; allowed: 0 to 1"));
        }
    }

    #[test]
    fn the_share_that_is_sampled_is_that_of_the_builder_or_of_the_environment() {
        let variables = [("DD_TRACE_SAMPLE_RATE", "0.25")];
        let share = |builder, variables: &[_]| built(builder, variables).unwrap().settings.sample_rate;
        assert_eq!((share(Builder::default(), &variables), share(Builder::default(), &[])), (0.25, 0.0));
        assert_eq!(share(Builder::default().sample_rate(1.0), &variables), 1.0);
        let slow = Builder::default().slow(Duration::from_secs(2)).max_traces(0).build().unwrap();
        assert!(!slow.settings.want_requests());
    }

    #[test]
    fn without_traces_no_errors_are_kept() {
        let settings = |count| Builder::default().max_traces(count).build().unwrap().settings;
        assert_eq!((settings(0).max_errors, settings(5).max_errors), (0, MAX_ERRORS));
        assert!(settings(0).aligned && settings(0).max_windows > 1);
    }
}
