//! Histories that are saved, and continued by a later process.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::*;
use crate::read::snapshot::consumers::ConsumerSnapshot;
use crate::read::summary::metrics::MetricFigures;

const SECOND: Duration = Duration::from_secs(1);
const ALL: usize = usize::MAX;

fn registry_with(digits: u8) -> Registry {
    Registry::builder().significant_digits(digits).build().unwrap()
}

/// A history with calls of two endpoints, own metrics of each kind, and a reset.
fn used() -> (Registry, History) {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    for i in 0..300_u64 {
        let endpoint = registry.endpoint("GET", ["/a", "/b", "_unmatched"][i as usize % 3]);
        registry.record_nanos(endpoint, [200, 404, 500][i as usize % 7 % 3], 1_000 + i * i * 97);
    }
    registry.counter("jobs").unwrap().add(7);
    registry.gauge("depth").unwrap().set(-1.5);
    registry.hit_ratio("cache").unwrap().hit();
    registry.timer("db").unwrap().record(Duration::from_micros(30));
    registry.unique("users").unwrap().insert("ann");
    history.tick();
    registry.reset();
    history.tick();
    (registry, history)
}

fn resumed(saved: &[u8]) -> History {
    History::resume(Registry::new(), saved).unwrap()
}

#[test]
fn a_later_process_has_the_figures_of_the_one_before_in_its_windows_but_not_in_what_is_cumulative() {
    let (_, before) = used();
    let after = resumed(&before.save(ALL));
    for window in [Window::FiveMinutes, Window::OneHour, Window::OneDay] {
        let (was, is) = (before.endpoints(window), after.endpoints(window));
        assert_eq!((was.total.calls, &was.total), (300, &is.total));
        let figures = |summary: &Summary| -> Vec<_> {
            summary.endpoints.iter().map(|of| (of.name.clone(), of.figures.clone())).collect()
        };
        assert_eq!((figures(&was).len(), figures(&was)), (3, figures(&is)));
        assert_eq!(before.summary(window).total, after.summary(window).total);
    }
    assert_eq!(after.registry.snapshot().endpoints().count(), 0);
    assert_eq!(after.registry.health().endpoints, 0);
    assert_eq!(after.summary(Window::SinceReset).total.calls, 0);
    assert_eq!(after.at_last_tick(Window::SinceReset).total.calls, 0);
    assert_eq!(after.resets(), before.resets());
    let route = EndpointName { method: "GET".into(), route: "/a".into() };
    let calls = |history: &History, of| -> u64 {
        let points = history.trend(Window::OneHour, None, of).unwrap().points;
        points.iter().map(|point| point.figures.calls).sum()
    };
    assert_eq!((calls(&after, None), calls(&after, Some(&route))), (300, 100));
    assert!(after.knows(&route) && !after.knows(&EndpointName { route: "/c".into(), ..route }));
}

#[test]
fn requests_of_both_processes_are_added_up_by_name_and_each_is_counted_once() {
    let (_, first) = used();
    let mut saved = first.save(ALL);
    for process in 1..=5_u64 {
        let registry = Registry::new();
        let history = History::resume(registry.clone(), &saved).unwrap();
        // Other routes come first, so rows are others.
        registry.record_nanos(registry.endpoint("GET", &format!("/new/{process}")), 200, 1_000);
        registry.record_nanos(registry.endpoint("GET", "/a"), 200, 1_000);
        let calls = |window| {
            let summary = history.endpoints(window);
            let of = |route: &str| summary.endpoints.iter().find(|of| &*of.name.route == route).unwrap();
            [summary.total.calls, of("/a").figures.calls, of("/b").figures.calls, of("/new/1").figures.calls]
        };
        // Before a tick, after it, and saved again.
        for _ in 0..2 {
            assert_eq!(calls(Window::OneHour), [300 + 2 * process, 100 + process, 100, 1]);
            assert_eq!(history.summary(Window::OneHour).total.calls, 300 + 2 * process);
            history.tick();
        }
        saved = history.save(ALL);
        assert_eq!(calls(Window::OneHour), [300 + 2 * process, 100 + process, 100, 1]);
        assert_eq!(history.gaps().len() as u64, process);
    }
}

