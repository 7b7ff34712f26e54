//! What an exporter to OTLP can be told.

use std::time::Duration;

use super::attributes::{int, text};
use super::encode::Encoding;
use super::environment;
use super::exporter::{Otlp, Transport};
#[cfg(feature = "otlp-grpc")]
use super::grpc;
use super::histogram::Histograms;
use super::protocol::Protocol;
use super::temporality::Temporality;
use crate::push::{Connection, Secret, Settings, UrlError};
use crate::random;

/// Makes an [`Otlp`]. What is set here wins over the environment.
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    /// Of metrics, with its path.
    pub(super) endpoint: Option<Secret>,
    pub(super) protocol: Option<Protocol>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) gzip: Option<bool>,
    pub(super) temporality: Option<Temporality>,
    pub(super) histograms: Option<Histograms>,
    pub(super) connection: Connection,
    service: Option<String>,
    resource: Vec<(String, String)>,
    scheme: Option<String>,
    with_environment: bool,
}

/// A setting that is out of its range. Secrets are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing can be sent to the endpoint.
    #[error("endpoint: {0}")]
    Endpoint(#[from] UrlError),
    /// No header has this name, or this value.
    #[error("header {name:?} is refused; allowed: the name of a header, and a value of visible characters")]
    Header {
        /// The name.
        name: String,
    },
    /// A proxy is set, which gRPC does not go by.
    #[cfg(feature = "otlp-grpc")]
    #[error("a proxy is refused with gRPC; allowed: none, or Protocol::HttpBinary")]
    Proxy,
    /// The bounds of the histograms are not ascending, or there are none, or too many buckets.
    #[error("histograms are refused; allowed: 1 to 200 ascending bounds up to 60 s, or 2 to 20,000 buckets")]
    Histograms,
    /// An environment variable cannot be understood.
    #[error("{name} is {value:?}; allowed: {allowed}")]
    Variable {
        /// What it is called.
        name: String,
        /// What it says.
        value: String,
        /// What it may say.
        allowed: &'static str,
    },
}

