//! The figures of a period, step by step.

use std::time::{Duration, SystemTime};

use super::adder::Adder;
use super::period::Frames;
use super::tiers::{Frame, Span, slot};
use super::timeline::{Timeline, counts_of};
use super::trend::{Point, Selection};
use crate::histogram::Layout;
use crate::labels::endpoint::EndpointName;
use crate::labels::outcome::Outcome;
use crate::read::snapshot::group::{GroupSnapshot, merged};
use crate::read::summary::figures::Figures;

/// What was counted in a step.
pub(super) type Step = (Span, Vec<GroupSnapshot>);

impl Timeline {
    /// The figures of each step of a period.
    pub(super) fn steps(&self, frames: Frames, step: Duration, endpoint: Option<&EndpointName>) -> Vec<Step> {
        let layout = self.total_until.snapshot.layout();
        let Some(name) = endpoint else {
            let within = self.total.all().filter(|frame| frames.have(frame));
            return grouped(within, step, layout, |frame, sum| frame.content.add_to(sum));
        };
        let Some(number) = self.numbers.find(name) else { return Vec::new() };
        let all = self.by_endpoint.all().filter(|frame| frames.have(frame));
        let within = all.filter(|frame| frame.content.contains_key(&number));
        grouped(within, step, layout, |frame, sum| sum.add_packed(&frame.content[&number]))
    }
}

/// The sum of the frames that end in each step.
fn grouped<'a, T: 'a>(
    frames: impl Iterator<Item = &'a Frame<T>>,
    step: Duration,
    layout: Layout,
    add: impl Fn(&Frame<T>, &mut Adder),
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut sum = Adder::new(layout);
    let mut open: Option<Span> = None;
    for frame in frames {
        match &mut open {
            Some(span) if slot(span.end, step) == slot(frame.end, step) => span.widen(frame),
            _ => steps.extend(open.replace(Span::of_frame(frame)).map(|span| (span, sum.take()))),
        }
        add(frame, &mut sum);
    }
    steps.extend(open.map(|span| (span, sum.take())));
    steps
}

/// The requests of a step that are asked for.
struct Chosen {
    /// Groups of statuses of which all requests are.
    whole: Vec<GroupSnapshot>,
    /// Counts from groups of which only some are: their durations cannot be told from the others'.
    partly: Vec<(Outcome, u64)>,
    /// The requests with any status.
    all_calls: u64,
}

impl Chosen {
    fn of(groups: Vec<GroupSnapshot>, of: Selection<'_>) -> Self {
        let all_calls = counts_of(&groups).fold(0_u64, |sum, (_, count)| sum.saturating_add(count));
        let mut chosen = Self { whole: Vec::new(), partly: Vec::new(), all_calls };
        for group in groups {
            let mut counts =
                group.counts.iter().copied().filter(|&(outcome, _)| of.have(outcome)).collect::<Vec<_>>();
            if counts.len() == group.counts.len() {
                chosen.whole.push(group);
            } else {
                chosen.partly.append(&mut counts);
            }
        }
        chosen
    }

    fn point(&self, time: SystemTime, span: Duration, layout: Layout) -> Point {
        let mut figures = Figures::of(self.whole.iter());
        figures.add_counts(self.partly.iter().copied());
        Point { time, span, figures, histogram: merged(layout, self.whole.iter()), all_calls: self.all_calls }
    }
}

/// The points of a trend, all of them as one, and whether the durations are known.
pub(super) fn points_of(steps: Vec<Step>, of: Selection<'_>, layout: Layout) -> (Vec<Point>, Point, bool) {
    let mut all = Chosen { whole: Vec::new(), partly: Vec::new(), all_calls: 0 };
    let (mut sum, mut end, mut length) = (Adder::new(layout), SystemTime::UNIX_EPOCH, Duration::ZERO);
    let points = steps.into_iter().map(|(span, groups)| {
        let chosen = Chosen::of(groups, of);
        sum.add(&chosen.whole);
        all.partly.extend_from_slice(&chosen.partly);
        all.all_calls = all.all_calls.saturating_add(chosen.all_calls);
        (end, length) = (span.until, length + span.length());
        chosen.point(span.until, span.length(), layout)
    });
    let points = points.collect();
    all.whole = sum.take();
    let total = all.point(end, length, layout);
    (points, total, all.partly.is_empty())
}

/// The figures of a step of all requests.
pub(super) fn point_of((span, groups): Step, layout: Layout) -> Point {
    Chosen::of(groups, Selection::default()).point(span.until, span.length(), layout)
}
