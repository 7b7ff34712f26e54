//! What a registry counted, frame by frame. Windows and trends are sums of frames.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::adder::Adder;
use super::consumers::ConsumersTimeline;
use super::endpoint_numbers::EndpointNumbers;
use super::metrics::MetricsTimeline;
use super::packed::Packed;
use super::tiers::{Content, Frame, Span, Tier, Tiers, slot};
use super::window::Window;
use crate::core::Requests;
use crate::labels::outcome::Outcome;
use crate::read::snapshot::Snapshot;
use crate::read::snapshot::endpoint::EndpointSnapshot;
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::summary::EndpointSummary;
use crate::read::summary::figures::Figures;

/// The tiers of the figures of all requests together: at most 2,200 frames. Windows go back a day. An hour can be
/// compared with the same one a day ago, minute by minute, and a day with the one before.
pub(super) const TOTAL: [Tier; 4] = [
    Tier { step: Duration::from_secs(1), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(60), keep: Duration::from_secs(90_060) },
    Tier { step: Duration::from_secs(1_800), keep: Duration::from_secs(172_800) },
];

/// The tiers of the figures by endpoint, which take far more memory: at most 55 frames, each with the endpoints that
/// were called in its time. An hour a day ago is in the last ones.
pub(super) const BY_ENDPOINT: [Tier; 3] = [
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(300), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(7_200), keep: Duration::from_secs(93_600) },
];

/// The resets, and the gaps, that are kept.
pub(super) const MAX_MARKS: usize = 100;

/// A registry's last 24 hours.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) total: Tiers<Counted>,
    /// The state at the end of the last frame of `total`.
    pub(super) total_until: Requests,
    pub(super) by_endpoint: Tiers<ByEndpoint>,
    /// The numbers that stand for endpoints in `by_endpoint`.
    pub(super) numbers: EndpointNumbers,
    /// The state at the end of the last frame of `by_endpoint`.
    pub(super) by_endpoint_until: Snapshot,
    pub(super) metrics: MetricsTimeline,
    /// By the registry's clock, which inheriting does not change.
    pub(super) consumers: ConsumersTimeline,
    /// The errors in a row at the last tick, of all threads together: those since the last tick with a success, and the
    /// longest streak of one thread that was under way at the end of that one.
    streak: u64,
    /// When the window began that was open at the last tick, as the time since the registry was built.
    pub(super) window_began: Duration,
    pub(super) resets: VecDeque<SystemTime>,
    /// When no process counted: from the end of one to the start of the next.
    pub(super) gaps: VecDeque<Gap>,
    /// What the history's clock is ahead of the registry's: how long earlier processes, whose history this one
    /// continues, had one, and the time between them.
    pub(super) ahead: Duration,
}

/// A time in which the service's process did not run, or in which it counted what it had not saved when it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the history was saved for the last time before, by the wall clock.
    pub from: SystemTime,
    /// When the next process began its history, by the wall clock.
    pub until: SystemTime,
}

/// What was counted of all endpoints together between two ticks.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    /// All requests but probes, as in [`Totals`](crate::read::reader::Totals).
    pub(super) matched: Packed,
    pub(super) probes: Packed,
    /// The longest streak of errors that grew in this time.
    pub(super) streak: u64,
}

/// Which requests a window has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Requested {
    All,
    /// All but 4xx of endpoints that catch all paths.
    Matched,
}

