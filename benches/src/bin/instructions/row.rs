//! What is counted: each operation in a function of its own, inside of which valgrind counts.

use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::str::FromStr;

use actix_web::rt::System;
use benches::middleware::{Arm, Caller, Shape};
use benches::{Event, Workload};
use metrics_core::{EndpointId, Outcome, Recorder, Registry, Start};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A record by a recorder that the thread owns.
    Record,
    /// The same by the recorder that the registry keeps for the thread.
    ThreadLocal,
    /// The end of a request and the start of another one, hence two readings of the clock.
    Timed,
    /// One request of a static route, through the middleware, a whole app and its answer.
    Static,
    /// As above, of a route with a parameter.
    Dynamic,
}

impl Row {
    pub(crate) const ALL: [Self; 5] =
        [Self::Record, Self::ThreadLocal, Self::Timed, Self::Static, Self::Dynamic];

    /// What it is called in the table, in the baseline and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::ThreadLocal => "record, thread-local",
            Self::Timed => "finish and start",
            Self::Static => "middleware, static route",
            Self::Dynamic => "middleware, dynamic route",
        }
    }

    /// By how much it may be over the baseline, in per cent.
    ///
    /// A record's count is the same in every run, and 1 % of it is less than one instruction. The others also depend on what
    /// the clock reads and on the seeds of hash tables.
    pub(crate) fn allowed_percent(self) -> f64 {
        match self {
            Self::Record | Self::ThreadLocal => 1.0,
            Self::Timed | Self::Static | Self::Dynamic => 3.0,
        }
    }

    /// The function inside of which instructions are counted, as valgrind's patterns name it.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Record => "*::row::record",
            Self::ThreadLocal => "*::row::record_thread_local",
            Self::Timed => "*::row::finish_and_start",
            // Of the bench's callers: it gets requests that were made before.
            Self::Static | Self::Dynamic => "*CallAll>::call_all",
        }
    }

    /// The operations that go before those that are counted: enough for nearly all memory to be allocated.
    pub(crate) fn warm_up(self) -> usize {
        match self {
            Self::Record | Self::ThreadLocal | Self::Timed => 8_192,
            Self::Static | Self::Dynamic => 1_024,
        }
    }

    /// The operations that are counted.
    pub(crate) fn operations(self) -> usize {
        match self {
            Self::Record | Self::ThreadLocal | Self::Timed => 65_536,
            Self::Static | Self::Dynamic => 4_096,
        }
    }

    /// Does it so many times, the same in every run.
    pub(crate) fn run(self, operations: usize) {
        match self {
            Self::Record => {
                let registry = Registry::new();
                let recorder = registry.recorder();
                for_each_event(&registry, operations, |endpoint, event| record(&recorder, endpoint, event));
            }
            Self::Timed => {
                let registry = Registry::new();
                let recorder = registry.recorder();
                // What takes less than 128 ns is recorded another way. Each lasts as long as 64 turns do, so that it takes longer on
                // whichever machine.
                let mut starts: VecDeque<_> = (0..64).map(|_| recorder.start()).collect();
                for_each_event(&registry, operations, |endpoint, event| {
                    let start = starts.pop_front().expect("as many begin as end");
                    starts.push_back(finish_and_start(&recorder, start, endpoint, event));
                });
            }
            Self::ThreadLocal => {
                let registry = Registry::new();
                for_each_event(&registry, operations, |endpoint, event| {
                    record_thread_local(&registry, endpoint, event);
                });
            }
            Self::Static => call(Shape::Static, operations),
            Self::Dynamic => call(Shape::Dynamic, operations),
        }
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let row = Self::ALL.into_iter().find(|row| row.name() == name);
        row.ok_or_else(|| format!("there is no operation {name:?}"))
    }
}

fn for_each_event(registry: &Registry, operations: usize, mut operation: impl FnMut(EndpointId, Event)) {
    let workload = Workload::six_routes();
    let mut endpoints = Vec::new();
    for event in workload.events().iter().cycle().take(operations) {
        let route = usize::from(event.route);
        while endpoints.len() <= route {
            endpoints.push(registry.endpoint("GET", &format!("/{}", endpoints.len())));
        }
        operation(black_box(endpoints[route]), *black_box(event));
    }
}

#[inline(never)]
fn record(recorder: &Recorder, endpoint: EndpointId, event: Event) {
    recorder.record_nanos(endpoint, event.status, event.nanos);
}

#[inline(never)]
fn record_thread_local(registry: &Registry, endpoint: EndpointId, event: Event) {
    registry.record_nanos(endpoint, event.status, event.nanos);
}

#[inline(never)]
fn finish_and_start(recorder: &Recorder, start: Start, endpoint: EndpointId, event: Event) -> Start {
    recorder.finish(start, endpoint, Outcome::from(event.status));
    recorder.start()
}

fn call(shape: Shape, operations: usize) {
    Caller::new(Arm::Ours, &Rc::new(System::new())).call(shape, operations, &|| 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for row in Row::ALL {
            assert_eq!(row.name().parse(), Ok(row));
        }
        assert!("".parse::<Row>().is_err());
    }

    #[test]
    fn every_operation_runs() {
        Row::ALL.iter().for_each(|row| row.run(3));
    }
}
