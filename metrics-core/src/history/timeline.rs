//! What a registry counted, frame by frame. Windows and trends are sums of frames.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::adder::Adder;
use super::metrics::MetricsTimeline;
use super::packed::Packed;
use super::tiers::{Content, Frame, Span, Tier, Tiers, slot};
use super::window::Window;
use crate::core::Requests;
use crate::histogram::Layout;
use crate::labels::endpoint::EndpointName;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::endpoint::EndpointSnapshot;
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::summary::EndpointSummary;
use crate::read::summary::figures::Figures;

/// The tiers of the figures of all requests together: at most 2,100 frames.
pub(super) const TOTAL: [Tier; 3] = [
    Tier { step: Duration::from_secs(1), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(60), keep: Duration::from_secs(86_400) },
];

/// The tiers of the figures by endpoint, which take far more memory: at most 54 frames, each with the endpoints that
/// were called in its time.
pub(super) const BY_ENDPOINT: [Tier; 3] = [
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(300), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(7_200), keep: Duration::from_secs(86_400) },
];

/// The resets that are kept.
const MAX_RESETS: usize = 100;

/// A registry's last 24 hours.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) total: Tiers<Packed>,
    /// The state at the end of the last frame of `total`.
    pub(super) total_until: Requests,
    pub(super) by_endpoint: Tiers<Rows>,
    /// The state at the end of the last frame of `by_endpoint`.
    pub(super) by_endpoint_until: Snapshot,
    pub(super) metrics: MetricsTimeline,
    /// When the window began that was open at the last tick, as the time since the registry was built.
    window_began: Duration,
    pub(super) resets: VecDeque<SystemTime>,
}

/// Figures by the endpoint's row in the registry's snapshots.
type Rows = BTreeMap<usize, Packed>;

/// What was counted in a window.
pub(super) struct WindowFigures {
    pub(super) total: Figures,
    pub(super) endpoints: Vec<EndpointSummary>,
    pub(super) span: Span,
}

impl Timeline {
    /// Starts at `now`. The registry's window began at `window_began`, as the time since the registry was built.
    pub(super) fn new(now: Requests, metrics: MetricsTimeline, window_began: Duration) -> Self {
        Self {
            total: Tiers::new(&TOTAL),
            by_endpoint_until: now.snapshot.clone(),
            total_until: now.without_endpoints(),
            by_endpoint: Tiers::new(&BY_ENDPOINT),
            metrics,
            window_began,
            resets: VecDeque::new(),
        }
    }

    /// Keeps what was counted since the last tick.
    pub(super) fn tick(&mut self, requests: Requests) {
        let now = &requests.snapshot;
        let start = self.total_until.snapshot.span;
        // Another thread has ticked since this reading.
        if now.span <= start {
            return;
        }
        let mut sum = Adder::new(now.layout());
        sum.add_since(&requests.totals, &self.total_until.totals);
        let content = Packed::new(&sum.take());
        self.total.push(Frame { start, end: now.span, taken: now.taken, content });
        let [Tier { step, .. }, ..] = BY_ENDPOINT;
        if slot(now.span, step) > slot(self.by_endpoint_until.span, step) {
            let mut content = Rows::new();
            for (row, endpoint, earlier) in changed(now, &self.by_endpoint_until) {
                sum.add_since(&endpoint.groups, earlier);
                let groups = sum.take();
                if !groups.is_empty() {
                    content.insert(row, Packed::new(&groups));
                }
            }
            let start = self.by_endpoint_until.span;
            self.by_endpoint.push(Frame { start, end: now.span, taken: now.taken, content });
            self.by_endpoint_until = now.clone();
        }
        self.total_until = requests.without_endpoints();
    }

    /// Adds a reset to the list if the registry's window began after the last tick's.
    pub(super) fn note_window(&mut self, (began, by_wall): (Duration, SystemTime)) {
        if began > self.window_began {
            self.window_began = began;
            self.resets.push_back(by_wall);
            if self.resets.len() > MAX_RESETS {
                self.resets.pop_front();
            }
        }
    }

    /// The figures of all endpoints together, from the first frame of the window up to `now`.
    pub(super) fn total(&self, now: &Requests, length: Duration) -> WindowFigures {
        let mut span = span_between(&self.total_until.snapshot, &now.snapshot);
        let mut sum = Adder::new(now.snapshot.layout());
        for frame in self.total.since(now.snapshot.span.saturating_sub(length)) {
            span.widen(frame);
            sum.add_packed(&frame.content);
        }
        sum.add_since(&now.totals, &self.total_until.totals);
        let total = Figures::of(sum.take().iter());
        WindowFigures { total, endpoints: Vec::new(), span }
    }

    /// Errors since the last frame with a call that was not an error.
    pub(super) fn consecutive_errors(&self, now: &Requests, length: Duration) -> u64 {
        let frames: Vec<_> = self.total.since(now.snapshot.span.saturating_sub(length)).collect();
        let ticks = frames.into_iter().rev().map(|frame| frame.content.groups().map(|(group, _)| group));
        let mut live = Adder::new(now.snapshot.layout());
        live.add_since(&now.totals, &self.total_until.totals);
        let mut errors = 0_u64;
        for groups in std::iter::once(live.take()).chain(ticks.map(Vec::from_iter)) {
            let counts = groups.iter().flat_map(|group| &group.counts);
            if counts.clone().any(|(outcome, _)| !outcome.is_error()) {
                break;
            }
            errors = counts.fold(errors, |errors, (_, count)| errors.saturating_add(*count));
        }
        errors
    }

