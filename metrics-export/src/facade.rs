//! What other crates emit through the [`metrics`] facade, in our registry: a [`metrics::Recorder`].
//!
//! ```
//! use metrics_export::facade::Facade;
//!
//! let registry = metrics_core::Registry::new();
//! let facade = Facade::new(registry.clone()).install()?; // once in a process; `facade.refused()` says what did not fit
//!
//! metrics::counter!("orders.placed", "kind" => "express").increment(2); // as any crate does
//!
//! let business = registry.summary().business;
//! let placed = business.iter().find(|metric| &*metric.name == "orders_placed_kind_express").unwrap();
//! assert_eq!(placed.figures, metrics_core::MetricFigures::Counter(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What becomes of what
//!
//! | facade | here | notes |
//! |---|---|---|
//! | counter | [`Counter`](metrics_core::Counter) | `absolute` raises it to a number, and never lowers it; it adds up all threads, so it costs more than an `increment` |
//! | gauge | [`Gauge`](metrics_core::Gauge) | NaN and infinities are refused; a step that would make it infinite is not taken |
//! | histogram | [`Timer`](metrics_core::Timer) | a number is a duration, see below |
//! | description | | only the unit of a histogram is heeded |
//!
//! A histogram is in the unit that `describe_histogram!` gives it, before or after it is first used, and in **seconds**
//! without one, which is the facade's convention and what it makes of a `Duration`. One that is described in anything but a
//! unit of time is refused, since a timer would show bytes as seconds. One that is not described and holds something else
//! than seconds cannot be told from one that does: describe it. Negative durations count as 0, as with a clock that steps
//! back; NaN and infinities are refused; durations over 68.7 s land in the timer's last bucket, and over 3.3 days (2^48 ns)
//! count as 3.3 days.
//!
//! # Names
//!
//! A name is what Prometheus takes: each character but ASCII letters, digits and `_` becomes `_`, and one that would begin
//! with a digit gets a `_` in front. The metrics of the registry have no labels, so each set of labels makes a metric of its
//! own, whose name goes on with the keys and values in order of the keys: `db.pool{name="main",role="rw"}` is
//! `db_pool_name_main_role_rw`. What is longer than 100 bytes is cut, and ends with 16 hex digits of a hash (64-bit FNV-1a)
//! of the whole name. Keys of one kind that make the same name are the same metric, and so is a metric that the application
//! made itself.
//!
//! Why not labels: all that reads the registry (summaries, merging, exports) knows metrics by name. The price: sums over a
//! label are up to whoever reads, by pattern of the name.
//!
//! # Bounds
//!
//! A registry has room for 128 metrics of a kind. What does not fit, or has the name of a metric of another kind, goes
//! nowhere and is counted: in [`Facade::refused`], and in the registry as `metrics_facade_refused`. A label with many values
//! (users, paths) uses the room up, so leave such metrics out, with the filter layer of `metrics-util` if need be. Units are
//! remembered for 1,024 histograms; further ones are taken to be in seconds.
//!
//! # Cost
//!
//! A handle that is kept records as those of the registry do: the look-up of a thread-local and a plain add, behind one
//! virtual call. A macro at the call site finds its handle each time: without a lock, by the key's own hash, and without an
//! allocation of ours (labels that are not literals cost the macro its own). That is so for about 1,000 keys of
//! a kind, of up to 1 KiB each; further ones are looked up by name, under a lock. It takes one atomic step up and one down
//! in the handle's reference count, which is the facade's own and which threads share: keep handles where it matters.

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
use self::kind::Kind;
use self::refusals::Refusals;
pub use self::refusals::{Refusal, Refused};
use self::units::Units;

/// Takes what is emitted through the facade into a registry. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Facade {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    counters: Kind<Counter>,
    gauges: Kind<Gauge>,
    histograms: Kind<Histogram>,
    units: Units,
    refusals: Arc<Refusals>,
}

impl Facade {
    /// Takes metrics into a registry, such as that of `metrics_actix::Metrics::registry`.
    ///
    /// It makes the counter `metrics_facade_refused`, unless the registry has no room for it.
    pub fn new(registry: Registry) -> Self {
        let refusals = Arc::new(Refusals::new(&registry));
        let inner = Inner {
            registry,
            counters: Kind::new(),
            gauges: Kind::new(),
            histograms: Kind::new(),
            units: Units::default(),
            refusals,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Makes it the recorder of the whole process. What was emitted before is lost, and handles made before stay idle.
    ///
    /// For a thread's or a test's own, give a reference to [`metrics::with_local_recorder`] instead.
    ///
    /// # Errors
    ///
    /// There is a recorder already. The error gives this one back.
    pub fn install(self) -> Result<Self, SetRecorderError<Self>> {
        metrics::set_global_recorder(self.clone())?;
        Ok(self)
    }

    /// What was not taken since the start, and why.
    pub fn refused(&self) -> Refused {
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
        self.inner.counters.get_or_make(key, refusals, |name| {
            Ok(Counter::from_arc(Arc::new(CounterHandle::new(registry.counter(name)?))))
        })
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let Inner { registry, refusals, .. } = &*self.inner;
        self.inner.gauges.get_or_make(key, refusals, |name| {
            let gauge = registry.gauge(name)?;
            Ok(Gauge::from_arc(Arc::new(GaugeHandle::new(gauge, name, Arc::clone(refusals)))))
        })
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let Inner { registry, refusals, units, .. } = &*self.inner;
        self.inner.histograms.get_or_make(key, refusals, |name| {
            let (timer, unit) = (registry.timer(name)?, units.of(key.name()));
            Ok(Histogram::from_arc(Arc::new(TimerHandle::new(timer, unit, name, Arc::clone(refusals)))))
        })
    }
}

#[cfg(test)]
mod tests;
