//! The registry has what the facade's macros emit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Label, counter, describe_histogram, gauge, histogram, with_local_recorder};
use metrics_core::{Figures, LabelSet, MetricError, MetricFigures, MetricKind};
use proptest::prelude::*;

use super::*;

const REFUSED: &str = "metrics_facade_refused";

/// Runs `emit` with a facade. Returns the registry's figures, and what was refused.
fn emitted(registry: &Registry, emit: impl FnOnce()) -> (BTreeMap<String, MetricFigures>, RefusedCalls) {
    let facade = Facade::new(registry.clone());
    with_local_recorder(&facade, emit);
    (figures(registry), facade.refused())
}

fn figures(registry: &Registry) -> BTreeMap<String, MetricFigures> {
    let business = registry.summary().business.into_iter();
    business.map(|metric| (metric.series().into_owned(), metric.figures)).collect()
}

fn times(figures: &MetricFigures) -> &Figures {
    let MetricFigures::Timer(times) = figures else { panic!("{figures:?}") };
    times
}

#[test]
fn each_kind_is_recorded_under_its_name_and_labels() {
    let (figures, refused) = emitted(&Registry::new(), || {
        for _ in 0..3 {
            counter!("jobs.done", "queue" => "mail").increment(2);
        }
        gauge!("db-pool").set(4.0);
        gauge!("db-pool").increment(1.5);
        gauge!("db-pool").decrement(3.0);
        histogram!("work").record(Duration::from_millis(20));
        histogram!("work").record(0.04);
    });
    assert_eq!(figures[r#"jobs_done{queue="mail"}"#], MetricFigures::Counter(6));
    assert_eq!(figures["db_pool"], MetricFigures::Gauge(2.5));
    let times = times(&figures["work"]);
    assert_eq!(
        (times.calls, times.sum, times.max),
        (2, Duration::from_millis(60), Duration::from_millis(40))
    );
    assert_eq!(figures[REFUSED], MetricFigures::Counter(0));
    assert_eq!(refused, RefusedCalls { recordings: 0, first: None });
    assert_eq!(figures.len(), 4);
}

#[test]
fn absolute_raises_a_counter_and_never_lowers_it() {
    let registry = Registry::new();
    let (figures, _) = emitted(&registry, || {
        let counter = counter!("sent");
        // The same counter by another key.
        counter!("sent.to", "by" => "").absolute(3);
        counter!("sent_to").absolute(4);
        assert_eq!(registry.counter("sent_to").unwrap().value(), 4);
        counter.increment(5);
        for (absolute, expected) in [(3, 5), (12, 12), (11, 12), (12, 12)] {
            counter.absolute(absolute);
            assert_eq!(registry.counter("sent").unwrap().value(), expected);
        }
        registry.reset();
        counter.increment(1);
        counter.absolute(13);
        counter.absolute(15);
    });
    // Since the reset; 15 since the start.
    assert_eq!(figures["sent"], MetricFigures::Counter(3));
}

#[test]
fn threads_that_raise_a_counter_at_the_same_time_raise_it_to_the_largest_value() {
    let rounds = if cfg!(miri) { 50 } else { 20_000 };
    let registry = Registry::new();
    let facade = Facade::new(registry.clone());
    let raised = registry.counter("to_raise").unwrap();
    let (done, checked, wrong) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let both = |at: &AtomicU64, round| {
        at.fetch_add(1, Ordering::SeqCst);
        // Spins for a while, so that both threads continue at the same moment.
        for spins in 0_u64.. {
            if at.load(Ordering::SeqCst) >= round * 2 {
                break;
            }
            if spins > 1_000 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let raise = |key: &'static str, ahead: u64| {
        let handle = with_local_recorder(&facade, || counter!(key));
        for round in 1..=rounds {
            // The two threads take turns in raising it further.
            handle.absolute(round * 2 + (round + ahead) % 2);
            both(&done, round);
            if raised.value() != round * 2 + 1 {
                wrong.fetch_add(1, Ordering::Relaxed);
            }
            both(&checked, round);
        }
    };
    std::thread::scope(|scope| {
        // Two keys with the same name.
        scope.spawn(|| raise("to.raise", 0));
        scope.spawn(|| raise("to_raise", 1));
    });
    // Asserted here, since a panic within the rounds would leave the other thread waiting.
    assert_eq!(wrong.into_inner(), 0);
}

#[test]
fn threads_that_record_into_every_kind_lose_nothing() {
    let rounds = if cfg!(miri) { 20 } else { 2_000_u64 };
    let registry = Registry::new();
    let facade = Facade::new(registry.clone());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let facade = &facade;
            scope.spawn(move || {
                with_local_recorder(facade, || {
                    for round in 1..=rounds {
                        counter!("raised").absolute(round * 10 + thread);
                        counter!("counted").increment(1);
                        // Below what this thread alone has counted, so it adds nothing.
                        counter!("counted").absolute(round - 1);
                        histogram!("timed").record(1e-6);
                        gauge!("kept").increment(1);
                    }
                });
            });
        }
    });
    let figures = figures(&registry);
    assert_eq!(figures["raised"], MetricFigures::Counter(rounds * 10 + 3));
    assert_eq!(figures["counted"], MetricFigures::Counter(rounds * 4));
    assert_eq!(figures["kept"], MetricFigures::Gauge(rounds as f64 * 4.0));
    assert_eq!(times(&figures["timed"]).calls, rounds * 4);
    assert_eq!(facade.refused().recordings, 0);
}

