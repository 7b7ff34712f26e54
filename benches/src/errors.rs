//! A storm of errors: the cost of a failed request when every request fails with a message.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use metrics_core::{EndpointId, Outcome, Recorder, Registry};

use crate::Event;
use crate::arms::Arm;
use crate::figures::{Comparison, OURS, Reference};
use crate::ours::{self, Owned, endpoints};
use crate::unit::Unit;
use crate::worker::{Worker, each};
use crate::workload::Routes;

/// All arms. The plain record is the floor: it counts the failure and keeps no message.
pub const ARMS: &[Arm] = &[
    Arm { name: OURS, workers: logged },
    Arm { name: "floor: plain record", workers: ours::owned },
    Arm { name: "plain record and a Mutex<VecDeque>", workers: listed },
];

/// The message of each failed request.
const MESSAGE: &str = "the connection to the database was closed before the answer came";

/// A record and an entry in the error log.
struct Logged {
    recorder: Recorder,
    endpoints: Arc<[EndpointId]>,
}

fn logged(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry, routes);
    each(threads, || Logged { recorder: registry.recorder(), endpoints: Arc::clone(&endpoints) })
}

impl Worker for Logged {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        let (endpoint, outcome) = (self.endpoints[event.route()], Outcome::from(event.status));
        self.recorder.record_error(endpoint, outcome, Duration::from_nanos(event.nanos), MESSAGE);
    }
}

/// The obvious way: all threads share a list of the last errors.
struct Listed {
    owned: Owned,
    last: Arc<Mutex<VecDeque<Entry>>>,
}

/// The same fields as in our log.
#[expect(dead_code, reason = "the bench never reads the last errors, neither these nor ours")]
struct Entry {
    time: SystemTime,
    route: u16,
    status: u16,
    nanos: u64,
    message: String,
}

/// The default length of our log.
const CAPACITY: usize = 128;

fn listed(routes: Routes, threads: usize) -> Vec<Box<dyn Worker>> {
    let registry = Registry::new();
    let endpoints = endpoints(&registry, routes);
    let last = Arc::new(Mutex::new(VecDeque::with_capacity(CAPACITY)));
    each(threads, || Listed { owned: Owned::new(&registry, Arc::clone(&endpoints)), last: Arc::clone(&last) })
}

impl Worker for Listed {
    #[inline(always)]
    fn record(&mut self, event: Event) {
        self.owned.record(event);
        let entry = Entry {
            time: SystemTime::now(),
            route: event.route,
            status: event.status,
            nanos: event.nanos,
            message: MESSAGE.to_owned(),
        };
        let mut last = self.last.lock().expect("no thread panics while it holds the lock");
        if last.len() == CAPACITY {
            last.pop_front();
        }
        last.push_back(entry);
    }
}

/// Compares each arm's time with ours. The design requires nothing here.
pub fn comparison() -> Comparison {
    Comparison {
        kind: "errors",
        unit: Unit::NANOS,
        per: "per failed request on a thread",
        over_bare: false,
        reference: Some(Reference::Ours),
        requirements: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Workload, record};

    #[test]
    fn every_arm_runs_on_one_thread_and_on_two() {
        let failures = Workload::failures().cut(100);
        let measured = record::measure(ARMS, &[(&failures, 1), (&failures, 2)], 1);
        assert_eq!(measured.len(), 2 * ARMS.len());
        assert!(measured[..ARMS.len()].iter().all(|lane| lane.median() > 0.0));
    }

    #[test]
    fn ours_counts_every_failure_of_a_storm() {
        let registry = Registry::new();
        let workload = Workload::failures();
        let endpoints = endpoints(&registry, workload.routes());
        Logged { recorder: registry.recorder(), endpoints }.record_all(workload.events());
        let total = registry.summary().total;
        assert_eq!((total.errors, total.calls), (total.calls, workload.events().len() as u64));
    }
}
