//! The JSON bodies of the HTTP endpoints.
//!
//! Durations are in seconds and rates in per cent, as floats in full precision; both are 0 when there were no calls.
//! Times are RFC 3339 in UTC, to the millisecond. Existing clients read the first seven fields of [`SummaryBody`], so
//! their names and their order stay.
//!
//! ```
//! let registry = metrics_core::Registry::new();
//! let body = metrics_export::json::Answer::new(metrics_export::json::SummaryBody::from(&registry.summary()));
//! let text = serde_json::to_string(&body).unwrap();
//! assert!(text.starts_with(r#"{"success":true,"data":{"total_calls":0,"total_errors":0,"error_rate":0.0,"#));
//! ```

pub(crate) mod alerts;
#[cfg(feature = "push")]
mod exporters;
#[cfg(feature = "redis")]
mod fleet;
mod live;
mod metric_history;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use metrics_core::{
    Business, ConsumerSnapshot, EndpointSummary, Figures, Histogram, MetricFigures, MetricSummary, Point,
    RecentError, Snapshot, Summary, Trend,
};
use serde::{Serialize, Serializer};

pub use self::alerts::AlertsBody;
#[cfg(feature = "push")]
pub use self::exporters::ExportersBody;
#[cfg(feature = "redis")]
pub use self::fleet::{FleetBody, FleetState, InstancesBody};
pub use self::live::{LiveBody, MonitorCost};
pub use self::metric_history::MetricHistoryBody;

/// What a successful call is answered with: `{"success": true, "data": ...}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer<T> {
    success: bool,
    data: T,
}

impl<T> Answer<T> {
    /// Wraps the body.
    pub fn new(data: T) -> Self {
        Self { success: true, data }
    }
}

/// What a failed call is answered with: `{"success": false, "error": {"code": ..., "message": ...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure<'a> {
    success: bool,
    error: Cause<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Cause<'a> {
    code: &'a str,
    message: &'a str,
}

impl<'a> Failure<'a> {
    /// `code` is for programs and in snake case; `message` is for people.
    pub fn new(code: &'a str, message: &'a str) -> Self {
        Self { success: false, error: Cause { code, message } }
    }
}

/// The body of `GET summary`, and of `POST reset` for the window that it closed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SummaryBody {
    #[serde(flatten)]
    first: FirstFigures,
    recent_errors: Vec<ErrorBody>,
    #[serde(flatten)]
    more: MoreFigures,
    in_flight: u64,
    open_streams: u64,
    requests_per_second: f64,
    since: Time,
    window_seconds: f64,
    request_bytes: u64,
    response_bytes: u64,
    /// How often which outcome occurred.
    statuses: BTreeMap<String, u64>,
    /// The application's own metrics, by name.
    business: BTreeMap<String, MetricBody>,
}

impl From<&Summary> for SummaryBody {
    fn from(summary: &Summary) -> Self {
        let total = &summary.total;
        Self {
            first: FirstFigures::from(total),
            recent_errors: summary.recent_errors.iter().map(ErrorBody::from).collect(),
            more: MoreFigures::from(total),
            in_flight: summary.in_flight,
            open_streams: summary.open_streams,
            requests_per_second: per_second(total.calls, summary.window),
            since: Time(summary.since),
            window_seconds: summary.window.as_secs_f64(),
            request_bytes: total.request_bytes,
            response_bytes: total.response_bytes,
            statuses: statuses(total),
            business: business(summary),
        }
    }
}

/// The body of `GET business`: the application's own metrics in a window, by name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BusinessBody {
    metrics: Vec<NamedMetricBody>,
    since: Time,
    window_seconds: f64,
}