#[test]
fn own_metrics_go_on_where_they_were_unless_they_are_of_another_kind_now() {
    let (_, before) = used();
    let registry = Registry::new();
    let after = History::resume(registry.clone(), &before.save(ALL)).unwrap();
    registry.counter("jobs").unwrap().add(1);
    registry.timer("db").unwrap().record(Duration::from_micros(10));
    registry.hit_ratio("cache").unwrap();
    // It was a gauge.
    registry.counter("depth").unwrap();
    let metrics = after.business(Window::OneHour).metrics;
    let of = |name: &str| metrics.iter().find(|metric| &*metric.name == name).unwrap().figures.clone();
    assert_eq!(of("jobs"), MetricFigures::Counter(8));
    assert_eq!(of("depth"), MetricFigures::Counter(0));
    assert_eq!(of("cache"), MetricFigures::HitRatio { hits: 1, misses: 0 });
    let MetricFigures::Timer(times) = of("db") else { panic!() };
    assert_eq!((times.calls, times.sum), (2, Duration::from_micros(40)));
    after.save(ALL);
    let points = |name| after.metric_trend(Window::OneHour, None, name).unwrap().unwrap().points;
    let counts = |name| -> u64 {
        let counted = points(name).into_iter().map(|point| match point.figures {
            MetricFigures::Counter(count) => count,
            _ => panic!("{point:?}"),
        });
        counted.sum()
    };
    assert_eq!((counts("jobs"), counts("depth")), (8, 0));
    assert_eq!(after.business(Window::SinceReset).metrics.len(), 4);
}

#[test]
fn a_past_that_is_known_later_comes_before_all_that_was_counted_since_the_beginning() {
    let saved = used().1.save(ALL);
    let registry = Registry::new();
    let history = History::new(registry.clone());
    let beginnings = [history.beginning(), history.beginning()];
    let record = |times: u64| {
        let endpoint = registry.endpoint("GET", "/later");
        (0..times).for_each(|_| registry.record_nanos(endpoint, 500, 1_000));
        history.tick();
    };
    record(2);
    registry.reset();
    record(3);
    let calls = |window| history.summary(window).total.calls;
    let [beginning, other] = beginnings;
    assert!(history.inherit(other, &saved[..saved.len() - 1]).is_err());
    assert_eq!((calls(Window::OneDay), history.gaps().len()), (5, 0));
    history.inherit(beginning, &saved).unwrap();
    for more in [0, 4] {
        record(more);
        assert_eq!((calls(Window::OneDay), calls(Window::SinceReset)), (305 + more, 3 + more));
        assert_eq!((history.gaps().len(), history.consecutive_errors(Window::OneDay)), (1, 5 + more));
        let trend = history.trend(Window::OneDay, None, None).unwrap();
        assert_eq!(trend.points.iter().map(|point| point.figures.calls).sum::<u64>(), 305 + more);
        let endpoints = history.endpoints(Window::OneDay).endpoints;
        let later = endpoints.iter().find(|endpoint| &*endpoint.name.route == "/later").unwrap();
        assert_eq!(later.figures.calls, 5 + more);
    }
}

#[test]
fn consumers_keep_their_steps_when_a_past_becomes_known_and_go_on() {
    let mut saved = resume::Saved::read(&used().1.save(ALL), crate::histogram::Layout::TWO_DIGITS).unwrap();
    // Not whole steps before.
    saved.move_back(SECOND * 5_003);
    let history = History::new(Registry::new());
    let beginning = history.beginning();
    let push = |turn: u32| {
        let (name, taken) = (Arc::from("ann"), SystemTime::now());
        let calls = u64::from(turn * 4);
        let ann = ConsumerSnapshot { name, calls, errors: 0, sum_nanos: 1_000, last_seen: taken };
        history.timeline().consumers.push((SECOND * turn * 10, taken), vec![ann]);
    };
    let steps = || {
        let points = history.consumer_trend(Window::OneHour, None, "ann").unwrap().points;
        points.iter().map(|point| (point.span, point.calls)).collect::<Vec<_>>()
    };
    (1..=20).for_each(push);
    let before = steps();
    // Of a minute each: so the last one has room.
    assert_eq!(before, [(SECOND * 60, 24), (SECOND * 60, 24), (SECOND * 60, 24), (SECOND * 20, 8)]);
    history.take_over(beginning, saved);
    assert!(history.timeline().ahead > SECOND * 5_000);
    assert_eq!(steps(), before);
    (21..=24).for_each(push);
    assert_eq!(steps(), [(SECOND * 60, 24); 4]);
}

#[test]
fn frames_are_as_old_as_the_wall_clock_says_and_those_of_a_day_ago_are_gone() {
    let (_, before) = used();
    let saved = before.save(ALL);
    let calls = |away: Duration, window| {
        let mut saved = resume::Saved::read(&saved, crate::histogram::Layout::TWO_DIGITS).unwrap();
        saved.move_back(away);
        let after = History::new(Registry::new());
        saved.add_to(&mut after.timeline());
        after.summary(window).total.calls
    };
    assert_eq!(calls(SECOND * 30, Window::OneMinute), 300);
    assert_eq!(calls(SECOND * 70, Window::OneMinute), 0);
    assert_eq!(calls(SECOND * 70, Window::FiveMinutes), 300);
    assert_eq!(calls(SECOND * 3_500, Window::OneHour), 300);
    assert_eq!(calls(SECOND * 86_000, Window::OneHour), 0);
    assert_eq!(calls(SECOND * 86_000, Window::OneDay), 300);
    assert_eq!(calls(SECOND * 90_000, Window::OneDay), 0);
    assert_eq!(calls(SECOND * 9_000_000, Window::OneDay), 0);
}

