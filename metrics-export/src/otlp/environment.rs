//! OpenTelemetry's environment variables.

use std::time::Duration;

use metrics_core::InvalidSetting;
use ureq::http::HeaderValue;

use super::endpoint::metrics_url;
use super::histogram::{DEFAULT_BOUNDS, Histograms};
use super::protocol::Protocol;
use super::temporality::Temporality;
use crate::environment::Variables;
#[cfg(feature = "tls-no-provider")]
use crate::environment::invalid;
use crate::http::{self, percent_decoded};
use crate::secret::Secret;

const EXPORTER: &str = "OTEL_METRICS_EXPORTER";

/// The longest timeout, which stands for "no limit": the longest that the engine gives an attempt.
const NO_LIMIT: Duration = Duration::from_secs(3_600);

/// The longest interval of the engine, in milliseconds: a day.
const MAX_INTERVAL: u64 = 86_400_000;

/// Whether the variables turn the exporter off.
pub(super) fn is_off(variables: &Variables<'_>) -> bool {
    if variables.is_true("OTEL_SDK_DISABLED") {
        variables.turn_off("OTEL_SDK_DISABLED is true");
        return true;
    }
    // A list. What no specification knows is left out.
    let is_known = |name: &&str| ["otlp", "none", "prometheus", "console", "logging"].contains(name);
    let named = variables.parsed(EXPORTER, "otlp, none", |text| {
        let text = text.to_ascii_lowercase();
        let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        names.iter().all(is_known).then(|| (names.contains(&"otlp") || names.is_empty(), text.clone()))
    });
    let Some((false, text)) = named else { return false };
    variables.turn_off(format!("{EXPORTER} is {text}"));
    true
}

/// Where metrics go, with the path. A URL that cannot be used keeps the exporter off.
pub(super) fn endpoint(variables: &Variables<'_>) -> Option<Secret> {
    let (of_metrics, of_all) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let (name, url) = match variables.vital(of_metrics) {
        Some(url) => (of_metrics, url),
        None => (of_all, metrics_url(variables.vital(of_all)?.expose()).into()),
    };
    http::usable(variables, name, url)
}

pub(super) fn protocol(variables: &Variables<'_>) -> Option<Protocol> {
    either(variables, "PROTOCOL", Protocol::ALLOWED, Protocol::named)
}

/// Headers, the last of the same name. Those that cannot be sent keep the exporter off, since one of them may be a key.
/// No value is repeated.
pub(super) fn headers(variables: &Variables<'_>, protocol: Protocol) -> Vec<(String, Secret)> {
    let names = ["OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let Some((variable, text)) =
        names.into_iter().find_map(|name| variables.vital(name).map(|text| (name, text)))
    else {
        return Vec::new();
    };
    let refuse = |allowed| {
        variables.refuse(InvalidSetting::secret(variable, allowed));
        Vec::new()
    };
    let Some(pairs) = pairs(text.expose()).filter(|_| text.expose().is_ascii()) else { return refuse(PAIRS) };
    if !pairs.iter().all(|(name, _)| protocol.allows_header(name)) {
        return refuse("names of headers, as in name=value,name=value");
    }
    let is_visible = |value: &String| HeaderValue::try_from(value).is_ok_and(|value| value.to_str().is_ok());
    if !pairs.iter().all(|(_, value)| is_visible(value)) {
        return refuse("values of visible ASCII characters");
    }
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, value) in pairs {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
        headers.push((name, value.into()));
    }
    headers
}

/// How long an attempt may take; 0 is no limit.
pub(super) fn timeout(variables: &Variables<'_>) -> Option<Duration> {
    let millis = |text: &str| {
        Some(match text.parse().ok()? {
            0 => NO_LIMIT,
            millis => Duration::from_millis(millis).min(NO_LIMIT),
        })
    };
    either(variables, "TIMEOUT", "milliseconds, or 0 for no limit", millis)
}

pub(super) fn interval(variables: &Variables<'_>) -> Option<Duration> {
    let in_range = |millis: &u64| (10..=MAX_INTERVAL).contains(millis);
    let millis = |text: &str| text.parse().ok().filter(in_range).map(Duration::from_millis);
    variables.parsed("OTEL_METRIC_EXPORT_INTERVAL", "milliseconds, 10 to 86400000", millis)
}