impl Builder {
    /// Takes what is not set here from OpenTelemetry's variables; default: they are not looked at. The name of the service is theirs in any
    /// case, where they say one, so that one program can be several services.
    ///
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_PROTOCOL` (`http/protobuf`, or `grpc` with the feature `otlp-grpc`) and
    /// `_CERTIFICATE` (with the feature `tls`), each also as `OTEL_EXPORTER_OTLP_METRICS_...`, which wins;
    /// `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` and `..._DEFAULT_HISTOGRAM_AGGREGATION`;
    /// `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`.
    pub fn environment(mut self) -> Self {
        self.with_environment = true;
        self
    }

    /// By which protocol metrics are sent; default: [`Protocol::HttpBinary`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Where the collector is, without the path; default: `http://localhost:4318`, and `http://localhost:4317` by gRPC. Metrics
    /// go to `v1/metrics` there; by gRPC to its own path, whatever that of the URL is.
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        let url = metrics_of(&url.into());
        self.metrics_endpoint(url)
    }

    /// Where metrics go to, with the path.
    pub fn metrics_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(Secret::new(url));
        self
    }

    /// Sends this header, too, such as one with an API key; default: none.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// From one window to the next; default 60 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// How long an attempt may take; default 10 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether bodies are compressed; default: they are.
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = Some(gzip);
        self
    }

    /// Since when figures are counted; default: [`Temporality::Cumulative`].
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// As which kind of histogram durations are sent; default: [`Histograms::Exponential`].
    pub fn histograms(mut self, histograms: Histograms) -> Self {
        self.histograms = Some(histograms);
        self
    }

    /// What the service is called, `service.name`; default: `unknown_service`. `OTEL_SERVICE_NAME` wins.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// An attribute of the resource, such as `deployment.environment.name`; default: none but `service.name`,
    /// `service.instance.id` (random), `process.pid` and `telemetry.sdk.*`.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.set_attribute(key.into(), value.into());
        self
    }

    /// The `url.scheme` of requests; default: `http`. Behind a proxy that speaks TLS it is `https`.
    pub fn url_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = Some(scheme.into());
        self
    }

    /// A proxy, such as `http://user:password@proxy:3128`; default: what `HTTPS_PROXY` or `HTTP_PROXY`, as the URL is, `ALL_PROXY` and
    /// `NO_PROXY` say. gRPC goes by no proxy: one that is set here is refused, and those variables are not looked at.
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
    pub fn build(self) -> Result<Otlp, BuildError> {
        self.build_with(crate::environment::variable)
    }

    pub(super) fn build_with(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Otlp, BuildError> {
        if self.with_environment {
            environment::apply(&mut self, variable)?;
        }
        let histograms = self.histograms.take().unwrap_or_default();
        let fits = match &histograms {
            Histograms::Exponential { max_buckets } => (2..=20_000).contains(max_buckets),
            Histograms::Explicit { bounds } => {
                (1..=200).contains(&bounds.len())
                    && bounds.iter().all(|bound| *bound > 0.0 && *bound <= 60.0)
                    && bounds.is_sorted_by(|a, b| a < b)
            }
        };
        if !fits {
            return Err(BuildError::Histograms);
        }
        let protocol = self.protocol.unwrap_or_default();
        let endpoint = self.endpoint.take().unwrap_or_else(|| metrics_of(protocol.default_endpoint()).into());
        let mut client = match protocol {
            Protocol::HttpBinary => self.connection.client(endpoint.expose())?,
            // What checks the URL and the headers: they are the same.
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => crate::http::Client::new(endpoint.expose(), None, 0)?,
        };
        for (name, value) in &self.headers {
            let with = client.header(name, value.expose());
            client = with.ok_or_else(|| BuildError::Header { name: name.clone() })?;
        }
        let gzip = self.gzip.unwrap_or(true);
        let transport = match protocol {
            Protocol::HttpBinary => Transport::Http { client, gzip },
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                let client = grpc::Client::new(endpoint.expose(), &self.headers, &self.connection, gzip)?;
                Transport::Grpc(Box::new(client))
            }
        };
        let settings = Settings {
            interval: self.interval.unwrap_or(Duration::from_secs(60)),
            timeout: self.timeout.unwrap_or(Duration::from_secs(10)),
            exact_statuses: true,
            ..Settings::default()
        };
        let encoding = Encoding {
            scheme: self.scheme.take().unwrap_or_else(|| "http".to_owned()),
            temporality: self.temporality.unwrap_or_default(),
            histograms,
            resource: self.resource(),
        };
        Ok(Otlp::new(transport, encoding, settings))
    }

    /// Sets an attribute of the resource, in place of what is set.
    pub(super) fn set_attribute(&mut self, key: String, value: String) {
        self.resource.retain(|(known, _)| *known != key);
        self.resource.push((key, value));
    }

    /// Sets an attribute of the resource, unless it is set.
    pub(super) fn default_attribute(&mut self, key: String, value: String) {
        if !self.resource.iter().any(|(known, _)| *known == key) {
            self.resource.push((key, value));
        }
    }

    fn resource(&mut self) -> Vec<opentelemetry_proto::tonic::common::v1::KeyValue> {
        if let Some(service) = self.service.take() {
            self.default_attribute("service.name".to_owned(), service);
        }
        for (key, value) in [
            ("service.name", "unknown_service".to_owned()),
            ("service.instance.id", random::uuid()),
            ("telemetry.sdk.name", env!("CARGO_PKG_NAME").to_owned()),
            ("telemetry.sdk.language", "rust".to_owned()),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned()),
        ] {
            self.default_attribute(key.to_owned(), value);
        }
        let own =
            (!self.resource.iter().any(|(key, _)| key == PID)).then(|| int(PID, std::process::id().into()));
        self.resource.iter().map(|(key, value)| text(key, value)).chain(own).collect()
    }
}

/// Sent as a number, unless somebody sets it.
const PID: &str = "process.pid";

