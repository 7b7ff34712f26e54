//! The facade as the recorder of the whole process, and of `tokio-metrics`.

use metrics::Key;
use metrics_core::{MetricFigures, Registry};
use metrics_export::facade::Facade;
use tokio_metrics::RuntimeMetricsReporterBuilder;

use crate::allocations::ALLOCATIONS;

fn figures(registry: &Registry, name: &str) -> Option<MetricFigures> {
    let business = registry.summary().business.into_iter();
    business.filter(|metric| metric.series() == name).map(|metric| metric.figures).next()
}

#[test]
fn an_installed_facade_records_what_every_thread_emits() {
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
    assert_eq!(figures(&registry, r#"process_wide{from="threads"}"#), Some(MetricFigures::Counter(4_000)));
    assert_eq!(facade.refused().recordings, 0);
    let error = Facade::new(registry).install().unwrap_err();
    assert_eq!(error.into_inner().refused().recordings, 0);
}

#[test]
fn a_macro_allocates_nothing_from_the_second_call_on() {
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
fn tokio_metrics_reports_a_runtime_into_the_registry() {
    let registry = Registry::new();
    let facade = Facade::new(registry.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut reporter = metrics::with_local_recorder(&facade, || {
            let labelled = |name| Key::from_parts(name, &[("service", "orders")]);
            let builder = RuntimeMetricsReporterBuilder::default().with_metrics_transformer(labelled);
            builder.describe().build()
        });
        (0..7).for_each(|_| drop(tokio::spawn(std::future::pending::<()>())));
        tokio::task::yield_now().await;
        reporter.run_once();
    });
    let alive = figures(&registry, r#"tokio_live_tasks_count{service="orders"}"#);
    assert_eq!(alive, Some(MetricFigures::Gauge(7.0)));
    let busy = figures(&registry, r#"tokio_total_busy_duration{service="orders"}"#);
    assert!(matches!(busy, Some(MetricFigures::Counter(_))), "{busy:?}");
    let workers = figures(&registry, r#"tokio_workers_count{service="orders"}"#);
    assert_eq!(workers, Some(MetricFigures::Gauge(1.0)));
    assert_eq!(facade.refused().recordings, 0, "{:?}", facade.refused());
}