impl From<&Business> for BusinessBody {
    fn from(business: &Business) -> Self {
        let named = |metric: &MetricSummary| NamedMetricBody {
            name: metric.name.to_string(),
            metric: MetricBody::from(&metric.figures),
            per_second: metric.figures.count().map(|count| per_second(count, business.window)),
        };
        Self {
            metrics: business.metrics.iter().map(named).collect(),
            since: Time(business.since),
            window_seconds: business.window.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NamedMetricBody {
    name: String,
    #[serde(flatten)]
    metric: MetricBody,
    /// Of what is counted or timed.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

/// One metric. `value` is what a table of all of them shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum MetricBody {
    /// The value is the count.
    Counter { value: u64 },
    /// The value is what is in it.
    Gauge { value: f64 },
    /// The value is the average. All in seconds.
    Timer {
        value: f64,
        calls: u64,
        avg_time: f64,
        min_time: f64,
        max_time: f64,
        p50_time: f64,
        p95_time: f64,
        p99_time: f64,
    },
    /// The value is the hit rate, in per cent.
    HitRatio { value: f64, hits: u64, misses: u64, hit_rate: f64 },
    /// The value is that of today (UTC).
    UniqueCount { value: u64, today: u64, yesterday: u64 },
}

impl From<&MetricFigures> for MetricBody {
    fn from(figures: &MetricFigures) -> Self {
        match figures {
            &MetricFigures::Counter(value) => Self::Counter { value },
            &MetricFigures::Gauge(value) => Self::Gauge { value },
            MetricFigures::Timer(times) => Self::Timer {
                value: times.average().as_secs_f64(),
                calls: times.calls,
                avg_time: times.average().as_secs_f64(),
                min_time: times.min.as_secs_f64(),
                max_time: times.max.as_secs_f64(),
                p50_time: times.p50.as_secs_f64(),
                p95_time: times.p95.as_secs_f64(),
                p99_time: times.p99.as_secs_f64(),
            },
            &MetricFigures::HitRatio { hits, misses } => {
                let hit_rate = figures.hit_rate().unwrap_or_default();
                Self::HitRatio { value: hit_rate, hits, misses, hit_rate }
            }
            &MetricFigures::UniqueCount { today, yesterday } => {
                Self::UniqueCount { value: today, today, yesterday }
            }
        }
    }
}

fn business(summary: &Summary) -> BTreeMap<String, MetricBody> {
    let named = |metric: &MetricSummary| (metric.name.to_string(), MetricBody::from(&metric.figures));
    summary.business.iter().map(named).collect()
}

/// The body of `GET routes`: each endpoint's figures, those with the most calls first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoutesBody {
    routes: Vec<RouteBody>,
    since: Time,
    window_seconds: f64,
}

impl From<&Summary> for RoutesBody {
    fn from(summary: &Summary) -> Self {
        Self {
            routes: summary.endpoints.iter().map(|route| RouteBody::new(route, summary.window)).collect(),
            since: Time(summary.since),
            window_seconds: summary.window.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RouteBody {
    method: String,
    route: String,
    #[serde(flatten)]
    first: FirstFigures,
    #[serde(flatten)]
    more: MoreFigures,
    /// Always 0 for a route that no marker marks.
    in_flight: u64,
    requests_per_second: f64,
    request_bytes: u64,
    response_bytes: u64,
    statuses: BTreeMap<String, u64>,
}

impl RouteBody {
    fn new(route: &EndpointSummary, window: Duration) -> Self {
        let figures = &route.figures;
        Self {
            method: route.name.method.to_string(),
            route: route.name.route.to_string(),
            first: FirstFigures::from(figures),
            more: MoreFigures::from(figures),
            in_flight: route.in_flight,
            requests_per_second: per_second(figures.calls, window),
            request_bytes: figures.request_bytes,
            response_bytes: figures.response_bytes,
            statuses: statuses(figures),
        }
    }
}

/// What stands before the recent errors in a summary: names that existing clients read.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct FirstFigures {
    total_calls: u64,
    total_errors: u64,
    error_rate: f64,
    avg_response_time: f64,
    min_response_time: f64,
    max_response_time: f64,
}

impl From<&Figures> for FirstFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            total_calls: figures.calls,
            total_errors: figures.errors,
            error_rate: figures.error_rate(),
            avg_response_time: figures.average().as_secs_f64(),
            min_response_time: figures.min.as_secs_f64(),
            max_response_time: figures.max.as_secs_f64(),
        }
    }
}

/// What stands behind them.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct MoreFigures {
    p50_response_time: f64,
    p95_response_time: f64,
    p99_response_time: f64,
    p999_response_time: f64,
    client_errors: u64,
    server_errors: u64,
    client_error_rate: f64,
    server_error_rate: f64,
    aborted: u64,
    panicked: u64,
}

impl From<&Figures> for MoreFigures {
    fn from(figures: &Figures) -> Self {
        Self {
            p50_response_time: figures.p50.as_secs_f64(),
            p95_response_time: figures.p95.as_secs_f64(),
            p99_response_time: figures.p99.as_secs_f64(),
            p999_response_time: figures.p999.as_secs_f64(),
            client_errors: figures.client_errors,
            server_errors: figures.server_errors,
            client_error_rate: figures.client_error_rate(),
            server_error_rate: figures.server_error_rate(),
            aborted: figures.aborted,
            panicked: figures.panicked,
        }
    }
}