#[test]
fn a_wall_clock_that_was_set_back_makes_the_past_end_now() {
    let (_, before) = used();
    let mut saved = resume::Saved::read(&before.save(ALL), crate::histogram::Layout::TWO_DIGITS).unwrap();
    saved.move_ahead(SECOND * 5_000);
    let after = History::new(Registry::new());
    saved.add_to(&mut lock(&after.timeline));
    let [gap] = after.gaps()[..] else { panic!() };
    assert_eq!(gap.from, gap.until);
    let newest = after.newest().unwrap().time;
    assert!(newest <= gap.until && newest + SECOND * 60 > gap.until, "{newest:?} {gap:?}");
}

#[test]
fn a_history_with_another_precision_is_continued_with_the_error_of_the_coarser_one() {
    let values: Vec<u64> = (0..2_000).map(|i| 1_000 + i * i * 3).collect();
    for (theirs, ours) in [(3, 2), (2, 1), (1, 3), (1, 2), (2, 3)] {
        let registry = registry_with(theirs);
        let before = History::new(registry.clone());
        let endpoint = registry.endpoint("GET", "/");
        values.iter().for_each(|&nanos| registry.record_nanos(endpoint, 200, nanos));
        registry.timer("db").unwrap().record(Duration::from_micros(30));
        let ours_now = registry_with(ours);
        let after = History::resume(ours_now.clone(), &before.save(ALL)).unwrap();
        ours_now.timer("db").unwrap();
        let (was, is) = (before.summary(Window::OneHour).total, after.summary(Window::OneHour).total);
        assert_eq!((was.calls, was.sum, was.outcomes), (is.calls, is.sum, is.outcomes.clone()));
        let error = if theirs.min(ours) == 1 { 0.0625 } else { 0.0079 };
        for (was, is) in [(was.p50, is.p50), (was.p99, is.p99), (was.min, is.min), (was.max, is.max)] {
            let (was, is) = (was.as_secs_f64(), is.as_secs_f64());
            assert!((is - was).abs() <= was * error, "{theirs} {ours}: {was} {is}");
        }
        assert!(is.min <= is.p50 && is.p50 <= is.p99 && is.p99 <= is.max);
        assert_eq!(after.business(Window::OneHour).metrics.len(), 1);
    }
}

#[test]
fn what_does_not_fit_is_left_out_the_oldest_first() {
    let (registry, before) = used();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1));
        registry.record_nanos(registry.endpoint("GET", "/late"), 200, 1_000);
        before.tick();
    }
    let whole = before.save(ALL).len();
    // Each of its times takes some bytes more or less, and the lengths of its lists are reckoned with ten bytes each.
    let later = Registry::new();
    let after = History::resume(later.clone(), &before.save(whole + 100)).unwrap();
    later.counter("jobs").unwrap();
    assert_eq!(after.business(Window::OneHour).metrics[0].figures, MetricFigures::Counter(7));
    assert_eq!(after.endpoints(Window::OneHour).total.calls, 303);
    let mut last = (u64::MAX, u64::MAX, usize::MAX);
    for bytes in (0..=whole).rev().step_by(7) {
        let saved = before.save(bytes);
        assert!(saved.len() <= bytes.max(200), "{} {bytes}", saved.len());
        let after = resumed(&saved);
        let calls =
            (after.summary(Window::OneHour).total.calls, after.endpoints(Window::OneHour).total.calls);
        let steps = after.timeline().total.all().count();
        assert!(calls.0 <= last.0 && calls.1 <= calls.0, "{calls:?} {last:?}");
        // Only where steps of all requests were merged is there more room for endpoints.
        assert!(calls.1 <= last.1 || steps < last.2, "{calls:?} in {steps} steps, {last:?}");
        last = (calls.0, calls.1, steps);
    }
    assert_eq!((last.0, last.1), (0, 0));
}

