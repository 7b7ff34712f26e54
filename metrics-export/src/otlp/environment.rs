//! OpenTelemetry's environment variables.

use std::time::Duration;

use ureq::http::HeaderName;

use super::builder::{BuildError, Builder};
use super::histogram::{DEFAULT_BOUNDS, Histograms};
use super::protocol::Protocol;
use super::temporality::Temporality;
use crate::http::percent_decoded;
use crate::push::Secret;

/// Takes over what the environment says and the builder does not. An empty variable is as one that is not set.
pub(super) fn apply(
    builder: &mut Builder,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), BuildError> {
    let get =
        |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    // That of metrics wins over that of all signals.
    let either = |name: &str| {
        let names = [format!("OTEL_EXPORTER_OTLP_METRICS_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
        names.into_iter().find_map(|name| get(&name).map(|value| (name, value)))
    };
    if builder.endpoint.is_none() {
        builder.endpoint = get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
            .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|base| super::builder::metrics_of(&base)))
            .map(Secret::from);
    }
    if builder.protocol.is_none()
        && let Some((name, value)) = either("PROTOCOL")
    {
        let named = Protocol::named(&value);
        builder.protocol = Some(named.ok_or_else(|| refused(name, value, Protocol::ALLOWED))?);
    }
    if let Some((name, headers)) = either("HEADERS") {
        // Not repeated in the error: headers are secrets.
        let pairs = pairs(&headers).filter(|_| headers.is_ascii());
        let pairs = pairs.ok_or_else(|| refused(name.clone(), "***", PAIRS))?;
        for (key, value) in pairs {
            if HeaderName::try_from(&key).is_err() {
                return Err(refused(name, "***", "names of headers, as in name=value,name=value"));
            }
            if !builder.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(&key)) {
                builder.headers.push((key, value.into()));
            }
        }
    }
    let millis = |name: String, value: String| match value.parse() {
        Ok(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => Err(refused(name, value, "milliseconds, 1 or more")),
    };
    if builder.timeout.is_none()
        && let Some((name, value)) = either("TIMEOUT")
    {
        builder.timeout = Some(millis(name, value)?);
    }
    let interval = "OTEL_METRIC_EXPORT_INTERVAL";
    if builder.interval.is_none()
        && let Some(value) = get(interval)
    {
        builder.interval = Some(millis(interval.to_owned(), value)?);
    }
    if builder.gzip.is_none()
        && let Some((name, value)) = either("COMPRESSION")
    {
        builder.gzip = Some(match value.as_str() {
            "gzip" => true,
            "none" => false,
            _ => return Err(refused(name, value, "gzip, none")),
        });
    }
    #[cfg(feature = "tls")]
    if builder.connection.roots.is_none()
        && let Some((name, path)) = either("CERTIFICATE")
    {
        let pem = std::fs::read(&path);
        builder.connection.roots = Some(pem.map_err(|_| refused(name, path, "a file that can be read"))?);
    }
    let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    if builder.temporality.is_none()
        && let Some(value) = get(temporality)
    {
        let named = Temporality::named(&value);
        builder.temporality =
            Some(named.ok_or_else(|| refused(temporality, value, "cumulative, delta, lowmemory"))?);
    }
    let aggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    if builder.histograms.is_none()
        && let Some(value) = get(aggregation)
    {
        builder.histograms = Some(match value.to_ascii_lowercase().as_str() {
            "base2_exponential_bucket_histogram" => Histograms::default(),
            "explicit_bucket_histogram" => Histograms::Explicit { bounds: DEFAULT_BOUNDS.into() },
            _ => {
                let allowed = "base2_exponential_bucket_histogram, explicit_bucket_histogram";
                return Err(refused(aggregation, value, allowed));
            }
        });
    }
    let attributes = "OTEL_RESOURCE_ATTRIBUTES";
    if let Some(value) = get(attributes) {
        let pairs = pairs(&value).ok_or_else(|| refused(attributes, value, PAIRS))?;
        for (key, value) in pairs {
            builder.default_attribute(key, value);
        }
    }
    if let Some(service) = get("OTEL_SERVICE_NAME") {
        builder.set_attribute("service.name".to_owned(), service);
    }
    Ok(())
}

fn refused(name: impl Into<String>, value: impl Into<String>, allowed: &'static str) -> BuildError {
    BuildError::Variable { name: name.into(), value: value.into(), allowed }
}

const PAIRS: &str = "key=value,key=value, percent-encoded in ASCII, so % as %25";

/// `key=value,key=value`, percent-encoded; `None` if it is not that.
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
