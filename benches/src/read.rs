//! Readings: the time to merge all shards, and how much it slows the writers down meanwhile.

mod polled;

use std::hint::black_box;
use std::time::{Duration, Instant};

use metrics_core::History;

use crate::figures::{Comparison, Quantity, Required, Requirement};
use crate::measure::{Measured, Setting, turns};
use crate::peers::prometheus_registry;
use crate::service::Service;
use crate::size::Size;
use crate::unit::Unit;
use crate::workload::routes;

pub use polled::{comparison as polled_comparison, measure as measure_polled};

/// What is read, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// A summary since the start. Every endpoint changed in every shard, so nothing can be skipped.
    Summary,
    /// The same when every cell changed by more records than it remembers, so that all buckets are read.
    SummaryBusy,
    /// The same when nothing was recorded since the last reading.
    SummaryUnchanged,
    /// A snapshot of the cumulative state. Everything changed.
    Snapshot,
    /// The history's work of one second. Everything changed.
    Tick,
    /// What `prometheus` reads for the same number of series: counts, sums and eleven buckets, which all threads share.
    PrometheusGather,
    /// A reset: a summary since the last reset, and a new window. Everything changed.
    Reset,
    /// A summary after a reset. Everything changed.
    SummaryAfterReset,
}

impl Arm {
    /// All of them, in the order in which a service must go through them: those since the start come first.
    pub const ALL: [Self; 8] = [
        Self::Summary,
        Self::SummaryBusy,
        Self::SummaryUnchanged,
        Self::Snapshot,
        Self::Tick,
        Self::PrometheusGather,
        Self::Reset,
        Self::SummaryAfterReset,
    ];

    /// Its name in tables, in JSON and in criterion.
    pub fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::SummaryBusy => "summary, much changed",
            Self::SummaryUnchanged => "summary, nothing changed",
            Self::Snapshot => "snapshot",
            Self::Tick => "tick of the history",
            Self::PrometheusGather => "prometheus, gather",
            Self::Reset => "reset",
            Self::SummaryAfterReset => "summary, after a reset",
        }
    }

    fn since_the_start(self) -> bool {
        !matches!(self, Self::Reset | Self::SummaryAfterReset)
    }
}

/// Records per cell; more than a cell remembers.
const MUCH: usize = 20;

/// A warm service, and the same number of series in the peer.
#[expect(
    missing_debug_implementations,
    reason = "it would be as long as all figures of a service, and is never printed"
)]
pub struct Reader {
    service: Service,
    history: History,
    prometheus: prometheus::Registry,
}

impl Reader {
    /// Records for every endpoint in every shard.
    pub fn new(size: Size) -> Self {
        let service = Service::warm(size);
        let history = History::new(service.registry.clone());
        Self { service, history, prometheus: prometheus_registry(routes(size.endpoints)) }
    }

    /// Times one reading. Preparations, such as records, are not timed.
    pub fn time(&mut self, arm: Arm) -> Duration {
        match arm {
            Arm::SummaryUnchanged => drop(self.service.summary()),
            Arm::PrometheusGather => {}
            Arm::SummaryBusy => (0..MUCH).for_each(|_| self.service.touch_all()),
            _ => self.service.touch_all(),
        }
        let registry = &self.service.registry;
        match arm {
            Arm::Summary | Arm::SummaryBusy | Arm::SummaryUnchanged | Arm::SummaryAfterReset => {
                time(|| registry.summary())
            }
            Arm::Snapshot => time(|| registry.snapshot()),
            Arm::Tick => time(|| self.history.tick()),
            Arm::Reset => time(|| registry.reset()),
            Arm::PrometheusGather => time(|| self.prometheus.gather()),
        }
    }
}

/// Times a call, without the time to drop its result.
fn time<T>(read: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = black_box(read());
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

/// Measures each kind of reading for services of these sizes.
pub fn measure(sizes: &[Size], rounds: usize) -> Vec<Measured> {
    sizes.iter().flat_map(|&size| measure_size(size, rounds)).collect()
}

fn measure_size(size: Size, rounds: usize) -> Vec<Measured> {
    let mut reader = Reader::new(size);
    let (since_start, since_reset): (Vec<_>, Vec<_>) =
        Arm::ALL.into_iter().partition(|arm| arm.since_the_start());
    let mut measured = measure_arms(&mut reader, size, &since_start, rounds);
    drop(reader.service.registry.reset());
    measured.extend(measure_arms(&mut reader, size, &since_reset, rounds));
    measured
}

fn measure_arms(reader: &mut Reader, size: Size, arms: &[Arm], rounds: usize) -> Vec<Measured> {
    let lane = |arm: &Arm| Measured::new(arm.name(), Setting::Service(size));
    let mut measured: Vec<_> = arms.iter().map(lane).collect();
    for lane in turns(arms.len(), rounds) {
        measured[lane].rounds.push(Some(reader.time(arms[lane]).as_nanos() as f64));
    }
    measured
}

/// What the design requires of readings. Their times are not compared, since each reads something else.
pub fn comparison() -> Comparison {
    let at_most_2_ms = |what: &str, arm: Arm| Requirement {
        what: format!("{what} of 200 endpoints x 16 shards, all warm and changed"),
        of: Quantity::Absolute((arm.name(), Setting::Service(Size::TYPICAL)), Unit::MILLIS),
        required: Required::AtMost(2.0),
    };
    Comparison {
        kind: "readings",
        unit: Unit::MICROS,
        per: "a reading",
        over_bare: false,
        reference: None,
        requirements: vec![at_most_2_ms("summary", Arm::Summary), at_most_2_ms("tick", Arm::Tick)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_runs_and_every_figure_finds_its_arms() {
        let measured = measure(&[Size::of(10, 1), Size::TYPICAL], 1);
        assert_eq!(measured.len(), 2 * Arm::ALL.len());
        assert!(measured.iter().all(|lane| lane.median() > 0.0));
        assert_eq!(comparison().figures(&measured).len(), comparison().requirements.len());
    }
}
