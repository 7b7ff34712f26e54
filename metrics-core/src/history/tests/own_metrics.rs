//! Windows and trends of the application's own metrics.

use super::*;

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
fn a_step_of_distinct_values_has_those_of_all_series_once() {
    let mut clock = Clockwork::new();
    let users = clock.registry.unique("users").unwrap();
    let [free, pro] = ["free", "pro"].map(|plan| users.with("plan", plan));
    users.insert("without labels");
    for step in 0..30_u8 {
        free.insert([step]);
        pro.insert([step / 2]);
        clock.tick_after(SECOND * 10);
    }
    let last = |name: &str| {
        let steps = clock.timeline.metrics.steps(Duration::ZERO, SECOND * 10, name, clock.registry.layout());
        match steps.last() {
            // The day can change meanwhile.
            Some((_, MetricFigures::UniqueCount { today, yesterday })) => today + yesterday,
            other => panic!("{other:?}"),
        }
    };
    let names = ["users", r#"users{plan="free"}"#, r#"users{plan="pro"}"#];
    let counts = names.map(last);
    assert!(counts[0] >= 31 && counts[1] >= 30 && counts[2] >= 15, "{counts:?}");
    assert!(counts[0] <= 33 && counts[1] <= 31 && counts[2] <= 17, "{counts:?}");
    let now = clock.metrics_now();
    let window = clock.timeline.metrics.window(&now, SECOND * 300, clock.registry.layout());
    let MetricFigures::UniqueCount { today, yesterday } = window.totals[0].figures else { panic!() };
    assert!((31..=33).contains(&(today + yesterday)), "{today} {yesterday}");
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
