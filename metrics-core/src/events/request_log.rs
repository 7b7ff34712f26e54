//! The log of single requests: slow ones, and a random sample.
//!
//! An [`EventLog`], like the error log. It takes next to no memory before its first entry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::events::event_log::{EventLog, Position};
use crate::labels::endpoint::{EndpointId, EndpointName, Endpoints};
use crate::labels::outcome::Outcome;
use crate::labels::trace::TraceContext;

/// One request, without heap memory.
#[derive(Debug, Clone)]
pub(crate) struct RequestEvent {
    pub(crate) time: SystemTime,
    pub(crate) endpoint: EndpointId,
    pub(crate) outcome: Outcome,
    pub(crate) nanos: u64,
    pub(crate) trace: Option<TraceContext>,
    pub(crate) randomness: f64,
}

/// One entry of the request log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentRequest {
    /// When the request ended, by the wall clock.
    pub time: SystemTime,
    /// The endpoint of the request.
    pub endpoint: Arc<EndpointName>,
    /// How the request ended.
    pub outcome: Outcome,
    /// How long the request took.
    pub response_time: Duration,
    /// Its position in a trace, if it states one.
    pub trace: Option<TraceContext>,
    /// A random number from 0 to below 1 that was drawn for the request, whatever its outcome. The requests with a
    /// number below `p` are a random sample: a share `p` of all requests. 1 if none was drawn.
    pub randomness: f64,
}

impl RequestEvent {
    /// The entry with the name of its endpoint.
    pub(crate) fn resolve(&self, endpoints: &Endpoints) -> RecentRequest {
        RecentRequest {
            time: self.time,
            endpoint: endpoints.name(self.endpoint),
            outcome: self.outcome,
            response_time: Duration::from_nanos(self.nanos),
            trace: self.trace,
            randomness: self.randomness,
        }
    }
}

/// How far a reader has read the request log: see [`Registry::requests_after`](crate::Registry::requests_after).
///
/// The default is the position before the first entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCursor(pub(crate) Position);

impl RequestCursor {
    /// Returns the number of requests since the start that newer ones evicted before the reader got to them, or that
    /// came too fast to be logged.
    pub fn missed(&self) -> u64 {
        self.0.missed()
    }
}

/// The latest requests that were logged.
#[derive(Debug)]
pub(crate) struct RequestLog {
    log: EventLog<RequestEvent>,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { log: EventLog::new(capacity) }
    }

    pub(crate) fn get(&self) -> &EventLog<RequestEvent> {
        &self.log
    }
}
