//! The peers' middlewares, each set up as its docs advise. Nobody reads their metrics, nor ours.

use std::sync::Once;

use actix_web_prom::{PrometheusMetrics, PrometheusMetricsBuilder};
use opentelemetry::global;
use opentelemetry_instrumentation_actix_web::RequestMetrics;
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};

/// With requests that match nothing under one label, as its docs advise for services that strangers reach: else every path
/// that is made up would be a series of its own.
pub(crate) fn actix_web_prom() -> PrometheusMetrics {
    PrometheusMetricsBuilder::new("bench")
        .endpoint("/metrics")
        .mask_unmatched_patterns("UNKNOWN")
        .build()
        .expect("the names are valid, and the registry is new")
}

/// On a meter provider for the whole process. Its reader collects when it is asked to, and it is not: the cheapest there is.
pub(crate) fn opentelemetry() -> RequestMetrics {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
        global::set_meter_provider(provider);
    });
    RequestMetrics::default()
}