#[test]
fn a_histogram_has_the_unit_of_its_description_before_or_after_first_use_or_seconds() {
    let (figures, refused) = emitted(&Registry::new(), || {
        for (unit, value) in [
            (Unit::Seconds, 0.002),
            (Unit::Milliseconds, 2.0),
            (Unit::Microseconds, 2_000.0),
            (Unit::Nanoseconds, 2e6),
        ] {
            let name = format!("in.{}", unit.as_str());
            describe_histogram!(name.clone(), unit, "");
            histogram!(name.clone(), "label" => "x").record(value);
            let later = format!("{name}.later");
            let handle = histogram!(later.clone(), "label" => "x");
            describe_histogram!(later, unit, "");
            handle.record(value);
        }
        histogram!("undescribed").record(0.002);
        describe_histogram!("without_unit", "");
        histogram!("without_unit").record(0.002);
        describe_histogram!("body.size", Unit::Bytes, "");
        histogram!("body.size").record(1024.0);
        histogram!("body.size").record(f64::NAN);
    });
    let two_millis = figures.values().filter(|figures| match figures {
        MetricFigures::Timer(times) => times.calls == 1 && times.max == Duration::from_millis(2),
        _ => false,
    });
    assert_eq!(two_millis.count(), 10, "{figures:?}");
    assert_eq!(times(&figures["body_size"]).calls, 0);
    assert_eq!(refused.recordings, 2);
    let first = refused.first.unwrap();
    assert_eq!(first, Refusal::Unit { name: "body_size".into() });
    assert!(first.to_string().contains("allowed: seconds"), "{first}");
}

#[test]
fn values_that_are_not_durations_are_clamped_or_refused() {
    let (figures, refused) = emitted(&Registry::new(), || {
        let negative = histogram!("negative");
        [-0.0, -1e-9, -5.0, f64::MIN].into_iter().for_each(|value| negative.record(value));
        let huge = histogram!("huge");
        [1e9, 1e300, f64::MAX].into_iter().for_each(|value| huge.record(value));
        let refused = histogram!("refused");
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().for_each(|value| refused.record(value));
        refused.record_many(f64::NAN, 2);
        let gauge = gauge!("gauge");
        gauge.set(7.0);
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].into_iter().for_each(|value| gauge.set(value));
        gauge.increment(f64::NAN);
        gauge.decrement(f64::INFINITY);
    });
    let negative = times(&figures["negative"]);
    assert_eq!((negative.calls, negative.max), (4, Duration::ZERO));
    let huge = times(&figures["huge"]);
    assert_eq!((huge.calls, huge.max), (3, Duration::from_nanos(1 << 48)));
    assert_eq!(times(&figures["refused"]).calls, 0);
    assert_eq!(figures["gauge"], MetricFigures::Gauge(7.0));
    assert_eq!(figures[REFUSED], MetricFigures::Counter(10));
    assert_eq!(refused.recordings, 10);
    assert!(
        matches!(refused.first, Some(Refusal::Value { name, value }) if name == "refused" && value.is_nan())
    );
}