/// The body of `GET history`: what was counted in a window, step by step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryBody {
    window: String,
    step: &'static str,
    points: Vec<PointBody>,
    /// When the figures were reset.
    resets: Vec<Time>,
}

impl HistoryBody {
    /// A trend, and when the figures were reset meanwhile.
    pub fn new(trend: &Trend, resets: &[SystemTime]) -> Self {
        Self {
            window: trend.window.to_string(),
            step: trend.step,
            points: trend.points.iter().map(PointBody::from).collect(),
            resets: resets.iter().copied().map(Time).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct PointBody {
    /// When the step ended.
    time: Time,
    /// How long it was. Rates are per second of this.
    seconds: f64,
    #[serde(flatten)]
    first: FirstFigures,
    #[serde(flatten)]
    more: MoreFigures,
    requests_per_second: f64,
    /// Pairs of a duration in seconds, a power of two of nanoseconds, and how many took no longer than that, and no less
    /// than the half of it.
    latencies: Vec<(f64, u64)>,
}

impl From<&Point> for PointBody {
    fn from(point: &Point) -> Self {
        Self {
            time: Time(point.time),
            seconds: point.span.as_secs_f64(),
            first: FirstFigures::from(&point.figures),
            more: MoreFigures::from(&point.figures),
            requests_per_second: per_second(point.figures.calls, point.span),
            latencies: octaves(&point.histogram),
        }
    }
}

/// How many durations are in each octave.
fn octaves(histogram: &Histogram) -> Vec<(f64, u64)> {
    let mut octaves: Vec<(f64, u64)> = Vec::new();
    for bucket in histogram.buckets() {
        let end = bucket.highest.next_power_of_two() as f64 / 1e9;
        match octaves.last_mut() {
            Some((last, count)) if *last == end => *count = count.saturating_add(bucket.count),
            _ => octaves.push((end, bucket.count)),
        }
    }
    octaves
}

/// The body of `GET resources`: what the process used, second by second, or in longer steps where these are too many.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcesBody {
    points: Vec<ResourcePoint>,
}

impl ResourcesBody {
    /// Samples, the oldest first.
    pub fn new(points: Vec<ResourcePoint>) -> Self {
        Self { points }
    }
}

/// What a process used in a second, or in several. `None` is what the system did not tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResourcePoint {
    /// When the second ended.
    #[serde(serialize_with = "time")]
    pub time: SystemTime,
    /// How long it was: longer where a look came late, and where several are one point. Rates are per second of this.
    pub seconds: f64,
    /// The processor's time, in per cent of one processor.
    pub cpu_percent: Option<f64>,
    /// The memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Files, sockets included, that are open.
    pub open_files: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Bytes a second that the host received, over all its networks.
    pub network_received_per_second: f64,
    /// Bytes a second that the host sent.
    pub network_sent_per_second: f64,
    /// The longest time that the event loop of each worker was late, in seconds.
    #[serde(serialize_with = "seconds")]
    pub worker_lags: Vec<Duration>,
    /// The share of the time in which the event loop of each worker ran tasks, in per cent, in the order of `worker_lags`.
    pub worker_busy_percent: Vec<f64>,
}

impl Default for ResourcePoint {
    fn default() -> Self {
        Self {
            time: SystemTime::UNIX_EPOCH,
            seconds: 1.0,
            cpu_percent: None,
            resident_bytes: None,
            open_files: None,
            threads: None,
            network_received_per_second: 0.0,
            network_sent_per_second: 0.0,
            worker_lags: Vec::new(),
            worker_busy_percent: Vec::new(),
        }
    }
}

fn time<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    Time(*time).serialize(serializer)
}

fn seconds<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(durations.iter().map(Duration::as_secs_f64))
}

/// The body of `GET errors`: the last errors, newest first, and how many are not among them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorsBody {
    recent_errors: Vec<ErrorBody>,
    /// Errors since the start that newer ones pushed out.
    evicted: u64,
    /// Errors since the start that came faster than the list could hold. They are counted, but were never listed.
    thinned: u64,
}