/// Where metrics go to below a collector's URL.
pub(super) fn metrics_of(base: &str) -> String {
    format!("{}/v1/metrics", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;

    fn built(builder: Builder, variables: &[(&str, &str)]) -> Result<Otlp, BuildError> {
        builder.environment().build_with(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn attribute(otlp: &Otlp, key: &str) -> Option<String> {
        let found = otlp.encoding.resource.iter().find(|attribute| attribute.key == key)?;
        match found.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            other => Some(format!("{other:?}")),
        }
    }

    fn gzip(otlp: &Otlp) -> bool {
        match &otlp.transport {
            Transport::Http { gzip, .. } => *gzip,
            #[cfg(feature = "otlp-grpc")]
            Transport::Grpc(client) => client.gzip,
        }
    }

    #[test]
    fn the_protocol_is_that_of_the_builder_then_of_metrics_then_of_all_signals() {
        let all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let variables = [all, ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")];
        let is_http = |otlp: Otlp| matches!(otlp.transport, Transport::Http { .. });
        assert!(is_http(built(Builder::default(), &variables).unwrap()));
        assert!(is_http(built(Builder::default().protocol(Protocol::HttpBinary), &[all]).unwrap()));
        #[cfg(feature = "otlp-grpc")]
        assert!(!is_http(built(Builder::default(), &[all]).unwrap()));
        #[cfg(not(feature = "otlp-grpc"))]
        assert!(built(Builder::default(), &[all]).unwrap_err().to_string().contains("feature `otlp-grpc`"));
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn a_proxy_for_grpc_is_refused_and_not_passed_over() {
        let builder = Builder::default().proxy("http://proxy:3128").protocol(Protocol::Grpc);
        assert_eq!(builder.build().unwrap_err(), BuildError::Proxy);
    }

    #[test]
    fn the_environment_says_what_the_builder_does_not() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=prod%20eu"),
            ("OTEL_SERVICE_NAME", "orders"),
        ];
        let otlp = built(Builder::default().service("shop"), &variables).unwrap();
        assert_eq!(otlp.settings.timeout, Duration::from_millis(1_500));
        assert_eq!(otlp.settings.interval, Duration::from_secs(5));
        assert_eq!((gzip(&otlp), otlp.encoding.temporality), (false, Temporality::Delta));
        assert!(matches!(otlp.encoding.histograms, Histograms::Explicit { .. }));
        assert_eq!(attribute(&otlp, "deployment.environment.name").as_deref(), Some("prod eu"));
        assert!(!format!("{otlp:?}").contains("hunter2"));

        let set = Builder::default().timeout(Duration::from_secs(3)).temporality(Temporality::Cumulative);
        let otlp = built(set.gzip(true), &variables).unwrap();
        assert_eq!((otlp.settings.timeout, gzip(&otlp)), (Duration::from_secs(3), true));
        assert_eq!(otlp.encoding.temporality, Temporality::Cumulative);
    }

    #[test]
    fn the_name_of_the_service_is_that_of_its_own_variable_before_all_others() {
        let name = |variables: &[_]| {
            attribute(&built(Builder::default().service("shop"), variables).unwrap(), "service.name")
        };
        assert_eq!(name(&[]).as_deref(), Some("shop"));
        let both = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "orders")];
        assert_eq!(name(&both[..1]).as_deref(), Some("a"));
        assert_eq!(name(&both).as_deref(), Some("orders"));
        let nothing = built(Builder::default(), &[]).unwrap();
        assert_eq!(attribute(&nothing, "service.name").as_deref(), Some("unknown_service"));
        let id = attribute(&nothing, "service.instance.id").unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
        let process = |otlp: &Otlp| otlp.encoding.resource.iter().filter(|found| found.key == PID).count();
        assert_eq!(process(&nothing), 1);
        let set = built(Builder::default(), &[("OTEL_RESOURCE_ATTRIBUTES", "process.pid=7")]).unwrap();
        assert_eq!((process(&set), attribute(&set, PID).as_deref()), (1, Some("7")));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_what_is_allowed() {
        for (name, value, allowed) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "allowed: http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "allowed: milliseconds, 1 or more"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "allowed: gzip, none"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "delta, lowmemory"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2", "allowed: key=value,key=value"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2", "allowed: names of headers"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Basic hunter2==", "allowed: names of headers"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2%", "percent-encoded in ASCII, so % as %25"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2\u{fffd}", "percent-encoded in ASCII"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2", "allowed: http://host[:port]"),
        ] {
            let error = built(Builder::default(), &[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(allowed) && !error.contains("hunter2"), "{error}");
        }
        for bounds in [vec![], vec![2.0, 1.0], vec![0.0], vec![61.0], vec![f64::NAN]] {
            let builder = Builder::default().histograms(Histograms::Explicit { bounds });
            assert_eq!(builder.build().unwrap_err(), BuildError::Histograms);
        }
    }
}