#[test]
fn keys_with_the_same_name_share_a_metric_if_they_are_of_one_kind() {
    let registry = Registry::new();
    registry.hit_ratio("cache").unwrap();
    registry.counter("own").unwrap().increment();
    let (figures, refused) = emitted(&registry, || {
        counter!("a.b").increment(1);
        counter!("a-b").increment(1);
        counter!("a", "b" => "", "c" => "x").increment(1);
        counter!("a", "c" => "x").increment(1);
        counter!("own").increment(1);
        counter!("cache").increment(1);
        gauge!("a_b").set(1.0);
        gauge!("a_b").set(2.0);
    });
    assert_eq!(figures["a_b"], MetricFigures::Counter(2));
    assert_eq!(figures[r#"a{c="x"}"#], MetricFigures::Counter(2));
    assert_eq!(figures["own"], MetricFigures::Counter(2));
    assert_eq!(refused.recordings, 3);
    let Some(Refusal::Metric(MetricError::Kind { name, known, asked })) = refused.first else { panic!() };
    assert_eq!((&*name, known, asked), ("cache", MetricKind::HitRatio, MetricKind::Counter));
}

#[test]
fn labels_that_do_not_fit_are_other_and_metrics_that_do_not_fit_record_nothing_and_are_counted() {
    let registry = Registry::new();
    let (figures, refused) = emitted(&registry, || {
        for round in 0..2 {
            for i in 0..2_000 {
                histogram!("by_user", "user" => i.to_string()).record(round);
            }
            (0..200).for_each(|i| histogram!(format!("timer_{i}")).record(round));
        }
        counter!("still").increment(1);
    });
    assert_eq!(figures.len(), 127 + 128 + 1 + 2);
    assert_eq!(times(&figures[r#"by_user{user="127"}"#]).calls, 2);
    assert_eq!(times(&figures[r#"by_user{user="_other"}"#]).calls, 2 * (2_000 - 128));
    assert!(registry.health().label_sets_refused >= 2_000 - 128);
    assert_eq!(figures["still"], MetricFigures::Counter(1));
    assert_eq!(refused.recordings, 2 * (200 - 127));
    assert_eq!(figures[REFUSED], MetricFigures::Counter(refused.recordings));
    let Some(Refusal::Metric(error)) = refused.first else { panic!() };
    assert_eq!(error.to_string(), "limit of 128 timers reached; \"timer_127\" was not created");
}

#[test]
fn refusals_are_counted_even_if_the_registry_has_no_room_for_their_counter() {
    let registry = Registry::new();
    (0..128).for_each(|i| drop(registry.counter(&format!("counter_{i}")).unwrap()));
    let (figures, refused) = emitted(&registry, || counter!("one_more").increment(5));
    assert!(!figures.contains_key(REFUSED));
    assert_eq!(refused.recordings, 1);
}

/// One call of a macro.
#[derive(Debug, Clone)]
enum Call {
    Increment(u64),
    Absolute(u64),
    Set(f64),
    Add(f64),
    Record(f64),
}

fn calls() -> impl Strategy<Value = (String, Vec<(String, String)>, Call)> {
    let long = || "[xy]".prop_map(|end| "x".repeat(70_000) + &end);
    let text = || prop_oneof![30 => "[a-c]{0,2}", 20 => "\\PC{0,8}", 5 => any::<String>(), 1 => long()];
    let number = || prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), -1.0..100.0];
    let call = prop_oneof![
        (0..1_000_u64).prop_map(Call::Increment),
        (0..1_000_u64).prop_map(Call::Absolute),
        number().prop_map(Call::Set),
        number().prop_map(Call::Add),
        number().prop_map(Call::Record),
    ];
    (text(), prop::collection::vec((text(), text()), 0..3), call)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn for_any_input_names_are_valid_and_each_call_is_counted_once(
        calls in prop::collection::vec(calls(), 0..60)
    ) {
        let mut counts = BTreeMap::<String, u64>::new();
        let mut durations = 0;
        let (figures, refused) = emitted(&Registry::new(), || {
            for (name, labels, call) in &calls {
                let labels: Vec<Label> = labels.iter().map(Label::from).collect();
                let set = LabelSet::new(labels.iter().map(|label| (label.key(), label.value())));
                let called = set.series(&names::of_name(name)).into_owned();
                match *call {
                    Call::Increment(by) => {
                        *counts.entry(called).or_default() += by;
                        counter!(name.clone(), labels).increment(by);
                    }
                    Call::Absolute(to) => {
                        let count = counts.entry(called).or_default();
                        *count = to.max(*count);
                        counter!(name.clone(), labels).absolute(to);
                    }
                    Call::Set(to) => gauge!(name.clone(), labels).set(to),
                    Call::Add(by) => gauge!(name.clone(), labels).increment(by),
                    Call::Record(value) => {
                        durations += 1;
                        histogram!(name.clone(), labels).record(value);
                    }
                }
            }
        });
        let mut recorded = 0;
        for (series, figures) in &figures {
            let name = series.split('{').next().unwrap();
            prop_assert!((1..=100).contains(&name.len()));
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
            prop_assert!(!name.starts_with(|c: char| c.is_ascii_digit()));
            match figures {
                MetricFigures::Counter(count) if name != REFUSED => prop_assert_eq!(*count, counts[series]),
                MetricFigures::Gauge(value) => prop_assert!(value.is_finite()),
                MetricFigures::Timer(times) => recorded += times.calls,
                _ => {}
            }
        }
        prop_assert!(recorded <= durations && durations - recorded <= refused.recordings);
        prop_assert_eq!(refused.recordings > 0, refused.first.is_some());
    }
}