#[test]
fn series_with_labels_go_on_under_their_labels_and_without_labels_the_version_is_that_of_before() {
    let count = |registry: &Registry, mail: u64, sms: u64| {
        let (jobs, depth) = (registry.counter("jobs").unwrap(), registry.gauge("depth").unwrap());
        jobs.with("queue", "mail").add(mail);
        jobs.with("queue", "sms").add(sms);
        depth.with("queue", "mail").set(mail as f64);
        depth.with("queue", "sms").set(sms as f64);
        registry.timer("work").unwrap().with("queue", "mail").record(Duration::from_millis(mail));
    };
    let registry = Registry::new();
    let before = History::new(registry.clone());
    assert_eq!(before.save(ALL)[0], 1);
    count(&registry, 5, 7);
    let saved = before.save(ALL);
    assert_eq!(saved[0], 2);

    let registry = Registry::new();
    let after = History::resume(registry.clone(), &saved).unwrap();
    count(&registry, 2, 0);
    let in_an_hour = after.business(Window::OneHour);
    let figures = |name: &str| in_an_hour.get(name).map(|metric| metric.figures.clone());
    assert_eq!(figures("jobs"), Some(MetricFigures::Counter(14)));
    assert_eq!(figures(r#"jobs{queue="mail"}"#), Some(MetricFigures::Counter(7)));
    assert_eq!(figures(r#"jobs{queue="sms"}"#), Some(MetricFigures::Counter(7)));
    assert_eq!(figures(r#"jobs{queue="x"}"#), None);
    assert_eq!(figures("depth"), Some(MetricFigures::Gauge(2.0)));
    assert_eq!(figures("work").unwrap().count(), Some(2));
    let since_reset = after.business(Window::SinceReset);
    assert_eq!(since_reset.get("jobs").unwrap().figures, MetricFigures::Counter(2));
    assert_eq!(since_reset.get("depth").unwrap().figures, MetricFigures::Gauge(2.0));

    let again = after.save(ALL);
    let registry = Registry::new();
    let last = History::resume(registry.clone(), &again).unwrap();
    // A series that no process of now has counts in the metric.
    registry.counter("jobs").unwrap().with("queue", "sms");
    registry.gauge("depth").unwrap().with("queue", "mail").set(1.0);
    last.tick();
    let counted = |name: &str| {
        let trend = last.metric_trend(Window::OneHour, None, name).unwrap();
        trend.map(|trend| trend.points.iter().filter_map(|point| point.figures.count()).sum::<u64>())
    };
    // The trend begins with the first frame after the series was made.
    assert_eq!(counted(r#"jobs{queue="mail"}"#), None);
    last.save(ALL);
    assert_eq!(counted("jobs"), Some(14));
    assert_eq!(counted(r#"jobs{queue="sms"}"#), Some(7));
    assert_eq!(counted("none"), None);
}

#[test]
fn labels_that_are_not_those_of_a_set_are_refused() {
    let registry = Registry::new();
    let history = History::new(registry.clone());
    registry.counter("jobs").unwrap().with_labels([("a", "1"), ("b", "2")]).increment();
    let saved = history.save(ALL);
    let place = saved.windows(8).position(|bytes| bytes == b"\x01a\x011\x01b\x012").unwrap();
    for (at, byte) in [(1, b'c'), (1, b'-'), (5, b'a'), (3, b'\n')] {
        let mut changed = saved.clone();
        changed[place + at] = byte;
        assert!(History::resume(Registry::new(), &changed).is_err(), "{at}");
    }
    assert!(History::resume(Registry::new(), &saved).is_ok());
}

#[test]
fn a_newer_version_and_everything_that_is_cut_off_are_refused() {
    let (_, before) = used();
    let mut saved = before.save(ALL);
    let layout = crate::histogram::Layout::TWO_DIGITS;
    for length in 0..saved.len() {
        assert!(resume::Saved::read(&saved[..length], layout).is_err(), "{length}");
    }
    let refused = |saved: &[u8]| resume::Saved::read(saved, layout).err().unwrap().to_string();
    assert_eq!(refused(&[&saved[..], &[0]].concat()), "it is damaged: there is something after its end");
    saved[0] = 3;
    assert_eq!(
        refused(&saved),
        "it is of format 3, which a later version of this library wrote; this one reads up to 2"
    );
}

proptest! {
    #[test]
    fn whatever_bytes_are_changed_it_is_refused_or_can_be_used(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        static SAVED: OnceLock<Vec<u8>> = OnceLock::new();
        let mut saved = SAVED.get_or_init(|| used().1.save(ALL)).clone();
        let small = || Registry::builder().max_series(4).build().unwrap();
        changes.iter().for_each(|(at, byte)| { let at = at.index(saved.len()); saved[at] = *byte; });
        if let Ok(after) = History::resume(small(), &saved) {
            after.tick();
            for window in Window::ALL {
                let figures = after.summary(window).total;
                prop_assert!(figures.min <= figures.p50 && figures.p50 <= figures.max);
                drop((after.endpoints(window), after.business(window), after.trend(window, None, None)));
            }
            prop_assert!(History::resume(small(), &after.save(ALL)).is_ok());
        }
    }
}
