//! Where metrics go, given the URL of a collector.

/// The path of metrics below a collector's URL, over HTTP.
const METRICS: &str = "/v1/metrics";

/// Returns where a collector receives metrics: `v1/metrics` below its path, with its query.
pub(super) fn metrics_url(collector: &str) -> String {
    let (base, query) = split(collector);
    format!("{}{METRICS}{query}", base.trim_end_matches('/'))
}

/// Returns the path and query of a call, for the path and query where metrics go over HTTP. Usually that is the
/// procedure's own path; a proxy may have it below another one.
#[cfg(feature = "otlp-grpc")]
pub(super) fn call_path(of_metrics: &str, procedure: &str) -> String {
    let (path, query) = split(of_metrics);
    let path = path.trim_end_matches('/');
    format!("{}{procedure}{query}", path.strip_suffix(METRICS).unwrap_or(path).trim_end_matches('/'))
}

/// Splits a URL before its query, and drops its fragment, which is never sent.
fn split(url: &str) -> (&str, &str) {
    let sent = url.split_once('#').map_or(url, |(sent, _)| sent);
    sent.split_at(sent.find('?').unwrap_or(sent.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_go_below_the_path_of_a_collector_and_keep_its_query() {
        for (collector, url) in [
            ("http://c:4318", "http://c:4318/v1/metrics"),
            ("http://c:4318/", "http://c:4318/v1/metrics"),
            ("http://c:4318/otlp?token=x", "http://c:4318/otlp/v1/metrics?token=x"),
            ("http://c:4318/otlp/?a=b/c&d=?", "http://c:4318/otlp/v1/metrics?a=b/c&d=?"),
            ("http://c:4318?token=x#top", "http://c:4318/v1/metrics?token=x"),
            ("http://c:4318/otlp//#a?b", "http://c:4318/otlp/v1/metrics"),
        ] {
            assert_eq!(metrics_url(collector), url, "{collector}");
        }
    }

    #[cfg(feature = "otlp-grpc")]
    #[test]
    fn a_call_keeps_path_and_query_except_the_path_of_metrics_over_http() {
        for (of_metrics, path) in [
            ("", "/S/Export"),
            ("/", "/S/Export"),
            ("/v1/metrics", "/S/Export"),
            ("/v1/metrics/?token=x", "/S/Export?token=x"),
            ("/otlp/v1/metrics?token=x", "/otlp/S/Export?token=x"),
            ("/otlp/?token=x", "/otlp/S/Export?token=x"),
        ] {
            assert_eq!(call_path(of_metrics, "/S/Export"), path, "{of_metrics}");
        }
    }
}