/// Figures by the endpoint's number.
pub(super) type ByEndpoint = BTreeMap<u32, Packed>;

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
            numbers: EndpointNumbers::default(),
            metrics,
            consumers: ConsumersTimeline::default(),
            streak: 0,
            window_began,
            resets: VecDeque::new(),
            gaps: VecDeque::new(),
            ahead: Duration::ZERO,
        }
    }

    /// Takes the marks of a timeline over that began when this one did, without a past.
    pub(super) fn take_marks(&mut self, other: &Self) {
        self.window_began = self.window_began.max(other.window_began + self.ahead);
        other.resets.iter().for_each(|&reset| push_bounded(&mut self.resets, reset));
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
        let Requests { totals: earlier, streaks, .. } = &self.total_until;
        sum.add_since(&requests.totals.matched, &earlier.matched);
        let matched = sum.take();
        sum.add_since(&requests.totals.probes, &earlier.probes);
        let longest = requests.streaks.longest_since(streaks);
        let current = requests.streaks.longest_current_since(streaks);
        let probes = sum.take();
        let streak = self.lengthen_streak(&matched, &probes, current).max(longest);
        let content = Counted { matched: Packed::new(&matched), probes: Packed::new(&probes), streak };
        self.total.push(Frame { start, end: now.span, taken: now.taken, content });
        let [Tier { step, .. }, ..] = BY_ENDPOINT;
        if slot(now.span, step) > slot(self.by_endpoint_until.span, step) {
            self.push_endpoints(now);
        }
        self.total_until = requests.without_endpoints();
    }

    /// Keeps what each endpoint counted since the last frame, also if that is not over.
    pub(super) fn push_endpoints(&mut self, now: &Snapshot) {
        let start = self.by_endpoint_until.span;
        if now.span <= start {
            return;
        }
        let (mut sum, mut content) = (Adder::new(now.layout()), ByEndpoint::new());
        self.numbers.take_in(&now.endpoints);
        for (row, endpoint, earlier) in changed(now, &self.by_endpoint_until) {
            sum.add_since(&endpoint.groups, earlier);
            let groups = sum.take();
            if !groups.is_empty() {
                content.insert(self.numbers.of(row, &endpoint.name), Packed::new(&groups));
            }
        }
        self.by_endpoint.push(Frame { start, end: now.span, taken: now.taken, content });
        self.by_endpoint_until = now.clone();
    }

    /// Adds a tick's errors to the streak, if nothing succeeded in it. Otherwise begins with `current`, the longest
    /// streak of one thread at its end, as far as it can be of this tick. Returns the streak, or 0 if it did not grow.
    fn lengthen_streak(&mut self, matched: &[GroupSnapshot], probes: &[GroupSnapshot], current: u64) -> u64 {
        let counts = || counts_of(matched).chain(without_client_errors(probes));
        let succeeded = |outcome: Outcome| !outcome.is_error() && outcome != Outcome::Aborted;
        let errors = counts().filter(|(outcome, _)| outcome.is_error());
        let errors = errors.fold(0_u64, |sum, (_, count)| sum.saturating_add(count));
        self.streak = if counts().any(|(outcome, _)| succeeded(outcome)) {
            current.min(errors)
        } else {
            self.streak.saturating_add(errors)
        };
        if errors > 0 { self.streak } else { 0 }
    }

    /// Adds a reset to the list if the registry's window began after the last tick's.
    pub(super) fn note_window(&mut self, (began, by_wall): (Duration, SystemTime)) {
        if began > self.window_began {
            self.window_began = began;
            push_bounded(&mut self.resets, by_wall);
        }
    }

    /// The figures of all endpoints together, from the first frame of the window up to `now`.
    pub(super) fn total(&self, now: &Requests, length: Duration, which: Requested) -> WindowFigures {
        let mut span = span_between(&self.total_until.snapshot, &now.snapshot);
        let (mut sum, mut probes) = (Adder::new(now.snapshot.layout()), Adder::new(now.snapshot.layout()));
        for frame in self.total.since(now.snapshot.span.saturating_sub(length)) {
            span.widen(frame);
            sum.add_packed(&frame.content.matched);
            probes.add_packed(&frame.content.probes);
        }
        let earlier = &self.total_until.totals;
        sum.add_since(&now.totals.matched, &earlier.matched);
        probes.add_since(&now.totals.probes, &earlier.probes);
        let probes = probes.take();
        let total = match which {
            Requested::All => {
                sum.add(&probes);
                Figures::of(sum.take().iter())
            }
            Requested::Matched => figures_of_matched(&sum.take(), &probes),
        };
        WindowFigures { total, endpoints: Vec::new(), span }
    }

    /// The errors in a row at the last tick, or 0 if the window that ends with it has none.
    pub(super) fn consecutive_errors(&self, length: Duration) -> u64 {
        let is_within = self.longest_streak(length) > 0;
        if is_within { self.streak } else { 0 }
    }

    /// The longest streak of errors that grew in a window that ends with the last tick.
    pub(super) fn longest_streak(&self, length: Duration) -> u64 {
        let frames = self.total.since(self.total_until.snapshot.span.saturating_sub(length));
        frames.map(|frame| frame.content.streak).max().unwrap_or(0)
    }

    /// The figures of each endpoint, from the first frame of the window up to `now`.
    pub(super) fn endpoints(&self, now: &Snapshot, length: Duration, which: Requested) -> WindowFigures {
        let mut span = span_between(&self.by_endpoint_until, now);
        let mut frames: BTreeMap<u32, Vec<&Packed>> = BTreeMap::new();
        for frame in self.by_endpoint.since(now.span.saturating_sub(length)) {
            span.widen(frame);
            frame.content.iter().for_each(|(&number, packed)| frames.entry(number).or_default().push(packed));
        }
        let mut live = BTreeMap::new();
        for (row, endpoint, earlier) in changed(now, &self.by_endpoint_until) {
            let number = self.numbers.of(row, &endpoint.name);
            live.insert(number, (endpoint, earlier));
            frames.entry(number).or_default();
        }
        let (mut sum, mut total) = (Adder::new(now.layout()), Adder::new(now.layout()));
        let mut endpoints = Vec::new();
        for (number, packed) in frames {
            packed.into_iter().for_each(|packed| sum.add_packed(packed));
            let live = live.remove(&number);
            if let Some((endpoint, earlier)) = live {
                sum.add_since(&endpoint.groups, earlier);
            }
            let groups = sum.take();
            total.add(&groups);
            let in_flight = live.map_or(0, |(endpoint, _)| endpoint.in_flight);
            if groups.is_empty() && in_flight == 0 {
                continue;
            }
            let name = live.map(|(endpoint, _)| &endpoint.name).or_else(|| self.numbers.name(number));
            let Some(name) = name.map(Arc::clone) else { continue };
            let figures = if which == Requested::Matched && name.catches_all() {
                let (probes, matched): (Vec<_>, Vec<_>) =
                    groups.into_iter().partition(|group| group.group.has_client_errors());
                figures_of_matched(&matched, &probes)
            } else {
                Figures::of(groups.iter())
            };
            endpoints.push(EndpointSummary { name, figures, in_flight });
        }
        let total = Figures::of(total.take().iter());
        EndpointSummary::sort(&mut endpoints);
        WindowFigures { total, endpoints, span }
    }

    /// The last frame.
    pub(super) fn newest(&self) -> Option<(Span, Vec<GroupSnapshot>)> {
        let frame = self.total.newest()?;
        let mut sum = Adder::new(self.total_until.snapshot.layout());
        frame.content.add_to(&mut sum);
        Some((Span::of_frame(frame), sum.take()))
    }

    /// The length of a window. That of [`Window::SinceReset`] runs up to the last tick.
    pub(super) fn length_of(&self, window: Window) -> Duration {
        window.length().unwrap_or_else(|| self.total_until.snapshot.span.saturating_sub(self.window_began))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let requests = self.total.heap_bytes() + self.by_endpoint.heap_bytes();
        requests + self.metrics.heap_bytes() + self.consumers.heap_bytes()
    }
}

