//! The counted operations, each in a function of its own, inside which valgrind counts.

use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use actix_web::rt::System;
use benches::middleware::{Arm, Caller, Shape};
use benches::{Event, Workload, scrape};
use metrics_core::{EndpointId, Outcome, Recorder, Registry, Start};

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A record with a recorder that the thread owns.
    Record,
    /// A record with the registry's thread-local recorder.
    ThreadLocal,
    /// A record of an error of the group that the thread recorded last, with the same message.
    Error,
    /// The same, where each message differs in a number from the one before.
    OtherError,
    /// The end of one request and the start of another, with two readings of the clock.
    Timed,
    /// What the middleware adds to one request of this shape through a whole app, up to the end of its response's body:
    /// the same request through the bare app is subtracted.
    Middleware(Shape),
    /// The same request through the bare app: what is subtracted.
    Bare(Shape),
    /// A scrape of 200 routes by three statuses, all of which changed, with its snapshot.
    Scrape,
    /// The same after one in twenty changed.
    ScrapeOfFew,
}

impl Row {
    /// The rows of the table. [`Row::Bare`] is only part of another one.
    pub(crate) const ALL: [Self; 12] = [
        Self::Record,
        Self::ThreadLocal,
        Self::Error,
        Self::OtherError,
        Self::Timed,
        Self::Middleware(Shape::Static),
        Self::Middleware(Shape::Dynamic),
        Self::Middleware(Shape::Nested),
        Self::Middleware(Shape::Unmatched),
        Self::Middleware(Shape::Failing),
        Self::Scrape,
        Self::ScrapeOfFew,
    ];

    /// Its name in the table, in the baseline and on the command line.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Record => "record".to_owned(),
            Self::ThreadLocal => "record, thread-local".to_owned(),
            Self::Error => "error, the same message".to_owned(),
            Self::OtherError => "error, another number in its message".to_owned(),
            Self::Timed => "finish and start".to_owned(),
            Self::Middleware(shape) => format!("middleware over bare, {}", shape.name()),
            Self::Bare(shape) => format!("bare, {}", shape.name()),
            Self::Scrape => "scrape of 600 series, all changed".to_owned(),
            Self::ScrapeOfFew => "scrape of 600 series, one in twenty changed".to_owned(),
        }
    }

    /// What is subtracted from its instructions.
    pub(crate) fn base(self) -> Option<Self> {
        if let Self::Middleware(shape) = self { Some(Self::Bare(shape)) } else { None }
    }

    /// How many times the instructions of another row it may take.
    pub(crate) fn at_most(self) -> Option<(f64, Self)> {
        let over_static = |times| Some((times, Self::Middleware(Shape::Static)));
        match self {
            Self::Middleware(Shape::Dynamic) => over_static(1.25),
            Self::Middleware(Shape::Nested) => over_static(1.5),
            _ => None,
        }
    }

    /// How much it may be above the baseline, in per cent.
    ///
    /// A record's count is the same in every run, and 1 % of it is less than one instruction. The others also depend on
    /// the clock's readings (an error's group keeps an example a second) and on the seeds of hash tables, and those of
    /// a scrape on the digits of its numbers. What a middleware adds is the small difference of two such counts.
    pub(crate) fn allowed_percent(self) -> f64 {
        match self {
            Self::Record | Self::ThreadLocal => 1.0,
            Self::Timed | Self::Scrape | Self::ScrapeOfFew => 3.0,
            Self::Middleware(_) | Self::Bare(_) | Self::Error | Self::OtherError => 5.0,
        }
    }

    /// The function inside which instructions are counted, as a pattern of valgrind.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Record => "*::row::record",
            Self::ThreadLocal => "*::row::record_thread_local",
            Self::Error | Self::OtherError => "*::row::record_error",
            Self::Timed => "*::row::finish_and_start",
            // The benches' caller, which gets prepared requests.
            Self::Middleware(_) | Self::Bare(_) => "*CallAll>::call_all",
            Self::Scrape | Self::ScrapeOfFew => "*::scrape::Scraped::scrape",
        }
    }

    /// Operations before the counted ones: enough to allocate nearly all memory.
    pub(crate) fn warm_up(self) -> usize {
        match self {
            Self::Record | Self::ThreadLocal | Self::Error | Self::OtherError | Self::Timed => 8_192,
            Self::Middleware(_) | Self::Bare(_) => 1_024,
            Self::Scrape | Self::ScrapeOfFew => 4,
        }
    }

    /// The number of counted operations.
    pub(crate) fn operations(self) -> usize {
        match self {
            Self::Record | Self::ThreadLocal | Self::Error | Self::OtherError | Self::Timed => 65_536,
            Self::Middleware(_) | Self::Bare(_) => 4_096,
            Self::Scrape | Self::ScrapeOfFew => 8,
        }
    }

    /// Runs it this number of times, the same way in every run.
    pub(crate) fn run(self, operations: usize) {
        match self {
            Self::Record => {
                let registry = Registry::new();
                let recorder = registry.recorder();
                for_each_event(&registry, operations, |endpoint, event| record(&recorder, endpoint, event));
            }
            Self::Error => fail(1, operations),
            Self::OtherError => fail(1_000, operations),
            Self::Timed => {
                let registry = Registry::new();
                let recorder = registry.recorder();
                // Durations below 128 ns take another path. Each request lasts for 64 turns, so that it takes
                // longer on any machine.
                let mut starts: VecDeque<_> = (0..64).map(|_| recorder.start()).collect();
                for_each_event(&registry, operations, |endpoint, event| {
                    let start = starts.pop_front().expect("each request that ends has begun");
                    starts.push_back(finish_and_start(&recorder, start, endpoint, event));
                });
            }
            Self::ThreadLocal => {
                let registry = Registry::new();
                for_each_event(&registry, operations, |endpoint, event| {
                    record_thread_local(&registry, endpoint, event);
                });
            }
            Self::Middleware(shape) => call(Arm::Flooded, shape, operations),
            Self::Bare(shape) => call(Arm::Bare, shape, operations),
            Self::Scrape => scrape_after(1, operations),
            Self::ScrapeOfFew => scrape_after(20, operations),
        }
    }
}

