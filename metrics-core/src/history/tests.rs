//! Windows and trends, with a clock that the test moves.

mod costs;
mod own_metrics;
mod saves;
mod streaks;
mod trends;

use std::collections::BTreeMap;

use super::adder::Adder;
use super::period::Frames;
use super::step_lengths::{Subject, step_of};
use super::steps::Step;
use super::timeline::Requested;
use super::*;
use crate::core::Requests;
use crate::labels::outcome::{Granularity, Outcome, StatusGroup};
use crate::read::snapshot::group::GroupSnapshot;
use crate::read::snapshot::metrics::MetricsAt;
use crate::read::summary::EndpointSummary;
use crate::read::summary::metrics::MetricFigures;

/// The figures of each step of a window.
fn steps(timeline: &Timeline, window: Window, step: Duration, endpoint: Option<&EndpointName>) -> Vec<Step> {
    let since = timeline.total_until.snapshot.span.saturating_sub(timeline.length_of(window));
    timeline.steps(Frames::Since(since), step, endpoint)
}

/// A registry and its history, with a clock that the test moves.
struct Clockwork {
    registry: Registry,
    timeline: Timeline,
    at: Duration,
}

impl Clockwork {
    fn new() -> Self {
        let registry = Registry::new();
        let History { timeline, .. } = History::new(registry.clone());
        let mut timeline = timeline.into_inner().unwrap();
        timeline.total_until.snapshot.span = Duration::ZERO;
        timeline.by_endpoint_until.span = Duration::ZERO;
        timeline.metrics.until.span = Duration::ZERO;
        Self { registry, timeline, at: Duration::ZERO }
    }

    fn now(&self) -> Requests {
        let mut now = self.registry.requests();
        now.snapshot.span = self.at;
        now.snapshot.taken = now.snapshot.since + self.at;
        now
    }

    fn tick_after(&mut self, pause: Duration) {
        self.at += pause;
        if self.timeline.metrics.is_due(self.at) {
            self.timeline.metrics.push(self.metrics_now());
        }
        let now = self.now();
        self.timeline.tick(now);
    }

    fn metrics_now(&self) -> MetricsAt {
        MetricsAt { span: self.at, ..self.registry.metrics_now() }
    }

    fn record(&self, route: &str, status: u16, nanos: u64) {
        self.registry.record_nanos(self.registry.endpoint("GET", route), status, nanos);
    }

