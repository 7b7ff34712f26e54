//! The application's own metrics over time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::adder::Adder;
use super::tiers::{Content, Frame, Span, Tier, Tiers, slot};
use crate::histogram::Layout;
use crate::labels::label_set::{LabelSet, metric_of};
use crate::labels::metric_kind::{MetricKind, MetricValue};
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::metrics::{MetricSnapshot, MetricState, MetricsAt, metrics_since, totals};
use crate::read::summary::figures::Figures;
use crate::read::summary::metrics::{MetricFigures, MetricSummary};

/// At most 133 frames. A metric takes memory in a frame only if it counted something. Steps of a second would take 16
/// times as much, nearly all of it for timers.
pub(super) const TIERS: [Tier; 3] = [
    Tier { step: Duration::from_secs(10), keep: Duration::from_secs(300) },
    Tier { step: Duration::from_secs(60), keep: Duration::from_secs(3_600) },
    Tier { step: Duration::from_secs(1_800), keep: Duration::from_secs(86_400) },
];

/// The most bytes that all frames take. 20 timers that are called many times a second take 1.5 MiB in a day. With far
/// more of them, the oldest frames are dropped early.
const MAX_BYTES: usize = 5 << 19;

/// The last 24 hours of a registry's metrics.
#[derive(Debug)]
pub(super) struct MetricsTimeline {
    pub(super) frames: Tiers<PackedMetrics>,
    /// The state at the end of the last frame.
    pub(super) until: MetricsAt,
    /// The numbers that stand for series in frames, where names would take more memory than the figures.
    pub(super) numbers: HashMap<SeriesName, u32>,
}

/// The name and the labels of a series.
pub(super) type SeriesName = (Arc<str>, LabelSet);

/// What metrics counted in a frame, by number, in postcard's format.
#[derive(Debug, Clone)]
pub(super) struct PackedMetrics(Box<[u8]>);

/// What one metric counted in a frame, or its value at the end.
pub(super) type Counted = MetricValue<Box<GroupSnapshot>, u64>;

/// The metrics of a window.
pub(super) struct WindowMetrics {
    pub(super) metrics: Vec<MetricSummary>,
    /// All series together of each metric that has any with labels.
    pub(super) totals: Vec<MetricSummary>,
    pub(super) span: Span,
}

/// Whether this is the name of a metric, or of one of its series.
fn is_named(name: &str, metric: &str, labels: &LabelSet) -> bool {
    metric == metric_of(name) && (metric == name || labels.series(metric) == name)
}

impl MetricsTimeline {
    pub(super) fn new(now: MetricsAt) -> Self {
        Self { frames: Tiers::new(&TIERS), until: now, numbers: HashMap::new() }
    }

