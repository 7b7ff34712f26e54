//! What a registry's figures were over time: windows that end now, and trends.
//!
//! Whoever has a thread calls [`History::tick`] about once a second. Each tick keeps what was counted since the last one;
//! as it gets older, it is merged with its neighbours, so that counts over any span stay exact and percentiles come from
//! merged histograms, never from percentiles. A tick that comes late covers a longer time, which shows as a gap and not as
//! a spike: nothing is counted for a moment at which nobody looked.

mod adder;
mod metrics;
mod packed;
#[cfg(all(test, not(metrics_loom)))]
mod tests;
mod tiers;
mod timeline;
mod trend;
mod window;

use std::time::{Duration, SystemTime};

pub use self::trend::{MetricPoint, MetricTrend, Point, StepError, Trend};
pub use self::window::{ParseWindowError, Window};

use self::metrics::MetricsPast;
use self::timeline::{Past, WindowFigures};
use self::trend::{Of, step_of};
use crate::labels::endpoint::EndpointName;
use crate::read::snapshot::Snapshot;
use crate::read::summary::Summary;
use crate::read::summary::metrics::MetricSummary;
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
    past: Mutex<Past>,
}

/// The application's own metrics in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Business {
    /// Their figures, by name.
    pub metrics: Vec<MetricSummary>,
    /// When the window began, by the wall clock. For display.
    pub since: SystemTime,
    /// The length of the window, by the monotonic clock.
    pub window: Duration,
}

impl History {
    /// Of all that the registry counts from now on.
    pub fn new(registry: Registry) -> Self {
        let now = registry.requests();
        let past = Past::new(now, MetricsPast::new(registry.metrics_now()), registry.window_began().0);
        Self { registry, past: Mutex::new(past) }
    }

    /// Keeps what was counted since the last tick. To be called about once a second; takes as long as a
    /// [`Registry::summary`].
    pub fn tick(&self) {
        let (now, began) = (self.registry.requests(), self.registry.window_began());
        let mut past = self.past();
        if past.metrics.is_due(now.snapshot.span) {
            past.metrics.push(self.registry.metrics_now());
        }
        past.tick(now);
        past.note_window(began);
    }

    /// The figures of all requests in a window that ends now, without those of single endpoints.
    ///
    /// The window begins with a frame of the history: at a second, or at ten for over five minutes, or at a minute for over
    /// an hour. [`Summary::window`] says how long it is exactly. Minimum and maximum are right to within a bucket. The
    /// application's own metrics are those of [`History::business`], whose frames are longer.
    pub fn summary(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let now = self.registry.requests();
        let figures = self.past().total(&now, length);
        let summary = summarised(&now.snapshot, figures);
        Summary { business: self.business(window).metrics, ..self.with_errors(summary) }
    }

    /// The figures of each endpoint in a window that ends now, and their sum; without the application's own metrics.
    ///
    /// As [`History::summary`], but with longer frames: ten seconds, or five minutes for over five minutes, or two hours for
    /// over an hour. So the two cover spans that differ by as much.
    pub fn endpoints(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let now = self.registry.snapshot_of_requests();
        let figures = self.past().endpoints(&now, length);
        self.with_errors(summarised(&now, figures))
    }

    /// The application's own metrics in a window that ends now: what was counted and timed in it, and what gauges and
    /// distinct values are now.
    ///
    /// The window begins with a frame: at ten seconds, or at a minute for over five minutes, or at half an hour for over an
    /// hour. Percentiles are those of all times in the window. A reset begins a new window of theirs, too.
    pub fn business(&self, window: Window) -> Business {
        let now = self.registry.metrics_now();
        let Some(length) = window.length() else {
            let (metrics, since, window) = self.registry.metrics_since_reset(&now);
            return Business { metrics, since, window };
        };
        let (metrics, span) = self.past().metrics.window(&now, length, self.registry.layout());
        let window = span.length();
        Business { metrics, since: now.taken.checked_sub(window).unwrap_or(now.taken), window }
    }

