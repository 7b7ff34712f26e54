//! The families of the application's own metrics.
//!
//! The application chooses their names, so this module keeps a scrape valid. A name that starts like one of our own
//! families, or like the series that Prometheus adds to each scrape, gets a prefix. If the samples of two metrics would
//! have the same name, only the first metric is written. A label that every series has gets a prefix, too.

use metrics_core::{
    GroupSnapshot, LabelSet, MAX_LABELS, MetricKind, MetricReading, MetricSnapshot, Snapshot,
};

use super::durations::Durations;
use super::encoder::{Encoder, Value};
use super::family::{Family, Kind, Name};
use super::labels::Label;

/// The prefixes of our own families, today and in later versions.
const OURS: [&str; 7] =
    ["event_loop_", "host_", "http_", "metrics_core_", "metrics_denied", "metrics_exporter_", "process_"];

/// The prefix of the series that Prometheus adds to each scrape, apart from [`UP`].
const OF_SCRAPES: &str = "scrape_";

/// Says whether a scrape succeeded. A metric of this name would replace the one that Prometheus adds itself.
const UP: &str = "up";

/// The prefix for a name that is taken.
const APP_PREFIX: &str = "app_";

/// Writes the families of all metrics. Returns how many were left out.
pub(crate) fn write<'a>(snapshot: &'a Snapshot, to: &mut impl Encoder<'a>) -> u64 {
    let (all, mut hidden) = (snapshot.metrics(), 0);
    for (index, metric) in metrics(all).enumerate() {
        let family = family(&metric[0]);
        if metrics(all).take(index).any(|before| clash(&family, &self::family(&before[0]))) {
            hidden += 1;
            continue;
        }
        to.begin(family);
        for series in metric {
            let version = match series.reading() {
                MetricReading::Timer(times) => times.and_then(GroupSnapshot::version),
                _ => None,
            };
            to.part(version, None, |to| write_series(series, snapshot.significant_digits(), to));
        }
        to.end();
    }
    hidden
}

/// The series of each metric. They are in the order of names and kinds.
fn metrics(mut all: &[MetricSnapshot]) -> impl Iterator<Item = &[MetricSnapshot]> {
    std::iter::from_fn(move || {
        let first = all.first()?;
        let is_of_first =
            |series: &MetricSnapshot| (series.name(), series.kind()) == (first.name(), first.kind());
        // Most metrics have one series.
        let len = if all.get(1).is_some_and(is_of_first) { all.partition_point(is_of_first) } else { 1 };
        all.split_off(..len)
    })
}

fn write_series<'a>(series: &'a MetricSnapshot, significant_digits: u8, to: &mut impl Encoder<'a>) {
    let mut renamed = Default::default();
    let mut labels = Labels::of(series.labels(), &mut renamed, to);
    match series.reading() {
        MetricReading::Counter(count) => to.value(labels.all(), Value::Count(count)),
        MetricReading::Gauge(value) => to.value(labels.all(), Value::Number(value)),
        MetricReading::Timer(times) => {
            to.histogram(labels.all(), &Durations::of_timer(times, significant_digits));
        }
        MetricReading::HitRatio { hits, misses } => {
            to.value(labels.and("result", "hit"), Value::Count(hits));
            to.value(labels.and("result", "miss"), Value::Count(misses));
        }
        MetricReading::UniqueCount { today, .. } => to.value(labels.all(), Value::Count(today)),
    }
}

/// The labels of a series, and one more.
struct Labels<'a> {
    labels: [Label<'a>; MAX_LABELS + 1],
    len: usize,
}

impl<'a> Labels<'a> {
    /// The labels of a set. `renamed` is room for the names that every series has already.
    fn of<'e>(labels: &'a LabelSet, renamed: &'a mut [String; MAX_LABELS], to: &impl Encoder<'e>) -> Self {
        for ((name, _), renamed) in labels.iter().zip(&mut *renamed) {
            let is_taken = |name: &str| to.has_constant_label(name);
            if is_taken(name) {
                *renamed = format!("{APP_PREFIX}{name}");
                while is_taken(renamed) || labels.get(renamed).is_some() {
                    renamed.insert_str(0, APP_PREFIX);
                }
            }
        }
        let mut all = Self { labels: [("", ""); MAX_LABELS + 1], len: 0 };
        for ((name, value), renamed) in labels.iter().zip(&*renamed) {
            all.labels[all.len] = (if renamed.is_empty() { name } else { renamed }, value);
            all.len += 1;
        }
        all
    }

    fn all(&self) -> &[Label<'a>] {
        &self.labels[..self.len]
    }

    /// The labels, and this one after them.
    fn and(&mut self, name: &'a str, value: &'a str) -> &[Label<'a>] {
        self.labels[self.len] = (name, value);
        &self.labels[..=self.len]
    }
}

/// Returns the family of a metric. It depends on name and kind alone, so it does not change while a service runs.
fn family(metric: &MetricSnapshot) -> Family<'_> {
    let name = metric.name();
    let counter = name.strip_suffix("_total").filter(|name| !name.is_empty()).unwrap_or(name);
    let ([name, ending], kind, help) = match metric.kind() {
        MetricKind::Counter => ([counter, ""], Kind::Counter, "Counted by the application."),
        MetricKind::Gauge => ([name, ""], Kind::Gauge, "Set by the application."),
        MetricKind::Timer => {
            let unit = match name {
                _ if name.ends_with("_seconds") => "",
                _ if name.ends_with("_duration") => "_seconds",
                _ => "_duration_seconds",
            };
            ([name, unit], Kind::Histogram, "Durations, timed by the application.")
        }
        MetricKind::HitRatio => {
            ([counter, "_lookups"], Kind::Counter, "Lookups, by whether they were a hit or a miss.")
        }
        MetricKind::UniqueCount => {
            ([name, ""], Kind::Gauge, "Distinct values today (UTC); standard error 1.15 %.")
        }
    };
    let unit = (kind == Kind::Histogram).then_some("seconds");
    let prefix = if is_taken(name, ending) { APP_PREFIX } else { "" };
    Family { name: Name([prefix, name, ending]), kind, unit, help }
}

/// Whether our own families, or the series that Prometheus adds, could have this name with this ending.
fn is_taken(name: &str, ending: &str) -> bool {
    let begins = |begin: &&str| match begin.strip_prefix(name) {
        Some(rest) => ending.starts_with(rest),
        None => name.starts_with(begin),
    };
    OURS.iter().any(begins) || begins(&OF_SCRAPES) || (name, ending) == (UP, "")
}

/// Whether two families have the same name, or samples of the same name in any format.
fn clash(one: &Family<'_>, other: &Family<'_>) -> bool {
    one.kind.suffixes().iter().any(|suffix| {
        let samples = one.name.bytes().chain(suffix.bytes());
        let len = one.name.len() + suffix.len();
        other.kind.suffixes().iter().any(|theirs| {
            // The cheap comparison first: most lengths differ.
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
    fn names_get_the_units_and_endings_that_prometheus_recommends() {
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
    fn names_that_prometheus_adds_to_each_scrape_get_a_prefix() {
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
    fn families_clash_if_any_of_their_samples_have_the_same_name() {
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
