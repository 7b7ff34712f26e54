//! Trends, of all requests and of some, and of periods in the past.

use super::*;

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