    /// The history as it is at the last tick.
    fn history(self) -> History {
        History { registry: self.registry, timeline: Mutex::new(self.timeline) }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_totals_are_the_sum_of_the_endpoints() {
    let mut clock = Clockwork::new();
    for round in 0..40 {
        // A few calls, which are read one by one, or many, for which everything is read again.
        for i in 0..if round % 5 == 4 { 200 } else { round } {
            let route = if i % 7 == 6 { "_unmatched".to_owned() } else { format!("/{}", i % 7) };
            clock.record(&route, [200, 201, 404, 500][i as usize % 4], nanos(i + round) << (i % 3 * 10));
        }
        if round == 20 {
            clock.registry.reset();
        }
        let Requests { snapshot, totals, .. } = clock.now();
        for (mut total, probes) in totals.matched.into_iter().zip(totals.probes) {
            assert!(probes.counts.is_empty() || probes.group == StatusGroup::Class(4));
            total.merge(&probes).unwrap();
            let mut sum = GroupSnapshot::empty(total.group, snapshot.layout());
            let groups = snapshot.endpoints().flat_map(|endpoint| endpoint.groups());
            for group in groups.filter(|group| group.group == total.group) {
                sum.merge_counts(group);
                sum.histogram.merge(&group.histogram).unwrap();
            }
            sum.counts.sort_unstable();
            total.counts.sort_unstable();
            assert_eq!(total, sum, "round {round}");
        }
        clock.tick_after(SECOND);
    }
}

/// One of 700 values that spread over six octaves.
fn nanos(i: u64) -> u64 {
    let spread = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    1_000 + spread * spread
}

#[test]
fn a_window_counts_each_request_in_it_once_and_has_their_percentiles() {
    let mut clock = Clockwork::new();
    for i in 0..7_300_u64 {
        clock.record(if i % 3 == 0 { "/a" } else { "/b" }, if i % 10 == 0 { 500 } else { 200 }, nanos(i));
        clock.tick_after(SECOND);
    }
    for window in [Window::OneMinute, Window::FiveMinutes, Window::OneHour, Window::OneDay] {
        let length = window.length().unwrap();
        let of = |WindowFigures { total, endpoints, span }: WindowFigures| {
            let seconds = span.end - span.start;
            // One request per second, so the span tells which requests these are.
            let first = 7_300 - seconds.as_secs();
            let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, crate::MAX_NANOS, 2).unwrap();
            (first..7_300).for_each(|i| hdr.record(nanos(i)).unwrap());
            assert_eq!(total.calls, seconds.as_secs(), "{window}");
            assert_eq!(total.server_errors, (first..7_300).filter(|i| i % 10 == 0).count() as u64);
            let sum: u64 = (first..7_300).map(nanos).sum();
            assert_eq!(total.sum, Duration::from_nanos(sum));
            let (least, most) = ((first..7_300).map(nanos).min(), (first..7_300).map(nanos).max());
            for (truly, ours) in [(least.unwrap(), total.min), (most.unwrap(), total.max)] {
                let off = ours.as_nanos() as f64 / truly as f64 - 1.0;
                assert!(off.abs() < 0.008, "{window}: {ours:?} {truly}");
            }
            for (quantile, ours) in [(0.5, total.p50), (0.95, total.p95), (0.99, total.p99)] {
                assert_eq!(ours.as_nanos() as u64, hdr.value_at_quantile(quantile), "{window} {quantile}");
            }
            let parts: u64 = endpoints.iter().map(|endpoint| endpoint.figures.calls).sum();
            assert!(endpoints.is_empty() || parts == total.calls);
            seconds
        };
        let now = clock.now();
        let within = |span: Duration, frame: Duration| {
            assert!(span.abs_diff(length.min(clock.at)) <= frame, "{window}: {span:?}");
        };
        within(of(clock.timeline.total(&now, length, Requested::All)), Duration::from_secs(60));
        within(
            of(clock.timeline.endpoints(&now.snapshot, length, Requested::All)),
            Duration::from_secs(7_200),
        );
    }
}

#[test]
fn every_window_includes_what_was_counted_since_the_last_tick() {
    let mut clock = Clockwork::new();
    clock.tick_after(SECOND);
    clock.record("/a", 404, 1_000);
    clock.at += SECOND / 2;
    let total = clock.timeline.total(&clock.now(), SECOND * 60, Requested::All);
    assert_eq!((total.total.calls, total.span.end - total.span.start), (1, SECOND * 3 / 2));
}

#[test]
fn a_window_lists_the_errors_since_it_began() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    registry.record_error(registry.endpoint("GET", "/"), Outcome::Status(500), SECOND, "failed");
    let summary = history.summary(Window::OneMinute);
    let [error] = &summary.recent_errors[..] else { panic!("{summary:?}") };
    for (since, listed) in [(error.time, 1), (error.time + Duration::from_nanos(1), 0)] {
        let summary = Summary { since, ..summary.clone() };
        assert_eq!(history.with_errors(summary).recent_errors.len(), listed);
    }
}

#[test]
fn a_window_without_probes_has_all_other_requests_at_every_granularity() {
    for granularity in [Granularity::Outcome, Granularity::Class, Granularity::Exact] {
        let registry = Registry::builder().granularity(granularity).build().unwrap();
        let history = History::new(registry.clone());
        let record = |route, status, calls, nanos| {
            let endpoint = registry.endpoint("GET", route);
            (0..calls).for_each(|_| registry.record_nanos(endpoint, status, nanos));
        };
        record("/a", 200, 100, 4_000_000_000);
        record("/a", 404, 5, 4_000_000_000);
        record("_unmatched", 404, 1_000, 1_000);
        record("/files/{path}*", 404, 1_000, 1_000);
        record("/files/{path}*", 200, 10, 4_000_000_000);
        history.tick();
        record("_unmatched", 500, 3, 4_000_000_000);
        record("_unmatched", 403, 1_000, 1_000);
        history.tick();
        let (all, matched) =
            (history.at_last_tick(Window::OneMinute), history.matched_at_last_tick(Window::OneMinute));
        assert_eq!((all.total.calls, all.total.errors), (3_118, 3_008));
        assert_eq!(
            (matched.total.calls, matched.total.client_errors, matched.total.server_errors),
            (118, 5, 3)
        );
        assert!(matched.total.p50 >= Duration::from_secs(4) && all.total.p50 < Duration::from_secs(1));
        assert_eq!(history.summary(Window::OneMinute).total.calls, 3_118);
        let by_endpoint = history.matched_by_endpoint(Window::OneMinute).endpoints;
        let of = |route: &str| by_endpoint.iter().find(|endpoint| *endpoint.name.route == *route).unwrap();
        assert_eq!(of("/a").figures.client_errors, 5);
        let files = &of("/files/{path}*").figures;
        assert_eq!((files.calls, files.errors, files.average()), (10, 0, Duration::from_secs(4)));
        let unmatched = &of("_unmatched").figures;
        assert_eq!((unmatched.calls, unmatched.client_errors, unmatched.server_errors), (3, 0, 3));
        // Under the coarsest granularity, their times cannot be told from those of the probes.
        assert_eq!(unmatched.p50 >= Duration::from_secs(4), granularity != Granularity::Outcome);
        assert!(files.p50 >= Duration::from_secs(4), "{granularity:?}");
    }
}

