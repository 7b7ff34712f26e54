//! Windows and trends, with a clock that the test moves.

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
        let steps = steps(
            &clock.timeline,
            window,
            step_of(
                Some(window),
                (window.length().unwrap(), window.length().unwrap()),
                Some(step),
                Subject::All,
            )
            .unwrap()
            .1,
            None,
        );
        let calls: u64 = steps.iter().flat_map(|(_, groups)| groups).map(GroupSnapshot::calls).sum();
        let seconds: u64 = steps.iter().map(|(span, _)| (span.end - span.start).as_secs()).sum();
        assert_eq!(calls, seconds, "{window}");
        assert!(points.contains(&steps.len()), "{window}: {}", steps.len());
    }
    let ten = SECOND * 10;
    let of_a = steps(&clock.timeline, Window::FiveMinutes, ten, Some(&a));
    assert!((29..=31).contains(&of_a.len()), "{}", of_a.len());
    let unknown = EndpointName { method: "GET".into(), route: "/b".into() };
    assert!(steps(&clock.timeline, Window::FiveMinutes, ten, Some(&unknown)).is_empty());
    let error = step_of(Some(Window::OneHour), (SECOND * 3_600, SECOND * 3_600), Some("1s"), Subject::All)
        .unwrap_err();
    assert_eq!(error.to_string(), "step is \"1s\"; allowed: 10s, 1m, 5m, 30m, 1h (window 1h)");
}

#[test]
fn a_late_tick_shows_as_a_gap_and_not_as_a_spike() {
    let mut clock = Clockwork::new();
    (0..5).for_each(|_| clock.tick_after(SECOND));
    (0..100).for_each(|i| clock.record("/a", 200, nanos(i)));
    clock.tick_after(Duration::from_secs(50));
    clock.tick_after(SECOND);
    let steps = steps(&clock.timeline, Window::OneMinute, SECOND, None);
    let seconds: Vec<_> = steps.iter().map(|(span, _)| (span.end - span.start).as_secs()).collect();
    assert_eq!(seconds, [1, 1, 1, 1, 1, 50, 1]);
    assert_eq!(steps[5].1.iter().map(GroupSnapshot::calls).sum::<u64>(), 100);
}

#[test]
fn a_reset_is_listed_and_leaves_trends_alone() {
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
fn every_window_includes_what_was_counted_since_the_last_tick() {
    let mut clock = Clockwork::new();
    clock.tick_after(SECOND);
    clock.record("/a", 404, 1_000);
    clock.at += SECOND / 2;
    let total = clock.timeline.total(&clock.now(), SECOND * 60, Requested::All);
    assert_eq!((total.total.calls, total.span.end - total.span.start), (1, SECOND * 3 / 2));
}

/// Records these statuses, and ticks. 0 is an aborted request.
fn ticked(clock: &mut Clockwork, route: &str, statuses: &[u16]) {
    let recorder = clock.registry.recorder();
    let endpoint = clock.registry.endpoint("GET", route);
    for &status in statuses {
        let outcome = if status == 0 { Outcome::Aborted } else { Outcome::Status(status) };
        recorder.record_outcome(endpoint, outcome, SECOND);
    }
    clock.tick_after(SECOND);
}

/// The longest streak of errors in the last second, and the current one within a minute.
fn streaks(clock: &Clockwork) -> (u64, u64) {
    (clock.timeline.longest_streak(SECOND), clock.timeline.consecutive_errors(SECOND * 60))
}

#[test]
fn errors_in_a_row_are_exact_for_one_thread_whatever_came_before_and_after_them_in_a_tick() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/a", &[200; 200]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[200, 404, 500, 503, 200, 500, 500, 200]);
    assert_eq!(streaks(&clock), (3, 0));
    // Across ticks, with quiet ones in between.
    ticked(&mut clock, "/a", &[200, 500, 500]);
    assert_eq!(streaks(&clock), (2, 2));
    ticked(&mut clock, "/a", &[]);
    assert_eq!(streaks(&clock), (0, 2));
    ticked(&mut clock, "/a", &[401, 404]);
    assert_eq!(streaks(&clock), (4, 4));
    ticked(&mut clock, "/a", &[500, 200]);
    assert_eq!(streaks(&clock), (5, 0));
    ticked(&mut clock, "/a", &[200, 304, 101, 999]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[500; 12]);
    assert_eq!(streaks(&clock), (12, 12));
    clock.tick_after(SECOND * 100);
    assert_eq!(streaks(&clock), (0, 0));
}