    /// Whether a frame is over, so that the metrics must be read.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let [Tier { step, .. }, ..] = TIERS;
        slot(now, step) > slot(self.until.span, step)
    }

    /// Keeps what was counted since the last frame.
    pub(super) fn push(&mut self, now: MetricsAt) {
        // Another thread has pushed since this reading.
        if now.span <= self.until.span {
            return;
        }
        let mut counted = BTreeMap::new();
        let since = metrics_since(&now.metrics, &self.until.metrics);
        // Estimates of distinct values do not add up, so those of all series together are kept, too: as those of the
        // series without labels, which is last and stays.
        let together = totals(&since).into_iter().filter(|total| total.kind() == MetricKind::UniqueCount);
        for metric in since.into_iter().chain(together) {
            let Some(what) = Counted::of(&metric.state) else { continue };
            let next = self.numbers.len() as u32;
            counted.insert(*self.numbers.entry((metric.name, metric.labels)).or_insert(next), what);
        }
        let content = PackedMetrics::new(&counted);
        self.frames.push(Frame { start: self.until.span, end: now.span, taken: now.taken, content });
        self.limit();
        self.until = now;
    }

    /// Drops the oldest frames of too many.
    pub(super) fn limit(&mut self) {
        while self.frames.heap_bytes() > MAX_BYTES && self.frames.drop_oldest() {}
    }

    /// The figures of each series from the first frame of a window up to `now`, and the span that they cover.
    pub(super) fn window(&self, now: &MetricsAt, length: Duration, layout: Layout) -> WindowMetrics {
        let mut span = Span { start: self.until.span, end: now.span.max(self.until.span), until: now.taken };
        let mut frames: HashMap<u32, Vec<Counted>> = HashMap::new();
        for frame in self.frames.since(now.span.saturating_sub(length)) {
            span.widen(frame);
            frame
                .content
                .unpack()
                .into_iter()
                .for_each(|(number, what)| frames.entry(number).or_default().push(what));
        }
        let mut sum = MetricSum::new(layout);
        let live = metrics_since(&now.metrics, &self.until.metrics);
        let mut summary = |live: &MetricSnapshot, numbers: &[u32]| {
            let earlier = numbers.iter().filter_map(|number| Some((*number, frames.get(number)?)));
            for (number, what) in earlier.flat_map(|(number, all)| all.iter().map(move |what| (number, what)))
            {
                // Of an earlier process, a metric of this name may be of another kind. A gauge has its number of now.
                if what.kind() == live.kind() && live.kind() != MetricKind::Gauge {
                    sum.add(number, what);
                }
            }
            Counted::of(&live.state).iter().for_each(|what| sum.add(u32::MAX, what));
            let live = live.summary();
            MetricSummary { figures: sum.take().unwrap_or(live.figures), ..live }
        };
        let of_series = |series: &MetricSnapshot| {
            self.numbers.get(&(Arc::clone(&series.name), series.labels.clone())).copied()
        };
        let metrics = live.iter().map(|series| summary(series, of_series(series).as_slice())).collect();
        let totals = totals(&live).iter().map(|total| summary(total, &self.named(&total.name))).collect();
        WindowMetrics { metrics, totals, span }
    }

    /// The numbers of a metric's series, or that of one series, also of those that only an earlier process had.
    fn named(&self, name: &str) -> Vec<u32> {
        let named = self.numbers.iter().filter(|((metric, labels), _)| is_named(name, metric, labels));
        named.map(|(_, &number)| number).collect()
    }

    /// The figures of a metric, all its series together, or of one series in each step after `since`; empty if there is
    /// none of this name.
    pub(super) fn steps(
        &self,
        since: Duration,
        step: Duration,
        name: &str,
        layout: Layout,
    ) -> Vec<(Span, MetricFigures)> {
        let live = self.until.metrics.iter().find(|series| is_named(name, &series.name, &series.labels));
        let Some(live) = live else { return Vec::new() };
        let nothing = nothing_of(&live.state);
        let mut numbers = self.named(name);
        if live.kind() == MetricKind::UniqueCount && *live.name == *name {
            numbers = self
                .numbers
                .get(&(Arc::clone(&live.name), LabelSet::default()))
                .copied()
                .into_iter()
                .collect();
        }
        let mut sum = MetricSum::new(layout);
        let mut open: Option<Span> = None;
        let mut steps = Vec::new();
        let mut end = |span: Option<Span>, sum: &mut MetricSum| {
            steps.extend(span.zip(sum.take().or_else(|| nothing.clone())));
        };
        for frame in self.frames.since(since) {
            match &mut open {
                Some(span) if slot(span.end, step) == slot(frame.end, step) => span.widen(frame),
                _ => end(open.replace(Span::of_frame(frame)), &mut sum),
            }
            let frame = frame.content.unpack();
            for (number, what) in numbers.iter().filter_map(|number| Some((*number, frame.get(number)?))) {
                // Of an earlier process, a metric of this name may be of another kind.
                if what.kind() == live.kind() {
                    sum.add(number, what);
                }
            }
        }
        end(open, &mut sum);
        steps
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let names = self.numbers.capacity() * size_of::<(SeriesName, u32)>();
        self.frames.heap_bytes() + names
    }
}

/// The figures of a metric that counted nothing; `None` for a kind that has a value instead of a count.
fn nothing_of(state: &MetricState) -> Option<MetricFigures> {
    match state {
        MetricState::Counter(_) => Some(MetricFigures::Counter(0)),
        MetricState::HitRatio { .. } => Some(MetricFigures::HitRatio { hits: 0, misses: 0 }),
        MetricState::Timer(_) => Some(MetricFigures::Timer(Box::default())),
        MetricState::Gauge(_) | MetricState::UniqueCount { .. } => None,
    }
}