#[test]
fn a_window_has_what_was_added_without_a_call_and_no_outcome_without_one() {
    let mut clock = Clockwork::new();
    let endpoint = clock.registry.endpoint("GET", "/");
    [200, 500, 503].into_iter().for_each(|status| clock.record("/", status, 1_000));
    clock.tick_after(SECOND);
    let earlier = clock.now();
    let add_bytes = |bytes| {
        clock.registry.with_recorder(|recorder| recorder.add_bytes(endpoint, Outcome::Status(200), 0, bytes));
    };
    let live = |clock: &Clockwork| clock.timeline.total(&clock.now(), Duration::ZERO, Requested::All).total;
    add_bytes(40);
    assert_eq!((live(&clock).calls, live(&clock).response_bytes), (0, 40));
    clock.record("/", 503, 1_000);
    assert_eq!(live(&clock).outcomes, [(Outcome::Status(503), 1)]);
    // Groups that counted nothing are not kept.
    let mut sum = Adder::new(clock.registry.layout());
    let groups = |requests: &Requests| requests.snapshot.endpoints[1].groups.clone();
    sum.add_since(&groups(&clock.now()), &groups(&earlier));
    assert_eq!(sum.take().iter().map(|group| group.calls()).collect::<Vec<_>>(), [0, 1]);
    let now = clock.now();
    sum.add_since(&groups(&now), &groups(&now));
    assert_eq!(sum.take(), []);
    clock.tick_after(SECOND);
    let total = clock.timeline.total(&clock.now(), SECOND * 60, Requested::All).total;
    assert_eq!((total.calls, total.response_bytes), (4, 40));
}

#[test]
fn extremes_of_a_window_are_exact_if_they_are_those_of_all_time() {
    let mut clock = Clockwork::new();
    clock.record("/", 200, 2_000_000);
    clock.tick_after(SECOND);
    [1_000_003, 9_000_017].into_iter().for_each(|nanos| clock.record("/", 200, nanos));
    let extremes = |clock: &Clockwork, length| {
        let total = clock.timeline.total(&clock.now(), length, Requested::All).total;
        (total.min.as_nanos(), total.max.as_nanos())
    };
    assert_eq!(extremes(&clock, Duration::ZERO), (1_000_003, 9_000_017));
    clock.tick_after(SECOND);
    assert_eq!(extremes(&clock, SECOND * 60), (1_000_003, 9_000_017));
}

#[test]
fn own_metrics_and_single_endpoints_are_read_once_in_ten_seconds() {
    let mut clock = Clockwork::new();
    let read = |clock: &Clockwork| [clock.timeline.metrics.until.span, clock.timeline.by_endpoint_until.span];
    let mut read_at = Vec::new();
    for second in 1..=31 {
        let before = read(&clock);
        clock.tick_after(SECOND);
        if read(&clock) != before {
            assert_eq!(read(&clock), [clock.at; 2]);
            read_at.push(second);
        }
    }
    assert_eq!(read_at, [1, 11, 21, 31]);
}

#[test]
fn an_endpoint_with_requests_in_flight_is_listed_in_a_window_without_its_calls() {
    let mut clock = Clockwork::new();
    ["/busy", "/idle"].into_iter().for_each(|route| clock.record(route, 200, 1_000));
    let recorder = clock.registry.recorder();
    recorder.enter(clock.registry.endpoint("GET", "/busy"));
    clock.tick_after(SECOND);
    let listed = |length| {
        let endpoints =
            clock.timeline.endpoints(&clock.now().snapshot, length, Requested::All).endpoints.into_iter();
        let shown = |of: EndpointSummary| (of.name.route.to_string(), of.figures.calls, of.in_flight);
        endpoints.map(shown).collect::<Vec<_>>()
    };
    assert_eq!(listed(Duration::ZERO), [("/busy".to_owned(), 0, 1)]);
    assert_eq!(listed(SECOND * 60), [("/busy".to_owned(), 1, 1), ("/idle".to_owned(), 1, 0)]);
}