#[test]
fn the_newest_point_and_the_errors_in_a_row_are_those_of_the_last_tick() {
    let mut clock = Clockwork::new();
    assert!(clock.timeline.newest().is_none());
    ticked(&mut clock, "/", &[200, 500, 500]);
    ticked(&mut clock, "/", &[500, 500]);
    let history = clock.history();
    let newest = history.newest().unwrap();
    assert_eq!((newest.figures.calls, newest.span), (2, SECOND));
    assert_eq!(history.consecutive_errors(Window::OneMinute), 4);
    assert_eq!(history.most_consecutive_errors(Window::OneMinute, SECOND), 4);
}

#[test]
fn a_streak_that_ended_just_before_an_evaluation_is_seen_by_it_and_not_by_later_ones() {
    let most = |successes: usize| {
        let mut clock = Clockwork::new();
        ticked(&mut clock, "/", &[500, 500, 500]);
        (0..successes).for_each(|_| ticked(&mut clock, "/", &[200]));
        let history = clock.history();
        assert_eq!(history.consecutive_errors(Window::OneMinute), if successes > 0 { 0 } else { 3 });
        history.most_consecutive_errors(Window::OneMinute, SECOND)
    };
    assert_eq!([0, 1, 2, 3].map(most), [3, 3, 0, 0]);
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
fn probes_and_aborted_requests_neither_lengthen_a_streak_nor_end_it() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/{tail}*", &[404; 50]);
    assert_eq!(streaks(&clock), (0, 0));
    ticked(&mut clock, "/a", &[500, 0, 500, 0, 404]);
    assert_eq!(streaks(&clock), (3, 3));
    ticked(&mut clock, "_unmatched", &[404, 405]);
    assert_eq!(streaks(&clock), (0, 3));
    ticked(&mut clock, "/a", &[0, 500]);
    assert_eq!(streaks(&clock), (4, 4));
    // A server error and a success are what they are, wherever they come from.
    ticked(&mut clock, "_unmatched", &[503]);
    assert_eq!(streaks(&clock), (5, 5));
    ticked(&mut clock, "/{tail}*", &[200, 500]);
    assert_eq!(streaks(&clock), (1, 1));
}

