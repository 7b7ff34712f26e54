//! Attributes, named by OpenTelemetry's conventions for HTTP.

use std::time::SystemTime;

use metrics_core::{EndpointName, LabelSet, StatusGroup, UNMATCHED};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    of(key, Value::StringValue(value.to_owned()))
}

pub(super) fn int(key: &str, value: i64) -> KeyValue {
    of(key, Value::IntValue(value))
}

/// A time in nanoseconds since 1970.
pub(super) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn of(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// The labels of a series of one of the application's own metrics, and another one.
pub(super) fn of_labels(labels: &LabelSet, more: Option<(&str, &str)>) -> Vec<KeyValue> {
    labels.iter().chain(more).map(|(name, value)| text(name, value)).collect()
}

/// The attributes of an endpoint's requests in a status group. Without a route there is no `http.route`; without a
/// response there is an `error.type` in place of a status.
pub(super) fn request(scheme: &str, name: &EndpointName, group: StatusGroup) -> Vec<KeyValue> {
    let mut attributes = vec![text("http.request.method", &name.method), text("url.scheme", scheme)];
    if &*name.route != UNMATCHED {
        attributes.push(text("http.route", &name.route));
    }
    let class = |class: &str| text("http.response.status_class", class);
    match group {
        StatusGroup::Status(status) => {
            attributes.push(int("http.response.status_code", status.into()));
            if status >= 500 {
                attributes.push(text("error.type", &status.to_string()));
            }
        }
        StatusGroup::Class(digit) => attributes.push(class(&format!("{digit}xx"))),
        StatusGroup::Success => attributes.push(class("success")),
        StatusGroup::Error => attributes.push(class("error")),
        StatusGroup::Other => attributes.push(class("other")),
        StatusGroup::Aborted => attributes.push(text("error.type", "aborted")),
        StatusGroup::Panicked => attributes.push(text("error.type", "panicked")),
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_of(route: &str, group: StatusGroup) -> Vec<String> {
        let name = EndpointName { method: "GET".into(), route: route.into() };
        let attributes = request("https", &name, group);
        let shown = |attribute: KeyValue| match attribute.value.and_then(|value| value.value) {
            Some(Value::StringValue(text)) => format!("{}={text}", attribute.key),
            Some(Value::IntValue(int)) => format!("{}={int}", attribute.key),
            other => panic!("{other:?}"),
        };
        attributes.into_iter().map(shown).collect()
    }

    #[test]
    fn attributes_follow_the_conventions() {
        let common = ["http.request.method=GET", "url.scheme=https"];
        let with = |more: &[&'static str]| [&common, more].concat();
        assert_eq!(
            request_of("/items/{id}", StatusGroup::Status(503)),
            with(&["http.route=/items/{id}", "http.response.status_code=503", "error.type=503"])
        );
        assert_eq!(request_of(UNMATCHED, StatusGroup::Status(404)), with(&["http.response.status_code=404"]));
        assert_eq!(
            request_of("/", StatusGroup::Class(2)),
            with(&["http.route=/", "http.response.status_class=2xx"])
        );
        assert_eq!(request_of("/", StatusGroup::Panicked), with(&["http.route=/", "error.type=panicked"]));
    }
}
