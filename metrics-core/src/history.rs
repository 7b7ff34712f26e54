//! A registry's figures over time: windows that end now, and trends.
//!
//! Call [`History::tick`] about once a second. Each tick adds a frame of what was counted since the last one. As frames
//! get older, they are merged with their neighbours: counts over any span stay exact, and percentiles are computed from
//! merged histograms, never from other percentiles. A late tick makes a longer frame, so a stall shows as a gap and not
//! as a spike.

mod adder;
mod coding;
mod consumers;
#[cfg(all(test, not(miri), not(metrics_loom)))]
mod corpus_tests;
mod endpoint_numbers;
mod for_alerts;
mod group_head;
mod metrics;
mod packed;
mod period;
mod resume;
mod save;
mod saved_error;
#[cfg(all(test, not(miri), not(metrics_loom)))]
mod saved_tests;
mod step_lengths;
mod steps;
#[cfg(all(test, not(metrics_loom)))]
mod tests;
mod tiers;
mod timeline;
mod trend;
mod trends;
mod window;

use std::time::{Duration, SystemTime};

pub use self::period::Period;
pub use self::saved_error::SavedError;
pub use self::timeline::Gap;
pub use self::trend::{CountPoint, CountTrend, MetricPoint, MetricTrend, Point, Selection, StepError, Trend};
pub use self::window::{ParseWindowError, Window};

use self::metrics::{MetricsTimeline, WindowMetrics};
use self::steps::point_of;
use self::timeline::{Requested, Timeline, WindowFigures};
use crate::core::Requests;
use crate::events::error_groups::ErrorGroups;
use crate::events::slow::SlowRequests;
use crate::labels::endpoint::EndpointName;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::metrics::{MetricsAt, totals};
use crate::read::summary::Summary;
use crate::read::summary::metrics::{MetricSummary, summarise_metrics};
use crate::registry::Registry;
use crate::sync::{Mutex, MutexGuard, lock};

/// A registry's figures over the last 24 hours.
///
/// ```
/// use metrics_core::{History, Registry, Window};
/// let registry = Registry::new();
/// let history = History::new(registry.clone());
/// registry.record(registry.endpoint("GET", "/"), 200, std::time::Duration::from_micros(350));
/// history.tick(); // once a second
/// assert_eq!(history.summary(Window::FiveMinutes).total.calls, 1);
/// assert_eq!(history.trend(Window::OneHour, None, None).unwrap().points.len(), 1);
/// ```
#[derive(Debug)]
pub struct History {
    registry: Registry,
    timeline: Mutex<Timeline>,
}

/// The beginning of a history, for [`History::inherit`].
#[derive(Debug)]
pub struct Beginning(Timeline);

/// The application's own metrics in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Business {
    /// The series of the metrics, by name, kind and labels.
    pub metrics: Vec<MetricSummary>,
    /// The sum over all series of each metric that has labels; gauges are added up, too.
    pub totals: Vec<MetricSummary>,
    /// When the window began, by the wall clock. For display.
    pub since: SystemTime,
    /// The length of the window, by the monotonic clock.
    pub window: Duration,
}

impl Business {
    /// Returns the figures of a metric (all its series together), or of one series, named as
    /// [`LabelSet::series`](crate::LabelSet::series) writes it.
    pub fn get(&self, name: &str) -> Option<&MetricSummary> {
        let total = self.totals.iter().find(|total| *total.name == *name);
        total.or_else(|| self.metrics.iter().find(|series| series.series() == name))
    }
}

impl History {
    /// Creates a history of everything the registry counts from now on.
    pub fn new(registry: Registry) -> Self {
        let timeline = Mutex::new(beginning(&registry));
        Self { registry, timeline }
    }

    /// Continues the history that [`History::save`] returned in an earlier process.
    ///
    /// Windows, except [`Window::SinceReset`], and trends include its minutes. What is exported as cumulative starts
    /// over with the registry, and so do streaks of errors, groups of errors and the slowest requests. Minutes that
    /// were recorded with wider buckets or another [`Granularity`](crate::Granularity) keep the error that they have.
    ///
    /// Their age is taken from the wall clock. If that was set back since, they seem to have just ended.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not what [`History::save`] returned, or if a later version of this library
    /// saved them.
    pub fn resume(registry: Registry, saved: &[u8]) -> Result<Self, SavedError> {
        let saved = resume::Saved::read(saved, registry.layout())?;
        let history = Self::new(registry);
        saved.add_to(&mut history.timeline());
        Ok(history)
    }

    /// Returns the current state, for [`History::inherit`] later.
    pub fn beginning(&self) -> Beginning {
        Beginning(beginning(&self.registry))
    }

