//! Client-computed stats, in MessagePack: `ClientStatsPayload` of
//! <https://github.com/DataDog/datadog-agent/blob/main/pkg/proto/datadog/trace/stats.proto>.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointSnapshot, Outcome, UNMATCHED};
use serde::{Serialize, Serializer};

use super::origin::{LANGUAGE, Origin, TRACER_VERSION};
use super::sketch::Sketch;
use crate::push::Window;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Payload<'a> {
    hostname: &'a str,
    env: &'a str,
    version: &'a str,
    /// One bucket, or none for a window without requests.
    stats: Vec<Bucket<'a>>,
    lang: &'a str,
    tracer_version: &'a str,
    #[serde(rename = "RuntimeID")]
    runtime_id: &'a str,
    sequence: u64,
    service: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Bucket<'a> {
    /// In nanoseconds since 1970.
    start: u64,
    /// In nanoseconds.
    duration: u64,
    stats: Vec<Grouped<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Grouped<'a> {
    service: &'a str,
    name: &'a str,
    resource: String,
    #[serde(rename = "HTTPStatusCode")]
    status: u16,
    r#type: &'a str,
    #[serde(rename = "DBType")]
    db_type: &'a str,
    hits: u64,
    errors: u64,
    duration: u64,
    #[serde(serialize_with = "bytes")]
    ok_summary: Vec<u8>,
    #[serde(serialize_with = "bytes")]
    error_summary: Vec<u8>,
    synthetics: bool,
    top_level_hits: u64,
    span_kind: &'a str,
    #[serde(rename = "HTTPMethod")]
    method: &'a str,
    #[serde(rename = "HTTPEndpoint")]
    route: &'a str,
}

fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// The requests of one endpoint with one status.
#[derive(Debug, Default)]
struct Figures {
    hits: u64,
    errors: u64,
    nanos: u64,
    ok: Sketch,
    error: Sketch,
}

/// Encodes a window. A window without requests is sent as well, so that an unreachable Agent is noticed.
pub(super) fn payload(origin: &Origin, window: &Window, interval: Duration, sequence: u64) -> Vec<u8> {
    let mut stats = Vec::new();
    for endpoint in window.figures.endpoints() {
        let name = endpoint.name();
        stats.extend(by_status(endpoint).into_iter().map(|(status, figures)| Grouped {
            service: &origin.service,
            name: &origin.operation,
            resource: resource(&name.method, &name.route),
            status,
            r#type: "web",
            db_type: "",
            hits: figures.hits,
            errors: figures.errors,
            duration: figures.nanos,
            ok_summary: figures.ok.encode(),
            error_summary: figures.error.encode(),
            synthetics: false,
            top_level_hits: figures.hits,
            span_kind: "server",
            method: &name.method,
            route: if &*name.route == UNMATCHED { "" } else { &name.route },
        }));
    }
    let (start, duration) = bucket(window.figures.since(), window.figures.taken(), interval);
    let payload = Payload {
        hostname: "",
        env: &origin.env,
        version: &origin.version,
        stats: if stats.is_empty() { Vec::new() } else { vec![Bucket { start, duration, stats }] },
        lang: LANGUAGE,
        tracer_version: TRACER_VERSION,
        runtime_id: &origin.runtime_id,
        sequence,
        service: &origin.service,
    };
    rmp_serde::to_vec_named(&payload).expect("writing to a Vec does not fail")
}

/// Datadog's name for an endpoint.
pub(super) fn resource(method: &str, route: &str) -> String {
    format!("{method} {route}")
}

/// Whether Datadog counts it as an error. A 4xx is the client's error, and does not count.
pub(super) fn is_error(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Status(500..) | Outcome::Panicked)
}

/// Groups requests by status. Requests without a response, or with a status that HTTP does not define, have status 0.
fn by_status(endpoint: &EndpointSnapshot) -> BTreeMap<u16, Figures> {
    let mut statuses: BTreeMap<u16, Figures> = BTreeMap::new();
    for group in endpoint.groups() {
        for &(outcome, count) in group.outcomes() {
            let figures = statuses.entry(outcome.status().unwrap_or(0)).or_default();
            figures.hits = figures.hits.saturating_add(count);
            if is_error(outcome) {
                figures.errors = figures.errors.saturating_add(count);
            }
        }
        // If several statuses share a histogram, its durations count for the most frequent one.
        let most_frequent = group.outcomes().iter().max_by_key(|(_, count)| *count);
        let Some(&(outcome, _)) = most_frequent else { continue };
        let figures = statuses.entry(outcome.status().unwrap_or(0)).or_default();
        figures.nanos = figures.nanos.saturating_add(group.sum_nanos());
        let sketch = if is_error(outcome) { &mut figures.error } else { &mut figures.ok };
        sketch.add(group.histogram());
    }
    statuses
}

