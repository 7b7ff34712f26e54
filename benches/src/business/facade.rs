//! The `metrics` facade, with our recorder and with its own Prometheus exporter.
//!
//! A process can install only one recorder, so these arms call theirs as the facade's macros do: a kept handle records,
//! and a macro at the call site first asks the recorder for the handle of a key that was hashed at compile time.

use std::sync::Arc;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_core::Registry;
use metrics_export::facade::Facade;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::Event;
use crate::worker::{Worker, each};
use crate::workload::Routes;

static LABELS: [Label; 1] = [Label::from_static_parts("queue", "mail")];
static JOBS: Key = Key::from_static_parts("jobs_total", &LABELS);
static DURATIONS: Key = Key::from_static_parts("job_duration_seconds", &LABELS);
static METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// A recorder of the facade, with its upkeep.
trait Upkeep: Recorder + Send + 'static {
    fn upkeep(&self) {}
}

impl Upkeep for Facade {}

impl Upkeep for Arc<PrometheusRecorder> {
    /// The exporter keeps every recorded value until this folds it into a summary.
    fn upkeep(&self) {
        self.handle().run_upkeep();
    }
}

fn ours() -> Facade {
    Facade::new(Registry::new())
}

fn exporter() -> Arc<PrometheusRecorder> {
    Arc::new(PrometheusBuilder::new().build_recorder())
}

pub(super) fn counter(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    counters(&ours(), threads)
}

pub(super) fn exporters_counter(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    counters(&exporter(), threads)
}

pub(super) fn counter_looked_up(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let recorder = ours();
    each(threads, || LookedUp(recorder.clone()))
}

pub(super) fn exporters_counter_looked_up(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let recorder = exporter();
    each(threads, || LookedUp(Arc::clone(&recorder)))
}

pub(super) fn histogram(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    histograms(&ours(), threads)
}

pub(super) fn exporters_histogram(_: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    histograms(&exporter(), threads)
}

fn counters(recorder: &impl Recorder, threads: usize) -> Vec<Box<dyn Worker>> {
    let counter = recorder.register_counter(&JOBS, &METADATA);
    each(threads, || Kept(counter.clone()))
}

struct Kept(Counter);

impl Worker for Kept {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        self.0.increment(1);
    }
}

struct LookedUp<R>(R);

impl<R: Upkeep> Worker for LookedUp<R> {
    #[inline(always)]
    fn record(&mut self, _: Event) {
        self.0.register_counter(&JOBS, &METADATA).increment(1);
    }
}

fn histograms<R: Upkeep + Clone>(recorder: &R, threads: usize) -> Vec<Box<dyn Worker>> {
    let histogram = recorder.register_histogram(&DURATIONS, &METADATA);
    each(threads, || Durations { histogram: histogram.clone(), recorder: recorder.clone() })
}

struct Durations<R> {
    histogram: Histogram,
    recorder: R,
}

impl<R: Upkeep> Worker for Durations<R> {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.histogram.record(event.seconds());
    }

    fn maintain(&mut self) {
        self.recorder.upkeep();
    }
}