    /// Continues the history that [`History::save`] returned in an earlier process, like [`History::resume`], but
    /// later, once that history is known. What was counted since `beginning` becomes one frame, except consumers: they
    /// are not saved, and keep their frames.
    ///
    /// # Errors
    ///
    /// As for [`History::resume`]. The history then stays unchanged.
    pub fn inherit(&self, beginning: Beginning, saved: &[u8]) -> Result<(), SavedError> {
        self.take_over(beginning, resume::Saved::read(saved, self.registry.layout())?);
        Ok(())
    }

    fn take_over(&self, Beginning(mut past): Beginning, saved: resume::Saved) {
        saved.add_to(&mut past);
        let mut timeline = self.timeline();
        past.take_marks(&timeline);
        past.consumers = std::mem::take(&mut timeline.consumers);
        *timeline = past;
        drop(timeline);
        self.tick();
    }

    /// Returns the history as bytes, for [`History::resume`] in a later process: everything up to now.
    ///
    /// Takes at most `max_bytes`, or a few kilobytes if that is less. What does not fit is left out: first the oldest
    /// frames of single endpoints, then the application's own metrics, then the oldest frames of all requests.
    pub fn save(&self, max_bytes: usize) -> Vec<u8> {
        let (now, mut timeline) = self.requests();
        let metrics = self.metrics_of(&timeline);
        timeline.push_endpoints(&now.snapshot);
        timeline.tick(now);
        timeline.metrics.push(metrics);
        save::save(&timeline, max_bytes)
    }

    /// Returns the times in which no process counted, between those whose history this one continues: by the wall
    /// clock, the oldest first, at most the last 100.
    pub fn gaps(&self) -> Vec<Gap> {
        self.timeline().gaps.iter().copied().collect()
    }

    /// Adds a frame of what was counted since the last tick. Call it about once a second. Takes as long as
    /// [`Registry::summary`].
    pub fn tick(&self) {
        self.registry.advance_events();
        let (began, by_wall) = self.registry.window_began();
        let (now, mut timeline) = self.requests();
        if timeline.metrics.is_due(now.snapshot.span) {
            let metrics = self.metrics_of(&timeline);
            timeline.metrics.push(metrics);
        }
        let since_built = now.snapshot.span.saturating_sub(timeline.ahead);
        if timeline.consumers.is_due(since_built) {
            timeline.consumers.push((since_built, now.snapshot.taken), self.registry.consumers_now());
        }
        timeline.tick(now);
        let began = began + timeline.ahead;
        timeline.note_window((began, by_wall));
    }

    /// Returns the figures of all requests in a window that ends now, without single endpoints.
    ///
    /// The window begins with a frame. Frames are 1 s long, or 10 s for windows over five minutes, or 1 min for windows
    /// over an hour. [`Summary::window`] is the exact length. Minimum and maximum are exact to within a bucket. The
    /// application's own metrics are those of [`History::business`], whose frames are longer.
    pub fn summary(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let (now, timeline) = self.requests();
        let figures = timeline.total(&now, length, Requested::All);
        drop(timeline);
        let summary = summarised(&now.snapshot, figures);
        Summary { business: self.business(window).metrics, ..self.with_errors(summary) }
    }

    /// Returns the figures of each endpoint in a window that ends now, and their sum; without the application's own
    /// metrics.
    ///
    /// Like [`History::summary`], but with longer frames: 10 s, or 5 min for windows over five minutes, or 2 h for
    /// windows over an hour. The spans of the two therefore differ by up to one such frame.
    pub fn endpoints(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let (now, timeline) = self.endpoints_now();
        let figures = timeline.endpoints(&now, length, Requested::All);
        drop(timeline);
        self.with_errors(summarised(&now, figures))
    }

    /// Returns the application's own metrics in a window that ends now: what was counted and timed in it, and the
    /// current values of gauges and unique counts.
    ///
    /// The window begins with a frame. Frames are 10 s long, or 1 min for windows over five minutes, or 30 min for
    /// windows over an hour. Percentiles are those of all times in the window. A reset begins a new window for these
    /// metrics, too.
    pub fn business(&self, window: Window) -> Business {
        let Some(length) = window.length() else {
            let (series, since, window) = self.registry.metrics_since_reset(&self.registry.metrics_now());
            let totals = summarise_metrics(&totals(&series));
            return Business { metrics: summarise_metrics(&series), totals, since, window };
        };
        let (now, timeline) = self.metrics_now();
        let WindowMetrics { metrics, totals, span } =
            timeline.metrics.window(&now, length, self.registry.layout());
        drop(timeline);
        let window = span.length();
        Business { metrics, totals, since: now.taken.checked_sub(window).unwrap_or(now.taken), window }
    }