/// Beginning and length of a window's bucket, in nanoseconds and whole intervals. Windows end within a tenth of an
/// interval of its multiples.
fn bucket(since: SystemTime, taken: SystemTime, interval: Duration) -> (u64, u64) {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let epoch = |time: SystemTime| nanos(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let interval = nanos(interval).max(1);
    let tolerance = interval / 10;
    let start = epoch(since).saturating_add(tolerance) / interval;
    let end = epoch(taken).saturating_sub(tolerance).div_ceil(interval);
    let intervals = end.saturating_sub(start).max(1);
    (start.saturating_mul(interval), intervals.saturating_mul(interval))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_core::{Granularity, Registry};
    use serde::Deserialize;

    use super::*;
    use crate::push::Process;

    fn window(registry: &Registry) -> Window {
        let figures = registry.snapshot();
        let total = Arc::new(figures.clone());
        Window {
            total,
            figures,
            errors: Vec::new(),
            errors_missed: 0,
            requests: Vec::new(),
            requests_missed: 0,
            process: Process::default(),
        }
    }

    fn origin() -> Origin {
        Origin {
            service: "shop".to_owned(),
            env: "prod".to_owned(),
            version: "1.2".to_owned(),
            tags: Vec::new(),
            operation: "http.server.request".to_owned(),
            runtime_id: "an id".to_owned(),
        }
    }

    fn statuses(registry: &Registry) -> Vec<(u16, u64, u64, u64)> {
        let figures = registry.snapshot();
        let endpoint = figures.endpoints().next().unwrap();
        let row = |(status, figures): (u16, Figures)| (status, figures.hits, figures.errors, figures.nanos);
        by_status(endpoint).into_iter().map(row).collect()
    }

    fn record(granularity: Granularity) -> Registry {
        let registry = Registry::builder().granularity(granularity).build().unwrap();
        let root = registry.endpoint("GET", "/");
        for (status, nanos) in [(200, 10), (200, 20), (204, 100), (404, 1_000), (503, 10_000)] {
            registry.record_nanos(root, status, nanos);
        }
        registry.record_error(root, Outcome::Panicked, Duration::from_nanos(100_000), "oh");
        registry
    }

    #[test]
    fn statuses_are_exact_and_with_a_histogram_each_their_durations_too() {
        let exact =
            [(0, 1, 1, 100_000), (200, 2, 0, 30), (204, 1, 0, 100), (404, 1, 0, 1_000), (503, 1, 1, 10_000)];
        assert_eq!(statuses(&record(Granularity::Exact)), exact);
        let shared =
            [(0, 1, 1, 100_000), (200, 2, 0, 130), (204, 1, 0, 0), (404, 1, 0, 1_000), (503, 1, 1, 10_000)];
        assert_eq!(statuses(&record(Granularity::Class)), shared);
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ReadPayload {
        service: String,
        env: String,
        version: String,
        lang: String,
        #[serde(rename = "RuntimeID")]
        runtime_id: String,
        sequence: u64,
        stats: Vec<ReadBucket>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ReadBucket {
        start: u64,
        duration: u64,
        stats: Vec<ReadGroup>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ReadGroup {
        service: String,
        name: String,
        resource: String,
        r#type: String,
        span_kind: String,
        #[serde(rename = "HTTPStatusCode")]
        status: u32,
        hits: u64,
        top_level_hits: u64,
        errors: u64,
        duration: u64,
    }

    #[test]
    fn a_payload_has_the_agents_field_names() {
        let window = window(&record(Granularity::Exact));
        let sent = payload(&origin(), &window, Duration::from_secs(10), 7);
        let sent: ReadPayload = rmp_serde::from_slice(&sent).unwrap();
        assert_eq!(
            [&*sent.service, &*sent.env, &*sent.version, &*sent.lang],
            ["shop", "prod", "1.2", "rust"]
        );
        assert_eq!((sent.sequence, &*sent.runtime_id), (7, "an id"));
        let bucket = &sent.stats[0];
        assert_eq!((bucket.start % 10_000_000_000, bucket.duration), (0, 10_000_000_000));
        let group = &bucket.stats[4];
        assert_eq!(
            [&*group.service, &*group.name, &*group.resource, &*group.r#type, &*group.span_kind],
            ["shop", "http.server.request", "GET /", "web", "server"]
        );
        let counts = (group.status, group.hits, group.top_level_hits, group.errors, group.duration);
        assert_eq!(counts, (503, 1, 1, 1, 10_000));
    }

    #[test]
    fn a_window_without_requests_has_no_bucket() {
        let sent = payload(&origin(), &window(&Registry::new()), Duration::from_secs(10), 1);
        let sent: ReadPayload = rmp_serde::from_slice(&sent).unwrap();
        assert!(sent.stats.is_empty());
    }

    #[test]
    fn buckets_are_whole_intervals_although_windows_are_slightly_off() {
        let at = |millis: u64| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let bucket = |since, taken| {
            let (start, duration) = bucket(at(since), at(taken), Duration::from_secs(10));
            (start / 1_000_000_000, duration / 1_000_000_000)
        };
        assert_eq!(bucket(20_003, 30_001), (20, 10));
        assert_eq!(bucket(19_998, 29_999), (20, 10));
        // The first window, the last, and a merged one.
        assert_eq!(bucket(27_000, 30_002), (20, 10));
        assert_eq!(bucket(29_500, 30_002), (30, 10));
        assert_eq!(bucket(20_003, 23_000), (20, 10));
        assert_eq!(bucket(20_003, 20_010), (20, 10));
        assert_eq!(bucket(20_003, 50_001), (20, 30));
        // A clock that was set back.
        assert_eq!(bucket(50_003, 30_001), (50, 10));
    }
}
