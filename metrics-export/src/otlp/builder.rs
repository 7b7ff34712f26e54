//! The settings of an exporter to OTLP.

use std::time::Duration;

use metrics_core::InvalidSetting;

use super::encode::Encoding;
use super::endpoint::metrics_url;
use super::environment;
use super::exporter::{Attempt, Otlp, Transport};
#[cfg(feature = "otlp-grpc")]
use super::grpc;
use super::histogram::Histograms;
use super::protocol::Protocol;
use super::resource::Attributes;
use super::temporality::Temporality;
use crate::environment::Variables;
use crate::http::HttpOptions;
use crate::push::PushSettings;
use crate::secret::Secret;

/// Builds an [`Otlp`]. What is set here wins over variables.
///
/// ```
/// use metrics_export::otlp::{Otlp, Temporality};
/// let otlp = Otlp::builder()
///     .endpoint("http://127.0.0.1:4318") // the collector; `/v1/metrics` is added
///     .temporality(Temporality::Delta)
///     .resource_attribute("deployment.region", "eu-1")
///     .from_env() // for what is not set here
///     .build()?;
/// # Ok::<(), metrics_core::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "nothing is sent before `build`"]
pub struct OtlpBuilder {
    /// For metrics, with its path.
    endpoint: Option<Secret>,
    protocol: Option<Protocol>,
    temporality: Option<Temporality>,
    histograms: Option<Histograms>,
    attributes: Attributes,
    scheme: Option<String>,
    max_message_bytes: Option<usize>,
    http: HttpOptions,
    from_env: bool,
}

impl Otlp {
    /// Creates a builder for an exporter.
    pub fn builder() -> OtlpBuilder {
        OtlpBuilder::default()
    }
}

