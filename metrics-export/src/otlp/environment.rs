//! OpenTelemetry's environment variables.

use std::time::Duration;

use metrics_core::InvalidSetting;
use ureq::http::HeaderName;

use super::histogram::{DEFAULT_BOUNDS, Histograms};
use super::protocol::{Protocol, metrics_url};
use super::temporality::Temporality;
use crate::environment::Variables;
use crate::http::percent_decoded;
use crate::secret::Secret;

type Read<T> = Result<Option<T>, InvalidSetting>;

/// Where metrics go, with the path.
pub(super) fn endpoint(variables: &Variables<'_>) -> Option<Secret> {
    let of_metrics = variables.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
    let of_collector = || variables.get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| metrics_url(&url));
    of_metrics.or_else(of_collector).map(Secret::from)
}

pub(super) fn protocol(variables: &Variables<'_>) -> Read<Protocol> {
    let Some((name, value)) = either(variables, "PROTOCOL") else { return Ok(None) };
    Protocol::named(&value).map(Some).ok_or_else(|| invalid(name, &value, Protocol::ALLOWED))
}

/// Headers, without repeating their values in an error: they are secrets.
pub(super) fn headers(variables: &Variables<'_>) -> Result<Vec<(String, Secret)>, InvalidSetting> {
    let Some((variable, text)) = either(variables, "HEADERS") else { return Ok(Vec::new()) };
    let Some(pairs) = pairs(&text).filter(|_| text.is_ascii()) else {
        return Err(InvalidSetting::secret(variable, PAIRS));
    };
    if pairs.iter().any(|(name, _)| HeaderName::try_from(name).is_err()) {
        return Err(InvalidSetting::secret(variable, "names of headers, as in name=value,name=value"));
    }
    Ok(pairs.into_iter().map(|(name, value)| (name, value.into())).collect())
}

pub(super) fn timeout(variables: &Variables<'_>) -> Read<Duration> {
    either(variables, "TIMEOUT").map(|(name, value)| millis(name, &value)).transpose()
}

pub(super) fn interval(variables: &Variables<'_>) -> Read<Duration> {
    let name = "OTEL_METRIC_EXPORT_INTERVAL";
    variables.get(name).map(|value| millis(name.to_owned(), &value)).transpose()
}

fn millis(name: String, value: &str) -> Result<Duration, InvalidSetting> {
    match value.parse() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => Err(invalid(name, value, "milliseconds, 1 or more")),
    }
}

pub(super) fn gzip(variables: &Variables<'_>) -> Read<bool> {
    let Some((name, value)) = either(variables, "COMPRESSION") else { return Ok(None) };
    match value.as_str() {
        "gzip" => Ok(Some(true)),
        "none" => Ok(Some(false)),
        _ => Err(invalid(name, &value, "gzip, none")),
    }
}

#[cfg(feature = "tls")]
pub(super) fn root_certificates(variables: &Variables<'_>) -> Read<Vec<u8>> {
    let Some((name, path)) = either(variables, "CERTIFICATE") else { return Ok(None) };
    std::fs::read(&path).map(Some).map_err(|_| invalid(name, &path, "a file that can be read"))
}

pub(super) fn temporality(variables: &Variables<'_>) -> Read<Temporality> {
    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let Some(value) = variables.get(name) else { return Ok(None) };
    Temporality::named(&value).map(Some).ok_or_else(|| invalid(name, &value, "cumulative, delta, lowmemory"))
}

pub(super) fn histograms(variables: &Variables<'_>) -> Read<Histograms> {
    let name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let Some(value) = variables.get(name) else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "base2_exponential_bucket_histogram" => Ok(Some(Histograms::default())),
        "explicit_bucket_histogram" => Ok(Some(Histograms::Explicit { bounds: DEFAULT_BOUNDS.into() })),
        _ => {
            let allowed = "base2_exponential_bucket_histogram, explicit_bucket_histogram";
            Err(invalid(name, &value, allowed))
        }
    }
}

/// Attributes of the resource.
pub(super) fn attributes(variables: &Variables<'_>) -> Result<Vec<(String, String)>, InvalidSetting> {
    let name = "OTEL_RESOURCE_ATTRIBUTES";
    let Some(value) = variables.get(name) else { return Ok(Vec::new()) };
    pairs(&value).ok_or_else(|| invalid(name, &value, PAIRS))
}

/// The service's name, which wins over all others.
pub(super) fn service_name(variables: &Variables<'_>) -> Option<String> {
    variables.get("OTEL_SERVICE_NAME")
}

/// The variable for metrics, or else the one for all signals; with its name.
fn either(variables: &Variables<'_>, name: &str) -> Option<(String, String)> {
    let names = [format!("OTEL_EXPORTER_OTLP_METRICS_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
    names.into_iter().find_map(|name| variables.get(&name).map(|value| (name, value)))
}

fn invalid(name: impl Into<String>, value: &str, allowed: &'static str) -> InvalidSetting {
    InvalidSetting::new(name.into(), format!("{value:?}"), allowed)
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
