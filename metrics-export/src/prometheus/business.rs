//! The families of the application's own metrics.
//!
//! The application chooses their names, so nothing but this sees to it that a scrape stays valid: a name that begins as our
//! own families do, or as what Prometheus writes of each scrape itself, gets another beginning, and of two metrics whose samples would be called the same, the first is shown.

use metrics_core::{MetricKind, MetricReading, MetricSnapshot, Snapshot};

use super::durations::Durations;
use super::families::{Encoder, Value};
use super::names::{Family, Kind, Name};

/// How our own families begin: those of today, and those to come.
const OURS: [&str; 6] = ["event_loop_", "host_", "http_", "metrics_core_", "metrics_exporter_", "process_"];

/// How the series begin that Prometheus writes of each scrape itself, but for [`UP`].
const OF_SCRAPES: &str = "scrape_";

/// Whether a scrape succeeded. Prometheus takes what is exposed under this name for what it found itself.
const UP: &str = "up";

/// What is put before a name that begins so.
const APART: &str = "app_";

/// Writes the families of all metrics. Gives how many were left out.
pub(crate) fn write<'a>(snapshot: &'a Snapshot, to: &mut impl Encoder<'a>) -> u64 {
    let (metrics, mut hidden) = (snapshot.metrics(), 0);
    for (place, metric) in metrics.iter().enumerate() {
        let family = family(metric);
        if metrics[..place].iter().any(|before| clash(&family, &self::family(before))) {
            hidden += 1;
            continue;
        }
        to.begin(family);
        series(metric, snapshot.significant_digits(), to);
        to.end();
    }
    hidden
}

fn series<'a>(metric: &'a MetricSnapshot, significant_digits: u8, to: &mut impl Encoder<'a>) {
    match metric.reading() {
        MetricReading::Counter(count) => to.value(&[], Value::Count(count)),
        MetricReading::Gauge(value) => to.value(&[], Value::Number(value)),
        MetricReading::Timer(times) => to.histogram(&[], &Durations::of_timer(times, significant_digits)),
        MetricReading::HitRatio { hits, misses } => {
            to.value(&[("result", "hit")], Value::Count(hits));
            to.value(&[("result", "miss")], Value::Count(misses));
        }
        MetricReading::UniqueCount { today, .. } => to.value(&[], Value::Count(today)),
    }
}

/// The family of a metric. Hangs on nothing but its name and kind, so that it does not change while a service runs.
fn family(metric: &MetricSnapshot) -> Family<'_> {
    let name = metric.name();
    let counter = name.strip_suffix("_total").filter(|name| !name.is_empty()).unwrap_or(name);
    let ([name, ending], kind, help) = match metric.kind() {
        MetricKind::Counter => ([counter, ""], Kind::Counter, "Counted by the application."),
        MetricKind::Gauge => ([name, ""], Kind::Gauge, "Kept by the application."),
        MetricKind::Timer => {
            let unit = match name {
                _ if name.ends_with("_seconds") => "",
                _ if name.ends_with("_duration") => "_seconds",
                _ => "_duration_seconds",
            };
            ([name, unit], Kind::Histogram, "How long it took, timed by the application.")
        }
        MetricKind::HitRatio => (
            [counter, "_lookups"],
            Kind::Counter,
            "How often something was looked for, by whether it was found.",
        ),
        MetricKind::UniqueCount => {
            ([name, ""], Kind::Gauge, "Distinct values of the day (UTC), to within 1.15 % (standard error).")
        }
    };
    let unit = (kind == Kind::Histogram).then_some("seconds");
    let apart = if is_taken(name, ending) { APART } else { "" };
    Family { name: Name([apart, name, ending]), kind, unit, help }
}

/// Whether a name with this ending is for families of ours, or for what Prometheus writes itself.
fn is_taken(name: &str, ending: &str) -> bool {
    let begins = |begin: &&str| match begin.strip_prefix(name) {
        Some(rest) => ending.starts_with(rest),
        None => name.starts_with(begin),
    };
    OURS.iter().any(begins) || begins(&OF_SCRAPES) || (name, ending) == (UP, "")
}

