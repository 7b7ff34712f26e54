//! Our arms.

use metrics_core::{EndpointId, Outcome, Recorder, Registry, Start};

use crate::Event;
use crate::arms::{InFlight, each};
use crate::worker::Worker;
use crate::workload::{METHOD, ROUTES};

type Endpoints = [EndpointId; ROUTES.len()];

fn endpoints(registry: &Registry) -> Endpoints {
    ROUTES.map(|route| registry.endpoint(METHOD, route))
}

/// A recorder that the thread owns.
struct Owned {
    recorder: Recorder,
    endpoints: Endpoints,
}

pub(crate) fn owned(threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry);
    each(threads, || Owned { recorder: registry.recorder(), endpoints })
}

impl Worker for Owned {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.recorder.record_nanos(self.endpoints[event.route()], event.status, event.nanos);
    }
}

/// The recorder that the registry keeps for the thread.
struct ThreadLocal {
    registry: Registry,
    endpoints: Endpoints,
}

pub(crate) fn thread_local(threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry);
    each(threads, || ThreadLocal { registry: registry.clone(), endpoints })
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
    endpoints: Endpoints,
    in_flight: InFlight<Start>,
}

pub(crate) fn timed(threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry);
    each(threads, || {
        let recorder = registry.recorder();
        let in_flight = InFlight::new(|| recorder.start());
        Timed { recorder, endpoints, in_flight }
    })
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
        let mut arm = Owned { recorder: registry.recorder(), endpoints: endpoints(&registry) };
        let workload = Workload::six_routes();
        arm.record_all(workload.events());
        assert_eq!(registry.summary().total.calls, workload.events().len() as u64);
    }
}