    /// The figures of each endpoint, from the first frame of the window up to `now`.
    pub(super) fn endpoints(&self, now: &Snapshot, length: Duration) -> WindowFigures {
        let mut span = span_between(&self.by_endpoint_until, now);
        let mut frames: BTreeMap<usize, Vec<&Packed>> = BTreeMap::new();
        for frame in self.by_endpoint.since(now.span.saturating_sub(length)) {
            span.widen(frame);
            frame.content.iter().for_each(|(&row, packed)| frames.entry(row).or_default().push(packed));
        }
        let mut live = BTreeMap::new();
        for (row, endpoint, earlier) in changed(now, &self.by_endpoint_until) {
            live.insert(row, (endpoint, earlier));
            frames.entry(row).or_default();
        }
        let (mut sum, mut total) = (Adder::new(now.layout()), Adder::new(now.layout()));
        let mut endpoints = Vec::new();
        for (row, packed) in frames {
            packed.into_iter().for_each(|packed| sum.add_packed(packed));
            if let Some((endpoint, earlier)) = live.remove(&row) {
                sum.add_since(&endpoint.groups, earlier);
            }
            let groups = sum.take();
            total.add(&groups);
            let Some(endpoint) = now.endpoints.get(row) else { continue };
            if groups.is_empty() && endpoint.in_flight == 0 {
                continue;
            }
            let figures = Figures::of(groups.iter());
            let name = Arc::clone(&endpoint.name);
            endpoints.push(EndpointSummary { name, figures, in_flight: endpoint.in_flight });
        }
        let total = Figures::of(total.take().iter());
        EndpointSummary::sort(&mut endpoints);
        WindowFigures { total, endpoints, span }
    }

    /// The figures of each step of a window.
    pub(super) fn steps(
        &self,
        window: Window,
        step: Duration,
        endpoint: Option<&EndpointName>,
    ) -> Vec<(Span, Vec<GroupSnapshot>)> {
        let since = self.total_until.snapshot.span.saturating_sub(self.length_of(window));
        let layout = self.total_until.snapshot.layout();
        let Some(name) = endpoint else {
            let frames = self.total.since(since).map(|frame| (frame, &frame.content));
            return grouped(frames, step, layout);
        };
        let row = self.by_endpoint_until.endpoints.iter().position(|known| *known.name == *name);
        let frames = self.by_endpoint.since(since);
        grouped(frames.filter_map(|frame| Some((frame, frame.content.get(&row?)?))), step, layout)
    }

    /// The last frame.
    pub(super) fn newest(&self) -> Option<(Span, Vec<GroupSnapshot>)> {
        let frame = self.total.newest()?;
        let mut sum = Adder::new(self.total_until.snapshot.layout());
        sum.add_packed(&frame.content);
        Some((Span::of_frame(frame), sum.take()))
    }

    /// The length of a window. That of [`Window::SinceReset`] runs up to the last tick.
    pub(super) fn length_of(&self, window: Window) -> Duration {
        window.length().unwrap_or_else(|| self.total_until.snapshot.span.saturating_sub(self.window_began))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.total.heap_bytes() + self.by_endpoint.heap_bytes() + self.metrics.heap_bytes()
    }
}

/// From the end of the last frame, `from`, to `now`.
fn span_between(from: &Snapshot, now: &Snapshot) -> Span {
    Span { start: from.span, end: now.span.max(from.span), until: now.taken }
}

/// The endpoints that may have counted something since an earlier state of the same registry, or that have requests in
/// flight: row, state, and the groups of the earlier state.
fn changed<'a>(
    now: &'a Snapshot,
    earlier: &'a Snapshot,
) -> impl Iterator<Item = (usize, &'a EndpointSnapshot, &'a [GroupSnapshot])> {
    now.endpoints.iter().enumerate().filter_map(|(row, now)| {
        let earlier = earlier.endpoints.get(row);
        let same = earlier.is_some_and(|earlier| Arc::ptr_eq(now, earlier)) || now.groups.is_empty();
        (!same || now.in_flight > 0)
            .then(|| (row, &**now, earlier.map_or(&[][..], |earlier| &earlier.groups)))
    })
}

/// The sum of the frames that end in each step.
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
            _ => steps.extend(open.replace(Span::of_frame(frame)).map(|span| (span, sum.take()))),
        }
        sum.add_packed(packed);
    }
    steps.extend(open.map(|span| (span, sum.take())));
    steps
}

impl Content for Rows {
    fn absorb(&mut self, later: Self) {
        for (row, packed) in later {
            match self.get_mut(&row) {
                Some(ours) => ours.add(&packed),
                None => {
                    self.insert(row, packed);
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        // The nodes of the tree have room for about half as many entries again.
        let entry = size_of::<usize>() + size_of::<Packed>();
        self.values().map(|packed| entry * 3 / 2 + packed.heap_bytes()).sum()
    }
}
