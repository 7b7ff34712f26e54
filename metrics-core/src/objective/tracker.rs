//! Counts for all objectives, and computes their budgets and burn rates.

use std::sync::Arc;
use std::time::Duration;

use super::apdex::{Apdex, ApdexScore, ApdexState};
use super::budget::Budget;
use super::count::{ObjectiveCounts, end_of_bucket};
use super::samples::{Sample, Samples};
use super::settings::{Kind, Objective};
use crate::alert::{Burn, BurnRate};
use crate::history::{History, Window};
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Granularity;
use crate::labels::trace::TraceId;
use crate::read::snapshot::Snapshot;
use crate::registry::Registry;
use crate::setting::InvalidSetting;
use crate::sync::{Mutex, lock};

/// Objectives at most. Each keeps up to 40 KiB.
const MAX_OBJECTIVES: usize = 8;

/// About how often [`Objectives::tick`] counts; more frequent calls do nothing.
const EVERY: Duration = Duration::from_secs(10);

/// How early a call may come. Otherwise, one late call would make it skip the next one.
const EARLY: Duration = Duration::from_millis(500);

/// The windows whose budgets and burn rates are shown, in minutes.
const WINDOWS: [u64; 6] = [5, 30, 60, 120, 360, 1_440];

/// The longest window.
const DAY: Duration = Duration::from_secs(86_400);

/// All objectives of a service. Memory is bounded.
#[derive(Debug)]
pub struct Objectives {
    tracked: Vec<Tracked>,
    apdex: Option<TrackedApdex>,
}

#[derive(Debug)]
struct Tracked {
    objective: Arc<Objective>,
    /// The largest duration that is in time, in nanoseconds: the end of a bucket.
    within: u64,
    samples: Mutex<Samples>,
}

#[derive(Debug)]
struct TrackedApdex {
    apdex: Apdex,
    within: u64,
    /// Of halves: see [`ApdexCounts::halves`](super::apdex::ApdexCounts::halves).
    samples: Mutex<Samples>,
}

/// An objective and its current state.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveState {
    /// The objective.
    pub objective: Arc<Objective>,
    /// For latency, the longest duration that is in time: the end of the histogram's bucket that contains the
    /// objective's time.
    pub within: Option<Duration>,
    /// Valid requests since the start; in a fleet, in the last hour.
    pub valid: u64,
    /// Good requests in that time.
    pub good: u64,
    /// The last 5 and 30 minutes, 1, 2, 6 and 24 hours; in a fleet, the last 5 minutes and the last hour.
    pub budgets: Vec<Budget>,
    /// The time until the budget of the last 24 hours is spent, if requests go on as in the last hour; `None` if it
    /// will not be.
    pub exhausted_in: Option<Duration>,
}

impl Objectives {
    /// Creates a tracker of these objectives of a registry.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of its range, if two have the same name, or if there are more than 8. Also
    /// if the registry counts 4xx and 5xx in the same histograms ([`Granularity::Outcome`]), and one is about latency.
    pub fn new(
        objectives: impl IntoIterator<Item = Objective>,
        registry: &Registry,
    ) -> Result<Self, InvalidSetting> {
        let layout = registry.layout();
        let mut tracked: Vec<Tracked> = Vec::new();
        for objective in objectives {
            objective.check()?;
            if tracked.iter().any(|known| known.objective.name == objective.name) {
                let value = format!("{:?}, which another objective has", objective.name);
                return Err(InvalidSetting::new("objective name", value, "another one"));
            }
            let within = match objective.kind {
                Kind::Availability => 0,
                Kind::Latency(within) => {
                    check_granularity(registry)?;
                    end_of_bucket(layout, within)
                }
            };
            tracked.push(Tracked { objective: Arc::new(objective), within, samples: Mutex::default() });
        }
        if tracked.len() > MAX_OBJECTIVES {
            let allowed = format!("at most {MAX_OBJECTIVES}");
            return Err(InvalidSetting::new("number of objectives", tracked.len(), allowed));
        }
        Ok(Self { tracked, apdex: None })
    }

    /// Tracks the Apdex of all routes, too.
    ///
    /// # Errors
    ///
    /// Returns an error if the registry counts 4xx and 5xx in the same histograms.
    pub fn with_apdex(self, apdex: Apdex, registry: &Registry) -> Result<Self, InvalidSetting> {
        check_granularity(registry)?;
        let within = end_of_bucket(registry.layout(), apdex.target());
        Ok(Self { apdex: Some(TrackedApdex { apdex, within, samples: Mutex::default() }), ..self })
    }

    /// Returns whether there is neither an objective nor an Apdex.
    pub fn is_empty(&self) -> bool {
        self.samples().next().is_none()
    }

    /// Returns all objectives.
    pub fn objectives(&self) -> impl Iterator<Item = &Arc<Objective>> {
        self.tracked.iter().map(|tracked| &tracked.objective)
    }

    fn samples(&self) -> impl Iterator<Item = &Mutex<Samples>> {
        let apdex = self.apdex.iter().map(|tracked| &tracked.samples);
        self.tracked.iter().map(|tracked| &tracked.samples).chain(apdex)
    }

