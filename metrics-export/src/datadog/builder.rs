//! The settings of an exporter to Datadog.

use std::hash::RandomState;
use std::time::Duration;

use metrics_core::InvalidSetting;

use super::agent::Agent;
use super::environment;
use super::exporter::{Attempt, Datadog};
use super::origin::Origin;
use crate::environment::Variables;
use crate::http::HttpOptions;
use crate::push::PushSettings;
use crate::random;
use crate::secret::Secret;

/// Where an Agent on the same machine listens.
const DEFAULT_URL: &str = "http://localhost:8126";

/// The most errors that wait to be traced, and the most other requests. The errors include 4xx, which are not traced.
const MAX_ERRORS: usize = 1_000;

/// The most windows that wait separately: five minutes. Later ones are merged into the last.
const MAX_WINDOWS: usize = 30;

/// Builds a [`Datadog`]. What is set here wins over variables.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is sent before `build`"]
pub struct DatadogBuilder {
    agent_url: Option<Secret>,
    tags: Vec<(String, String)>,
    operation: Option<String>,
    max_traces: Option<usize>,
    slow: Option<Duration>,
    sample_rate: Option<f64>,
    http: HttpOptions,
    from_env: bool,
}

impl Datadog {
    /// Builds an exporter.
    pub fn builder() -> DatadogBuilder {
        DatadogBuilder::default()
    }
}

