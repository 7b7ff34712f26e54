//! The settings of an exporter to Datadog.

use std::hash::RandomState;
use std::path::Path;
use std::time::Duration;

use metrics_core::InvalidSetting;

use super::agent::Agent;
use super::environment;
use super::exporter::{Attempt, Datadog};
use super::origin::Origin;
use crate::environment::Variables;
use crate::http::HttpOptions;
use crate::push::{PushSettings, TraceHeaders};
use crate::random;
use crate::secret::Secret;

/// Where an Agent on the same machine listens.
const DEFAULT_URL: &str = "http://localhost:8126";

/// Where it listens, too, as its installation and Datadog's operator for Kubernetes set it up.
const DEFAULT_SOCKET: &str = "/var/run/datadog/apm.socket";

/// The most errors that wait to be traced, and the most other requests. The errors include 4xx, which are not traced.
const MAX_ERRORS: usize = 1_000;

/// The most windows that wait separately: five minutes. Later ones are merged into the last.
const MAX_WINDOWS: usize = 30;

/// Builds a [`Datadog`]. What is set here wins over variables.
///
/// ```
/// use std::time::Duration;
/// use metrics_export::datadog::Datadog;
/// let datadog = Datadog::builder()
///     .agent_url("http://127.0.0.1:8126")
///     .tag("team", "shop")
///     .slow(Duration::from_millis(500)) // such requests are traced
///     .sample_rate(0.01) // and one in a hundred of the others
///     .build()?;
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is sent before `build`"]
pub struct DatadogBuilder {
    agent_url: Option<Secret>,
    tags: Vec<(String, String)>,
    operation: Option<String>,
    max_traces: Option<usize>,
    slow: Option<Duration>,
    sample_rate: Option<f64>,
    trace_headers: Option<Vec<TraceHeaders>>,
    http: HttpOptions,
    from_env: bool,
}

impl Datadog {
    /// Creates a builder for an exporter.
    pub fn builder() -> DatadogBuilder {
        DatadogBuilder::default()
    }
}