impl FromStr for Row {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let row = Self::ALL.into_iter().chain(Self::ALL.into_iter().filter_map(Self::base));
        let row = row.into_iter().find(|row| row.name() == name);
        row.ok_or_else(|| format!("unknown operation {name:?}"))
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

/// Records errors of a storm with this number of messages, of which hardly any is kept, as in the middleware's rows.
fn fail(messages: usize, operations: usize) {
    let registry = Registry::builder().error_log_capacity(1).build().expect("one is in range");
    let recorder = registry.recorder();
    let endpoint = registry.endpoint("GET", "/orders/{id}");
    let messages: Vec<_> =
        (0..messages).map(|number| format!("the order {number} is locked by another user")).collect();
    for message in messages.iter().cycle().take(operations) {
        record_error(&recorder, black_box(endpoint), black_box(message));
    }
}

#[inline(never)]
fn record_error(recorder: &Recorder, endpoint: EndpointId, message: &str) {
    recorder.record_error(endpoint, Outcome::Status(500), Duration::from_micros(350), message);
}

#[inline(never)]
fn finish_and_start(recorder: &Recorder, start: Start, endpoint: EndpointId, event: Event) -> Start {
    recorder.finish(start, endpoint, Outcome::from(event.status));
    recorder.start()
}

fn call(arm: Arm, shape: Shape, operations: usize) {
    Caller::new(arm, &Rc::new(System::new())).call(shape, operations, &|| 0);
}

/// Ours is the first arm.
fn scrape_after(changed: usize, operations: usize) {
    let mut scraped = scrape::ARMS[0].make(200, changed);
    for turn in 0..operations {
        scraped.time(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_name() {
        for row in Row::ALL.into_iter().chain(Row::ALL.into_iter().filter_map(Row::base)) {
            assert_eq!(row.name().parse(), Ok(row));
        }
        assert!("".parse::<Row>().is_err());
    }

    #[test]
    fn every_operation_runs() {
        Row::ALL.into_iter().chain(Row::ALL.into_iter().filter_map(Row::base)).for_each(|row| row.run(3));
    }
}
