//! What a registry's figures were over time: windows that end now, and trends.
//!
//! Whoever has a thread calls [`History::tick`] about once a second. Each tick keeps what was counted since the last one;
//! as it gets older, it is merged with its neighbours, so that counts over any span stay exact and percentiles come from
//! merged histograms, never from percentiles. A tick that comes late covers a longer time, which shows as a gap and not as
//! a spike: nothing is counted for a moment at which nobody looked.

mod adder;
mod packed;
mod tiers;
mod window;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::window::{ParseWindowError, Window};

use self::adder::Adder;
use self::packed::Packed;
use self::tiers::{Content, Frame, Tier, Tiers, slot};
use crate::endpoint::EndpointName;
use crate::histogram::{Histogram, Sum};
use crate::layout::Layout;
use crate::registry::Registry;
use crate::snapshot::{GroupSnapshot, Snapshot};
use crate::summary::{EndpointSummary, Figures, Summary};
use crate::sync::{Mutex, MutexGuard, lock};

/// The figures of all requests together: 2,100 frames at most.
const TOTAL: [Tier; 3] = [
    Tier { step: Duration::from_secs(1), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(60), keep: Duration::from_secs(86_400) },
];

/// The figures by endpoint, which take far more memory: 54 frames at most, for each endpoint that was called in their time.
const BY_ENDPOINT: [Tier; 3] = [
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(300), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(7_200), keep: Duration::from_secs(86_400) },
];

/// The resets that are remembered.
const MAX_RESETS: usize = 100;

/// The steps that trends come in, from the shortest. Of a window, those that are as long as its frames.
const STEPS: [(&str, Duration); 6] = [
    ("1s", Duration::from_secs(1)),
    ("10s", Duration::from_secs(10)),
    ("1m", Duration::from_secs(60)),
    ("5m", Duration::from_secs(300)),
    ("1h", Duration::from_secs(3_600)),
    ("2h", Duration::from_secs(7_200)),
];

/// The most points of a trend.
const MAX_POINTS: u64 = 1_500;

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

#[derive(Debug)]
struct Past {
    total: Tiers<Packed>,
    /// The state up to which `total` goes.
    total_until: Snapshot,
    by_endpoint: Tiers<Rows>,
    /// The state up to which `by_endpoint` goes.
    by_endpoint_until: Snapshot,
    /// When the window began that the registry had open at the last tick.
    window_began: SystemTime,
    resets: VecDeque<SystemTime>,
}

/// Figures by endpoint, by its row in the registry's snapshots.
type Rows = BTreeMap<usize, Packed>;

/// What was counted in a window, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The window.
    pub window: Window,
    /// The step, as [`History::steps`] names it.
    pub step: &'static str,
    /// What was counted in each step, the oldest first. The last step is not over yet, and ends with the last tick. Steps in
    /// which nobody looked are missing.
    pub points: Vec<Point>,
}

/// What was counted in one step of a trend.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// When it ended, by the wall clock.
    pub time: SystemTime,
    /// How long it was, by the monotonic clock. Rates are per second of this. Shorter than a step where nobody looked for a
    /// while, and longer where a tick came late.
    pub span: Duration,
    /// The figures of its requests.
    pub figures: Figures,
    /// Their durations.
    pub histogram: Histogram,
}

/// A step that a window does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("step is {step:?}; allowed for {window}: {allowed}")]
pub struct StepError {
    step: String,
    window: Window,
    allowed: String,
}

impl History {
    /// Of all that the registry counts from now on.
    pub fn new(registry: Registry) -> Self {
        let now = registry.snapshot_of_requests();
        let past = Past {
            total: Tiers::new(&TOTAL),
            total_until: now.clone(),
            by_endpoint: Tiers::new(&BY_ENDPOINT),
            by_endpoint_until: now,
            window_began: registry.window_began(),
            resets: VecDeque::new(),
        };
        Self { registry, past: Mutex::new(past) }
    }

    /// Keeps what was counted since the last tick. To be called about once a second; takes as long as a
    /// [`Registry::summary`].
    pub fn tick(&self) {
        let (now, began) = (self.registry.snapshot_of_requests(), self.registry.window_began());
        let mut past = self.past();
        past.tick(now);
        if began != past.window_began {
            past.window_began = began;
            past.resets.push_back(began);
            if past.resets.len() > MAX_RESETS {
                past.resets.pop_front();
            }
        }
    }