/// Whether two families would have a sample of the same name in any format, or be called the same themselves.
fn clash(one: &Family<'_>, other: &Family<'_>) -> bool {
    one.kind.suffixes().iter().any(|suffix| {
        let samples = one.name.bytes().chain(suffix.bytes());
        let len = one.name.len() + suffix.len();
        other.kind.suffixes().iter().any(|theirs| {
            // Nearly all of them are told apart by their lengths.
            len == other.name.len() + theirs.len()
                && samples.clone().eq(other.name.bytes().chain(theirs.bytes()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_core::Registry;

    fn names(registry: &Registry) -> Vec<String> {
        let snapshot = registry.snapshot();
        snapshot
            .metrics()
            .iter()
            .map(|metric| String::from_utf8(family(metric).name.bytes().collect()).unwrap())
            .collect()
    }

    #[test]
    fn names_get_the_units_and_endings_that_prometheus_advises() {
        let registry = Registry::new();
        registry.counter("a_jobs").unwrap();
        registry.counter("b_jobs_total").unwrap();
        registry.gauge("c_depth").unwrap();
        registry.timer("d_query").unwrap();
        registry.timer("e_query_duration").unwrap();
        registry.timer("f_query_seconds").unwrap();
        registry.hit_ratio("g_cache").unwrap();
        registry.unique("h_users").unwrap();
        registry.counter("http_requests").unwrap();
        registry.gauge("process_open_fds").unwrap();
        assert_eq!(
            names(&registry),
            [
                "a_jobs",
                "b_jobs",
                "c_depth",
                "d_query_duration_seconds",
                "e_query_duration_seconds",
                "f_query_seconds",
                "g_cache_lookups",
                "h_users",
                "app_http_requests",
                "app_process_open_fds",
            ]
        );
    }

    #[test]
    fn what_prometheus_writes_of_each_scrape_itself_is_left_to_it() {
        let registry = Registry::new();
        registry.timer("http").unwrap();
        registry.timer("scrape").unwrap();
        registry.gauge("scrape_samples_scraped").unwrap();
        registry.gauge("up").unwrap();
        registry.gauge("uptime").unwrap();
        assert_eq!(
            names(&registry),
            [
                "app_http_duration_seconds",
                "app_scrape_duration_seconds",
                "app_scrape_samples_scraped",
                "app_up",
                "uptime",
            ]
        );
    }

    #[test]
    fn families_clash_when_any_of_their_samples_would_have_one_name() {
        let clashes = |make: fn(&Registry)| {
            let registry = Registry::new();
            make(&registry);
            let snapshot = registry.snapshot();
            let [one, other] = snapshot.metrics() else { panic!("{snapshot:?}") };
            assert_eq!(clash(&family(one), &family(other)), clash(&family(other), &family(one)));
            clash(&family(one), &family(other))
        };
        assert!(clashes(|r| {
            r.counter("jobs").unwrap();
            r.counter("jobs_total").unwrap();
        }));
        assert!(clashes(|r| {
            r.counter("jobs").unwrap();
            r.gauge("jobs_total").unwrap();
        }));
        assert!(clashes(|r| {
            r.timer("db").unwrap();
            r.gauge("db_duration_seconds_count").unwrap();
        }));
        assert!(clashes(|r| {
            r.gauge("http_x").unwrap();
            r.gauge("app_http_x").unwrap();
        }));
        assert!(clashes(|r| {
            r.hit_ratio("cache").unwrap();
            r.counter("cache_lookups").unwrap();
        }));
        assert!(!clashes(|r| {
            r.timer("db").unwrap();
            r.counter("db_duration").unwrap();
        }));
        assert!(!clashes(|r| {
            r.gauge("jobs_count").unwrap();
            r.counter("jobs").unwrap();
        }));
    }
}
