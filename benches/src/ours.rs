//! Our arms.

use std::sync::Arc;

use metrics_core::{EndpointId, Outcome, Recorder, Registry, Start};

use crate::Event;
use crate::in_flight::InFlight;
use crate::worker::{Worker, each};
use crate::workload::{METHOD, Routes};

/// The endpoints, as [`Event::route`] numbers them.
pub(crate) fn endpoints(registry: &Registry, routes: Routes) -> Arc<[EndpointId]> {
    routes.iter().map(|route| registry.endpoint(METHOD, route)).collect()
}

/// A recorder that the thread owns.
pub(crate) struct Owned {
    recorder: Recorder,
    endpoints: Arc<[EndpointId]>,
}

impl Owned {
    pub(crate) fn new(registry: &Registry, endpoints: Arc<[EndpointId]>) -> Self {
        Self { recorder: registry.recorder(), endpoints }
    }
}

pub(crate) fn owned(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    owned_of_digits(routes, threads, 2).1
}

/// Like [`owned`], with another precision; also returns the registry to read from.
pub(crate) fn owned_of_digits(
    routes: Routes,
    threads: usize,
    digits: u8,
) -> (Registry, Vec<Box<dyn Worker>>) {
    let registry = Registry::builder().significant_digits(digits).build().expect("digits in range");
    let endpoints = endpoints(&registry, routes);
    let workers = each(threads, || Owned::new(&registry, Arc::clone(&endpoints)));
    (registry, workers)
}

impl Worker for Owned {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.recorder.record_nanos(self.endpoints[event.route()], event.status, event.nanos);
    }
}

/// The thread-local recorder of the registry.
struct ThreadLocal {
    registry: Registry,
    endpoints: Arc<[EndpointId]>,
}

pub(crate) fn thread_local(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry, routes);
    each(threads, || ThreadLocal { registry: registry.clone(), endpoints: Arc::clone(&endpoints) })
}

impl Worker for ThreadLocal {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.registry.record_nanos(self.endpoints[event.route()], event.status, event.nanos);
    }
}

/// The clock and the record together.
struct Timed {
    recorder: Recorder,
    endpoints: Arc<[EndpointId]>,
    in_flight: InFlight<Start>,
}

pub(crate) fn timed(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    timed_of_registry(routes, threads).1
}

/// Like [`timed`]; also returns the registry to read from.
pub(crate) fn timed_of_registry(routes: Routes, threads: usize) -> (Registry, Vec<Box<dyn Worker>>) {
    let registry = Registry::new();
    let endpoints = endpoints(&registry, routes);
    let workers = each(threads, || {
        let recorder = registry.recorder();
        let in_flight = InFlight::new(|| recorder.start());
        Timed { recorder, endpoints: Arc::clone(&endpoints), in_flight }
    });
    (registry, workers)
}

impl Worker for Timed {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let start = self.in_flight.replace_oldest(self.recorder.start());
        self.recorder.finish(start, self.endpoints[event.route()], Outcome::from(event.status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Workload;

    #[test]
    fn the_owned_arm_records_every_event() {
        let registry = Registry::new();
        let workload = Workload::six_routes();
        let endpoints = endpoints(&registry, workload.routes());
        let mut arm = Owned::new(&registry, endpoints);
        arm.record_all(workload.events());
        assert_eq!(registry.summary().total.calls, workload.events().len() as u64);
    }
}