pub(super) fn gzip(variables: &Variables<'_>) -> Option<bool> {
    either(variables, "COMPRESSION", "gzip, none", |text| match text.to_ascii_lowercase().as_str() {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => None,
    })
}

/// The certificates to trust. A file that cannot be used keeps the exporter off.
#[cfg(feature = "tls-no-provider")]
pub(super) fn root_certificates(variables: &Variables<'_>) -> Option<Vec<u8>> {
    let names = ["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
    let (name, path) = names.into_iter().find_map(|name| Some((name, variables.vital(name)?)))?;
    let path = path.expose();
    let pem = std::fs::read(path).map_err(|_| "a file that can be read");
    let pem = pem.and_then(|pem| {
        if http::has_certificates(&pem) { Ok(pem) } else { Err("a file of one or more certificates in PEM") }
    });
    pem.map_err(|allowed| variables.refuse(invalid(name, path, allowed))).ok()
}

/// Leaves out a certificate and a key of this side, for which there is no setting.
pub(super) fn client_certificate(variables: &Variables<'_>) {
    for name in ["CLIENT_CERTIFICATE", "CLIENT_KEY"] {
        for signals in ["METRICS_", ""] {
            let name = format!("OTEL_EXPORTER_OTLP_{signals}{name}");
            if variables.get(&name).is_some() {
                let sentence = format!("{name} is set, but client certificates are not supported");
                variables.warn(InvalidSetting::sentence(name, sentence));
            }
        }
    }
}

pub(super) fn temporality(variables: &Variables<'_>) -> Option<Temporality> {
    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    variables.parsed(name, "cumulative, delta, lowmemory", Temporality::named)
}

pub(super) fn histograms(variables: &Variables<'_>) -> Option<Histograms> {
    let name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let allowed = "base2_exponential_bucket_histogram, explicit_bucket_histogram";
    variables.parsed(name, allowed, |text| match text.to_ascii_lowercase().as_str() {
        "base2_exponential_bucket_histogram" => Some(Histograms::default()),
        "explicit_bucket_histogram" => Some(Histograms::Explicit { bounds: DEFAULT_BOUNDS.into() }),
        _ => None,
    })
}

/// Attributes of the resource; of the same key, the last one counts. If one is malformed, all of them are left out, as
/// the specification asks for.
pub(super) fn attributes(variables: &Variables<'_>) -> Vec<(String, String)> {
    variables.parsed("OTEL_RESOURCE_ATTRIBUTES", PAIRS, pairs).unwrap_or_default()
}

/// The service's name, which wins over all others.
pub(super) fn service_name(variables: &Variables<'_>) -> Option<String> {
    variables.get("OTEL_SERVICE_NAME")
}

/// The variable for metrics or, if it is missing or cannot be used, the one for all signals.
fn either<T>(
    variables: &Variables<'_>,
    name: &str,
    allowed: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    let of =
        |signals: &str| variables.parsed(&format!("OTEL_EXPORTER_OTLP_{signals}{name}"), allowed, &parse);
    of("METRICS_").or_else(|| of(""))
}

const PAIRS: &str = "key=value,key=value, percent-encoded in ASCII, so % as %25";

/// Parses `key=value,key=value`, percent-encoded; `None` if it is malformed.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (!key.is_empty()).then_some(())?;
        Some((percent_decoded(key)?, percent_decoded(value.trim())?))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_and_decoded() {
        let expected = |pairs: &[(&str, &str)]| {
            Some(pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect::<Vec<_>>())
        };
        assert_eq!(pairs("a=b, c = d%20e%2C ,"), expected(&[("a", "b"), ("c", "d e,")]));
        assert_eq!(pairs("a%3Db=c"), expected(&[("a=b", "c")]));
        assert_eq!(pairs("token=a=b"), expected(&[("token", "a=b")]));
        for wrong in ["a", "=b", "a=%2", "a=%zz", "a=%ff"] {
            assert_eq!(pairs(wrong), None, "{wrong}");
        }
    }
}
