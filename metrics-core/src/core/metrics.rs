//! The application's own metrics in a registry: their names, the timers' shards, and how a snapshot is taken of them.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crate::histogram::Layout;
use crate::hyperloglog::{Registers, day_of};
use crate::labels::endpoint::EndpointId;
use crate::labels::metric_names::{MAX_METRICS, MetricError, MetricNames, Storage};
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

    pub(crate) fn names(&self) -> &MetricNames {
        &self.names
    }

    /// A timer, made at the first call, and what records to it.
    pub(crate) fn timer(&self, name: &str) -> Result<(LocalRecorders, EndpointId), MetricError> {
        let timers = || self.timers.get_or_init(|| Timers::new(self.layout));
        let timer = self.names.timer(name, || timers().recorders.shared().endpoints().intern("", name))?;
        Ok((timers().recorders.clone(), timer))
    }

    /// The memory of the timers' shards, in bytes.
    pub(crate) fn shard_bytes(&self) -> usize {
        self.timers.get().map_or(0, |timers| timers.recorders.shared().shard_bytes())
    }

    /// The cumulative state of all metrics, by name.
    pub(crate) fn snapshot(&self, shards: &[Arc<Shard>], now: SystemTime) -> Vec<MetricSnapshot> {
        let metrics = self.names.all();
        if metrics.is_empty() {
            return Vec::new();
        }
        let timers = self.timers.get().map_or_else(Vec::new, Timers::read);
        let counter =
            |row| shards.iter().fold(0_u64, |sum, shard| sum.wrapping_add(shard.metrics().counter(row)));
        let distinct = |row, day| {
            let mut sum = Registers::default();
            shards.iter().for_each(|shard| shard.metrics().add_registers(row, day, &mut sum));
            sum
        };
        let times = |name: &str| {
            let endpoint = timers.iter().find(|timer| &*timer.name.route == name)?;
            endpoint.groups.first().cloned().map(Box::new)
        };
        let today = day_of(now);
        let state = |name: &str, storage| match storage {
            Storage::Counter { row } => MetricState::Counter(counter(row)),
            // ORDERING: Relaxed; the figure orders nothing else.
            Storage::Gauge { value } => MetricState::Gauge(f64::from_bits(value.load(Ordering::Relaxed))),
            Storage::Timer { .. } => MetricState::Timer(times(name)),
            Storage::HitRatio { hits } => {
                MetricState::HitRatio { hits: counter(hits), misses: counter(hits + 1) }
            }
            Storage::UniqueCount { row } => MetricState::UniqueCount {
                today: distinct(row, today),
                yesterday: distinct(row, today.wrapping_sub(1)),
            },
        };
        metrics
            .into_iter()
            .map(|(name, storage)| MetricSnapshot { state: state(&name, storage), name })
            .collect()
    }
}

impl Timers {
    fn new(layout: Layout) -> Self {
        let granularity = Granularity::Class;
        let recorders = LocalRecorders::new(RegistrySettings {
            max_series: MAX_METRICS,
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