impl OtlpBuilder {
    /// Reads whatever is not set here from OpenTelemetry's variables; default: they are ignored. `OTEL_SERVICE_NAME`
    /// always wins, so that one program can run as several services.
    ///
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`, `_PROTOCOL` (`http/protobuf`, or `grpc`
    /// with the feature `otlp-grpc`) and `_CERTIFICATE` (with the feature `tls`), each also as
    /// `OTEL_EXPORTER_OTLP_METRICS_...`, which wins; `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` and
    /// `..._DEFAULT_HISTOGRAM_AGGREGATION`; `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_RESOURCE_ATTRIBUTES` and
    /// `OTEL_SERVICE_NAME`. `OTEL_SDK_DISABLED=true`, and `OTEL_METRICS_EXPORTER` without `otlp`, turn the exporter
    /// [off](crate::push::Exporter::off).
    #[expect(
        clippy::wrong_self_convention,
        reason = "a setter, named as in other builders that read variables"
    )]
    pub fn from_env(mut self) -> Self {
        self.from_env = true;
        self
    }

    /// Sets the protocol; default: [`Protocol::HttpBinary`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sets the collector's URL, without a path; default: `http://localhost:4318`, or `http://localhost:4317` for gRPC.
    /// Metrics go to `v1/metrics` below it; gRPC has a path of its own.
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        let url = metrics_url(&url.into());
        self.metrics_endpoint(url)
    }

    /// Sets the URL for metrics, including its path; default: [`endpoint`](Self::endpoint) with `/v1/metrics`.
    pub fn metrics_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(Secret::new(url));
        self
    }

    /// Sets whether counts are cumulative or deltas; default: [`Temporality::Cumulative`].
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// Sets the kind of histogram for durations; default: [`Histograms::Exponential`].
    pub fn histograms(mut self, histograms: Histograms) -> Self {
        self.histograms = Some(histograms);
        self
    }

    /// Sets the largest message, in bytes before compression, 100,000 to 1 GiB; default: 4,000,000, since collectors
    /// accept 4 MiB over gRPC by default. A window that needs more is sent as several messages.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// Adds an attribute of the resource, such as `deployment.environment.name`. It wins over the monitor's own
    /// setting.
    ///
    /// Default: `service.name`, and `service.version` and `deployment.environment.name` if the monitor has them;
    /// `service.instance.id`, random if the monitor has none; `process.pid` and `telemetry.sdk.*`.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.set(key.into(), value.into());
        self
    }

    /// Sets the `url.scheme` of requests; default: `http`. Set `https` behind a proxy that terminates TLS.
    pub fn url_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = Some(scheme.into());
        self
    }

    /// Sets interval (default: 60 s), timeout, compression, headers, proxy and the like: see [`HttpOptions`].
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// Variables never cause an error: one that cannot be used is ignored with a warning in the log or, if it decides
    /// who gets the metrics or who is trusted, turns the exporter [off](crate::push::Exporter::off).
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid; the error says what is allowed.
    pub fn build(self) -> Result<Otlp, InvalidSetting> {
        let has_own = self.from_env;
        self.build_with(Variables::new(&crate::environment::variable, has_own))
    }

    fn build_with(mut self, variables: Variables<'_>) -> Result<Otlp, InvalidSetting> {
        if variables.has_own() && !environment::is_off(&variables) {
            self.read(&variables);
        }
        let histograms = self.histograms.take().unwrap_or_default();
        check(&histograms)?;
        let max_message_bytes = self.max_message_bytes.unwrap_or(4_000_000);
        if !(100_000..=1 << 30).contains(&max_message_bytes) {
            let allowed = "100,000 to 1,073,741,824 bytes";
            return Err(InvalidSetting::new("max_message_bytes", max_message_bytes, allowed));
        }
        let temporality = self.temporality.unwrap_or_default();
        let settings = PushSettings {
            interval: Duration::from_secs(60),
            exact_statuses: true,
            // Deltas must not count twice where a part of a window arrived, so it is sent again unchanged.
            max_windows: if temporality.is_delta() { 2 } else { 1 },
            ..PushSettings::default()
        };
        // Also if the exporter is off, since what the builder was told is checked all the same.
        let transport = self.transport(&variables)?;
        Ok(Otlp {
            transport: variables.finish("otlp").map_or(Ok(transport), Err),
            settings: settings.with_http(&self.http),
            encoding: Encoding {
                scheme: self.scheme.unwrap_or_else(|| "http".to_owned()),
                temporality,
                histograms,
                resource: Vec::new(),
            },
            attributes: self.attributes,
            max_message_bytes,
            attempt: Attempt::default(),
        })
    }

    /// Fills what is not set from variables. Those of settings are not read, so that they need not be valid.
    fn read(&mut self, variables: &Variables<'_>) {
        if self.endpoint.is_none() {
            self.endpoint = environment::endpoint(variables);
        }
        if self.protocol.is_none() {
            self.protocol = environment::protocol(variables);
        }
        for (name, value) in environment::headers(variables, self.protocol.unwrap_or_default()) {
            if !self.http.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                self.http.headers.push((name, value));
            }
        }
        if self.http.timeout.is_none() {
            self.http.timeout = environment::timeout(variables);
        }
        if self.http.interval.is_none() {
            self.http.interval = environment::interval(variables);
        }
        if self.http.gzip.is_none() {
            self.http.gzip = environment::gzip(variables);
        }
        #[cfg(feature = "tls-no-provider")]
        if self.http.root_certificates.is_none() {
            self.http.root_certificates = environment::root_certificates(variables);
        }
        environment::client_certificate(variables);
        if self.temporality.is_none() {
            self.temporality = environment::temporality(variables);
        }
        if self.histograms.is_none() {
            self.histograms = environment::histograms(variables);
        }
        for (key, value) in environment::attributes(variables).into_iter().rev() {
            self.attributes.set_default(&key, value);
        }
        if let Some(name) = environment::service_name(variables) {
            self.attributes.set("service.name".to_owned(), name);
        }
    }

    fn transport(&self, variables: &Variables<'_>) -> Result<Transport, InvalidSetting> {
        let protocol = self.protocol.unwrap_or_default();
        let endpoint = self.endpoint.clone().unwrap_or_else(|| protocol.default_endpoint().into());
        let gzip = self.http.gzip.unwrap_or(true);
        match protocol {
            Protocol::HttpBinary => {
                let client = self.http.client("endpoint", endpoint.expose(), 0, variables)?;
                Ok(Transport::Http { client: Box::new(client), gzip })
            }
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                let client =
                    grpc::GrpcClient::new("endpoint", endpoint.expose(), &self.http, gzip, variables)?;
                Ok(Transport::Grpc(Box::new(client)))
            }
        }
    }
}

fn check(histograms: &Histograms) -> Result<(), InvalidSetting> {
    match histograms {
        Histograms::Exponential { max_buckets } if !(2..=20_000).contains(max_buckets) => {
            Err(InvalidSetting::new("histograms", format!("{max_buckets} buckets"), "2 to 20,000 buckets"))
        }
        Histograms::Explicit { bounds }
            if !(1..=200).contains(&bounds.len())
                || !bounds.iter().all(|bound| *bound > 0.0 && *bound <= 60.0)
                || !bounds.is_sorted_by(|a, b| a < b) =>
        {
            Err(InvalidSetting::secret("histograms", "1 to 200 ascending bounds, above 0 s and up to 60 s"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
