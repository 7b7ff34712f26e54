//! Records into our registry what other crates emit through the [`metrics`] facade: a [`metrics::Recorder`].
//!
//! ```
//! use metrics_export::facade::Facade;
//!
//! let registry = metrics_core::Registry::new();
//! let facade = Facade::new(registry.clone()).install()?; // once per process; `facade.refused()` says what did not fit
//!
//! metrics::counter!("orders.placed", "kind" => "express").increment(2); // as any crate does
//!
//! let business = registry.summary().business;
//! let placed = business.iter().find(|metric| metric.series() == r#"orders_placed{kind="express"}"#).unwrap();
//! assert_eq!(placed.figures, metrics_core::MetricFigures::Counter(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Kinds
//!
//! | facade | registry | notes |
//! |---|---|---|
//! | counter | [`Counter`](metrics_core::Counter) | `absolute` raises it to a value and never lowers it; it sums up all threads, so it costs more than `increment` |
//! | gauge | [`Gauge`](metrics_core::Gauge) | NaN and infinities are refused; a step that would make it infinite is ignored |
//! | histogram | [`Timer`](metrics_core::Timer) | values are durations, see below |
//! | description | | only the unit of a histogram is used |
//!
//! `describe_histogram!` sets the unit of a histogram, before or after its first use. Without a description the unit is
//! **seconds**: the facade's convention, and its unit for a `Duration`. Histograms described with a unit other than
//! time are rejected, since a timer would show bytes as seconds. A histogram that holds something else but has no
//! description cannot be detected: describe it. Negative durations count as 0, as if a clock had stepped back. NaN and
//! infinities are refused. Durations over 68.7 s land in the timer's last bucket, and those over 3.3 days (2^48 ns)
//! count as 3.3 days.
//!
//! # Names
//!
//! Names become valid Prometheus names: each character other than ASCII letters, digits and `_` becomes `_`, and a name
//! that would start with a digit gets a leading `_`. A name longer than 100 bytes is cut and ends with 16 hex digits of
//! a hash (64-bit FNV-1a) of the whole name. Labels become those of the registry, see
//! [`LabelSet`](metrics_core::LabelSet): the first four, in the order of the call. Keys of one kind with the same
//! resulting name and labels share a series, even with one that the application created itself.
//!
//! # Bounds
//!
//! A registry has room for 128 metrics of each kind. A metric that does not fit, or whose name is taken by another
//! kind, records nothing. Its calls are counted in [`Facade::refused`] and in the registry's counter
//! `metrics_facade_refused`. A metric has room for 128 sets of labels. A label with many values (users, paths) uses
//! them up: what does not fit is counted under `_other`, see [`Counter::with`](metrics_core::Counter::with). The facade
//! remembers the units of 1,024 histograms and assumes that further ones are in seconds.
//!
//! # Cost
//!
//! Recording through a kept handle costs what it costs in the registry, a thread-local look-up and a plain add, plus a
//! virtual call. A macro looks up its handle each time: without a lock, by the key's own hash, and without an
//! allocation of ours (the macro itself allocates for labels that are not literals). This holds for about 1,000 keys of
//! each kind of up to 1 KiB each; further keys are looked up by name, under a lock. The look-up also increments and
//! decrements the handle's reference count, which belongs to the facade and is shared by threads: on hot paths, keep
//! the handle.

mod handles;
mod keys;
mod kind;
mod names;
mod refusals;
mod units;

use std::fmt;
use std::sync::Arc;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SetRecorderError, SharedString, Unit,
};
use metrics_core::Registry;

use self::handles::{CounterHandle, GaugeHandle, TimerHandle};
use self::kind::KindHandles;
use self::refusals::Refusals;
pub use self::refusals::{Refusal, RefusedCalls};
use self::units::Units;

/// A recorder of the facade that records into a registry. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Facade {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    counters: KindHandles<Counter>,
    gauges: KindHandles<Gauge>,
    histograms: KindHandles<Histogram>,
    units: Units,
    refusals: Arc<Refusals>,
}

impl Facade {
    /// Creates a recorder for a registry, such as that of `metrics_actix::Metrics::registry`.
    ///
    /// Creates the counter `metrics_facade_refused`, if the registry has room for it.
    pub fn new(registry: Registry) -> Self {
        let refusals = Arc::new(Refusals::new(&registry));
        let inner = Inner {
            registry,
            counters: KindHandles::new(),
            gauges: KindHandles::new(),
            histograms: KindHandles::new(),
            units: Units::default(),
            refusals,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Makes this the recorder of the whole process. Earlier calls are lost, and handles created earlier never record.
    ///
    /// For a single thread or test, pass a reference to [`metrics::with_local_recorder`] instead.
    ///
    /// # Errors
    ///
    /// Returns an error if the process already has a recorder. The error contains this one.
    pub fn install(self) -> Result<Self, SetRecorderError<Self>> {
        metrics::set_global_recorder(self.clone())?;
        Ok(self)
    }

    /// Returns how many calls were refused since the start, and the first reason.
    pub fn refused(&self) -> RefusedCalls {
        self.inner.refusals.so_far()
    }
}

impl fmt::Debug for Facade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facade").field("refused", &self.refused()).finish_non_exhaustive()
    }
}

impl Recorder for Facade {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        if let Some(unit) = unit {
            self.inner.units.describe(name.as_str(), unit);
        }
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let Inner { registry, refusals, .. } = &*self.inner;
        self.inner.counters.get_or_create(
            key,
            refusals,
            |name| registry.counter(name),
            |counter, _| Counter::from_arc(Arc::new(CounterHandle::new(counter))),
        )
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let Inner { registry, refusals, .. } = &*self.inner;
        self.inner.gauges.get_or_create(
            key,
            refusals,
            |name| registry.gauge(name),
            |gauge, name| Gauge::from_arc(Arc::new(GaugeHandle::new(gauge, name, Arc::clone(refusals)))),
        )
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let Inner { registry, refusals, units, .. } = &*self.inner;
        self.inner.histograms.get_or_create(
            key,
            refusals,
            |name| registry.timer(name),
            |timer, name| {
                let unit = units.of(key.name());
                Histogram::from_arc(Arc::new(TimerHandle::new(timer, unit, name, Arc::clone(refusals))))
            },
        )
    }
}

#[cfg(test)]
mod tests;