/// Adds the newest mark, and drops the oldest of too many.
pub(super) fn push_bounded<T>(marks: &mut VecDeque<T>, mark: T) {
    marks.push_back(mark);
    if marks.len() > MAX_MARKS {
        marks.pop_front();
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

pub(super) fn counts_of(groups: &[GroupSnapshot]) -> impl Iterator<Item = (Outcome, u64)> {
    groups.iter().flat_map(|group| group.counts.iter().copied())
}

/// The figures of groups without 4xx, and of those that have 4xx without them. The times are those of the former.
fn figures_of_matched(matched: &[GroupSnapshot], probes: &[GroupSnapshot]) -> Figures {
    let mut figures = Figures::of(matched.iter());
    figures.add_counts(without_client_errors(probes));
    figures
}

/// The counts of 5xx that share a group with 4xx.
fn without_client_errors(probes: &[GroupSnapshot]) -> impl Iterator<Item = (Outcome, u64)> {
    counts_of(probes).filter(|(outcome, _)| !outcome.is_client_error())
}

impl Counted {
    pub(super) fn add_to(&self, sum: &mut Adder) {
        sum.add_packed(&self.matched);
        sum.add_packed(&self.probes);
    }
}

impl Content for Counted {
    fn absorb(&mut self, later: Self) {
        self.matched.absorb(later.matched);
        self.probes.absorb(later.probes);
        self.streak = self.streak.max(later.streak);
    }

    fn heap_bytes(&self) -> usize {
        self.matched.heap_bytes() + self.probes.heap_bytes()
    }
}

impl Content for ByEndpoint {
    fn absorb(&mut self, later: Self) {
        for (number, packed) in later {
            match self.get_mut(&number) {
                Some(ours) => ours.add(&packed),
                None => {
                    self.insert(number, packed);
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        // The nodes of the tree have room for about half as many entries again.
        let entry = size_of::<u32>() + size_of::<Packed>();
        self.values().map(|packed| entry * 3 / 2 + packed.heap_bytes()).sum()
    }
}