    /// Returns the errors of a window in groups, by endpoint, outcome and [message template](crate::message_template).
    ///
    /// This covers errors that were logged, for example by [`Recorder::record_error`](crate::Recorder::record_error).
    /// Each of them is in exactly one group or in [`ErrorGroups::ungrouped`]. There are at most 1,024 groups; a new one
    /// evicts the least recently seen of the least important ones.
    ///
    /// A window begins with a step of the trends: steps are 10 s long, or 1 min for windows over five minutes, or 30
    /// min for windows over an hour; a day is kept. Counts since a reset are exact, regardless of steps.
    pub fn error_groups(&self, window: Window) -> ErrorGroups {
        self.registry.error_groups(window.length())
    }

    /// Returns the slowest requests of a window that ends now: the 50 slowest, or the 10 slowest of an endpoint.
    ///
    /// They come from [`Recorder::list_slow`](crate::Recorder::list_slow), and are exact. A window begins with a frame
    /// of ten seconds. For an endpoint, all of the 10 slowest are known for five minutes; longer windows have those
    /// that are among the 50 slowest of all since then. At most 24 hours are kept, also for the window since a reset.
    pub fn slow_requests(&self, window: Window, endpoint: Option<&EndpointName>) -> SlowRequests {
        self.registry.slow_requests(window.length(), endpoint)
    }

    /// Returns whether an endpoint has a trend: it belongs to the registry, or to a process whose history this one
    /// continues.
    pub fn knows(&self, endpoint: &EndpointName) -> bool {
        self.registry.known_endpoint(&endpoint.method, &endpoint.route).is_some()
            || self.timeline().numbers.find(endpoint).is_some()
    }

    /// Returns what was counted between the last two ticks; `None` before the second tick.
    pub fn newest(&self) -> Option<Point> {
        let timeline = self.timeline();
        Some(point_of(timeline.newest()?, timeline.total_until.snapshot.layout()))
    }

    /// Returns when the registry was reset, by the wall clock, the oldest first. At most the last 100 resets, and only
    /// those before the last tick.
    pub fn resets(&self) -> Vec<SystemTime> {
        self.timeline().resets.iter().copied().collect()
    }

    /// Returns the errors in a row at the last tick, which are those since the last success; 0 if the window has no
    /// error.
    ///
    /// Aborted requests and 4xx of endpoints that [catch all](EndpointName::catches_all) paths neither lengthen a
    /// streak nor end it.
    ///
    /// The order of requests is only known for each [`Recorder`](crate::Recorder), so a streak is exact if one thread
    /// records. With several threads, their errors are added up from one tick to the next as long as none recorded a
    /// success. For the second of the last success, the longest streak of one thread counts; later errors all count.
    pub fn consecutive_errors(&self, window: Window) -> u64 {
        let timeline = self.timeline();
        timeline.consecutive_errors(timeline.length_of(window))
    }

    /// Returns the memory of the history in bytes, without the parts that it shares with the registry.
    pub fn heap_bytes(&self) -> usize {
        self.timeline().heap_bytes()
    }

    /// The state of now by the history's clock, and the timeline, which cannot inherit a clock meanwhile.
    fn requests(&self) -> (Requests, MutexGuard<'_, Timeline>) {
        let mut now = self.registry.requests();
        let timeline = self.timeline();
        now.snapshot.span += timeline.ahead;
        (now, timeline)
    }

    /// Like [`History::requests`], endpoint by endpoint.
    fn endpoints_now(&self) -> (Snapshot, MutexGuard<'_, Timeline>) {
        let mut now = self.registry.snapshot_of_requests();
        let timeline = self.timeline();
        now.span += timeline.ahead;
        (now, timeline)
    }

    /// Like [`History::requests`], of the application's own metrics.
    fn metrics_now(&self) -> (MetricsAt, MutexGuard<'_, Timeline>) {
        let mut now = self.registry.metrics_now();
        let timeline = self.timeline();
        now.span += timeline.ahead;
        (now, timeline)
    }

    /// The application's own metrics of now, by the clock of the timeline.
    fn metrics_of(&self, timeline: &Timeline) -> MetricsAt {
        let mut now = self.registry.metrics_now();
        now.span += timeline.ahead;
        now
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        lock(&self.timeline)
    }

    /// Adds the recent errors of the window.
    fn with_errors(&self, mut summary: Summary) -> Summary {
        summary.recent_errors = self.registry.recent_errors();
        summary.recent_errors.retain(|error| error.time >= summary.since);
        summary
    }
}

/// The timeline of a registry that begins now.
fn beginning(registry: &Registry) -> Timeline {
    let now = registry.requests();
    Timeline::new(now, MetricsTimeline::new(registry.metrics_now()), registry.window_began().0)
}

fn summarised(now: &Snapshot, WindowFigures { total, endpoints, span }: WindowFigures) -> Summary {
    let window = span.length();
    Summary {
        total,
        endpoints,
        business: Vec::new(),
        recent_errors: Vec::new(),
        in_flight: now.in_flight,
        open_streams: now.open_streams,
        since: now.taken.checked_sub(window).unwrap_or(now.since),
        window,
        health: now.health,
    }
}