impl Counted {
    /// What a metric counted since the last frame; `None` if nothing.
    fn of(state: &MetricState) -> Option<Self> {
        match state {
            MetricState::Counter(0) | MetricState::HitRatio { hits: 0, misses: 0 } => None,
            state => {
                state.as_ref().try_map(|times| times.clone().ok_or(()), |unique| Ok(unique.estimate())).ok()
            }
        }
    }

    /// Adds what was counted later.
    fn absorb(&mut self, later: Self) {
        match (self, later) {
            (Self::Counter(ours), Self::Counter(more)) => *ours = ours.saturating_add(more),
            (Self::HitRatio { hits, misses }, Self::HitRatio { hits: h, misses: m }) => {
                (*hits, *misses) = (hits.saturating_add(h), misses.saturating_add(m));
            }
            (Self::Timer(ours), Self::Timer(more)) => {
                ours.merge(&more).expect("all histograms of a registry have its precision");
            }
            (ours, later) => *ours = later,
        }
    }
}

impl PackedMetrics {
    pub(super) fn new(counted: &BTreeMap<u32, Counted>) -> Self {
        let bytes = postcard::to_allocvec(counted).expect("plain numbers can be serialised");
        Self(bytes.into_boxed_slice())
    }

    pub(super) fn unpack(&self) -> BTreeMap<u32, Counted> {
        postcard::from_bytes(&self.0).expect("these bytes were packed by `PackedMetrics::new`")
    }
}

impl Content for PackedMetrics {
    fn absorb(&mut self, later: Self) {
        let mut sum = self.unpack();
        for (number, more) in later.unpack() {
            match sum.get_mut(&number) {
                Some(ours) => ours.absorb(more),
                None => {
                    sum.insert(number, more);
                }
            }
        }
        *self = Self::new(&sum);
    }

    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Adds up what the series of one metric counted, in the order of time.
struct MetricSum {
    sum: Option<MetricFigures>,
    times: Adder,
    /// The last value of each series of a gauge.
    gauges: BTreeMap<u32, f64>,
}

impl MetricSum {
    fn new(layout: Layout) -> Self {
        Self { sum: None, times: Adder::new(layout), gauges: BTreeMap::new() }
    }

    fn add(&mut self, series: u32, what: &Counted) {
        match (&mut self.sum, what) {
            (Some(MetricFigures::Counter(sum)), Counted::Counter(more)) => *sum = sum.saturating_add(*more),
            (Some(MetricFigures::HitRatio { hits, misses }), Counted::HitRatio { hits: h, misses: m }) => {
                (*hits, *misses) = (hits.saturating_add(*h), misses.saturating_add(*m));
            }
            (sum, &Counted::Counter(count)) => *sum = Some(MetricFigures::Counter(count)),
            (sum, &Counted::HitRatio { hits, misses }) => {
                *sum = Some(MetricFigures::HitRatio { hits, misses });
            }
            (sum, Counted::Timer(times)) => {
                self.times.add(std::slice::from_ref(times));
                *sum = Some(MetricFigures::Timer(Box::default()));
            }
            // The last value of a series counts.
            (sum, &Counted::Gauge(value)) => {
                self.gauges.insert(series, value);
                let all: f64 = self.gauges.values().sum();
                *sum = Some(MetricFigures::Gauge(all.clamp(f64::MIN, f64::MAX)));
            }
            (sum, &Counted::UniqueCount { today, yesterday }) => {
                *sum = Some(MetricFigures::UniqueCount { today, yesterday });
            }
        }
    }

    /// Returns the figures of the sum, and starts again at zero.
    fn take(&mut self) -> Option<MetricFigures> {
        let sum = self.sum.take()?;
        self.gauges.clear();
        Some(match sum {
            MetricFigures::Timer(_) => {
                let times = self.times.take();
                MetricFigures::Timer(Box::new(Figures::of(times.iter())))
            }
            counted => counted,
        })
    }
}