impl DatadogBuilder {
    /// Reads whatever is not set here from Datadog's variables; default: they are ignored.
    ///
    /// `DD_TRACE_AGENT_URL`, or else `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`; `DD_TAGS`; `DD_TRACE_SAMPLE_RATE`;
    /// `DD_EXTERNAL_ENV`; `DD_TRACE_PROPAGATION_STYLE_EXTRACT`, or else `DD_TRACE_PROPAGATION_STYLE` (`datadog`,
    /// `tracecontext`, `b3`, `b3multi`, `none`). `DD_SERVICE`, `DD_ENV` and `DD_VERSION` win over the service that the
    /// monitor was built for. `DD_TRACE_ENABLED=false` turns the exporter [off](crate::push::Exporter::off).
    #[expect(
        clippy::wrong_self_convention,
        reason = "a setter, named as in other builders that read variables"
    )]
    pub fn from_env(mut self) -> Self {
        self.from_env = true;
        self
    }

    /// Sets where the Agent receives traces: `http://host:port` or, except on Windows, `unix:///path/of/its/socket`;
    /// default: the socket `/var/run/datadog/apm.socket` if it exists and no proxy is set, otherwise
    /// `http://localhost:8126`.
    pub fn agent_url(mut self, url: impl Into<Secret>) -> Self {
        self.agent_url = Some(url.into());
        self
    }

    /// Adds a tag to traces; default: none. The Agent accepts no tags with stats.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.tags.retain(|(known, _)| *known != key);
        self.tags.push((key, value));
        self
    }

    /// Sets the name of a request's span, which is also the name of Datadog's metrics after `trace.`; default:
    /// `http.server.request`. To keep the dashboards of another tracer, use its name.
    pub fn operation(mut self, name: impl Into<String>) -> Self {
        self.operation = Some(name.into());
        self
    }

    /// Sets the maximum number of traced requests per window, errors first; default: 100. Further ones count as
    /// rejected. 0 turns traces off.
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

    /// Sets the headers from which the trace of a request is read, in order of precedence; default: Datadog's own, then
    /// `traceparent`, then `sentry-trace`. The order applies to all exporters, since a request has one trace.
    pub fn trace_headers(mut self, order: impl IntoIterator<Item = TraceHeaders>) -> Self {
        self.trace_headers = Some(order.into_iter().collect());
        self
    }

    /// Sets interval, timeout, proxy and the like; defaults: see [`HttpOptions`]. The default interval of 10 s is that
    /// of the Agent's own buckets.
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// Variables never cause an error: one that cannot be used is ignored with a warning in the log or, if it decides
    /// who gets the data, turns the exporter [off](crate::push::Exporter::off).
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Datadog, InvalidSetting> {
        let has_own = self.from_env;
        self.build_with(Variables::new(&crate::environment::variable, has_own), Path::new(DEFAULT_SOCKET))
    }

    fn build_with(
        mut self,
        variables: Variables<'_>,
        default_socket: &Path,
    ) -> Result<Datadog, InvalidSetting> {
        let is_off = environment::is_off(&variables);
        if self.agent_url.is_none() && !is_off {
            self.agent_url = environment::agent_url(&variables);
        }
        if self.sample_rate.is_none() && !is_off {
            self.sample_rate = environment::sample_rate(&variables);
        }
        if self.trace_headers.is_none() {
            self.trace_headers = environment::trace_headers(&variables);
        }
        let own_first = || vec![TraceHeaders::Datadog, TraceHeaders::W3c, TraceHeaders::Sentry];
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
            trace_headers: Some(self.trace_headers.take().unwrap_or_else(own_first)),
            ..PushSettings::default()
        };
        let agent_url = self.agent_url.take().unwrap_or_else(|| self.default_url(default_socket));
        let external_env = environment::external_env(&variables);
        let agent = Agent::at(agent_url.expose(), external_env, &self.http, &variables)?;
        let settings = settings.with_http(&self.http);
        let origin = self.origin(&variables);
        Ok(Datadog {
            agent: variables.finish("datadog").map_or(Ok(agent), Err),
            settings,
            origin,
            max_traces,
            ids: RandomState::new(),
            attempt: Attempt::default(),
        })
    }

    fn default_url(&self, socket: &Path) -> Secret {
        if self.http.proxy.is_none() && is_socket(socket) {
            return format!("unix://{}", socket.display()).into();
        }
        DEFAULT_URL.into()
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

#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::tests::fixed;
    use crate::push::Exporter;
    use crate::service::Service;

    fn built(builder: DatadogBuilder, variables: &[(&str, &str)]) -> Result<Datadog, InvalidSetting> {
        builder.build_with(Variables::new(&fixed(variables), true), Path::new("/nowhere"))
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
        let ignored = Variables::new(&|_| Some("no".into()), false);
        let ignored = DatadogBuilder::default().agent_url(DEFAULT_URL).build_with(ignored, Path::new("/"));
        assert_eq!(ignored.unwrap().origin.service, "");
    }

    #[cfg(unix)]
    #[test]
    fn the_agents_usual_socket_is_used_if_it_is_there_and_nothing_else_is_said() {
        let path = std::env::temp_dir().join(format!("metrics-{}.socket", random::uuid()));
        let at = |builder: DatadogBuilder, variables: &[(&str, &str)]| {
            let datadog = builder.build_with(Variables::new(&fixed(variables), true), &path).unwrap();
            matches!(datadog.agent.unwrap(), Agent::Socket(_))
        };
        let builder = DatadogBuilder::default;
        assert!(!at(builder(), &[]));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let used = [
            at(builder(), &[]),
            at(builder().http(HttpOptions::new().header("x-a", "b")), &[]),
            at(builder(), &[("DD_TRACE_AGENT_PORT", "tcp://10.0.0.1:8126"), ("ALL_PROXY", "socks5://a:1")]),
            at(builder().agent_url(DEFAULT_URL), &[]),
            at(builder().http(HttpOptions::new().proxy("http://a:1")), &[]),
            at(builder(), &[("DD_AGENT_HOST", "localhost")]),
            at(builder(), &[("DD_TRACE_AGENT_PORT", "8126")]),
            at(builder(), &[("DD_TRACE_AGENT_URL", DEFAULT_URL)]),
        ];
        std::fs::remove_file(&path).unwrap();
        assert_eq!(used, [true, true, true, false, false, false, false, false]);
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_that_cannot_be_reached_is_rejected() {
        let socket =
            |url: &str| DatadogBuilder::default().agent_url(url).build().map_err(|error| error.to_string());
        assert!(socket("unix:/run/datadog/apm.socket").is_ok());
        let error = socket(&format!("unix:///{}", "x".repeat(120))).unwrap_err();
        assert!(error.ends_with("; allowed: the path of a socket, up to 107 bytes"), "{error}");
        let options = HttpOptions::new().header("x-a", "hunter2\n");
        let builder = DatadogBuilder::default().agent_url("unix:///run/a").http(options);
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with("header \"x-a\" is invalid") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_left_out_unless_it_says_who_gets_the_data() {
        let long = format!("unix:///{}", "x".repeat(120));
        for (name, value, off) in [
            ("DD_TRACE_AGENT_PORT", "tcp://10.0.0.1:8126", None),
            ("DD_TRACE_AGENT_PORT", "0", Some("DD_TRACE_AGENT_PORT is \"0\"; allowed: 1 to 65535")),
            ("DD_TRACE_AGENT_PORT", "81260", Some("allowed: 1 to 65535")),
            ("DD_TRACE_AGENT_PORT", "x", Some("allowed: 1 to 65535")),
            ("DD_AGENT_HOST", "agent:8126", Some("DD_AGENT_HOST is \"agent:8126\"; allowed: a host's name")),
            (
                "DD_AGENT_HOST",
                "http://hunter2@agent",
                Some("DD_AGENT_HOST is invalid; allowed: a host's name"),
            ),
            ("DD_AGENT_HOST", "a b", Some("DD_AGENT_HOST: the URL cannot be parsed")),
            (
                "DD_TRACE_AGENT_URL",
                "hunter2",
                Some("DD_TRACE_AGENT_URL: the URL does not begin with http://"),
            ),
            ("DD_TRACE_AGENT_URL", "ftp://hunter2", Some("does not begin with http://")),
            #[cfg(unix)]
            ("DD_TRACE_AGENT_URL", "unix://run/apm.socket", Some("the path of the socket is not absolute")),
            #[cfg(unix)]
            ("DD_TRACE_AGENT_URL", &long, Some("allowed: the path of a socket, up to 107 bytes")),
            #[cfg(unix)]
            ("DD_TRACE_AGENT_URL", "unix:/run/apm.socket", None),
            ("DD_TRACE_SAMPLE_RATE", "1.01", None),
            ("DD_TRACE_SAMPLE_RATE", "NaN", None),
            ("DD_EXTERNAL_ENV", "a\nb", None),
            ("DD_TRACE_ENABLED", "maybe", None),
            ("DD_TRACE_ENABLED", "TRUE", None),
            ("DD_TRACE_ENABLED", "False", Some("DD_TRACE_ENABLED is false")),
            ("DD_TRACE_ENABLED", "0", Some("DD_TRACE_ENABLED is false")),
            // The Agent is on this machine.
            ("HTTP_PROXY", "socks5://a:1", None),
        ] {
            let datadog = built(DatadogBuilder::default(), &[(name, value)]).unwrap();
            let said = datadog.off();
            let is_as_expected = match off {
                Some(off) => said.is_some_and(|said| said.contains(off) && !said.contains("hunter2")),
                None => said.is_none(),
            };
            assert!(is_as_expected, "{name}={value}: {said:?}");
            assert_eq!(datadog.settings.sample_rate, 0.0);
            // What the builder is told is checked all the same.
            assert!(built(DatadogBuilder::default().max_traces(1_001), &[(name, value)]).is_err());
        }
        let elsewhere = [("DD_AGENT_HOST", "agent"), ("HTTP_PROXY", "socks5://a:hunter2@b:1")];
        let datadog = built(DatadogBuilder::default(), &elsewhere).unwrap();
        assert!(datadog.off().is_some_and(|off| off.contains("proxy") && !off.contains("hunter2")));
    }

    #[test]
    fn an_invalid_setting_is_rejected_with_what_is_allowed() {
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