    /// The figures of all requests in a window that ends now, without those of single endpoints. The application's own
    /// metrics are since the last reset, whatever the window.
    ///
    /// The window begins with a frame of the history: at a second, or at ten for over five minutes, or at a minute for over
    /// an hour. [`Summary::window`] says how long it is exactly. Minimum and maximum are right to within a bucket.
    pub fn summary(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let now = self.registry.snapshot_of_requests();
        let window = self.past().total(&now, length);
        self.summarised(&now, window)
    }

    /// The figures of each endpoint in a window that ends now, and their sum.
    ///
    /// As [`History::summary`], but with longer frames: ten seconds, or five minutes for over five minutes, or two hours for
    /// over an hour. So the two cover spans that differ by as much.
    pub fn endpoints(&self, window: Window) -> Summary {
        let Some(length) = window.length() else { return self.registry.summary() };
        let now = self.registry.snapshot_of_requests();
        let window = self.past().endpoints(&now, length);
        self.summarised(&now, window)
    }

    /// What was counted in each step of a window: by all endpoints, or by one of them. Without a step, it is the shortest
    /// that a chart has room for.
    ///
    /// # Errors
    ///
    /// A step that is not one of [`History::steps`].
    pub fn trend(
        &self,
        window: Window,
        step: Option<&str>,
        endpoint: Option<&EndpointName>,
    ) -> Result<Trend, StepError> {
        let (step, steps, layout) = {
            let past = self.past();
            let (name, step) = step_of(window, past.length_of(window), step, endpoint.is_some())?;
            (name, past.steps(window, step, endpoint), past.total_until.layout())
        };
        let mut scratch = Sum::new(layout);
        let points = steps.into_iter().map(|(span, groups)| {
            groups.iter().for_each(|group| scratch.add(&group.histogram));
            let histogram = scratch.take();
            Point {
                time: span.until,
                span: span.end.saturating_sub(span.start),
                figures: Figures::of(groups.iter(), &mut scratch),
                histogram,
            }
        });
        Ok(Trend { window, step, points: points.collect() })
    }

    /// The steps that a window's trend can come in, the shortest first: of all endpoints, or of one of them.
    pub fn steps(&self, window: Window, of_one_endpoint: bool) -> Vec<&'static str> {
        let past = self.past();
        steps_of(past.length_of(window), of_one_endpoint)
    }

    /// When the registry was reset, the oldest first, by the wall clock; at most the last 100 times, and only those that a
    /// tick has seen.
    pub fn resets(&self) -> Vec<SystemTime> {
        self.past().resets.iter().copied().collect()
    }

    /// Errors since the last tick in which any call was none, and at most those of a window. A lower bound of the errors in
    /// a row: in what order the calls of one tick came is not known.
    pub fn consecutive_errors(&self, window: Window) -> u64 {
        let now = self.registry.snapshot_of_requests();
        let past = self.past();
        past.consecutive_errors(&now, past.length_of(window))
    }

    /// The memory that the history takes by itself, in bytes, without what it shares with the registry.
    pub fn heap_bytes(&self) -> usize {
        let past = self.past();
        past.total.heap_bytes() + past.by_endpoint.heap_bytes()
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        lock(&self.past)
    }

    fn summarised(&self, now: &Snapshot, WindowFigures { total, endpoints, span }: WindowFigures) -> Summary {
        let window = span.end.saturating_sub(span.start);
        let since = now.taken.checked_sub(window).unwrap_or(now.since);
        let mut recent_errors = self.registry.recent_errors();
        recent_errors.retain(|error| error.time >= since);
        Summary {
            total,
            endpoints,
            business: self.registry.metrics_since_reset(now),
            recent_errors,
            in_flight: now.in_flight,
            open_streams: now.open_streams,
            since,
            window,
            health: now.health,
        }
    }
}

/// What was counted in a window.
struct WindowFigures {
    total: Figures,
    endpoints: Vec<EndpointSummary>,
    span: Span,
}

impl Past {
    fn tick(&mut self, now: Snapshot) {
        // Another thread's tick was faster.
        if now.span <= self.total_until.span {
            return;
        }
        let groups = total_since(&now, &self.total_until);
        self.total.push(Frame {
            start: self.total_until.span,
            end: now.span,
            taken: now.taken,
            content: Packed::new(&groups),
        });
        let [Tier { step, .. }, ..] = BY_ENDPOINT;
        if slot(now.span, step) > slot(self.by_endpoint_until.span, step) {
            let rows = now.endpoints_since(&self.by_endpoint_until);
            let called = rows.filter(|(_, endpoint)| !endpoint.groups.is_empty());
            let content = called.map(|(row, endpoint)| (row, Packed::new(&endpoint.groups))).collect();
            let start = self.by_endpoint_until.span;
            self.by_endpoint.push(Frame { start, end: now.span, taken: now.taken, content });
            self.by_endpoint_until = now.clone();
        }
        self.total_until = now;
    }

