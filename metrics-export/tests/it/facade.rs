//! A whole process's recorder, and a crate of others that emits to it.

use std::time::Duration;

use metrics_core::{MetricFigures, Registry};
use metrics_export::facade::Facade;
use tokio_metrics::{TaskMetricsReporterBuilder, TaskMonitor};

use crate::allocations::ALLOCATIONS;

fn figures(registry: &Registry, name: &str) -> Option<MetricFigures> {
    let business = registry.summary().business.into_iter();
    business.filter(|metric| &*metric.name == name).map(|metric| metric.figures).next()
}

#[test]
fn what_every_thread_of_the_process_emits_is_taken_once_installed() {
    let registry = Registry::new();
    let facade = Facade::new(registry.clone()).install().unwrap();
    let threads = (0..4).map(|_| {
        std::thread::spawn(|| {
            for _ in 0..1_000 {
                metrics::counter!("process_wide", "from" => "threads").increment(1);
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(figures(&registry, "process_wide_from_threads"), Some(MetricFigures::Counter(4_000)));
    assert_eq!(facade.refused().recordings, 0);
    let error = Facade::new(registry).install().unwrap_err();
    assert_eq!(error.into_inner().refused().recordings, 0);
}

#[test]
fn a_macro_at_the_call_site_allocates_nothing_from_the_second_time_on() {
    let facade = Facade::new(Registry::new());
    metrics::with_local_recorder(&facade, || {
        let emit = || {
            metrics::counter!("calls", "kind" => "a", "of" => "b").increment(1);
            metrics::gauge!("level").set(1.0);
            metrics::histogram!("duration").record(0.001);
        };
        emit();
        let before = ALLOCATIONS.get();
        emit();
        assert_eq!(ALLOCATIONS.get() - before, 0);
    });
}

#[test]
fn what_tokio_metrics_tells_of_tasks_is_in_the_registry() {
    let registry = Registry::new();
    let facade = Facade::new(registry.clone());
    let monitor = TaskMonitor::new();
    let reporter = metrics::with_local_recorder(&facade, || {
        TaskMetricsReporterBuilder::new(metrics::Key::from_static_name)
            .with_interval(Duration::from_millis(1))
            .describe()
            .build_with_monitor(monitor.clone())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first_polls = runtime.block_on(async {
        let reporting = tokio::spawn(reporter.run());
        for _ in 0..7 {
            tokio::spawn(monitor.instrument(async { tokio::task::yield_now().await })).await.unwrap();
        }
        let mut found = None;
        for _ in 0..2_000 {
            found = figures(&registry, "tokio_first_poll_count");
            if found == Some(MetricFigures::Counter(7)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        reporting.abort();
        found
    });
    let business = registry.summary().business;
    assert_eq!(first_polls, Some(MetricFigures::Counter(7)), "{business:?}");
    assert!(figures(&registry, "tokio_mean_poll_duration").is_some(), "{business:?}");
    assert_eq!(facade.refused().recordings, 0, "{:?}", facade.refused());
}
