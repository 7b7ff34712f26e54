//! Which settings are refused, and which variables are read.

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
    for (text, interval) in [("10", 10), ("9", 60_000), ("0", 60_000), ("86400001", 60_000), ("x", 60_000)] {
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
        ("OTEL_METRICS_EXPORTER", "prometheus,console", Some("OTEL_METRICS_EXPORTER is prometheus,console")),
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
        (headers, "api-key=hunter2%0Ax", "OTEL_EXPORTER_OTLP_HEADERS is invalid; allowed: values of visible"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "hunter2", "OTEL_EXPORTER_OTLP_METRICS_HEADERS is invalid"),
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
        otlp.off().is_some_and(|off| off.ends_with("allowed: names of headers, as in name=value,name=value"))
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
        assert_eq!((error.field(), error.allowed().starts_with("1 to 200 ascending")), ("histograms", true));
    }
}