    /// The figures of all endpoints together, from the first frame of the window up to `now`.
    fn total(&self, now: &Snapshot, length: Duration) -> WindowFigures {
        let mut span = Span::of(&self.total_until, now);
        let mut sum = Adder::new(now.layout());
        for frame in self.total.since(now.span.saturating_sub(length)) {
            span.widen(frame);
            sum.add(&frame.content.unpack());
        }
        sum.add(&total_since(now, &self.total_until));
        let total = Figures::of(sum.take().iter(), &mut Sum::new(now.layout()));
        WindowFigures { total, endpoints: Vec::new(), span }
    }

    /// Errors since the last frame in which any call was none.
    fn consecutive_errors(&self, now: &Snapshot, length: Duration) -> u64 {
        let frames: Vec<_> = self.total.since(now.span.saturating_sub(length)).collect();
        let ticks = frames.into_iter().rev().map(|frame| frame.content.unpack());
        let mut errors = 0_u64;
        for groups in std::iter::once(total_since(now, &self.total_until)).chain(ticks) {
            let counts = groups.iter().flat_map(|group| &group.counts);
            if counts.clone().any(|(outcome, _)| !outcome.is_error()) {
                break;
            }
            errors = counts.fold(errors, |errors, (_, count)| errors.saturating_add(*count));
        }
        errors
    }

    /// The figures of each endpoint, from the first frame of the window up to `now`.
    fn endpoints(&self, now: &Snapshot, length: Duration) -> WindowFigures {
        let mut span = Span::of(&self.by_endpoint_until, now);
        let mut frames: BTreeMap<usize, Vec<&Packed>> = BTreeMap::new();
        for frame in self.by_endpoint.since(now.span.saturating_sub(length)) {
            span.widen(frame);
            frame.content.iter().for_each(|(&row, packed)| frames.entry(row).or_default().push(packed));
        }
        let mut live: BTreeMap<_, _> = now.endpoints_since(&self.by_endpoint_until).collect();
        for &row in live.keys() {
            frames.entry(row).or_default();
        }
        let (mut sum, mut total) = (Adder::new(now.layout()), Adder::new(now.layout()));
        let mut scratch = Sum::new(now.layout());
        let mut endpoints = Vec::new();
        for (row, packed) in frames {
            packed.into_iter().for_each(|packed| sum.add(&packed.unpack()));
            if let Some(endpoint) = live.remove(&row) {
                sum.add(&endpoint.groups);
            }
            let groups = sum.take();
            total.add(&groups);
            let Some(endpoint) = now.endpoints.get(row) else { continue };
            let figures = Figures::of(groups.iter(), &mut scratch);
            let name = Arc::clone(&endpoint.name);
            endpoints.push(EndpointSummary { name, figures, in_flight: endpoint.in_flight });
        }
        let total = Figures::of(total.take().iter(), &mut scratch);
        EndpointSummary::sort(&mut endpoints);
        WindowFigures { total, endpoints, span }
    }

    /// What was counted in each step of a window.
    fn steps(
        &self,
        window: Window,
        step: Duration,
        endpoint: Option<&EndpointName>,
    ) -> Vec<(Span, Vec<GroupSnapshot>)> {
        let since = self.total_until.span.saturating_sub(self.length_of(window));
        let layout = self.total_until.layout();
        let Some(name) = endpoint else {
            let frames = self.total.since(since).map(|frame| (frame, &frame.content));
            return grouped(frames, step, layout);
        };
        let row = self.by_endpoint_until.endpoints.iter().position(|known| *known.name == *name);
        let frames = self.by_endpoint.since(since);
        grouped(frames.filter_map(|frame| Some((frame, frame.content.get(&row?)?))), step, layout)
    }

    fn length_of(&self, window: Window) -> Duration {
        window.length().unwrap_or_else(|| {
            let open = self.total_until.taken.duration_since(self.window_began).unwrap_or_default();
            open.min(self.total_until.span)
        })
    }
}

