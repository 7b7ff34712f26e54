//! The peers' middlewares, each set up as its docs advise. The bench reads no metrics, neither theirs nor ours.

use std::sync::Once;
use std::thread;
use std::time::Duration;

use actix_web_metrics::{ActixWebMetrics, ActixWebMetricsBuilder};
use actix_web_prom::{PrometheusMetrics, PrometheusMetricsBuilder};
use opentelemetry::global;
use opentelemetry_instrumentation_actix_web::RequestMetrics;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

use crate::peers::metrics_exporter;

/// How often the recorder of `metrics-exporter-prometheus` folds values into summaries, if it is installed with its
/// server.
const UPKEEP: Duration = Duration::from_secs(5);

/// Counts all unmatched requests under one label, as its docs advise for public services: otherwise each invented path
/// would be a series.
pub(crate) fn actix_web_prom() -> PrometheusMetrics {
    PrometheusMetricsBuilder::new("bench")
        .endpoint("/metrics")
        .mask_unmatched_patterns("UNKNOWN")
        .build()
        .expect("the names are valid, and the registry is new")
}

/// Uses a meter provider for the whole process. Its reader collects on request and is never asked, which is the
/// cheapest setup.
pub(crate) fn opentelemetry() -> RequestMetrics {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
        global::set_meter_provider(provider);
    });
    RequestMetrics::default()
}

/// Records with the Prometheus recorder of the whole process, as its README does.
pub(crate) fn actix_web_metrics() -> ActixWebMetrics {
    static UPKEPT: Once = Once::new();
    let exporter = metrics_exporter();
    UPKEPT.call_once(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(UPKEEP);
                exporter.run_upkeep();
            }
        });
    });
    ActixWebMetricsBuilder::new().build()
}