    /// Counts the requests so far, unless that was done less than ten seconds ago. Call it about once a second.
    pub fn tick(&self, registry: &Registry) {
        let Some(first) = self.samples().next() else { return };
        let last = lock(first).newest().at;
        if !last.is_zero() && registry.uptime() + EARLY < last + EVERY {
            return;
        }
        let snapshot = registry.snapshot_of_requests();
        self.add(&snapshot, snapshot.span());
    }

    /// Counts the requests of a cumulative snapshot that was taken at this time after the start.
    pub fn add(&self, snapshot: &Snapshot, at: Duration) {
        for Tracked { objective, samples, .. } in &self.tracked {
            add(samples, objective.count(snapshot), at);
        }
        if let Some(TrackedApdex { apdex, samples, .. }) = &self.apdex {
            add(samples, apdex.count(snapshot).halves(), at);
        }
    }

    /// Returns the state of all objectives, as of the last count.
    pub fn states(&self) -> Vec<ObjectiveState> {
        self.tracked.iter().map(Tracked::state).collect()
    }

    /// Returns how satisfied users are, as of the last count; `None` without an Apdex.
    pub fn apdex(&self) -> Option<ApdexState> {
        let TrackedApdex { apdex, within, samples } = self.apdex.as_ref()?;
        let samples = lock(samples);
        let score = |minutes: &u64| {
            let window = Duration::from_secs(minutes * 60);
            let Sample { at: covered, valid, good } = samples.window(window);
            let score = (valid > 0).then(|| good as f64 / valid as f64);
            ApdexScore { window, covered, calls: valid / 2, score }
        };
        Some(ApdexState {
            target: apdex.target(),
            within: Duration::from_nanos(*within),
            scores: WINDOWS.iter().map(score).collect(),
        })
    }

    /// Returns how fast a budget is spent; `None` for an unknown objective, and if a window has no valid requests.
    pub fn burn_rate(&self, Burn { objective, long, short }: &Burn) -> Option<BurnRate> {
        let tracked = self.tracked.iter().find(|tracked| tracked.objective.name == *objective)?;
        let samples = lock(&tracked.samples);
        let (long, short) = (samples.window(*long), samples.window(*short));
        let rate = |Sample { at: covered, valid, good }: Sample| {
            let counts = ObjectiveCounts { valid, good };
            (valid > 0).then(|| Budget::new(&tracked.objective, covered, covered, counts).burn_rate)
        };
        Some(BurnRate { rate: rate(long)?.min(rate(short)?), calls: long.valid })
    }

    /// Returns the trace of a request that spent the budget of an objective in the last hour, if one is known: the
    /// latest that failed, or for latency the slowest.
    pub fn trace(&self, Burn { objective, .. }: &Burn, history: &History) -> Option<TraceId> {
        let tracked = self.tracked.iter().find(|tracked| tracked.objective.name == *objective)?;
        let is_about = |endpoint: &EndpointName| tracked.objective.is_about(&endpoint.route);
        let failed = || {
            history.trace_of_error(Window::OneHour, |endpoint, outcome| {
                outcome.is_server_error() && is_about(endpoint)
            })
        };
        let slow = || history.trace_of_slow(Window::OneHour, None, |endpoint, _| is_about(endpoint));
        match tracked.objective.kind {
            Kind::Availability => failed(),
            Kind::Latency(_) => slow().or_else(failed),
        }
    }

    /// Returns the memory of all counts, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.samples().map(|samples| lock(samples).heap_bytes()).sum()
    }
}

/// Adds cumulative counts, which never fall: a registry counts on while it is read, so the order of readings matters.
fn add(samples: &Mutex<Samples>, ObjectiveCounts { valid, good }: ObjectiveCounts, at: Duration) {
    let mut samples = lock(samples);
    let newest = samples.newest();
    if at > newest.at {
        samples.push(Sample { at, valid: valid.max(newest.valid), good: good.max(newest.good) });
    }
}

/// Times are good only if the registry tells those of 5xx apart.
fn check_granularity(registry: &Registry) -> Result<(), InvalidSetting> {
    if registry.granularity() == Granularity::Outcome {
        let allowed = "a registry with Granularity::Class or Exact, which tells 4xx from 5xx";
        return Err(InvalidSetting::new("granularity", "Outcome", allowed));
    }
    Ok(())
}

impl Tracked {
    fn state(&self) -> ObjectiveState {
        let samples = lock(&self.samples);
        let budget = |length: Duration| {
            let Sample { at: covered, valid, good } = samples.window(length);
            Budget::new(&self.objective, length, covered, ObjectiveCounts { valid, good })
        };
        let (hour, day) = (budget(Duration::from_secs(3_600)), budget(DAY));
        // What is left lasts for its share of a day at burn rate 1.
        let lasts = DAY.as_secs_f64() * (day.left / 100.0).max(0.0) / hour.burn_rate;
        let newest = samples.newest();
        ObjectiveState {
            objective: Arc::clone(&self.objective),
            within: matches!(self.objective.kind, Kind::Latency(_))
                .then(|| Duration::from_nanos(self.within)),
            valid: newest.valid,
            good: newest.good,
            budgets: WINDOWS.iter().map(|minutes| budget(Duration::from_secs(minutes * 60))).collect(),
            exhausted_in: (lasts < DAY.as_secs_f64()).then(|| Duration::from_secs_f64(lasts)),
        }
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests;
