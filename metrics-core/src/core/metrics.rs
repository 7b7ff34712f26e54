//! The application's own metrics in a registry: their names, the timers' shards, and how a snapshot is taken of them.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::histogram::Layout;
use crate::hyperloglog::{Registers, day_of};
use crate::labels::endpoint::EndpointId;
use crate::labels::label_set::metric_of;
use crate::labels::metric_family::{MetricFamily, Series, Storage, gauge_value};
use crate::labels::metric_kind::MetricKind;
use crate::labels::metric_names::{MetricError, MetricNames};
use crate::labels::metric_room::MAX_TIMERS;
use crate::labels::outcome::Granularity;
use crate::read::reader::Reader;
use crate::read::snapshot::endpoint::EndpointSnapshot;
use crate::read::snapshot::metrics::{MetricSnapshot, MetricState};
use crate::record::local::LocalRecorders;
use crate::record::shard::Shard;
use crate::record::shared::RegistrySettings;
use crate::sync::{Mutex, Ordering, lock};

/// The application's own metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    names: MetricNames,
    layout: Layout,
    /// Made with the first timer.
    timers: OnceLock<Timers>,
}

/// The timers: each is an endpoint without a method, in separate shards.
#[derive(Debug)]
struct Timers {
    recorders: LocalRecorders,
    reader: Mutex<Reader>,
}

impl Metrics {
    /// No metrics. Timers will have this precision.
    pub(crate) fn new(layout: Layout) -> Self {
        Self { names: MetricNames::default(), layout, timers: OnceLock::new() }
    }

    /// The metric of a name and a kind, but no timer; made at the first call.
    pub(crate) fn find(&self, name: &str, kind: MetricKind) -> Result<Arc<MetricFamily>, MetricError> {
        self.names.intern(name, kind, &no_timer)
    }

    /// A timer, made at the first call, and what records to it.
    pub(crate) fn timer(&self, name: &str) -> Result<(LocalRecorders, Arc<MetricFamily>), MetricError> {
        let timers = || &self.timers.get_or_init(|| Timers::new(self.layout)).recorders;
        let metric =
            self.names.intern(name, MetricKind::Timer, &|number| timer_endpoint(timers(), number))?;
        Ok((timers().clone(), metric))
    }

    /// Whether there is a metric or a series of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        let metric = self.names.get(metric_of(name));
        let is_series = |metric: &MetricFamily| {
            metric.all().iter().any(|series| series.labels().series(metric.name()) == name)
        };
        metric.is_some_and(|metric| **metric.name() == *name || is_series(&metric))
    }

    /// The first metric whose labels did not fit.
    pub(crate) fn labels_refused_of(&self) -> Option<Arc<str>> {
        self.names.room().first_refused().cloned()
    }

    /// Look-ups whose labels did not fit.
    pub(crate) fn label_sets_refused(&self) -> u64 {
        self.names.room().refused()
    }

    /// The memory of the timers' shards, in bytes.
    pub(crate) fn shard_bytes(&self) -> usize {
        self.timers.get().map_or(0, |timers| timers.recorders.shared().shard_bytes())
    }

    /// The cumulative state of all series, in their order.
    pub(crate) fn snapshot(&self, shards: &[Arc<Shard>], now: SystemTime) -> Vec<MetricSnapshot> {
        let metrics = self.names.all();
        if metrics.is_empty() {
            return Vec::new();
        }
        let series: Vec<_> = metrics.iter().map(|metric| (metric.name(), metric.all())).collect();
        // After the series, so that each of them has its row.
        let timers = self.timers.get();
        let times = timers.map_or_else(Vec::new, Timers::read);
        let counter =
            |row| shards.iter().fold(0_u64, |sum, shard| sum.wrapping_add(shard.metrics().counter(row)));
        let distinct = |row, day| {
            let mut sum = Registers::default();
            shards.iter().for_each(|shard| shard.metrics().add_registers(row, day, &mut sum));
            sum
        };
        let times = |timer| {
            let row = timers?.recorders.shared().endpoints().row(timer);
            times.get(row)?.groups.first().cloned().map(Box::new)
        };
        let today = day_of(now);
        // Nothing, if the series is of no interest before something was counted in it.
        let state = |series: &Series| {
            let (state, is_used) = match series.storage() {
                &Storage::Counter { row } => {
                    let count = counter(row);
                    (MetricState::Counter(count), count > 0)
                }
                Storage::Gauge { value } => {
                    // ORDERING: Relaxed; the figure orders nothing else.
                    let value = gauge_value(value.load(Ordering::Relaxed));
                    (MetricState::Gauge(value.unwrap_or(0.0)), value.is_some())
                }
                &Storage::Timer { timer } => {
                    let times = times(timer);
                    let is_used = times.is_some();
                    (MetricState::Timer(times), is_used)
                }
                &Storage::HitRatio { hits } => {
                    let (hits, misses) = (counter(hits), counter(hits + 1));
                    (MetricState::HitRatio { hits, misses }, hits > 0 || misses > 0)
                }
                &Storage::UniqueCount { row } => {
                    let (today, yesterday) = (distinct(row, today), distinct(row, today.wrapping_sub(1)));
                    let is_used = shards.iter().any(|shard| shard.metrics().has_distinct(row));
                    (MetricState::UniqueCount { today, yesterday }, is_used)
                }
            };
            (is_used || !series.is_extended()).then_some(state)
        };
        let all = series.iter().flat_map(|(name, all)| all.iter().map(move |series| (*name, series)));
        all.filter_map(|(name, series)| {
            let state = state(series)?;
            Some(MetricSnapshot { name: Arc::clone(name), labels: series.labels().clone(), state })
        })
        .collect()
    }
}

/// For metrics that are no timers.
pub(crate) fn no_timer(number: usize) -> EndpointId {
    unreachable!("only timers have endpoints, asked for that of number {number}")
}

/// The endpoint of the timer with a number. Its name is the number, since a name with labels may be too long for one.
pub(crate) fn timer_endpoint(timers: &LocalRecorders, number: usize) -> EndpointId {
    timers.shared().endpoints().intern("", &number.to_string())
}

impl Timers {
    fn new(layout: Layout) -> Self {
        let granularity = Granularity::Class;
        let recorders = LocalRecorders::new(RegistrySettings {
            max_series: MAX_TIMERS,
            max_consumers: 1,
            layout,
            error_log_capacity: 1,
            request_log_capacity: 1,
            granularity,
        });
        let reader = Reader::new(layout, granularity, recorders.shared().key());
        Self { recorders, reader: Mutex::new(reader) }
    }

    /// The cumulative state of all timers.
    fn read(&self) -> Vec<Arc<EndpointSnapshot>> {
        let shared = self.recorders.shared();
        lock(&self.reader).read(&shared.shards(), shared.endpoints(), shared.epoch())
    }
}