/// A span of time by the registry's monotonic clock, and when it ended by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    start: Duration,
    end: Duration,
    until: SystemTime,
}

impl Span {
    fn of(from: &Snapshot, to: &Snapshot) -> Self {
        Self { start: from.span, end: to.span.max(from.span), until: to.taken }
    }

    fn widen<T>(&mut self, frame: &Frame<T>) {
        self.start = self.start.min(frame.start);
        self.end = self.end.max(frame.end);
        self.until = self.until.max(frame.taken);
    }
}

/// What all endpoints together counted since an earlier state.
fn total_since(now: &Snapshot, earlier: &Snapshot) -> Vec<GroupSnapshot> {
    let mut sum = Adder::new(now.layout());
    now.endpoints_since(earlier).for_each(|(_, endpoint)| sum.add(&endpoint.groups));
    sum.take()
}

/// Frames that end in the same step, added up.
fn grouped<'a, T: 'a>(
    frames: impl Iterator<Item = (&'a Frame<T>, &'a Packed)>,
    step: Duration,
    layout: Layout,
) -> Vec<(Span, Vec<GroupSnapshot>)> {
    let mut steps = Vec::new();
    let mut sum = Adder::new(layout);
    let mut open: Option<Span> = None;
    for (frame, packed) in frames {
        match &mut open {
            Some(span) if slot(span.end, step) == slot(frame.end, step) => span.widen(frame),
            _ => {
                let span = Span { start: frame.start, end: frame.end, until: frame.taken };
                steps.extend(open.replace(span).map(|span| (span, sum.take())));
            }
        }
        sum.add(&packed.unpack());
    }
    steps.extend(open.map(|span| (span, sum.take())));
    steps
}

fn steps_of(length: Duration, of_one_endpoint: bool) -> Vec<&'static str> {
    allowed_steps(length, of_one_endpoint).map(|(name, _)| name).collect()
}

/// Those that are not shorter than the frames that reach as far back, not longer than the window, and not too many.
fn allowed_steps(length: Duration, of_one_endpoint: bool) -> impl Iterator<Item = (&'static str, Duration)> {
    let tiers = if of_one_endpoint { &BY_ENDPOINT } else { &TOTAL };
    let reaching = tiers.iter().find(|tier| tier.keep >= length).or(tiers.last());
    let finest = reaching.map_or(Duration::ZERO, |tier| tier.step);
    let points = move |step: Duration| length.as_secs() / step.as_secs();
    STEPS.into_iter().filter(move |&(_, step)| {
        step == finest || (step > finest && step <= length && points(step) <= MAX_POINTS)
    })
}

fn step_of(
    window: Window,
    length: Duration,
    step: Option<&str>,
    of_one_endpoint: bool,
) -> Result<(&'static str, Duration), StepError> {
    let mut allowed = allowed_steps(length, of_one_endpoint);
    let found = match step {
        Some(step) => allowed.find(|(name, _)| *name == step),
        // Enough for a chart as wide as a screen.
        None => allowed.find(|(_, step)| length.as_secs() / step.as_secs() <= 400),
    };
    found.ok_or_else(|| StepError {
        step: step.unwrap_or_default().chars().take(32).collect(),
        window,
        allowed: steps_of(length, of_one_endpoint).join(", "),
    })
}

impl Content for Packed {
    fn absorb(&mut self, later: Self) {
        self.add(&later.unpack());
    }

    fn heap_bytes(&self) -> usize {
        Self::heap_bytes(self)
    }
}