impl DatadogBuilder {
    /// Reads what is not set here from Datadog's variables; default: they are ignored.
    ///
    /// `DD_TRACE_AGENT_URL`, or else `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`; `DD_TAGS`; `DD_TRACE_SAMPLE_RATE`.
    /// `DD_SERVICE`, `DD_ENV` and `DD_VERSION` win over the service that the monitor was built for.
    #[expect(
        clippy::wrong_self_convention,
        reason = "a setter, named as in other builders that read variables"
    )]
    pub fn from_env(mut self) -> Self {
        self.from_env = true;
        self
    }

    /// Where the Agent receives traces: `http://host:port` or, except on Windows, `unix:///path/of/its/socket`;
    /// default: `http://localhost:8126`.
    pub fn agent_url(mut self, url: impl Into<Secret>) -> Self {
        self.agent_url = Some(url.into());
        self
    }

    /// A tag of traces; default: none. The Agent accepts no tags with stats.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.tags.retain(|(known, _)| *known != key);
        self.tags.push((key, value));
        self
    }

    /// The name of a request's span, which is also the name of Datadog's metrics after `trace.`; default:
    /// `http.server.request`. To keep the dashboards of another tracer, use its name.
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// The most requests of a window that are traced, errors first; default: 100. 0 turns traces off. The others count
    /// as rejected.
    pub fn max_traces(mut self, count: usize) -> Self {
        self.max_traces = Some(count);
        self
    }

    /// Traces requests that took at least this long, whatever their status; default: 5xx and panics only.
    pub fn slow(mut self, from: Duration) -> Self {
        self.slow = Some(from);
        self
    }

    /// Traces a random sample of all requests, from 0 to 1; default: 0. Independent of whether the caller's trace is
    /// sampled.
    pub fn sample_rate(mut self, share: f64) -> Self {
        self.sample_rate = Some(share);
        self
    }

    /// Interval, timeout, proxy and the like; defaults: see [`HttpOptions`]. The interval of 10 s is that of the
    /// Agent's own buckets.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// # Errors
    ///
    /// When a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Datadog, InvalidSetting> {
        self.build_with(&crate::environment::variable)
    }

    fn build_with(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Datadog, InvalidSetting> {
        let variables = Variables(if self.from_env { variable } else { &|_| None });
        if self.agent_url.is_none() {
            self.agent_url = environment::agent_url(&variables)?;
        }
        if self.sample_rate.is_none() {
            self.sample_rate = environment::sample_rate(&variables)?;
        }
        let max_traces = self.max_traces.unwrap_or(100);
        if max_traces > MAX_ERRORS {
            return Err(InvalidSetting::new("max_traces", max_traces, "0 to 1000"));
        }
        let sample_rate = self.sample_rate.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&sample_rate) {
            return Err(InvalidSetting::new("sample_rate", sample_rate, "0 to 1"));
        }
        let settings = PushSettings {
            aligned: true,
            max_windows: MAX_WINDOWS,
            max_errors: if max_traces == 0 { 0 } else { MAX_ERRORS },
            slow: self.slow,
            sample_rate,
            max_requests: if max_traces == 0 { 0 } else { MAX_ERRORS },
            exact_statuses: true,
            ..PushSettings::default()
        };
        let agent_url = self.agent_url.as_ref().map_or(DEFAULT_URL, Secret::expose);
        Ok(Datadog {
            agent: Agent::at(agent_url, &self.http)?,
            settings: settings.with_http(&self.http),
            origin: self.origin(&variables),
            max_traces,
            ids: RandomState::new(),
            attempt: Attempt::default(),
        })
    }

    fn origin(self, variables: &Variables<'_>) -> Origin {
        let set = environment::tags(variables);
        let mut tags = self.tags;
        for (key, value) in set.others {
            if !tags.iter().any(|(known, _)| *known == key) {
                tags.push((key, value));
            }
        }
        Origin {
            service: set.service.unwrap_or_default(),
            env: set.env.unwrap_or_default(),
            version: set.version.unwrap_or_default(),
            tags,
            operation: self.operation.unwrap_or_else(|| "http.server.request".to_owned()),
            runtime_id: random::uuid(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::Exporter;
    use crate::service::Service;

    fn built(builder: DatadogBuilder, variables: &[(&str, &str)]) -> Result<Datadog, InvalidSetting> {
        builder.from_env().build_with(&|name| {
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

    fn started(builder: DatadogBuilder, variables: &[(&str, &str)], service: &Service) -> Datadog {
        let mut datadog = built(builder, variables).unwrap();
        datadog.start(service).unwrap();
        datadog
    }

    #[test]
    fn variables_set_what_the_builder_does_not() {
        let service = Service::new("shop");
        let origin = started(DatadogBuilder::default(), &VARIABLES, &service).origin;
        assert_eq!([&*origin.service, &*origin.env, &*origin.version], ["orders", "prod", "1.2"]);
        assert_eq!(origin.tags, [("team".to_owned(), "a".to_owned())]);
        let origin = started(DatadogBuilder::default().tag("team", "b"), &VARIABLES, &service).origin;
        assert_eq!(origin.tags, [("team".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_variables_do_not_set_is_the_services() {
        let service = Service::new("shop").environment("test").version("7");
        let origin = started(DatadogBuilder::default(), &[("DD_ENV", "prod")], &service).origin;
        assert_eq!([&*origin.service, &*origin.env, &*origin.version], ["shop", "prod", "7"]);
        let origin = started(DatadogBuilder::default(), &[], &Service::new("shop")).origin;
        assert_eq!([&*origin.service, &*origin.env, &*origin.version], ["shop", "", ""]);
        // Ignored without `from_env`.
        let ignored = DatadogBuilder::default().build_with(&|_| Some("no".to_owned())).unwrap();
        assert_eq!(ignored.origin.service, "");
    }

    #[test]
    fn the_url_of_the_agent_wins_over_its_host() {
        let url = |variables: &[(&str, &str)]| {
            let get = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            environment::agent_url(&Variables(&get)).unwrap().map(|url| url.expose().to_owned())
        };
        assert_eq!(url(&[]), None);
        assert_eq!(url(&VARIABLES).as_deref(), Some("http://agent:8127"));
        assert_eq!(url(&VARIABLES[1..]).as_deref(), Some("http://localhost:8127"));
        let both = [VARIABLES[0], ("DD_TRACE_AGENT_URL", "http://other:1/")];
        assert_eq!(url(&both).as_deref(), Some("http://other:1/"));
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_takes_no_headers() {
        let socket = DatadogBuilder::default().agent_url("unix:///run/datadog/apm.socket");
        assert!(socket.clone().build().is_ok());
        let error = socket.http(HttpOptions::new().header("x-a", "hunter2")).build().unwrap_err();
        assert_eq!(error.to_string(), "header is x-a; allowed: none over a Unix socket");
    }

    #[test]
    fn an_invalid_setting_is_rejected_with_what_is_allowed() {
        for (name, value, allowed) in [
            ("DD_TRACE_AGENT_PORT", "0", "allowed: 1 to 65535"),
            ("DD_TRACE_AGENT_PORT", "x", "allowed: 1 to 65535"),
            ("DD_TRACE_SAMPLE_RATE", "1.01", "allowed: 0 to 1"),
            ("DD_TRACE_SAMPLE_RATE", "NaN", "allowed: 0 to 1"),
            ("DD_TRACE_AGENT_URL", "hunter2", "allowed: http://host[:port]"),
        ] {
            let error = built(DatadogBuilder::default(), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(allowed) && !error.contains("hunter2"), "{error}");
        }
        let error = DatadogBuilder::default().max_traces(1_001).build().unwrap_err();
        assert_eq!(error.to_string(), "max_traces is 1001; allowed: 0 to 1000");
        for share in [-0.1, 1.1, f64::NAN] {
            let error = DatadogBuilder::default().sample_rate(share).build().unwrap_err();
            assert_eq!(error.to_string(), format!("sample_rate is {share}; allowed: 0 to 1"));
        }
    }

    #[test]
    fn the_builders_sample_rate_wins_over_the_variable() {
        let variables = [("DD_TRACE_SAMPLE_RATE", "0.25")];
        let share = |builder, variables: &[_]| built(builder, variables).unwrap().settings.sample_rate;
        assert_eq!(
            (share(DatadogBuilder::default(), &variables), share(DatadogBuilder::default(), &[])),
            (0.25, 0.0)
        );
        assert_eq!(share(DatadogBuilder::default().sample_rate(1.0), &variables), 1.0);
        let slow = DatadogBuilder::default().slow(Duration::from_secs(2)).max_traces(0).build().unwrap();
        assert!(!slow.settings.want_requests());
    }

    #[test]
    fn without_traces_no_errors_are_kept() {
        let settings = |count| DatadogBuilder::default().max_traces(count).build().unwrap().settings;
        assert_eq!((settings(0).max_errors, settings(5).max_errors), (0, MAX_ERRORS));
        assert!(settings(0).aligned && settings(0).max_windows > 1);
    }
}
