//! A history's trends.

use std::time::Duration;

use super::History;
use super::period::{Extent, Frames, Period};
use super::step_lengths::{Subject, name_of, step_of};
use super::steps::points_of;
use super::timeline::Timeline;
use super::trend::{CountPoint, CountTrend, MetricPoint, MetricTrend, Selection, StepError, Trend};
use super::window::Window;
use crate::events::error_groups::{ErrorGroup, ErrorGroups};
use crate::labels::endpoint::EndpointName;

impl History {
    /// Returns the figures of each step of a window, for all endpoints or for one. The default `step` is the shortest
    /// one with at most 400 points.
    ///
    /// # Errors
    ///
    /// Returns an error if the window does not have this step. The error lists the steps it has.
    pub fn trend(
        &self,
        window: Window,
        step: Option<&str>,
        endpoint: Option<&EndpointName>,
    ) -> Result<Trend, StepError> {
        self.trend_of(window, step, Selection { endpoint, outcomes: None })
    }

    /// Returns the figures of selected requests in each step of a window or another period. The default `step` is the
    /// shortest one with at most 400 points.
    ///
    /// The last 24 hours are kept for windows. To compare with the day before, all endpoints together are kept for 25
    /// hours by the minute and for 48 by half an hour, and each of them for 26 hours by two hours.
    ///
    /// # Errors
    ///
    /// Like [`History::trend`].
    pub fn trend_of(
        &self,
        period: impl Into<Period>,
        step: Option<&str>,
        of: Selection<'_>,
    ) -> Result<Trend, StepError> {
        let period = period.into();
        let subject = if of.endpoint.is_some() { Subject::Endpoint } else { Subject::All };
        let (step, steps, layout) = {
            let timeline = self.timeline();
            let extent = extent(&timeline, period);
            let (name, step) = step_of(window_of(period), (extent.reach, extent.length), step, subject)?;
            let layout = timeline.total_until.snapshot.layout();
            (name, timeline.steps(extent.frames, step, of.endpoint), layout)
        };
        let (points, total, timed) = points_of(steps, of, layout);
        Ok(Trend { window: window_of(period), step, points, total, timed })
    }

    /// Returns the calls of a consumer in each step of a period of the last 24 hours, without percentiles. The default
    /// `step` is the shortest one with at most 400 points.
    ///
    /// In a step of ten seconds, the 1,000 consumers with the most calls are kept; a step in which this one may have
    /// been among the others is missing. All consumers together take at most 256 KiB: with many of them, less than a
    /// day is kept. An unknown consumer has no calls.
    ///
    /// # Errors
    ///
    /// Like [`History::trend`].
    pub fn consumer_trend(
        &self,
        period: impl Into<Period>,
        step: Option<&str>,
        name: &str,
    ) -> Result<CountTrend, StepError> {
        let (period, timeline) = (period.into(), self.timeline());
        let extent = extent(&timeline, period);
        let (step, every) =
            step_of(window_of(period), (extent.reach, extent.length), step, Subject::Consumer)?;
        let points = timeline.consumers.steps(extent.frames.earlier(timeline.ahead), every, name);
        Ok(CountTrend { window: window_of(period), step, points })
    }

    /// Returns the errors of a [group](History::error_groups) in each step of a period of the last 24 hours; `None` if
    /// there is no such group. The steps are those of its trend.
    pub fn group_trend(&self, period: impl Into<Period>, id: u64) -> Option<CountTrend> {
        let period = period.into();
        let extent = extent(&self.timeline(), period);
        let errors = self.registry.error_groups(Some(extent.reach));
        let group = errors.groups.iter().find(|group| group.id == id)?;
        Some(errors_by_step(&errors, group, window_of(period), extent.frames))
    }

    /// Returns one of the application's own metrics in each step of a window; `None` if there is no such metric. The
    /// default `step` is the shortest one with at most 400 points.
    ///
    /// The plain name of a metric stands for all its series together; gauges are added up, too. A single series with
    /// labels is named as [`LabelSet::series`](crate::LabelSet::series) writes it.
    ///
    /// # Errors
    ///
    /// Like [`History::trend`].
    pub fn metric_trend(
        &self,
        window: Window,
        step: Option<&str>,
        name: &str,
    ) -> Result<Option<MetricTrend>, StepError> {
        let timeline = self.timeline();
        let length = timeline.length_of(window);
        let (step, every) = step_of(Some(window), (length, length), step, Subject::Metric)?;
        if !self.registry.has_metric(name) {
            return Ok(None);
        }
        let since = timeline.total_until.snapshot.span.saturating_sub(length);
        let steps = timeline.metrics.steps(since, every, name, self.registry.layout());
        let points = steps.into_iter().map(|(span, figures)| MetricPoint {
            time: span.until,
            span: span.length(),
            figures,
        });
        Ok(Some(MetricTrend { name: name.into(), window, step, points: points.collect() }))
    }
}

fn extent(timeline: &Timeline, period: Period) -> Extent {
    let now = &timeline.total_until.snapshot;
    Extent::of(period, |window| timeline.length_of(window), (now.span, now.taken))
}

fn window_of(period: Period) -> Option<Window> {
    match period {
        Period::Window(window) => Some(window),
        Period::Between { .. } => None,
    }
}

/// The errors of a group in each of its steps that are in a period.
fn errors_by_step(
    errors: &ErrorGroups,
    group: &ErrorGroup,
    window: Option<Window>,
    frames: Frames,
) -> CountTrend {
    let (step, whole) = (errors.step, group.trend.len().saturating_sub(1) as u32);
    let under_way = errors.window.saturating_sub(step * whole);
    let now = errors.since + errors.window;
    let point = |(i, &count): (usize, &u32)| {
        let later = whole - i as u32;
        let (ago, span) =
            if later == 0 { (Duration::ZERO, under_way) } else { (under_way + step * (later - 1), step) };
        let time = now.checked_sub(ago)?;
        let is_within = match frames {
            Frames::Since(_) => true,
            Frames::Between(from, until) => (from..until).contains(&time.checked_sub(span / 2)?),
        };
        let count = u64::from(count);
        is_within.then_some(CountPoint { time, span, calls: count, errors: count, sum: None })
    };
    let name = name_of(step);
    CountTrend { window, step: name, points: group.trend.iter().enumerate().filter_map(point).collect() }
}