impl From<&Summary> for ErrorsBody {
    fn from(summary: &Summary) -> Self {
        Self {
            recent_errors: summary.recent_errors.iter().map(ErrorBody::from).collect(),
            evicted: summary.health.errors_evicted,
            thinned: summary.health.errors_thinned,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ErrorBody {
    time: Time,
    method: String,
    route: String,
    /// `null` for a request that got no response, because it panicked.
    status: Option<u16>,
    response_time: f64,
    message: String,
}

impl From<&RecentError> for ErrorBody {
    fn from(error: &RecentError) -> Self {
        Self {
            time: Time(error.time),
            method: error.endpoint.method.to_string(),
            route: error.endpoint.route.to_string(),
            status: error.outcome.status(),
            response_time: error.response_time.as_secs_f64(),
            message: error.message.clone(),
        }
    }
}

/// The body of `GET consumers`: the consumers with the most calls.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumersBody {
    consumers: Vec<ConsumerBody>,
    /// Consumers that were seen in the window, listed or not.
    total_consumers: usize,
    /// Calls since the start by consumers that did not fit; they are in `_other`.
    refused: u64,
    since: Time,
    window_seconds: f64,
}

impl ConsumersBody {
    /// The `top` consumers of a window.
    pub fn new(window: &Snapshot, top: usize) -> Self {
        let refused = window.health().consumers_refused;
        Self::of(window.consumers(), refused, window.since(), window.span(), top)
    }

    fn of(all: &[ConsumerSnapshot], refused: u64, since: SystemTime, span: Duration, top: usize) -> Self {
        let mut consumers: Vec<_> = all.iter().collect();
        consumers.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.name.cmp(&b.name)));
        Self {
            consumers: consumers.iter().take(top).map(|consumer| ConsumerBody::from(*consumer)).collect(),
            total_consumers: consumers.len(),
            refused,
            since: Time(since),
            window_seconds: span.as_secs_f64(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ConsumerBody {
    /// An alias, a keyed hash, or a name with `_` in front for several.
    consumer: String,
    calls: u64,
    errors: u64,
    error_rate: f64,
    avg_response_time: f64,
    total_response_time: f64,
    last_seen: Time,
}

impl From<&ConsumerSnapshot> for ConsumerBody {
    fn from(consumer: &ConsumerSnapshot) -> Self {
        let total = Duration::from_nanos(consumer.sum_nanos).as_secs_f64();
        let per_call = |sum: f64| if consumer.calls == 0 { 0.0 } else { sum / consumer.calls as f64 };
        Self {
            consumer: consumer.name.to_string(),
            calls: consumer.calls,
            errors: consumer.errors,
            error_rate: per_call(consumer.errors as f64 * 100.0),
            avg_response_time: per_call(total),
            total_response_time: total,
            last_seen: Time(consumer.last_seen),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Time(pub(crate) SystemTime);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A clock that is set to before the year -9999 or after 9999 shows as the end of what can be written.
        let end = if self.0 < SystemTime::UNIX_EPOCH { Timestamp::MIN } else { Timestamp::MAX };
        let time = Timestamp::try_from(self.0).unwrap_or(end);
        serializer.collect_str(&format_args!("{time:.3}"))
    }
}

fn per_second(calls: u64, window: Duration) -> f64 {
    if window.is_zero() { 0.0 } else { calls as f64 / window.as_secs_f64() }
}

fn statuses(figures: &Figures) -> BTreeMap<String, u64> {
    figures.outcomes.iter().map(|(outcome, count)| (outcome.to_string(), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_core::{History, Outcome, Registry, Window};

    fn summary() -> Summary {
        let registry = Registry::new();
        let item = registry.endpoint("GET", "/items/{id}");
        registry.record(item, 200, Duration::from_millis(123));
        registry.record(item, 404, Duration::from_millis(2));
        registry.record_error(item, Outcome::Status(500), Duration::from_millis(12), "no \"disk\"\n");
        registry.record_error(item, Outcome::Panicked, Duration::from_millis(1), "");
        let mut summary = registry.summary();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_592_600_123);
        summary.recent_errors.iter_mut().for_each(|error| error.time = at);
        summary.since = at;
        summary.window = Duration::from_secs(2);
        summary
    }

    #[test]
    fn the_seven_names_of_existing_clients_come_first_and_in_their_order() {
        let text = serde_json::to_string(&Answer::new(SummaryBody::from(&summary()))).unwrap();
        let names = [
            "total_calls",
            "total_errors",
            "error_rate",
            "avg_response_time",
            "min_response_time",
            "max_response_time",
            "recent_errors",
            "p50_response_time",
        ];
        let places: Vec<_> = names.iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(
            text.starts_with(
                r#"{"success":true,"data":{"total_calls":4,"total_errors":3,"error_rate":75.0,"#
            )
        );
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn a_summary_reads_in_seconds_and_per_cent() {
        let body = serde_json::to_value(SummaryBody::from(&summary())).unwrap();
        assert_eq!(body["min_response_time"], 0.001);
        assert_eq!(body["max_response_time"], 0.123);
        assert_eq!(body["avg_response_time"], 0.0345);
        assert_eq!(body["client_error_rate"], 25.0);
        assert_eq!(body["panicked"], 1);
        assert_eq!(body["requests_per_second"], 2.0);
        assert_eq!(body["since"], "2026-01-28T09:30:00.123Z");
        assert_eq!(body["statuses"]["200"], 1);
        assert_eq!(body["statuses"]["panicked"], 1);
    }

    #[test]
    fn recent_errors_name_the_endpoint_and_what_happened() {
        let body = serde_json::to_value(ErrorsBody::from(&summary())).unwrap();
        let newest = &body["recent_errors"][0];
        assert_eq!(newest["status"], serde_json::Value::Null);
        let failed = &body["recent_errors"][1];
        assert_eq!(
            *failed,
            serde_json::json!({
                "time": "2026-01-28T09:30:00.123Z", "method": "GET", "route": "/items/{id}", "status": 500,
                "response_time": 0.012, "message": "no \"disk\"\n",
            })
        );
        assert_eq!(body["evicted"], 0);
    }

    #[test]
    fn the_applications_own_metrics_read_by_name_and_as_a_list() {
        let registry = Registry::new();
        registry.counter("analysis_requests").unwrap().add(3);
        registry.gauge("queue_length").unwrap().set(1.5);
        registry.timer("db_query").unwrap().record(Duration::from_millis(20));
        let cache = registry.hit_ratio("cache").unwrap();
        (0..3).for_each(|_| cache.hit());
        cache.miss();
        let summary = registry.summary();
        let body = serde_json::to_value(SummaryBody::from(&summary)).unwrap();
        let business = &body["business"];
        assert_eq!(business["analysis_requests"], serde_json::json!({"kind": "counter", "value": 3}));
        assert_eq!(business["queue_length"]["value"], 1.5);
        assert_eq!(
            (&business["db_query"]["calls"], &business["db_query"]["avg_time"]),
            (&1.into(), &0.02.into())
        );
        assert_eq!((&business["cache"]["hit_rate"], &business["cache"]["misses"]), (&75.0.into(), &1.into()));
        let in_window = Business {
            metrics: summary.business.clone(),
            since: summary.since,
            window: Duration::from_secs(8),
        };
        let list = serde_json::to_value(BusinessBody::from(&in_window)).unwrap();
        assert_eq!(
            list["metrics"][1],
            serde_json::json!({"name": "cache", "kind": "hit_ratio", "value": 75.0,
            "hits": 3, "misses": 1, "hit_rate": 75.0, "per_second": 0.5})
        );
        assert_eq!(
            list["metrics"][3],
            serde_json::json!({"name": "queue_length", "kind": "gauge", "value": 1.5})
        );
        assert_eq!(list["window_seconds"], 8.0);
    }

    #[test]
    fn a_history_reads_step_by_step_with_its_latencies_by_octave() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        for nanos in [1_000, 1_020, 1_030, 2_000_000] {
            registry.record_nanos(registry.endpoint("GET", "/"), 200, nanos);
        }
        history.tick();
        let trend = history.trend(Window::OneMinute, None, None).unwrap();
        let body = serde_json::to_value(HistoryBody::new(&trend, &history.resets())).unwrap();
        assert_eq!((&body["window"], &body["step"]), (&"1m".into(), &"1s".into()));
        let point = &body["points"][0];
        assert_eq!(point["total_calls"], 4);
        assert_eq!(point["latencies"], serde_json::json!([[1.024e-6, 2], [2.048e-6, 1], [0.002097152, 1]]));
        assert!(point["seconds"].as_f64().unwrap() > 0.0);
    }

    #[test]
    fn a_summary_of_nothing_is_all_zero() {
        let body = serde_json::to_value(SummaryBody::from(&Registry::new().summary())).unwrap();
        for (name, value) in body.as_object().unwrap() {
            let timed = ["since", "window_seconds"].contains(&name.as_str());
            let zero = value.as_f64() == Some(0.0) || value.as_array().is_some_and(Vec::is_empty);
            let empty = value.as_object().is_some_and(|map| map.is_empty());
            assert!(timed || zero || empty, "{name} is {value}");
        }
    }

    #[test]
    fn times_outside_the_calendar_are_still_written() {
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        let text = serde_json::to_string(&Time(far)).unwrap();
        assert!(text.starts_with("\"9999-12-30T"), "{text}");
    }
}
