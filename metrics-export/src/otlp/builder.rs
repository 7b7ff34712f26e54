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
    /// Builds an exporter.
    pub fn builder() -> OtlpBuilder {
        OtlpBuilder::default()
    }
}

impl OtlpBuilder {
    /// Reads what is not set here from OpenTelemetry's variables; default: they are ignored. `OTEL_SERVICE_NAME` always
    /// wins, so that one program can run as several services.
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

    /// The protocol; default: [`Protocol::HttpBinary`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// The collector's URL, without a path; default: `http://localhost:4318`, or `http://localhost:4317` for gRPC.
    /// Metrics go to `v1/metrics` below it; gRPC has its own path, whatever the URL's.
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        let url = metrics_url(&url.into());
        self.metrics_endpoint(url)
    }

    /// Where metrics go, with the path.
    pub fn metrics_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(Secret::new(url));
        self
    }

    /// Whether counts are cumulative or deltas; default: [`Temporality::Cumulative`].
    pub fn temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = Some(temporality);
        self
    }

    /// The kind of histogram for durations; default: [`Histograms::Exponential`].
    pub fn histograms(mut self, histograms: Histograms) -> Self {
        self.histograms = Some(histograms);
        self
    }

    /// The largest message, in bytes before compression; default: 4,000,000, since collectors take 4 MiB over gRPC by
    /// default. From 100,000 to 1 GiB. A window that needs more is sent as several messages.
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// An attribute of the resource, such as `deployment.environment.name`. It wins over what the monitor's service
    /// says.
    ///
    /// Default: `service.name`, and `service.version` and `deployment.environment.name` if the monitor has them;
    /// `service.instance.id`, random if the monitor has none; `process.pid` and `telemetry.sdk.*`.
    pub fn resource_attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.set(key.into(), value.into());
        self
    }

    /// The `url.scheme` of requests; default: `http`. Behind a proxy that terminates TLS it is `https`.
    pub fn url_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.scheme = Some(scheme.into());
        self
    }

    /// Interval (default: 60 s), timeout, compression, headers, proxy and the like: see [`HttpOptions`].
    pub fn http(mut self, options: HttpOptions) -> Self {
        self.http = options;
        self
    }

    /// Builds the exporter.
    ///
    /// Variables are no reason for an error: one that cannot be used is left out with a warning in the log or, if it
    /// says who gets the metrics or who is trusted, keeps the exporter [off](crate::push::Exporter::off).
    ///
    /// # Errors
    ///
    /// When a setting is invalid; the error says what is allowed.
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
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;

    use super::*;
    use crate::environment::tests::fixed;
    use crate::push::Exporter;
    use crate::service::Service;

    const PID: &str = "process.pid";
    const ENVIRONMENT: &str = "deployment.environment.name";

    fn built(builder: OtlpBuilder, variables: &[(&str, &str)]) -> Result<Otlp, InvalidSetting> {
        builder.build_with(Variables::new(&fixed(variables), true))
    }

    fn started(builder: OtlpBuilder, variables: &[(&str, &str)]) -> Otlp {
        let mut otlp = built(builder, variables).unwrap();
        otlp.start(&Service::new("shop")).unwrap();
        otlp
    }

    fn attribute(otlp: &Otlp, key: &str) -> Option<String> {
        let found = otlp.encoding.resource.iter().find(|attribute| attribute.key == key)?;
        match found.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            other => Some(format!("{other:?}")),
        }
    }

    fn gzip(otlp: &Otlp) -> bool {
        match otlp.transport.as_ref().unwrap() {
            Transport::Http { gzip, .. } => *gzip,
            #[cfg(feature = "otlp-grpc")]
            Transport::Grpc(client) => client.gzip,
        }
    }

    #[test]
    fn the_builders_protocol_wins_over_that_of_metrics_and_of_all_signals() {
        let all = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let variables = [all, ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf")];
        let is_http = |otlp: Otlp| matches!(otlp.transport, Ok(Transport::Http { .. }));
        assert!(is_http(built(OtlpBuilder::default(), &variables).unwrap()));
        assert!(is_http(built(OtlpBuilder::default().protocol(Protocol::HttpBinary), &[all]).unwrap()));
        #[cfg(feature = "otlp-grpc")]
        assert!(!is_http(built(OtlpBuilder::default(), &[all]).unwrap()));
        #[cfg(not(feature = "otlp-grpc"))]
        assert!(is_http(built(OtlpBuilder::default(), &[all]).unwrap()));
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn a_proxy_that_grpc_cannot_use_is_rejected_and_not_ignored() {
        let proxy = |url: &str| {
            let options = HttpOptions::new().proxy(url);
            OtlpBuilder::default().http(options).protocol(Protocol::Grpc).build().map(drop)
        };
        assert!(proxy("http://user:hunter2@proxy:3128").is_ok());
        assert!(
            proxy("https://proxy:3128").unwrap_err().to_string().starts_with("proxy: gRPC needs")
                || !cfg!(feature = "tls")
        );
        assert!(proxy("socks5://proxy:1080").is_err());
    }

    #[test]
    fn variables_set_what_the_builder_does_not() {
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
        let otlp = started(OtlpBuilder::default(), &variables);
        assert_eq!(otlp.settings.timeout, Duration::from_millis(1_500));
        assert_eq!(otlp.settings.interval, Duration::from_secs(5));
        assert_eq!((gzip(&otlp), otlp.encoding.temporality), (false, Temporality::Delta));
        assert!(matches!(otlp.encoding.histograms, Histograms::Explicit { .. }));
        assert_eq!(attribute(&otlp, "deployment.environment.name").as_deref(), Some("prod eu"));
        assert!(!format!("{otlp:?}").contains("hunter2"));

        let options = HttpOptions::new().timeout(Duration::from_secs(3)).gzip(true);
        let set = OtlpBuilder::default().http(options).temporality(Temporality::Cumulative);
        let otlp = built(set, &variables).unwrap();
        assert_eq!((otlp.settings.timeout, gzip(&otlp)), (Duration::from_secs(3), true));
        assert_eq!(otlp.encoding.temporality, Temporality::Cumulative);
    }

    #[test]
    fn otel_service_name_wins_over_all_other_names() {
        let name = |variables: &[_]| attribute(&started(OtlpBuilder::default(), variables), "service.name");
        assert_eq!(name(&[]).as_deref(), Some("shop"));
        let both = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "orders")];
        assert_eq!(name(&both[..1]).as_deref(), Some("a"));
        assert_eq!(name(&both).as_deref(), Some("orders"));
        let set = OtlpBuilder::default().resource_attribute("service.name", "b");
        assert_eq!(attribute(&started(set, &[]), "service.name").as_deref(), Some("b"));
    }

    #[test]
    fn the_resource_has_the_services_identity_and_the_process() {
        let otlp = started(OtlpBuilder::default(), &[]);
        let id = attribute(&otlp, "service.instance.id").unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'));
        assert_eq!([attribute(&otlp, "service.version"), attribute(&otlp, ENVIRONMENT)], [None, None]);
        let pids = |otlp: &Otlp| otlp.encoding.resource.iter().filter(|found| found.key == PID).count();
        assert_eq!(pids(&otlp), 1);
        let set = started(OtlpBuilder::default(), &[("OTEL_RESOURCE_ATTRIBUTES", "process.pid=7")]);
        assert_eq!((pids(&set), attribute(&set, PID).as_deref()), (1, Some("7")));

        let mut otlp = built(OtlpBuilder::default().resource_attribute(ENVIRONMENT, "eu"), &[]).unwrap();
        let service = Service::new("shop").instance("host-1").version("1.2.3").environment("prod");
        otlp.start(&service).unwrap();
        let of = |key| attribute(&otlp, key);
        let identity = [of("service.instance.id"), of("service.version"), of(ENVIRONMENT)];
        assert_eq!(identity.map(Option::unwrap), ["host-1", "1.2.3", "eu"]);
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_left_out_and_the_one_for_all_signals_counts() {
        let built = |variables: &[_]| built(OtlpBuilder::default(), variables).unwrap();
        let millis = |variables: &[_]| built(variables).settings.timeout.as_millis();
        let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
        for (text, timeout) in [
            ("1500", 1_500),
            ("0", 3_600_000),
            ("2147483647", 3_600_000),
            ("", 2_000),
            ("-1", 2_000),
            ("soon", 2_000),
            ("10s", 2_000),
            ("1.5", 2_000),
            ("99999999999999999999", 2_000),
        ] {
            assert_eq!(millis(&[all, ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", text)]), timeout, "{text:?}");
        }
        assert_eq!(millis(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]), 10_000);
        for (text, interval) in
            [("10", 10), ("9", 60_000), ("0", 60_000), ("86400001", 60_000), ("x", 60_000)]
        {
            let otlp = built(&[("OTEL_METRIC_EXPORT_INTERVAL", text)]);
            assert_eq!(otlp.settings.interval.as_millis(), interval, "{text:?}");
        }
        for (text, compressed) in [("GZIP", true), ("None", false), ("\"none\"", false), ("zstd", true)] {
            let otlp = built(&[("OTEL_EXPORTER_OTLP_COMPRESSION", text)]);
            assert_eq!((gzip(&otlp), otlp.off()), (compressed, None), "{text:?}");
        }
        for text in ["http/json", "HTTP/PROTOBUF", " ", "x"] {
            let otlp = built(&[("OTEL_EXPORTER_OTLP_PROTOCOL", text)]);
            assert!(matches!(otlp.transport, Ok(Transport::Http { .. })), "{text:?}");
        }
        let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        for (text, expected) in [
            ("LowMemory", Temporality::LowMemory),
            ("DELTA\n", Temporality::Delta),
            ("x", Temporality::Cumulative),
        ] {
            assert_eq!(built(&[(temporality, text)]).encoding.temporality, expected, "{text:?}");
        }
        let aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
        for (text, is_explicit) in [("EXPLICIT_BUCKET_HISTOGRAM", true), ("x", false)] {
            let histograms = built(&[(aggregation, text)]).encoding.histograms;
            assert_eq!(matches!(histograms, Histograms::Explicit { .. }), is_explicit, "{text:?}");
        }
    }

    #[test]
    fn malformed_attributes_are_left_out_together_and_the_last_of_a_key_counts() {
        let team = |text: &str| {
            let variables = [("OTEL_RESOURCE_ATTRIBUTES", text), ("OTEL_SERVICE_NAME", "orders")];
            let otlp = started(OtlpBuilder::default(), &variables);
            assert_eq!((attribute(&otlp, "service.name").as_deref(), otlp.off()), (Some("orders"), None));
            attribute(&otlp, "team")
        };
        for (text, expected) in [
            ("team=50%", None),
            ("team=a,b", None),
            ("team=%ff", None),
            ("team=50%25", Some("50%")),
            ("team=a,team=b", Some("b")),
            ("\"team=a\"", Some("a")),
        ] {
            assert_eq!(team(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_turns_the_exporter_off() {
        let off = |variables: &[_]| {
            let otlp = built(OtlpBuilder::default(), variables).unwrap();
            otlp.off().map(str::to_owned)
        };
        for (name, value, reason) in [
            ("OTEL_SDK_DISABLED", "true", Some("OTEL_SDK_DISABLED is true")),
            ("OTEL_SDK_DISABLED", "True\n", Some("OTEL_SDK_DISABLED is true")),
            ("OTEL_SDK_DISABLED", "1", None),
            ("OTEL_SDK_DISABLED", "false", None),
            ("OTEL_SDK_DISABLED", "", None),
            ("OTEL_METRICS_EXPORTER", "none", Some("OTEL_METRICS_EXPORTER is none")),
            ("OTEL_METRICS_EXPORTER", "NONE", Some("OTEL_METRICS_EXPORTER is none")),
            (
                "OTEL_METRICS_EXPORTER",
                "prometheus,console",
                Some("OTEL_METRICS_EXPORTER is prometheus,console"),
            ),
            ("OTEL_METRICS_EXPORTER", "prometheus, otlp", None),
            ("OTEL_METRICS_EXPORTER", "otlp", None),
            ("OTEL_METRICS_EXPORTER", "", None),
            ("OTEL_METRICS_EXPORTER", ",", None),
            ("OTEL_METRICS_EXPORTER", "carrier-pigeon", None),
        ] {
            // Nothing else is read then.
            let unusable = ("OTEL_EXPORTER_OTLP_ENDPOINT", if reason.is_some() { "hunter2" } else { "" });
            assert_eq!(off(&[(name, value), unusable]).as_deref(), reason, "{name}={value:?}");
        }
        let ignored = Variables::new(&|_| Some("true".into()), false);
        assert_eq!(OtlpBuilder::default().build_with(ignored).unwrap().off(), None);
    }

    #[test]
    fn what_says_who_gets_the_data_keeps_the_exporter_off_if_it_cannot_be_used() {
        let (endpoint, headers) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS");
        for (name, value, said) in [
            (endpoint, "hunter2", "OTEL_EXPORTER_OTLP_ENDPOINT: the URL does not begin with http://"),
            (endpoint, "hunter2:4318", "the URL does not begin with http://"),
            (endpoint, "http://", "OTEL_EXPORTER_OTLP_ENDPOINT: the URL "),
            (endpoint, "http://c:99999/hunter2", "has a port that is not in 1 to 65535"),
            (endpoint, "http://c :4318/hunter2", "cannot be parsed"),
            (endpoint, "http://a:hunter2%zz@c", "is not percent-encoded"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "x", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: the URL"),
            (headers, "hunter2", "allowed: key=value,key=value"),
            (headers, "a b=hunter2", "allowed: names of headers"),
            (headers, "Authorization: Basic hunter2==", "allowed: names of headers"),
            (headers, "api-key=hunter2%", "percent-encoded in ASCII, so % as %25"),
            (headers, "api-key=hunter2\u{fffd}", "percent-encoded in ASCII"),
            (
                headers,
                "api-key=hunter2%0Ax",
                "OTEL_EXPORTER_OTLP_HEADERS is invalid; allowed: values of visible",
            ),
            (
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
                "hunter2",
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS is invalid",
            ),
            ("HTTP_PROXY", "socks5://a:hunter2@p:1", "proxy"),
            ("all_proxy", "ftp://hunter2", "proxy"),
            #[cfg(feature = "tls-no-provider")]
            (
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                "/nowhere.pem",
                "\"/nowhere.pem\"; allowed: a file that can be read",
            ),
            #[cfg(feature = "tls-no-provider")]
            ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "/", "allowed: a file that can be read"),
            #[cfg(feature = "tls-no-provider")]
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", file!(), "a file"),
        ] {
            // The usable one for all signals is not taken instead.
            let other = [(endpoint, "http://collector:4318"), (headers, "a=b")];
            let variables: Vec<_> = [(name, value)].into_iter().chain(other).collect();
            let otlp = built(OtlpBuilder::default(), &variables).unwrap();
            let off = otlp.off().unwrap_or_else(|| panic!("{name}={value:?}"));
            assert!(off.contains(said) && !off.contains("hunter2"), "{name}={value:?}: {off}");
            // What the builder is told is checked all the same, and wins.
            let wrong = HttpOptions::new().header("a b", "c");
            assert!(built(OtlpBuilder::default().http(wrong), &variables).is_err());
            if name.ends_with("_ENDPOINT") {
                let set = OtlpBuilder::default().endpoint("http://c:4318");
                assert_eq!(built(set, &variables).unwrap().off(), None);
            }
        }
    }

    #[test]
    fn an_unusable_proxy_does_not_matter_to_a_collector_on_this_machine() {
        for url in ["", "http://127.0.0.1:4318", "http://[::1]:4318"] {
            let variables = [("ALL_PROXY", "socks5://p:1"), ("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
            assert_eq!(built(OtlpBuilder::default(), &variables).unwrap().off(), None, "{url}");
        }
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn headers_that_grpc_cannot_send_as_text_keep_the_exporter_off() {
        let variables =
            [("OTEL_EXPORTER_OTLP_HEADERS", "key-bin=hunter2"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC")];
        let otlp = built(OtlpBuilder::default(), &variables).unwrap();
        assert!(
            otlp.off()
                .is_some_and(|off| off.ends_with("allowed: names of headers, as in name=value,name=value"))
        );
        assert_eq!(built(OtlpBuilder::default(), &variables[..1]).unwrap().off(), None);
    }

    #[test]
    fn invalid_settings_are_rejected_with_what_is_allowed() {
        let error = OtlpBuilder::default().endpoint("hunter2").build().unwrap_err().to_string();
        assert!(error.contains("allowed: http://host[:port]") && !error.contains("hunter2"), "{error}");
        for bounds in [vec![], vec![2.0, 1.0], vec![0.0], vec![61.0], vec![f64::NAN]] {
            let builder = OtlpBuilder::default().histograms(Histograms::Explicit { bounds });
            let error = builder.build().unwrap_err();
            assert_eq!(
                (error.field(), error.allowed().starts_with("1 to 200 ascending")),
                ("histograms", true)
            );
        }
    }
}