#[test]
fn streaks_of_several_threads_are_joined_where_no_thread_had_a_success() {
    let mut clock = Clockwork::new();
    let endpoint = clock.registry.endpoint("GET", "/a");
    let recorders = [clock.registry.recorder(), clock.registry.recorder()];
    let record = |recorder: usize, statuses: &[u16]| {
        statuses.iter().for_each(|&status| recorders[recorder].record(endpoint, status, SECOND));
    };
    record(0, &[200, 500, 500, 500]);
    record(1, &[500; 4]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (4, 4));
    record(0, &[500; 3]);
    record(1, &[500; 3]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (10, 10));
    // The other thread goes on, and then no longer.
    record(0, &[200]);
    record(1, &[500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (8, 1));
    record(0, &[200]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (0, 0));
}

#[test]
fn a_thread_that_is_idle_after_errors_lends_its_streak_to_no_other() {
    let mut clock = Clockwork::new();
    let endpoint = clock.registry.endpoint("GET", "/a");
    let recorders = [clock.registry.recorder(), clock.registry.recorder()];
    let record = |recorder: usize, statuses: &[u16]| {
        statuses.iter().for_each(|&status| recorders[recorder].record(endpoint, status, SECOND));
    };
    record(0, &[500; 12]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (12, 12));
    // The other thread has as many errors, each followed by a success.
    record(1, &[500, 200].repeat(20));
    clock.tick_after(SECOND);
    assert_eq!(clock.timeline.longest_streak(SECOND), 0);
    record(1, &[500, 500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (2, 2));
    // As long as before, and yet new.
    record(1, &[200, 500, 500]);
    clock.tick_after(SECOND);
    assert_eq!(streaks(&clock), (2, 2));
}

#[test]
fn a_streak_outlives_its_recorder_and_a_success_on_the_next_one_ends_it() {
    let mut clock = Clockwork::new();
    ticked(&mut clock, "/a", &[500; 4]);
    ticked(&mut clock, "/a", &[500; 4]);
    assert_eq!(streaks(&clock), (8, 8));
    ticked(&mut clock, "/a", &[204, 500]);
    assert_eq!(streaks(&clock), (1, 1));
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

/// 200 endpoints that are busy for a day, with realistic latencies.
#[test]
#[ignore = "takes minutes without optimisation"]
fn a_day_of_200_busy_endpoints_takes_at_most_8_mib() {
    let mut clock = Clockwork::new();
    let endpoints: Vec<_> = (0..200).map(|i| clock.registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorder = clock.registry.recorder();
    let business = |kind: &str, i: u32| format!("{kind}_{i}");
    let timers: Vec<_> = (0..20).map(|i| clock.registry.timer(&business("timer", i)).unwrap()).collect();
    let counters: Vec<_> =
        (0..20).map(|i| clock.registry.counter(&business("counter", i)).unwrap()).collect();
    let ratios: Vec<_> = (0..5).map(|i| clock.registry.hit_ratio(&business("ratio", i)).unwrap()).collect();
    let gauges: Vec<_> = (0..10).map(|i| clock.registry.gauge(&business("gauge", i)).unwrap()).collect();
    let mut random = 1_u64;
    // One tick per minute, except for the last five minutes, which have one per second as in production.
    for second in 0..(86_400 / 60 + 300_u64) {
        let per_endpoint = if second < 1_440 { 60 } else { 1 };
        for (rank, &endpoint) in endpoints.iter().enumerate() {
            // The busiest endpoint is called 20 times as often as the median one.
            let calls = per_endpoint * 20 / (1 + rank as u64 / 5);
            for _ in 0..calls {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let normal =
                    (0..4).map(|i| (random >> (16 * i) & 0xffff) as f64 / 65_536.0).sum::<f64>() - 2.0;
                let nanos = (350_000.0 * (1.4 * normal).exp()) as u64;
                recorder.record_nanos(endpoint, 200, nanos);
                if rank < 20 {
                    timers[rank].record(Duration::from_nanos(nanos));
                    counters[rank].increment();
                    ratios[rank % 5].hit();
                    gauges[rank % 10].set(nanos as f64);
                }
            }
        }
        clock.tick_after(if second < 1_440 { SECOND * 60 } else { SECOND });
    }
    let bytes = clock.timeline.heap_bytes();
    let of_metrics = clock.timeline.metrics.heap_bytes();
    println!("history: {} KiB, of which own metrics {} KiB", bytes / 1_024, of_metrics / 1_024);
    assert!(bytes <= 8 << 20, "{bytes}");
}

#[test]
fn a_history_takes_a_few_bytes_for_each_duration_that_differs() {
    let mut clock = Clockwork::new();
    assert_eq!(clock.timeline.heap_bytes(), 0);
    let timer = clock.registry.timer("db").unwrap();
    for _ in 0..100 {
        for i in 0..100 {
            clock.record("/", 200, nanos(i));
            timer.record(Duration::from_nanos(nanos(i)));
        }
        clock.record("_unmatched", 404, 1_000);
        clock.tick_after(SECOND);
    }
    let Timeline { total, by_endpoint, metrics, .. } = &clock.timeline;
    let parts = [total.heap_bytes(), by_endpoint.heap_bytes(), metrics.heap_bytes()];
    // 100 frames of a second, and ten of ten seconds by endpoint and of own metrics.
    for (bytes, (frames, each)) in parts.into_iter().zip([(100, 340..430), (10, 400..540), (10, 300..400)]) {
        assert!(each.contains(&(bytes / frames)), "{parts:?}");
    }
    // The name of a metric is kept once.
    let before = clock.timeline.metrics.heap_bytes();
    (0..100).for_each(|i| clock.registry.counter(&format!("count_{i}")).unwrap().increment());
    clock.tick_after(SECOND * 10);
    assert!(clock.timeline.metrics.heap_bytes() - before >= 100 * size_of::<(&str, u32)>());
    let Timeline { total, by_endpoint, metrics, .. } = &clock.timeline;
    let all = total.heap_bytes() + by_endpoint.heap_bytes() + metrics.heap_bytes();
    assert_eq!(clock.history().heap_bytes(), all);
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

#[test]
fn a_trend_has_at_most_400_points_by_default_however_long_ago_the_reset_was() {
    let step =
        |length, subject| step_of(Some(Window::SinceReset), (length, length), None, subject).unwrap().0;
    let lengths = [1, 60, 300, 301, 3_600, 3_601, 86_400, 86_400 * 60].map(Duration::from_secs);
    let steps = |subject| lengths.map(|length| step(length, subject));
    assert_eq!(steps(Subject::All), ["1s", "1s", "1s", "10s", "10s", "1m", "5m", "30m"]);
    assert_eq!(steps(Subject::Endpoint), ["10s", "10s", "10s", "5m", "5m", "2h", "2h", "2h"]);
    assert_eq!(steps(Subject::Metric), ["10s", "10s", "10s", "1m", "1m", "30m", "30m", "30m"]);
    let refused = |length| {
        step_of(Some(Window::SinceReset), (length, length), Some("3s"), Subject::All).unwrap_err().to_string()
    };
    let day = "step is \"3s\"; allowed: 1m, 5m, 30m, 1h, 2h (window reset)";
    let longer = "step is \"3s\"; allowed: 30m, 1h, 2h (window reset)";
    assert_eq!([86_400, 86_400 * 60].map(Duration::from_secs).map(refused), [day, longer]);
    let minute = "step is \"3s\"; allowed: 1s, 10s, 1m (window reset)";
    assert_eq!(refused(Duration::from_secs(60)), minute);
}

#[test]
fn the_last_hundred_resets_are_listed_each_once() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    history.tick();
    assert_eq!(history.resets(), []);
    for resets in 1..=3 {
        registry.reset();
        (0..2).for_each(|_| history.tick());
        assert_eq!(history.resets().len(), resets);
    }
    let mut clock = Clockwork::new();
    let reset = |i: u64| (SECOND * i as u32, SystemTime::UNIX_EPOCH + SECOND * i as u32);
    (1..=105).for_each(|i| clock.timeline.note_window(reset(i)));
    assert_eq!(clock.history().resets(), (6..=105).map(|i| reset(i).1).collect::<Vec<_>>());
}

#[test]
fn own_metrics_of_a_window_have_its_counts_and_the_percentiles_of_its_times() {
    let mut clock = Clockwork::new();
    let counter = clock.registry.counter("jobs").unwrap();
    let cache = clock.registry.hit_ratio("cache").unwrap();
    let (timer, gauge) = (clock.registry.timer("db").unwrap(), clock.registry.gauge("depth").unwrap());
    clock.registry.timer("never").unwrap();
    let seconds = 7_300;
    for i in 0..seconds {
        counter.add(2);
        if i % 4 == 0 {
            cache.miss()
        } else {
            cache.hit()
        }
        timer.record(Duration::from_nanos(nanos(i)));
        gauge.set(i as f64);
        clock.tick_after(SECOND);
    }
    for (window, frame) in
        [(Window::OneMinute, 10), (Window::FiveMinutes, 10), (Window::OneHour, 60), (Window::OneDay, 1_800)]
    {
        let length = window.length().unwrap();
        let WindowMetrics { metrics, span, .. } =
            clock.timeline.metrics.window(&clock.metrics_now(), length, clock.registry.layout());
        let covered = span.length().as_secs();
        assert!(covered.abs_diff(length.as_secs().min(seconds)) <= frame, "{window}: {covered}");
        let figures: BTreeMap<_, _> =
            metrics.into_iter().map(|metric| (metric.name.to_string(), metric.figures)).collect();
        assert_eq!(figures["jobs"], MetricFigures::Counter(2 * covered), "{window}");
        let misses = (seconds - covered..seconds).filter(|i| i % 4 == 0).count() as u64;
        assert_eq!(figures["cache"], MetricFigures::HitRatio { hits: covered - misses, misses });
        assert_eq!(figures["depth"], MetricFigures::Gauge((seconds - 1) as f64));
        assert_eq!(figures["never"], MetricFigures::Timer(Box::default()));
        let MetricFigures::Timer(times) = &figures["db"] else { panic!("{figures:?}") };
        let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, crate::MAX_NANOS, 2).unwrap();
        (seconds - covered..seconds).for_each(|i| hdr.record(nanos(i)).unwrap());
        assert_eq!((times.calls, times.errors), (covered, 0));
        assert_eq!(times.sum, Duration::from_nanos((seconds - covered..seconds).map(nanos).sum()));
        for (quantile, ours) in [(0.5, times.p50), (0.95, times.p95), (0.99, times.p99)] {
            assert_eq!(ours.as_nanos() as u64, hdr.value_at_quantile(quantile), "{window} {quantile}");
        }
    }
}

#[test]
fn every_window_includes_what_own_metrics_counted_since_the_last_frame() {
    let mut clock = Clockwork::new();
    let (counter, timer) = (clock.registry.counter("jobs").unwrap(), clock.registry.timer("db").unwrap());
    counter.add(3);
    clock.tick_after(SECOND * 10);
    counter.add(4);
    timer.record(SECOND);
    clock.registry.counter("new").unwrap().increment();
    clock.at += SECOND * 3;
    let now = clock.metrics_now();
    let WindowMetrics { metrics, span, .. } =
        clock.timeline.metrics.window(&now, SECOND * 60, clock.registry.layout());
    assert_eq!(span.length(), SECOND * 13);
    let [db, jobs, new] = metrics.as_slice() else { panic!("{metrics:?}") };
    assert_eq!((&jobs.figures, &new.figures), (&MetricFigures::Counter(7), &MetricFigures::Counter(1)));
    let MetricFigures::Timer(times) = &db.figures else { panic!("{db:?}") };
    assert_eq!(times.calls, 1);
}

#[test]
fn a_metric_trend_adds_up_and_a_gauges_ends_with_its_value() {
    let mut clock = Clockwork::new();
    let (counter, gauge) = (clock.registry.counter("jobs").unwrap(), clock.registry.gauge("depth").unwrap());
    clock.registry.counter("idle").unwrap();
    for i in 0..7_300 {
        // Counts nothing in the second half of each hour.
        if i % 3_600 < 1_800 {
            counter.increment();
        }
        gauge.set(i as f64);
        clock.tick_after(SECOND);
    }
    let steps = |window: Window, step: u64, name: &str| {
        let since = clock.at.saturating_sub(window.length().unwrap());
        clock.timeline.metrics.steps(since, SECOND * step as u32, name, clock.registry.layout())
    };
    for (window, step, points) in [
        (Window::OneMinute, 10, 5..=7),
        (Window::FiveMinutes, 10, 29..=31),
        (Window::OneHour, 60, 58..=62),
        (Window::OneDay, 1_800, 4..=5),
    ] {
        let jobs = steps(window, step, "jobs");
        assert!(points.contains(&jobs.len()), "{window}: {}", jobs.len());
        let (first, last) = (jobs[0].0.start.as_secs(), jobs[jobs.len() - 1].0.end.as_secs());
        assert!(last > 7_280, "{last}");
        let expected = (first..last).filter(|i| i % 3_600 < 1_800).count() as u64;
        let counted = |(_, figures): &(_, MetricFigures)| match figures {
            MetricFigures::Counter(count) => *count,
            other => panic!("{other:?}"),
        };
        assert_eq!(jobs.iter().map(counted).sum::<u64>(), expected, "{window}");
        let depths = steps(window, step, "depth");
        for (span, depth) in depths {
            assert_eq!(depth, MetricFigures::Gauge(span.end.as_secs_f64() - 1.0), "{window}");
        }
        let idle = steps(window, step, "idle");
        assert_eq!(idle.len(), jobs.len());
        assert!(idle.iter().all(|(_, figures)| *figures == MetricFigures::Counter(0)));
    }
    assert!(steps(Window::OneHour, 60, "unknown").is_empty());
}

#[test]
fn a_history_of_many_busy_timers_is_shorter_but_not_larger() {
    let mut clock = Clockwork::new();
    let timers: Vec<_> = (0..100).map(|i| clock.registry.timer(&format!("timer_{i}")).unwrap()).collect();
    for minute in 0..90 {
        for timer in &timers {
            (0..400).for_each(|i| timer.record(Duration::from_nanos(nanos(minute * 400 + i) * 100)));
        }
        clock.tick_after(SECOND * 60);
        assert!(clock.timeline.metrics.heap_bytes() <= 5 << 19);
    }
    let now = clock.metrics_now();
    let WindowMetrics { metrics, span, .. } =
        clock.timeline.metrics.window(&now, SECOND * 86_400, clock.registry.layout());
    // Shorter than the time recorded, but complete for its span.
    assert!((SECOND * 1_000..SECOND * 5_300).contains(&span.length()), "{span:?}");
    let MetricFigures::Timer(times) = &metrics[0].figures else { panic!("{metrics:?}") };
    assert_eq!(times.calls, span.length().as_secs() / 60 * 400);
}

#[test]
fn a_reset_begins_a_window_of_own_metrics_and_leaves_other_windows_alone() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let counter = registry.counter("jobs").unwrap();
    counter.add(5);
    let of = |window| history.business(window).metrics[0].figures.clone();
    assert_eq!(of(Window::SinceReset), MetricFigures::Counter(5));
    registry.reset();
    counter.add(2);
    assert_eq!(of(Window::SinceReset), MetricFigures::Counter(2));
    assert_eq!(of(Window::FiveMinutes), MetricFigures::Counter(7));
    assert_eq!(history.summary(Window::FiveMinutes).business[0].figures, MetricFigures::Counter(7));
    assert_eq!(history.summary(Window::SinceReset).business[0].figures, MetricFigures::Counter(2));
    assert!(history.metric_trend(Window::OneHour, None, "other").unwrap().is_none());
    assert_eq!(history.metric_trend(Window::OneHour, None, "jobs").unwrap().unwrap().points, []);
    let error = history.metric_trend(Window::OneDay, Some("1s"), "jobs").unwrap_err();
    assert_eq!(error.to_string(), "step is \"1s\"; allowed: 30m, 1h, 2h (window 24h)");
}

/// Prints the cost of a tick for 200 endpoints on 16 threads that each call each endpoint ten times a second, and of
/// alerts over one and five minutes. The goal is at most 2 ms per second in all.
#[test]
#[ignore = "prints times; run it on a quiet machine with optimisation"]
fn print_what_ticks_of_200_busy_endpoints_on_16_shards_take() {
    let mut clock = Clockwork::new();
    let endpoints: Vec<_> = (0..200).map(|i| clock.registry.endpoint("GET", &format!("/{i}"))).collect();
    let recorders: Vec<_> = (0..16).map(|_| clock.registry.recorder()).collect();
    let timer = clock.registry.timer("db_query").unwrap();
    let mut random = 1_u64;
    let mut record = |times: u64| {
        for recorder in &recorders {
            for (i, &endpoint) in endpoints.iter().enumerate() {
                for _ in 0..times {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let normal =
                        (0..4).map(|i| (random >> (16 * i) & 0xffff) as f64 / 65_536.0).sum::<f64>() - 2.0;
                    // Medians from 0.2 to 20 ms; the 99th percentile is about three times the median.
                    let median = 200_000.0 * 100_f64.powf(i as f64 / 200.0);
                    let status = if random % 1_000 < 8 { 404 } else { 200 };
                    recorder.record_nanos(endpoint, status, (median * (0.87 * normal).exp()) as u64);
                }
            }
        }
        timer.record(Duration::from_millis(3));
    };
    record(1_000);
    clock.tick_after(SECOND);
    let mut parts: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..400 {
        record(10);
        clock.at += SECOND;
        let mut begun = std::time::Instant::now();
        let mut part = |name| {
            let now = std::time::Instant::now();
            parts.entry(name).or_default().push(now - std::mem::replace(&mut begun, now));
        };
        if clock.timeline.metrics.is_due(clock.at) {
            clock.timeline.metrics.push(clock.metrics_now());
        }
        part("3 own metrics");
        let now = clock.now();
        part("1 snapshot");
        clock.timeline.tick(now);
        part("2 history");
        clock.timeline.total(&clock.timeline.total_until, SECOND * 60, Requested::Matched);
        part("4 one minute, for alerts");
        clock.timeline.total(&clock.timeline.total_until, SECOND * 300, Requested::Matched);
        part("5 five minutes, for alerts every 5 s");
        clock.timeline.endpoints(&clock.now().snapshot, SECOND * 300, Requested::All);
        part("6 five minutes by endpoint, for requests");
    }
    for (name, mut times) in parts {
        let mean = times.iter().sum::<Duration>() / times.len() as u32;
        times.sort_unstable();
        println!(
            "{name}: mean {mean:?}, median {:?}, longest {:?}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}

#[test]
fn a_trend_of_some_outcomes_has_their_durations_or_says_that_it_does_not_know_them() {
    let of = |granularity| {
        let registry = Registry::builder().granularity(granularity).build().unwrap();
        let (history, item) = (History::new(registry.clone()), registry.endpoint("GET", "/items"));
        for (status, nanos) in [(200, 1_000), (404, 2_000), (500, 5_000_000), (503, 7_000_000)] {
            registry.record_nanos(item, status, nanos);
        }
        registry.recorder().record_outcome(item, Outcome::Panicked, Duration::from_millis(9));
        history.tick();
        let is_server_error = |outcome: Outcome| outcome.is_server_error();
        let selection = Selection { endpoint: None, outcomes: Some(&is_server_error) };
        history.trend_of(Window::OneMinute, None, selection).unwrap()
    };
    let trend = of(Granularity::Class);
    let [point] = &trend.points[..] else { panic!("{trend:?}") };
    assert_eq!((point.figures.calls, point.figures.server_errors, point.all_calls), (3, 3, 5));
    assert_eq!((point.figures.min, point.figures.max), (Duration::from_millis(5), Duration::from_millis(9)));
    assert_eq!((&trend.total, trend.timed), (point, true));
    // 5xx share a histogram with 4xx.
    let trend = of(Granularity::Outcome);
    assert_eq!((trend.total.figures.calls, trend.total.all_calls, trend.timed), (3, 5, false));
}

#[test]
fn a_period_has_the_steps_that_are_at_least_half_in_it_and_their_percentiles_as_one() {
    let mut clock = Clockwork::new();
    for turn in 1..=6 {
        clock.record("/items", 200, turn * 1_000_000);
        clock.tick_after(SECOND);
    }
    let began = clock.now().snapshot.since;
    let history = clock.history();
    let at = |millis| began + Duration::from_millis(millis);
    let between = Period::Between { from: at(1_600), until: at(4_400) };
    let trend = history.trend_of(between, Some("1s"), Selection::default()).unwrap();
    assert_eq!((trend.window, trend.points.len(), trend.total.figures.calls), (None, 2, 2));
    assert_eq!(trend.total.figures.max.as_millis(), 4);
    assert_eq!(trend.total.histogram.total(), 2);
    let refused = history.trend_of(between, Some("2h"), Selection::default()).unwrap_err().to_string();
    assert!(refused.ends_with("(this period)"), "{refused}");
}

#[test]
fn a_group_and_a_consumer_have_counts_step_by_step() {
    let registry = Registry::new();
    let (history, item) = (History::new(registry.clone()), registry.endpoint("GET", "/items"));
    let (recorder, ann) = (registry.recorder(), registry.vouched_consumer("Ann"));
    for status in [200, 500, 500] {
        recorder.record_consumer(ann, Outcome::Status(status), Duration::from_millis(3));
    }
    recorder.log_error(item, Outcome::Status(500), Duration::ZERO, "no item 7", None);
    history.tick();
    let trend = history.consumer_trend(Window::FiveMinutes, None, "Ann").unwrap();
    let counts = |trend: &CountTrend| {
        let points = trend.points.iter();
        points.map(|point| (point.calls, point.errors, point.sum)).collect::<Vec<_>>()
    };
    assert_eq!((trend.step, counts(&trend)), ("10s", vec![(3, 2, Some(Duration::from_millis(9)))]));
    let id = history.error_groups(Window::FiveMinutes).groups[0].id;
    let trend = history.group_trend(Window::FiveMinutes, id).unwrap();
    assert_eq!((trend.step, trend.points.len(), trend.points[30].calls), ("10s", 31, 1));
    assert!(trend.points.windows(2).all(|pair| pair[0].time < pair[1].time));
    let newest = trend.points[30].time;
    let recent = Period::Between { from: newest - SECOND * 60, until: newest + SECOND };
    assert!((6..=7).contains(&history.group_trend(recent, id).unwrap().points.len()));
    assert_eq!(history.group_trend(Window::OneDay, id ^ 1), None);
}

#[test]
fn an_hour_can_be_compared_with_the_same_one_a_day_ago_and_a_day_with_the_one_before() {
    let mut clock = Clockwork::new();
    let minutes = 2 * 1_440 + 10;
    for minute in 0..minutes {
        clock.record("/items", 200, 1_000 + minute);
        clock.tick_after(SECOND * 60);
    }
    assert!(clock.timeline.total.all().count() <= 2_200);
    assert!(clock.timeline.by_endpoint.all().count() <= 55);
    let now = clock.now().snapshot.taken;
    let name = EndpointName { method: "GET".into(), route: "/items".into() };
    let history = clock.history();
    let between = |begin: u32, end: u32, endpoint| {
        let period = Period::Between { from: now - SECOND * 60 * begin, until: now - SECOND * 60 * end };
        let trend = history.trend_of(period, None, Selection { endpoint, outcomes: None }).unwrap();
        (trend.step, trend.points.len(), trend.total.figures.calls)
    };
    assert_eq!(between(60 + 1_440, 1_440, None), ("1m", 60, 60));
    let (step, points, calls) = between(2 * 1_440, 1_440, None);
    assert!(step == "30m" && (48..=49).contains(&points) && calls >= 47 * 30, "{step} {points} {calls}");
    // Of an endpoint, two hours are one step.
    let (step, points, calls) = between(1_500 + 60, 1_500 - 60, Some(&name));
    assert!(step == "2h" && points == 1 && calls == 120, "{step} {points} {calls}");
    // A window has no more than a day.
    assert!(history.trend(Window::OneDay, None, None).unwrap().total.figures.calls <= 1_441);
}