    /// What was counted in each step of a window: by all endpoints, or by one of them. Without a step, it is the shortest
    /// that a chart has room for.
    ///
    /// # Errors
    ///
    /// A step that the window does not have; the error lists those that it has.
    pub fn trend(
        &self,
        window: Window,
        step: Option<&str>,
        endpoint: Option<&EndpointName>,
    ) -> Result<Trend, StepError> {
        let (step, steps, layout) = {
            let past = self.past();
            let of = if endpoint.is_some() { Of::Endpoint } else { Of::All };
            let (name, step) = step_of(window, past.length_of(window), step, of)?;
            (name, past.steps(window, step, endpoint), past.total_until.snapshot.layout())
        };
        let points = steps.into_iter().map(|(span, groups)| Point::of(span, &groups, layout));
        Ok(Trend { window, step, points: points.collect() })
    }

    /// What one of the application's own metrics was in each step of a window; `None` if there is no such metric. Without a
    /// step, it is the shortest that a chart has room for.
    ///
    /// # Errors
    ///
    /// As for [`History::trend`].
    pub fn metric_trend(
        &self,
        window: Window,
        step: Option<&str>,
        name: &str,
    ) -> Result<Option<MetricTrend>, StepError> {
        let past = self.past();
        let length = past.length_of(window);
        let (step, every) = step_of(window, length, step, Of::Metric)?;
        if !self.registry.has_metric(name) {
            return Ok(None);
        }
        let since = past.total_until.snapshot.span.saturating_sub(length);
        let steps = past.metrics.steps(since, every, name, self.registry.layout());
        let points = steps.into_iter().map(|(span, figures)| MetricPoint {
            time: span.until,
            span: span.length(),
            figures,
        });
        Ok(Some(MetricTrend { name: name.into(), window, step, points: points.collect() }))
    }

    /// What was counted between the last two ticks; `None` before there were two.
    pub fn newest(&self) -> Option<Point> {
        let past = self.past();
        let (span, groups) = past.newest()?;
        Some(Point::of(span, &groups, past.total_until.snapshot.layout()))
    }

    /// When the registry was reset, the oldest first, by the wall clock; at most the last 100 times, and only those that a
    /// tick has seen.
    pub fn resets(&self) -> Vec<SystemTime> {
        self.past().resets.iter().copied().collect()
    }

    /// Errors up to the last tick and since a tick in which any call was none, and at most those of a window. A lower bound of
    /// the errors in a row: in what order the calls of one tick came is not known.
    pub fn consecutive_errors(&self, window: Window) -> u64 {
        let past = self.past();
        past.consecutive_errors(&past.total_until, past.length_of(window))
    }

    /// The memory that the history takes by itself, in bytes, without what it shares with the registry.
    pub fn heap_bytes(&self) -> usize {
        self.past().heap_bytes()
    }

    /// The figures of all requests in a window that ends with the last tick, without the application's own metrics and recent
    /// errors: for who looks right after each tick, and is not to read everything again.
    pub(crate) fn at_last_tick(&self, window: Window) -> Summary {
        let past = self.past();
        let now = &past.total_until;
        summarised(&now.snapshot, past.total(now, past.length_of(window)))
    }

    /// The figures of each endpoint in a window that ends now, without the application's own metrics and recent errors.
    pub(crate) fn by_endpoint(&self, window: Window) -> Summary {
        let now = self.registry.snapshot_of_requests();
        let past = self.past();
        summarised(&now, past.endpoints(&now, past.length_of(window)))
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        lock(&self.past)
    }

    /// With the recent errors of its time.
    fn with_errors(&self, mut summary: Summary) -> Summary {
        summary.recent_errors = self.registry.recent_errors();
        summary.recent_errors.retain(|error| error.time >= summary.since);
        summary
    }
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