impl Content for Rows {
    fn absorb(&mut self, later: Self) {
        for (row, packed) in later {
            match self.get_mut(&row) {
                Some(ours) => ours.add(&packed.unpack()),
                None => {
                    self.insert(row, packed);
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        // A node of the tree holds its keys and values; about half as many again stand empty.
        let entry = size_of::<usize>() + size_of::<Packed>();
        self.values().map(|packed| entry * 3 / 2 + packed.heap_bytes()).sum()
    }
}

#[cfg(all(test, not(metrics_loom)))]
mod tests {
    use super::*;

    /// A registry, and its history by a clock that goes on as the test says.
    struct Clockwork {
        registry: Registry,
        past: Past,
        at: Duration,
    }

    impl Clockwork {
        fn new() -> Self {
            let registry = Registry::new();
            let History { past, .. } = History::new(registry.clone());
            let mut past = past.into_inner().unwrap();
            past.total_until.span = Duration::ZERO;
            past.by_endpoint_until.span = Duration::ZERO;
            Self { registry, past, at: Duration::ZERO }
        }

        fn now(&self) -> Snapshot {
            let now = self.registry.snapshot_of_requests();
            Snapshot { span: self.at, taken: now.since + self.at, ..now }
        }

        fn tick_after(&mut self, pause: Duration) {
            self.at += pause;
            let now = self.now();
            self.past.tick(now);
        }

        fn record(&self, route: &str, status: u16, nanos: u64) {
            self.registry.record_nanos(self.registry.endpoint("GET", route), status, nanos);
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    /// One of 700 values that spread over six octaves.
    fn nanos(i: u64) -> u64 {
        let spread = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        1_000 + spread * spread
    }

    #[test]
    fn a_window_has_each_request_of_its_time_once_and_the_percentiles_of_all_of_them() {
        let mut clock = Clockwork::new();
        for i in 0..7_300_u64 {
            clock.record(if i % 3 == 0 { "/a" } else { "/b" }, if i % 10 == 0 { 500 } else { 200 }, nanos(i));
            clock.tick_after(SECOND);
        }
        for window in [Window::OneMinute, Window::FiveMinutes, Window::OneHour, Window::OneDay] {
            let length = window.length().unwrap();
            let of = |WindowFigures { total, endpoints, span }: WindowFigures| {
                let seconds = span.end - span.start;
                // One request each second, so the span says which ones these are.
                let first = 7_300 - seconds.as_secs();
                let mut hdr =
                    hdrhistogram::Histogram::<u64>::new_with_bounds(1, crate::MAX_NANOS, 2).unwrap();
                (first..7_300).for_each(|i| hdr.record(nanos(i)).unwrap());
                assert_eq!(total.calls, seconds.as_secs(), "{window}");
                assert_eq!(total.server_errors, (first..7_300).filter(|i| i % 10 == 0).count() as u64);
                let sum: u64 = (first..7_300).map(nanos).sum();
                assert_eq!(total.sum, Duration::from_nanos(sum));
                for (quantile, ours) in [(0.5, total.p50), (0.95, total.p95), (0.99, total.p99)] {
                    assert_eq!(
                        ours.as_nanos() as u64,
                        hdr.value_at_quantile(quantile),
                        "{window} {quantile}"
                    );
                }
                let parts: u64 = endpoints.iter().map(|endpoint| endpoint.figures.calls).sum();
                assert!(endpoints.is_empty() || parts == total.calls);
                seconds
            };
            let now = clock.now();
            let within = |span: Duration, frame: Duration| {
                assert!(span.abs_diff(length.min(clock.at)) <= frame, "{window}: {span:?}");
            };
            within(of(clock.past.total(&now, length)), Duration::from_secs(60));
            within(of(clock.past.endpoints(&now, length)), Duration::from_secs(7_200));
        }
    }

    #[test]
    fn a_trend_adds_up_to_its_window() {
        let mut clock = Clockwork::new();
        for i in 0..3_900_u64 {
            clock.record("/a", 200, nanos(i));
            clock.tick_after(SECOND);
        }
        let a = EndpointName { method: "GET".into(), route: "/a".into() };
        for (window, step, points) in [
            (Window::OneMinute, "1s", 60..=61),
            (Window::FiveMinutes, "10s", 30..=31),
            (Window::OneHour, "1m", 60..=62),
            (Window::OneDay, "1m", 65..=66),
        ] {
            let steps = clock.past.steps(
                window,
                step_of(window, window.length().unwrap(), Some(step), false).unwrap().1,
                None,
            );
            let calls: u64 = steps.iter().flat_map(|(_, groups)| groups).map(GroupSnapshot::calls).sum();
            let seconds: u64 = steps.iter().map(|(span, _)| (span.end - span.start).as_secs()).sum();
            assert_eq!(calls, seconds, "{window}");
            assert!(points.contains(&steps.len()), "{window}: {}", steps.len());
        }
        let ten = SECOND * 10;
        let of_a = clock.past.steps(Window::FiveMinutes, ten, Some(&a));
        assert!((29..=31).contains(&of_a.len()), "{}", of_a.len());
        let unknown = EndpointName { method: "GET".into(), route: "/b".into() };
        assert!(clock.past.steps(Window::FiveMinutes, ten, Some(&unknown)).is_empty());
        let error = step_of(Window::OneHour, SECOND * 3_600, Some("1s"), false).unwrap_err();
        assert_eq!(error.to_string(), "step is \"1s\"; allowed for 1h: 10s, 1m, 5m, 1h");
    }

    #[test]
    fn a_late_tick_is_a_gap_and_no_spike() {
        let mut clock = Clockwork::new();
        (0..5).for_each(|_| clock.tick_after(SECOND));
        (0..100).for_each(|i| clock.record("/a", 200, nanos(i)));
        clock.tick_after(Duration::from_secs(50));
        clock.tick_after(SECOND);
        let steps = clock.past.steps(Window::OneMinute, SECOND, None);
        let seconds: Vec<_> = steps.iter().map(|(span, _)| (span.end - span.start).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 1, 1, 1, 50, 1]);
        assert_eq!(steps[5].1.iter().map(GroupSnapshot::calls).sum::<u64>(), 100);
    }

    #[test]
    fn a_reset_is_marked_and_wipes_no_trend() {
        let registry = Registry::new();
        let history = History::new(registry.clone());
        registry.record_nanos(registry.endpoint("GET", "/a"), 200, 1_000);
        history.tick();
        let closed = registry.reset();
        history.tick();
        assert_eq!(closed.total.calls, 1);
        assert_eq!(history.summary(Window::SinceReset).total.calls, 0);
        assert_eq!(history.summary(Window::OneMinute).total.calls, 1);
        assert_eq!(history.endpoints(Window::OneMinute).endpoints.len(), 1);
        assert_eq!(history.resets().len(), 1);
    }

    #[test]
    fn what_was_counted_since_the_last_tick_is_in_every_window() {
        let mut clock = Clockwork::new();
        clock.tick_after(SECOND);
        clock.record("/a", 404, 1_000);
        clock.at += SECOND / 2;
        let total = clock.past.total(&clock.now(), SECOND * 60);
        assert_eq!((total.total.calls, total.span.end - total.span.start), (1, SECOND * 3 / 2));
    }

    #[test]
    fn errors_in_a_row_are_those_of_the_last_ticks_in_which_all_calls_were() {
        let mut clock = Clockwork::new();
        let in_a_row =
            |clock: &Clockwork, seconds| clock.past.consecutive_errors(&clock.now(), SECOND * seconds);
        assert_eq!(in_a_row(&clock, 60), 0);
        clock.record("/a", 500, 1);
        clock.record("/a", 200, 1);
        clock.record("/a", 500, 1);
        clock.tick_after(SECOND);
        assert_eq!(in_a_row(&clock, 60), 0);
        for status in [404, 500] {
            clock.record("/a", status, 1);
            clock.record("/b", status, 1);
            clock.tick_after(SECOND);
            clock.tick_after(SECOND);
        }
        clock.record("/b", 503, 1);
        clock.at += SECOND / 2;
        assert_eq!((in_a_row(&clock, 60), in_a_row(&clock, 2)), (5, 3));
        clock.record("/b", 200, 1);
        assert_eq!(in_a_row(&clock, 60), 0);
    }

    /// 200 endpoints that are all busy for a day, their latencies spread as real ones are.
    #[test]
    #[ignore = "needs minutes without optimisation"]
    fn a_day_of_200_busy_endpoints_stays_within_its_memory() {
        let mut clock = Clockwork::new();
        let endpoints: Vec<_> = (0..200).map(|i| clock.registry.endpoint("GET", &format!("/{i}"))).collect();
        let recorder = clock.registry.recorder();
        let mut random = 1_u64;
        // A minute a tick: the last five minutes are thinner than they would be, so they are added below.
        for second in 0..(86_400 / 60 + 300_u64) {
            let per_endpoint = if second < 1_440 { 60 } else { 1 };
            for (rank, &endpoint) in endpoints.iter().enumerate() {
                // The busiest is called 20 times as often as the median one.
                let calls = per_endpoint * 20 / (1 + rank as u64 / 5);
                for _ in 0..calls {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let normal =
                        (0..4).map(|i| (random >> (16 * i) & 0xffff) as f64 / 65_536.0).sum::<f64>() - 2.0;
                    recorder.record_nanos(endpoint, 200, (350_000.0 * (1.4 * normal).exp()) as u64);
                }
            }
            clock.tick_after(if second < 1_440 { SECOND * 60 } else { SECOND });
        }
        let bytes = clock.past.total.heap_bytes() + clock.past.by_endpoint.heap_bytes();
        println!("history: {} KiB", bytes / 1_024);
        assert!(bytes <= 8 << 20, "{bytes}");
    }
}
