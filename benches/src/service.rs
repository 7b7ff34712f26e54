//! A service of a given size: its threads record, and each endpoint has latencies of its own.

use std::sync::Arc;

use fastrand::Rng;
use metrics_core::{Registry, Summary};

use crate::Event;
use crate::ours::{Owned, endpoints};
use crate::size::Size;
use crate::worker::Worker;
use crate::workload::{lognormal, routes};

/// Records per thread and endpoint. Few in tests, which only check that it runs.
const RECORDS: usize = if cfg!(test) { 20 } else { 1_000 };

/// The endpoints' median latencies range from 0.2 ms to 20 ms.
const LOWEST_MEDIAN_NANOS: f64 = 200_000.0;
const MEDIANS_RANGE: f64 = 100.0;

/// Standard deviation of the logarithm of an endpoint's latencies: the 99th percentile is 3.2 times the median.
const SIGMA: f64 = 0.5;

/// What one thread records: the same in every run, and different on each thread.
pub(crate) struct Traffic(Rng);

impl Traffic {
    pub(crate) fn new(thread: usize) -> Self {
        Self(Rng::with_seed(thread as u64))
    }

    /// Returns `count` events of a route: 0.8 % with status 404 and 0.2 % with 500, which take a quarter of the time.
    pub(crate) fn events(&mut self, route: usize, count: usize) -> impl Iterator<Item = Event> {
        let at = Rng::with_seed(route as u64).f64();
        let median = LOWEST_MEDIAN_NANOS * MEDIANS_RANGE.powf(at);
        (0..count).map(move |_| {
            let (status, median) = match self.0.u32(0..1_000) {
                0..2 => (500, median / 4.0),
                2..10 => (404, median / 4.0),
                _ => (200, median),
            };
            Event { nanos: lognormal(&mut self.0, median, SIGMA), status, route: route as u16 }
        })
    }

    /// Records everything that a thread of a service with this number of endpoints records.
    pub(crate) fn record_all(&mut self, endpoints: usize, worker: &mut dyn Worker) {
        for route in 0..endpoints {
            self.events(route, RECORDS).for_each(|event| worker.record(event));
        }
    }
}

/// A service with our metrics. Every shard has seen every endpoint.
pub(crate) struct Service {
    pub(crate) registry: Registry,
    endpoints: usize,
    shards: Vec<(Owned, Traffic)>,
}

impl Service {
    pub(crate) fn warm(size: Size) -> Self {
        let registry = Registry::new();
        let endpoints = endpoints(&registry, routes(size.endpoints));
        let shard = |thread| {
            let mut shard = Owned::new(&registry, Arc::clone(&endpoints));
            let mut traffic = Traffic::new(thread);
            traffic.record_all(size.endpoints, &mut shard);
            (shard, traffic)
        };
        Self { shards: (0..size.shards).map(shard).collect(), registry, endpoints: size.endpoints }
    }

    /// Adds one record for every endpoint in this number of shards, which a reader then has to read again.
    pub(crate) fn touch(&mut self, shards: usize) {
        for (shard, traffic) in self.shards.iter_mut().take(shards) {
            for route in 0..self.endpoints {
                traffic.events(route, 1).for_each(|event| shard.record(event));
            }
        }
    }

    /// Like [`Service::touch`], in all shards.
    pub(crate) fn touch_all(&mut self) {
        self.touch(self.shards.len());
    }

    /// One of the writers.
    pub(crate) fn writer(&mut self) -> &mut Owned {
        &mut self.shards[0].0
    }

    pub(crate) fn summary(&self) -> Summary {
        self.registry.summary()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_of_a_warm_service_has_seen_every_endpoint() {
        let mut service = Service::warm(Size::of(10, 3));
        let before = service.summary();
        assert_eq!((before.endpoints.len(), before.health.shards), (10, 3));
        service.touch_all();
        service.touch(2);
        for (before, after) in before.endpoints.iter().zip(service.summary().endpoints) {
            assert_eq!(
                (before.figures.calls, after.figures.calls),
                (3 * RECORDS as u64, 3 * RECORDS as u64 + 5)
            );
        }
    }
}
